"""Packed sentences have the states and gradients of padded ones; what cannot be packed is not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_encoders import KINDS, Encoders

from machamp_lite.acceleration import accelerate
from machamp_lite.acceleration.packed_attention import PACKED_FAST_DROPOUT as PACKED
from machamp_lite.acceleration.packing import PackedLayout
from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError
from machamp_lite.model.encoder import Encoder
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.run import build_model, read_data, seed_everything

PACKABLE = {"wordpiece", "bpe", "unigram", "without_ends", "distilbert", "electra"}


@pytest.fixture
def build(
    encoders: Encoders, write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str
) -> Callable[..., tuple[Model, list[Any]]]:
    def build(kind: str, packing: str) -> tuple[Model, list[Any]]:
        overrides = [f"transformer_model={encoders[kind]}", f"encoder.packing={packing}"]
        config = load_config([write_config(DATA=dataset)], parameters_config=tiny_params, overrides=overrides)
        seed_everything(1)
        data = read_data(config)
        return accelerate(build_model(config, data)).eval(), data.train["DATA"]

    return build


def packs(encoder: Encoder, lengths: torch.Tensor) -> bool:
    return isinstance(encoder.layout, PackedLayout) and encoder.layout.packs(encoder, lengths)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sentences_have_the_states_and_gradients_of_padded_ones(
    build: Callable[..., tuple[Model, list[Any]]], kind: str
) -> None:
    results = []
    for packing in ('"auto"', "false"):
        model, examples = build(kind, packing)
        batch = model.batch([*examples, *examples[1:3]], only_annotated=True)
        assert packs(model.encoder, batch.segment_lengths) == (packing == '"auto"' and kind in PACKABLE)
        losses = model.losses(batch, model(batch))
        sum(losses.values()).backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        results.append(([loss.detach() for loss in losses.values()], gradients))
    for one, other in zip(*results, strict=True):
        for left, right in zip(one, other, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("packing", "lengths", "in_bf16_training", "else_where"),
    [
        ('"auto"', [10, 10, 9], False, True),
        ('"auto"', [10, 8, 8], True, True),
        ("true", [10, 10], True, True),
        ("false", [10, 1], False, False),
    ],
)
def test_all_batches_are_packed_except_full_ones_in_bf16_training(
    build: Callable[..., tuple[Model, list[Any]]],
    packing: str,
    lengths: list[int],
    in_bf16_training: bool,
    else_where: bool,
) -> None:
    encoder, sizes = build("wordpiece", packing)[0].encoder, torch.tensor(lengths)
    for autocast, training in ((False, False), (False, True), (True, False), (True, True)):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            expected = in_bf16_training if autocast and training else else_where
            assert packs(encoder.train(training), sizes) == expected


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - PACKABLE))
def test_required_packing_that_is_not_possible_is_an_error(
    build: Callable[..., tuple[Model, list[Any]]], kind: str
) -> None:
    with pytest.raises(ConfigError, match=r"encoder -> packing: .* models cannot be packed, expected 'auto' or false"):
        build(kind, "true")


def test_a_transformer_that_can_be_packed_still_takes_padded_rows(
    build: Callable[..., tuple[Model, list[Any]]],
) -> None:
    packing, padding = (build("wordpiece", value)[0].encoder.transformer for value in ("true", "false"))
    assert packing.config._attn_implementation == PACKED != padding.config._attn_implementation
    ids, mask = torch.tensor([[5, 6, 7, 8], [5, 6, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    with torch.no_grad():
        one, other = (
            transformer(input_ids=ids, attention_mask=mask).last_hidden_state for transformer in (packing, padding)
        )
    torch.testing.assert_close(one, other)
    assert PACKED not in packing.config.to_json_string()
