"""Where one of several processes has too little memory, all learn in parts, and the outcome is the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from test_distributed import assert_same_steps, configs, in_two_processes, plain_lines, several_steps

from machamp_lite.batching.batch import Batch
from machamp_lite.errors import TrainingError
from machamp_lite.model import Model
from machamp_lite.training.distributed import ALONE, joined

__all__ = ["configs"]
# Of those of the other tests: weights that learn from losses, draws, and an encoder with a decoder.
CASES = ("static", "uncertainty", "random", "texts")


def hold(monkeypatch: pytest.MonkeyPatch, most: int, *, place: str) -> list[int]:
    """Lets models hold so many sentences, when they score them or with the loss; returns how many were tried."""
    tried: list[int] = []
    forward, original = Model.forward, getattr(Model, place)

    def remembering(self: Model, batch: Batch) -> Any:
        tried.append(len(batch.instances))
        return forward(self, batch)

    def failing(self: Model, argument: Any) -> Any:
        result = remembering(self, argument) if place == "forward" else original(self, argument)
        if tried and tried[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return result

    monkeypatch.setattr(Model, "forward", remembering)
    monkeypatch.setattr(Model, place, failing)
    return tried


@pytest.mark.parametrize("place", ["forward", "total_loss"])
@pytest.mark.parametrize("short", [0, 1])
def test_steps_are_those_of_one_process_with_all_memory(
    configs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, short: int
) -> None:
    def work(rank: int) -> int:
        tried = hold(monkeypatch, 1 if rank == short else 1000, place=place)
        with joined(on_gpus=False) as processes:
            for name in CASES:
                save_file(several_steps(configs[name], processes), tmp_path / f"{name}{rank}")
        assert max(tried) > 1 and min(tried) == 1
        return 0

    codes, printed = in_two_processes(work, tmp_path)
    assert codes == [0, 0], printed
    for name in CASES:
        assert_same_steps(name, several_steps(configs[name], ALONE), tmp_path)


def test_a_sentence_that_does_not_fit_alone_ends_all_of_them_in_one_line(
    configs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(rank: int) -> int:
        hold(monkeypatch, 0 if rank else 1000, place="forward")
        try:
            with joined(on_gpus=False) as processes:
                several_steps(configs["static"], processes)
        except TrainingError as error:
            print("\n".join(error.faults))
            return 3
        return 0

    codes, printed = in_two_processes(work, tmp_path)
    assert codes == [3, 3], printed
    first, second = map(plain_lines, printed)
    assert second == [] and len(first) == 1
    assert "does not fit the memory of the GPU even sentence by sentence" in first[0]
