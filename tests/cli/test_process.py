"""The process of a command: how it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import children
import torch

import machamp_lite
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


def test_a_worker_stops_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import time; from machamp_lite.cli.process import stop_with_parent; stop_with_parent(); "
        "print('started', flush=True); time.sleep(60)"
    )
    # All ends of the pipe are closed when parent and worker have ended.
    ours, theirs = os.pipe()

    def work() -> int:
        os.chdir(Path(machamp_lite.__file__).parents[1])
        return subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=theirs).wait()

    parent = children.start(work, tmp_path / "printed")
    os.close(theirs)
    with open(ours, "rb", buffering=0) as output:
        assert output.readline() == b"started\n", (tmp_path / "printed").read_text()
        os.kill(parent, signal.SIGKILL)
        assert children.wait_for(parent) == -signal.SIGKILL
        children.wait_for_end(output)
