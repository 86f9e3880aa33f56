"""If one of several processes has too little memory, all split their batches, and the result is the same."""

from pathlib import Path
from typing import Any

import pytest
from children import plain_lines
from safetensors.torch import save_file
from test_distributed import assert_same_steps, configs, in_two_processes, several_steps
from test_memory_limits import that_holds

from machamp_lite.errors import TrainingError
from machamp_lite.training.distributed import SINGLE_PROCESS, process_group

__all__ = ["configs"]
# Three cases of test_distributed.py: weights that depend on losses, random numbers, and an encoder with a decoder.
CASES = ("static", "uncertainty", "random", "texts")


@pytest.mark.slow
@pytest.mark.parametrize("fails_late", [False, True])
@pytest.mark.parametrize("short", [0, 1])
def test_steps_equal_those_of_one_process_with_enough_memory(
    configs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_late: bool, short: int
) -> None:
    def work(rank: int) -> int:
        tried = that_holds(monkeypatch, 1 if rank == short else 1000, fails_late=fails_late)
        with process_group(on_gpus=False) as processes:
            for name in CASES:
                save_file(several_steps(configs[name], processes), tmp_path / f"{name}{rank}")
        assert max(tried) > 1 and min(tried) == 1
        return 0

    codes, printed = in_two_processes(work, tmp_path)
    assert codes == [0, 0], printed
    for name in CASES:
        assert_same_steps(name, several_steps(configs[name], SINGLE_PROCESS), tmp_path)


def test_a_sentence_that_does_not_fit_alone_ends_all_processes_with_one_line(
    configs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[TrainingError] = []

    def work(rank: int) -> int:
        that_holds(monkeypatch, 0 if rank else 1000, fails_late=False)
        try:
            with process_group(on_gpus=False) as processes:
                several_steps(configs["static"], processes)
        except TrainingError as error:
            print("\n".join(error.faults))
            # Rarely, torch waits forever for its own threads when an error frees DistributedDataParallel.
            kept.append(error)
            return 3
        return 0

    codes, printed = in_two_processes(work, tmp_path)
    assert codes == [3, 3], printed
    first, second = map(plain_lines, printed)
    assert second == [] and len(first) == 1
    assert "does not fit the memory of the GPU even sentence by sentence" in first[0]
