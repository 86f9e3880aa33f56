"""A disk that is full, cannot be written to, or has lost the folder: one line, and what was there is still whole."""

import errno
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from children import plain_lines, wait_for
from forked import outcome, start_training, train_to_the_end

from machamp_lite.cli import main as cli
from machamp_lite.files import atomic as files
from machamp_lite.files.run_files import STATE_FILE
from machamp_lite.model.serialization import load_model
from machamp_lite.training import checkpoint as states


@pytest.fixture
def flags(write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str) -> list[str]:
    sets = ["training.num_epochs=4", "encoder.dropout=0.3", "batching.max_tokens=40"]
    return [
        *("--dataset_configs", write_config(WORDS=dataset), "--parameters_config", tiny_params),
        *("--device", "-1"),
        *(part for value in sets for part in ("--set", value)),
    ]


FAULTS = [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=[errno.errorcode[fault] for fault in FAULTS])
@pytest.mark.parametrize("writer", ["json", "save_file", "replace"])
def test_a_state_that_cannot_be_written_leaves_the_one_before_from_which_the_run_goes_on(
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    writer: str,
    fault: int,
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert cli.train([*flags, "--model_dir", str(whole)]) == 0
    place, name = {
        "json": (files.json, "dump"),
        "save_file": (states, "save_file"),
        "replace": (os, "replace"),
    }[writer]
    original = getattr(place, name)

    def failing(*arguments: Any, **options: Any) -> Any:
        log = run / "log.txt"
        if log.exists() and "epoch 2:" in log.read_text():
            if writer == "save_file":
                # As safetensors reports it, after a part has been written.
                Path(arguments[1]).write_bytes(b"part")
                raise RuntimeError(f"Error while serializing: I/O error: no (os error {fault})")
            raise OSError(fault, os.strerror(fault))
        return original(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, failing)
        capsys.readouterr()
        assert cli.train([*flags, "--model_dir", str(run)]) == 1
    (reported,) = plain_lines(capsys.readouterr().err)
    assert reported.startswith(str(run)) and reported.endswith(f": {os.strerror(fault)}")
    assert not [path for path in run.rglob(".*") if path.is_file()]
    load_model(run)
    assert cli.train(["--resume", str(run), "--device", "-1"]) == 0
    assert outcome(run) == outcome(whole)


def test_a_run_whose_folder_has_gone_ends_with_one_line(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    original = states.state_of

    def losing(model: Any) -> Any:
        shutil.rmtree(run)
        return original(model)

    monkeypatch.setattr(states, "state_of", losing)
    assert cli.train([*flags, "--model_dir", str(run)]) == 1
    (reported,) = plain_lines(capsys.readouterr().err)
    assert reported == f"{run / 'state' / STATE_FILE}: No such file or directory"


@pytest.mark.parametrize("kilobytes", [1, 60, 200])
def test_files_that_may_not_grow_end_a_run_with_one_line(
    flags: list[str], tmp_path: Path, kilobytes: int
) -> None:
    run, whole, log = tmp_path / "run", tmp_path / "whole", tmp_path / "printed"
    train_to_the_end([*flags, "--model_dir", str(whole)], log)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    log.unlink()
    try:
        # Of the limits of a process that is the one for "the disk is full".
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, before[1]))
        child = start_training([*flags, "--model_dir", str(run)], log)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert wait_for(child) == 1
    reported = [line for line in plain_lines(log.read_text()) if os.strerror(errno.EFBIG) in line]
    assert len(reported) == 1 and reported[0].startswith(str(run))
    assert "Traceback" not in log.read_text()
    assert not [path for path in run.rglob(".*") if path.is_file()]
    train_to_the_end([*flags, "--model_dir", str(run), "--overwrite"], log)
    assert outcome(run) == outcome(whole)
