"""The process of a command: how it ends."""

from pathlib import Path

import children
import torch

from machamp_lite.cli.error_reporting import run_command
from machamp_lite.errors import TrainingError

NOT_ENDED = 77


def fail() -> int:
    raise TrainingError("the run failed")


def test_an_error_in_one_of_several_processes_ends_it_without_waiting_for_the_others(tmp_path: Path) -> None:
    def work(*, is_several: bool) -> int:
        if is_several:
            group = f"file://{tmp_path / 'group'}"
            torch.distributed.init_process_group("gloo", init_method=group, rank=0, world_size=1)
        run_command(fail)
        return NOT_ENDED

    for is_several, code in ((True, 1), (False, NOT_ENDED)):
        log = tmp_path / "printed"
        log.unlink(missing_ok=True)
        assert children.wait_for(children.start(lambda is_several=is_several: work(is_several=is_several), log)) == code
        assert children.plain_lines(log.read_text()) == ["the run failed"]
