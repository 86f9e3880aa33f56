"""Every task type through every kind of encoder, and what holds for each kind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hidden_states import encode
from tiny_encoders import KINDS, Encoders
from transformers import ViTConfig

from machamp_lite.acceleration import accelerate, load_accelerated
from machamp_lite.config import load_config
from machamp_lite.config.schema import Config
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders import DECODERS
from machamp_lite.errors import ConfigError
from machamp_lite.inference.engine import predict_labels
from machamp_lite.model.attention_probe import probe_attention
from machamp_lite.model.encoder import EncoderError
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model, save_model
from machamp_lite.training.check import check
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.run import build_model, read_data, seed_everything
from machamp_lite.training.train_step import train_step

WORD_TASKS: dict[str, Any] = {
    "upos": {"task_type": "seq", "column_idx": 3},
    "entities": {"task_type": "seq_bio", "column_idx": 8},
    "lemma": {"task_type": "string2string", "column_idx": 2},
    "feats": {"task_type": "multiseq", "column_idx": 5},
    "tree": {"task_type": "dependency", "column_idx": 6},
    "words": {"task_type": "tok"},
    "mood": {"task_type": "classification", "column_idx": -1},
}
TEXT_TASKS: dict[str, Any] = {
    "same": {"task_type": "classification", "column_idx": 2},
    "topics": {"task_type": "multiclas", "column_idx": 3},
    "degree": {"task_type": "regression", "column_idx": 4},
    "shares": {"task_type": "probdistr", "column_idxs": [5, 6]},
}
SEQ2SEQ = {"reply": {"task_type": "seq2seq", "column_idx": 7}}
MLM = {"hidden": {"task_type": "mlm"}}
MASKED = {"wordpiece", "bpe", "unigram", "without_ends", "distilbert", "electra", "modernbert", "deberta"}
ENCODER_DECODERS = {"t5", "byt5", "bart"}
CAUSAL = {"gpt2", "llama"}
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def configure(
    encoders: Encoders, treebank: Path, pairs: Path, write_config: Callable[..., str], tiny_params: str
) -> Callable[..., Config]:
    """A config of word tasks, text tasks, or both, for one kind of encoder."""

    def build(
        kind: str, *overrides: str, words: dict[str, Any] | None = None, texts: dict[str, Any] | None = None
    ) -> Config:
        datasets = {}
        if words:
            path = str(treebank)
            datasets["WORDS"] = {
                "train_data_path": path,
                "dev_data_path": path,
                "word_idx": 1,
                "tasks": words,
            }
        if texts:
            path = str(pairs)
            datasets["TEXTS"] = {
                "train_data_path": path,
                "dev_data_path": path,
                "sent_idxs": [0, 1],
                "tasks": texts,
            }
        overrides = (
            f"transformer_model={encoders[kind]}",
            # Tiny models with random weights go on until they are stopped.
            "decoders.seq2seq.max_output_length=8",
            "decoders.mlm.layers_to_use=[-1]",
            *overrides,
        )
        return load_config([write_config(**datasets)], parameters_config=tiny_params, overrides=overrides)

    return build


def make(config: Config) -> tuple[Model, list[Any]]:
    seed_everything(1)
    data = read_data(config)
    return accelerate(build_model(config, data)), [example for own in data.train.values() for example in own]


def labels(model: Model, examples: list[Any]) -> list[dict[str, Any]]:
    predicted = dict(predict_labels(model, examples))
    return [
        {task: torch.stack(own) if torch.is_tensor(own[0]) else own for task, own in predicted[place].items()}
        for place in range(len(examples))
    ]


def assert_same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    for left, right in zip(one, other, strict=True):
        assert left.keys() == right.keys()
        for task, value in left.items():
            if torch.is_tensor(value):
                assert torch.equal(value, right[task])
            else:
                assert value == right[task], task


def test_the_tables_have_every_task_type() -> None:
    tasks = WORD_TASKS | TEXT_TASKS | SEQ2SEQ | MLM
    assert {options["task_type"] for options in tasks.values()} == set(DECODERS)
    assert MASKED | ENCODER_DECODERS | CAUSAL | {"canine"} == set(KINDS)


@every_kind
def test_every_task_type_learns_predicts_and_is_saved(
    configure: Callable[..., Config], kind: str, tmp_path: Path
) -> None:
    words = WORD_TASKS | (MLM if kind in MASKED else {})
    texts = TEXT_TASKS | (SEQ2SEQ if kind in ENCODER_DECODERS else {})
    model, examples = make(configure(kind, words=words, texts=texts))
    optimizer = make_optimizer(model)
    before = {name: value.detach().clone() for name, value in model.encoder.named_parameters()}
    losses = train_step(model.train(), [examples], optimizer)[0].tasks
    assert losses.keys() == words.keys() | texts.keys()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert any(not torch.equal(before[name], value) for name, value in model.encoder.named_parameters())
    save_model(model, tmp_path / "model")
    loaded = load_accelerated(tmp_path / "model")
    assert loaded.encoder.is_causal == model.encoder.is_causal == (kind in CAUSAL)
    assert loaded.tokenizer.boundary == model.tokenizer.boundary
    assert_same(labels(model, examples), labels(loaded, examples))


def test_a_model_of_an_older_version_reads_words_as_it_did(
    configure: Callable[..., Config], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, _ = make(configure("modernbert", words={"upos": WORD_TASKS["upos"]}))
    save_model(model, tmp_path / "model")
    path = tmp_path / "model" / "encoder" / "tokenizer_config.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    # As older versions wrote it.
    del document["word_boundary"]
    path.write_text(json.dumps(document), encoding="utf-8")
    caplog.clear()
    with caplog.at_level("WARNING"):
        old = load_model(tmp_path / "model")
    (record,) = caplog.records
    assert f"{path.parent}: this model was trained by an older version" in record.getMessage()
    words = ["the", "old", "dog"]
    subwords = [
        own.tokenizer.tokenizer.convert_ids_to_tokens(own.tokenizer.sentences([words])[0].subword_ids.tolist())
        for own in (old, model)
    ]
    assert subwords == [["[CLS]", "the", "old", "dog", "[SEP]"], ["[CLS]", "Ġthe", "Ġold", "Ġdog", "[SEP]"]]
    # Saved again, it is as before and says nothing.
    save_model(old, tmp_path / "again")
    caplog.clear()
    assert load_model(tmp_path / "again").tokenizer.boundary == old.tokenizer.boundary
    assert not caplog.records


@every_kind
def test_no_kind_of_encoder_waits_for_the_device(configure: Callable[..., Config], kind: str) -> None:
    # Tensors of "meta" have no values: whatever would wait for one raises.
    texts = SEQ2SEQ if kind in ENCODER_DECODERS else TEXT_TASKS
    model, examples = make(configure(kind, words=WORD_TASKS | (MLM if kind in MASKED else {}), texts=texts))
    model.train().to("meta")
    # With other lengths and with one alone: with a mask for the transformer and without.
    for chosen in (examples, examples[:1]):
        batch = model.batch(chosen, only_annotated=True)
        try:
            scores = model(batch)
        except EncoderError as error:
            if "unknown device type for autocast" in str(error):
                pytest.skip("this torch has no autocast for tensors without values")
            raise
        total = model.total_loss(model.losses(batch, scores))
        total.backward()
        assert total.is_meta
    for decoder in model.decoders:
        assert any(parameter.grad is not None for parameter in decoder.parameters())


CANNOT = [(kind, "hidden", "mlm") for kind in sorted(KINDS.keys() - MASKED)]
CANNOT += [(kind, "reply", "seq2seq") for kind in sorted(KINDS.keys() - ENCODER_DECODERS)]


@pytest.mark.parametrize(("kind", "task", "task_type"), CANNOT)
def test_what_an_encoder_cannot_do_is_reported_in_one_line(
    configure: Callable[..., Config], kind: str, task: str, task_type: str
) -> None:
    config = configure(kind, words=MLM) if task == "hidden" else configure(kind, texts=SEQ2SEQ)
    expected = {"mlm": "masked language model", "seq2seq": "encoder-decoder model"}[task_type]
    for start in (make, check):
        with pytest.raises(ConfigError, match=f"{task_type}.* {expected}") as caught:
            start(config)
        assert "\n" not in str(caught.value)
        assert len(caught.value.faults) == 1


@every_kind
def test_a_batch_gives_what_its_sentences_give_alone(configure: Callable[..., Config], kind: str) -> None:
    model, examples = make(configure(kind, words={"upos": WORD_TASKS["upos"]}, texts=TEXT_TASKS))
    layers = model.encoder.layer_numbers("all")
    with torch.no_grad():
        together = encode(model.eval().encoder, model.batch(examples, only_annotated=False), layers)
        alone = [
            encode(model.encoder, model.batch([example], only_annotated=False), layers) for example in examples
        ]
    for name in ("words", "sentences"):
        expected = torch.cat([getattr(encoded, name) for encoded in alone], dim=1)
        torch.testing.assert_close(getattr(together, name), expected, rtol=1e-4, atol=1e-4)


@every_kind
def test_a_batch_gives_what_the_transformer_gives(configure: Callable[..., Config], kind: str) -> None:
    model, examples = make(configure(kind, words={"upos": WORD_TASKS["upos"]}))
    example = examples[0]
    ids = torch.from_numpy(example.segments.subword_ids).unsqueeze(0)
    with torch.no_grad():
        encoded = encode(model.eval().encoder, model.batch(examples, only_annotated=False), [2])
        states = model.encoder.transformer(input_ids=ids).last_hidden_state[0]
    words = states[example.segments.word_ends]
    torch.testing.assert_close(encoded.words[0, : len(words)], words, rtol=1e-4, atol=1e-4)
    sentence = states[-1 if kind in CAUSAL else 0]
    torch.testing.assert_close(encoded.sentences[0, 0], sentence, rtol=1e-4, atol=1e-4)


@every_kind
def test_the_state_of_a_sentence_depends_on_its_last_word(
    configure: Callable[..., Config], kind: str
) -> None:
    model, _ = make(configure(kind, words={"mood": WORD_TASKS["mood"]}))
    model.eval()
    states = []
    for word in ("runs", "sleeps"):
        batch = model.batch([_instance(model, ["The", "dog", word])], only_annotated=False)
        with torch.no_grad():
            states.append(encode(model.encoder, batch, [2]).sentences[0, 0])
    assert float((states[0] - states[1]).abs().max()) > 1e-4


def _instance(model: Model, words: list[str]) -> Example:
    return Example("WORDS", "words", "test", words, model.tokenizer.sentences([words])[0], {}, {})


@pytest.mark.parametrize("kind", sorted(CAUSAL))
def test_of_a_causal_encoder_words_do_not_depend_on_what_follows_and_the_log_says_so(
    configure: Callable[..., Config], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        model, _ = make(configure(kind, words=WORD_TASKS))
    assert "reads from left to right: words and sentences are read at their last subword" in caplog.text
    with torch.no_grad():
        words = [
            encode(model.eval().encoder, model.batch([_instance(model, own)], only_annotated=False), [2]).words[0]
            for own in (["The", "dog", "runs"], ["The", "dog", "sleeps"])
        ]
    torch.testing.assert_close(words[0][:2], words[1][:2])
    assert not torch.allclose(words[0][2], words[1][2])


@every_kind
def test_what_is_learnt_of_an_encoder_draws_no_random_numbers(
    configure: Callable[..., Config], kind: str
) -> None:
    config = configure(kind, words={"mood": WORD_TASKS["mood"]})
    model, _ = make(config)
    state = torch.get_rng_state()
    probe_attention(model.encoder)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.encoder.padding_matters == (kind == "canine")


def test_of_canine_the_last_layer_alone_can_be_read(
    configure: Callable[..., Config], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        model, _ = make(configure("canine", words=WORD_TASKS))
    assert model.used_layers == [2]
    assert "only the encoder's last layer has a state for each subword: all tasks read it" in caplog.text
    config = configure("canine", words={"upos": WORD_TASKS["upos"] | {"layers_to_use": [0, -1]}})
    for start in (make, check):
        with pytest.raises(ConfigError, match=r"upos -> layers_to_use: found 0, .* expected \[-1\] or 'all'"):
            start(config)


def test_canine_reads_texts_that_are_shorter_than_a_group_of_characters(
    configure: Callable[..., Config],
) -> None:
    model, _ = make(configure("canine", words={"mood": WORD_TASKS["mood"]}))
    examples = [_instance(model, words) for words in (["."], ["A", "longer", "one"])]
    with torch.no_grad():
        together = encode(model.eval().encoder, model.batch(examples, only_annotated=False), [2])
        alone = encode(model.encoder, model.batch(examples[:1], only_annotated=False), [2])
    torch.testing.assert_close(together.words[:, :1], alone.words, rtol=1e-4, atol=1e-4)


def test_an_encoder_that_does_not_read_text_is_reported_in_one_line(
    configure: Callable[..., Config], encoders: Encoders, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    ViTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    ).save_pretrained(folder)
    for path in Path(encoders["wordpiece"]).glob("tokenizer*"):
        (folder / path.name).write_bytes(path.read_bytes())
    config = configure(
        "wordpiece", f"transformer_model={folder}", "reset_transformer_model=true", words=WORD_TASKS
    )
    with pytest.raises(
        ConfigError, match="'vit' models cannot be used, expected one that reads text"
    ) as caught:
        make(config)
    assert "\n" not in str(caught.value)
