"""The encoder on flat batches, against the transformer on one sentence at a time."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hidden_states import encode

from machamp_lite.config import load_config
from machamp_lite.config.jsonnet import read_jsonnet
from machamp_lite.config.loading import DEFAULT_PARAMS
from machamp_lite.config.schema import EncoderParams
from machamp_lite.errors import ConfigError
from machamp_lite.model.encoder import Encoder
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.pretrained import load_transformer
from machamp_lite.training.run import build_model, read_data


@pytest.fixture
def build(
    write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str, encoders: dict[str, str]
) -> Callable[..., tuple[Model, list[Any]]]:
    def build(kind: str, *overrides: str) -> tuple[Model, list[Any]]:
        config = load_config(
            [write_config(DATA=dataset)],
            parameters_config=tiny_params,
            overrides=[f"transformer_model={encoders[kind]}", *overrides],
        )
        data = read_data(config)
        return build_model(config, data).eval(), data.train["DATA"]

    return build


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_states_are_those_of_each_sentence_alone(
    build: Callable[..., tuple[Model, list[Any]]], kind: str
) -> None:
    model, examples = build(kind)
    batch = model.batch(examples, only_annotated=False)
    with torch.no_grad():
        encoded = encode(model.encoder, batch, [0, 1, 2])
        start = 0
        for number, example in enumerate(examples):
            ids = torch.from_numpy(example.segments.subword_ids).unsqueeze(0)
            states = model.encoder.transformer(input_ids=ids, output_hidden_states=True).hidden_states
            expected = torch.stack(states)[:, 0]
            words = expected[:, example.segments.word_ends]
            end = start + words.shape[1]
            torch.testing.assert_close(encoded.words[:, start:end], words, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(encoded.sentences[:, number], expected[:, 0], rtol=1e-4, atol=1e-5)
            start = end
    assert encoded.words.shape == (3, start, 32)


def test_layers_in_several_precisions_are_those_of_training(
    build: Callable[..., tuple[Model, list[Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a GPU in bf16 a layer that ends in a linear map is in another precision than one that ends in a layer norm.
    model, examples = build("wordpiece")
    batch = model.batch(examples, only_annotated=False)
    run = model.encoder.run

    def mixed(*arguments: Any) -> list[torch.Tensor]:
        first, *others = run(*arguments)
        return [first.bfloat16(), *others]

    monkeypatch.setattr(model.encoder, "run", mixed)
    expected = encode(model.encoder, batch, [0, 1, 2]).words
    with torch.inference_mode():
        words = encode(model.encoder, batch, [0, 1, 2]).words
    assert words.dtype == torch.float32
    torch.testing.assert_close(words, expected.detach())


def test_the_last_layer_alone_is_the_last_of_all(build: Callable[..., tuple[Model, list[Any]]]) -> None:
    model, examples = build("wordpiece")
    batch = model.batch(examples, only_annotated=False)
    with torch.no_grad():
        alone, every = encode(model.encoder, batch, [2]), encode(model.encoder, batch, [0, 1, 2])
    assert torch.equal(alone.words[0], every.words[2])


def test_pieces_of_a_long_sentence_are_encoded_apart(build: Callable[..., tuple[Model, list[Any]]]) -> None:
    model, examples = build("wordpiece", "encoder.max_input_length=6")
    segments = examples[0].segments
    assert len(segments.segment_starts) > 1
    start = int(segments.segment_starts[1])
    end = int(segments.segment_starts[2]) if len(segments.segment_starts) > 2 else len(segments.subword_ids)
    inside = [place for place, word_end in enumerate(segments.word_ends) if start <= word_end < end]
    with torch.no_grad():
        words = encode(model.encoder, model.batch(examples[:1], only_annotated=False), [2]).words[0]
        ids = torch.from_numpy(segments.subword_ids[start:end]).unsqueeze(0)
        segment = model.encoder.transformer(input_ids=ids).last_hidden_state[0]
    torch.testing.assert_close(words[inside], segment[segments.word_ends[inside] - start], rtol=1e-4, atol=1e-5)


def bare(folder: str) -> Encoder:
    return Encoder(load_transformer(folder).encoder, params=default_params())


def default_params() -> EncoderParams:
    defaults = read_jsonnet(DEFAULT_PARAMS)["encoder"]
    return EncoderParams.model_validate(defaults | {"max_input_length": 64})


@pytest.mark.parametrize(
    ("layers", "expected"), [("all", (0, 1, 2)), ([-1], (2,)), ([0, -2], (0, 1)), ([2, 1], (2, 1))]
)
def test_layers_are_counted_from_either_end(encoder: str, layers: Any, expected: tuple[int, ...]) -> None:
    assert bare(encoder).layer_numbers(layers) == expected


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there_is_a_config_fault(encoder: str, layer: int) -> None:
    with pytest.raises(ConfigError, match=rf"layers_to_use: found {layer}, .* 0 \(embeddings\) to 2"):
        bare(encoder).layer_numbers([layer])


def test_more_input_than_positions_is_a_config_fault(build: Callable[..., tuple[Model, list[Any]]]) -> None:
    with pytest.raises(ConfigError, match=r"max_input_length: found 100, .* at most 80 subwords; set"):
        build("wordpiece", "encoder.max_input_length=100")
    # RoBERTa's positions start after the padding's.
    with pytest.raises(ConfigError, match="at most 78 subwords"):
        build("bpe", "encoder.max_input_length=79")


@pytest.mark.parametrize("kind", ["t5", "deberta"])
def test_relative_positions_have_no_limit(build: Callable[..., tuple[Model, list[Any]]], kind: str) -> None:
    model, examples = build(kind, "encoder.max_input_length=500")
    words = ["old", "dogs"] * 40
    example = dataclasses.replace(examples[0], words=words, segments=model.tokenizer.sentences([words])[0])
    assert len(example.segments.segment_starts) == 1
    with torch.no_grad():
        encoded = encode(model.encoder, model.batch([example], only_annotated=False), [2])
    assert bool(torch.isfinite(encoded.words).all())


@pytest.mark.parametrize("kind", ["bpe", "bart", "gpt2", "distilbert"])
def test_the_longest_input_is_encoded_and_no_longer_one(encoders: dict[str, str], kind: str) -> None:
    encoder = bare(encoders[kind])
    longest = encoder.longest_input
    with torch.no_grad():
        encoder.transformer(input_ids=torch.full((1, longest), 10))
        with pytest.raises((IndexError, RuntimeError)):
            encoder.transformer(input_ids=torch.full((1, longest + 1), 10))


LONG = ["old", "dogs", "run", "near", "cats", "and", "mice", "sleep"]


@pytest.mark.parametrize("kind", ["wordpiece", "gpt2", "canine"])
@pytest.mark.parametrize("long_input", ["truncate", "stride"])
def test_sentences_of_several_pieces_are_read_as_long_input_says(
    build: Callable[..., tuple[Model, list[Any]]], kind: str, long_input: str
) -> None:
    length = 12 if kind == "canine" else 6
    model, examples = build(kind, f"encoder.max_input_length={length}", f"encoder.long_input={long_input}")
    made = [
        dataclasses.replace(examples[0], words=words, segments=model.tokenizer.sentences([words])[0])
        for words in (LONG, ["dogs"], LONG[:5])
    ]
    with torch.no_grad():
        found = encode(model.encoder, model.batch(made, only_annotated=False), [2]).sentences[0]
        for example, state in zip(made, found, strict=True):
            segments = example.segments
            read = []
            for start, end in zip(
                segments.segment_starts, [*segments.segment_starts[1:], len(segments.subword_ids)], strict=True
            ):
                ids = torch.from_numpy(segments.subword_ids[start:end]).unsqueeze(0)
                states = model.encoder.transformer(input_ids=ids).last_hidden_state[0]
                read.append(states[-1 if kind == "gpt2" else 0])
            expected = torch.stack(read).mean(0) if long_input == "stride" else read[0]
            torch.testing.assert_close(state, expected, rtol=1e-4, atol=1e-4)
    assert [len(example.segments.segment_starts) > 1 for example in made] == [True, False, True]


@pytest.mark.parametrize("kind", ["wordpiece", "gpt2", "t5", "canine"])
def test_a_long_text_is_read_as_the_mean_over_its_pieces(
    write_config: Callable[..., str],
    pair_dataset: dict[str, Any],
    tiny_params: str,
    encoders: dict[str, str],
    tmp_path: Path,
    kind: str,
) -> None:
    path = tmp_path / "long.tsv"
    path.write_text("the dog ran and a cat sleeps near it\ta cat\tyes\na\tb\tno\n", encoding="utf-8")
    pair_dataset["train_data_path"] = str(path)
    if kind == "t5":
        # Every subword of a text is an item of another view, once.
        pair_dataset["tasks"] |= {"copy": {"task_type": "seq2seq", "column_idx": 2}}
    options = {"long_input": "stride", "max_input_length": 12}
    config = load_config(
        [write_config(DATA=pair_dataset)],
        parameters_config=tiny_params,
        overrides=[
            f"transformer_model={encoders[kind]}",
            *(f"encoder.{key}={value}" for key, value in options.items()),
        ],
    )
    data = read_data(config)
    model = build_model(config, data).eval()
    views = {view: [own for own in data.train["DATA"] if own.input_type == view] for view in ("words", "subwords")}
    assert all(len(example.segments.segment_starts) == 1 for example in views["subwords"])
    long, short = views["words"]
    starts = [*long.segments.segment_starts, len(long.segments.subword_ids)]
    assert len(starts) > 2
    read = []
    with torch.no_grad():
        found = encode(model.encoder, model.batch([long, short], only_annotated=True), [2]).sentences[0]
        alone = encode(model.encoder, model.batch([short], only_annotated=True), [2]).sentences[0]
        for start, end in zip(starts, starts[1:], strict=False):
            inputs = {"input_ids": torch.from_numpy(long.segments.subword_ids[start:end]).unsqueeze(0)}
            if model.encoder.has_types:
                inputs["token_type_ids"] = torch.from_numpy(long.segments.type_ids[start:end]).unsqueeze(0)
            states = model.encoder.transformer(**inputs).last_hidden_state[0]
            read.append(states[-1 if kind == "gpt2" else 0])
    torch.testing.assert_close(found[0], torch.stack(read).mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[1], alone[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "length"), [("wordpiece", 12), ("gpt2", 7)])
def test_sentences_of_one_piece_are_the_same_bit_for_bit(
    build: Callable[..., tuple[Model, list[Any]]], kind: str, length: int
) -> None:
    states = []
    for long_input in ("truncate", "stride"):
        model, examples = build(
            kind, f"encoder.max_input_length={length}", f"encoder.long_input={long_input}"
        )
        examples = [example for example in examples if example.input_type == "words"]
        with torch.no_grad():
            states.append(encode(model.encoder, model.batch(examples, only_annotated=False), [0, 1, 2]).sentences)
    whole = [place for place, own in enumerate(examples) if len(own.segments.segment_starts) == 1]
    assert 0 < len(whole) < len(examples)
    assert torch.equal(states[0][:, whole], states[1][:, whole])
    assert not torch.equal(*states)
