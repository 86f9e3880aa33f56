"""In bf16 on a CPU an encoder that only scores has bf16 weights, whatever its kind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hidden_states import encode
from test_encoder_kinds import TEXT_TASKS, WORD_TASKS, configure, every_kind, make

from machamp_lite.acceleration import load_accelerated
from machamp_lite.acceleration.reduced_vocabulary import reduce_vocabulary
from machamp_lite.config.schema import Config
from machamp_lite.inference.engine import score_batches
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_best_weights, save_model
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.train_step import train_step

pytestmark = pytest.mark.slow

__all__ = ["configure"]


@every_kind
def test_in_bf16_states_are_computed_and_kept_in_16_bits_and_near_those_of_fp32(
    configure: Callable[..., Config], kind: str
) -> None:
    model, examples = make(configure(kind, words={"upos": WORD_TASKS["upos"]}, texts=TEXT_TASKS))
    # As in a run, whose embeddings are of two kinds.
    reduce_vocabulary(model, (example.segments.subword_ids for example in examples))
    layers = model.encoder.layer_numbers("all")
    batch = model.eval().batch(examples, only_annotated=False)
    with torch.inference_mode():
        expected = encode(model.encoder, batch, layers)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = encode(model.encoder, batch, layers)
    for name in ("words", "sentences"):
        exact, in_bf16 = getattr(expected, name), getattr(found, name)
        assert (exact.dtype, in_bf16.dtype) == (torch.float32, torch.bfloat16)
        torch.testing.assert_close(in_bf16.float(), exact, rtol=0.05, atol=0.05 * float(exact.abs().max()))


@every_kind
@pytest.mark.parametrize("adapters", [None, {"rank": 2, "alpha": 4, "dropout": 0.1, "target_modules": None}])
def test_what_is_scored_in_bf16_is_the_encoder_as_it_is_now(
    configure: Callable[..., Config], kind: str, adapters: dict[str, Any] | None, tmp_path: Path
) -> None:
    overrides = ["training.precision=bf16", f"encoder.lora={json.dumps(adapters)}"]
    model, examples = make(configure(kind, *overrides, words={"mood": WORD_TASKS["mood"]}))
    # Adapters are saved as part of the weights, and the sum is converted to bf16.
    tolerance = 0.05 if adapters else 0.0
    reduce_vocabulary(model, (example.segments.subword_ids for example in examples))
    optimizer = make_optimizer(model)
    seen = []
    for number in range(3):
        train_step(model.train(), [examples], optimizer)
        save_model(model, tmp_path / str(number))
        seen.append(scores_of(model, examples))
        loaded = scores_of(load_accelerated(tmp_path / str(number)), examples)
        torch.testing.assert_close(loaded, seen[-1], rtol=tolerance, atol=tolerance)
    assert not torch.equal(seen[0], seen[2])
    if adapters is None:
        load_best_weights(model, tmp_path / "0")
        assert torch.equal(scores_of(model, examples), seen[0])


def scores_of(model: Model, examples: list[Any]) -> torch.Tensor:
    return torch.cat([scores["mood"].float() for _, _, scores in score_batches(model, examples)])
