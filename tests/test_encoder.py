"""The encoder on flat batches, against the transformer on one sentence at a time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from machamp_lite.config import load_config
from machamp_lite.encoder import Encoder
from machamp_lite.errors import ConfigError
from machamp_lite.model import Model
from machamp_lite.pretrained import load_transformer
from machamp_lite.runs import build_model, read_data


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
    model, instances = build(kind)
    batch = model.batch(instances, only_annotated=False)
    with torch.no_grad():
        encoded = model.encoder(batch, [0, 1, 2])
        start = 0
        for number, instance in enumerate(instances):
            ids = torch.from_numpy(instance.pieces.subword_ids).unsqueeze(0)
            states = model.encoder.transformer(input_ids=ids, output_hidden_states=True).hidden_states
            expected = torch.stack(states)[:, 0]
            words = expected[:, instance.pieces.word_ends]
            end = start + words.shape[1]
            torch.testing.assert_close(encoded.words[:, start:end], words, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(encoded.sentences[:, number], expected[:, 0], rtol=1e-4, atol=1e-5)
            start = end
    assert encoded.words.shape == (3, start, 32)


def test_the_last_layer_alone_is_the_last_of_all(build: Callable[..., tuple[Model, list[Any]]]) -> None:
    model, instances = build("wordpiece")
    batch = model.batch(instances, only_annotated=False)
    with torch.no_grad():
        alone, every = model.encoder(batch, [2]), model.encoder(batch, [0, 1, 2])
    assert torch.equal(alone.words[0], every.words[2])


def test_pieces_of_a_long_sentence_are_encoded_apart(build: Callable[..., tuple[Model, list[Any]]]) -> None:
    model, instances = build("wordpiece", "encoder.max_input_length=6")
    pieces = instances[0].pieces
    assert len(pieces.piece_starts) > 1
    start = int(pieces.piece_starts[1])
    end = int(pieces.piece_starts[2]) if len(pieces.piece_starts) > 2 else len(pieces.subword_ids)
    inside = [place for place, word_end in enumerate(pieces.word_ends) if start <= word_end < end]
    with torch.no_grad():
        words = model.encoder(model.batch(instances[:1], only_annotated=False), [2]).words[0]
        ids = torch.from_numpy(pieces.subword_ids[start:end]).unsqueeze(0)
        piece = model.encoder.transformer(input_ids=ids).last_hidden_state[0]
    torch.testing.assert_close(words[inside], piece[pieces.word_ends[inside] - start], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "expected"), [("all", (0, 1, 2)), ([-1], (2,)), ([0, -2], (0, 1)), ([2, 1], (2, 1))]
)
def test_layers_are_counted_from_either_end(encoder: str, layers: Any, expected: tuple[int, ...]) -> None:
    assert Encoder(load_transformer(encoder)).layer_numbers(layers) == expected


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there_is_a_config_fault(encoder: str, layer: int) -> None:
    with pytest.raises(ConfigError, match=rf"layers_to_use: found {layer}, .* 0 \(embeddings\) to 2"):
        Encoder(load_transformer(encoder)).layer_numbers([layer])


def test_more_input_than_positions_is_a_config_fault(build: Callable[..., tuple[Model, list[Any]]]) -> None:
    with pytest.raises(ConfigError, match=r"max_input_length: found 100, .* at most 80 subwords"):
        build("wordpiece", "encoder.max_input_length=100")
    # RoBERTa's positions start after the padding's.
    with pytest.raises(ConfigError, match="at most 78 subwords"):
        build("bpe", "encoder.max_input_length=79")
