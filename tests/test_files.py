"""Writes are atomic."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import children
import pytest

from machamp_lite.files.atomic import replacing_file, replacing_folder, replacing_path, write_json
from machamp_lite.files.temporaries import remove_dead_temporaries


def test_a_file_appears_only_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing_file(path) as file:
        file.write("one\r\ntwo\n")
        assert not path.exists()
    assert path.read_bytes() == b"one\r\ntwo\n"
    assert os.listdir(tmp_path) == ["file"]


def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("older")
    with pytest.raises(KeyboardInterrupt), replacing_file(path) as file:
        file.write("half")
        raise KeyboardInterrupt
    assert path.read_text() == "older"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_replaces_an_older_one_completely(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "older").touch()
    with replacing_folder(path) as place:
        (place / "newer").touch()
        assert os.listdir(path) == ["older"]
    assert os.listdir(path) == ["newer"]
    assert os.listdir(tmp_path) == ["folder"]


def test_a_failure_leaves_the_older_folder_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "older").touch()
    with pytest.raises(ValueError, match="half-way"), replacing_folder(path) as place:
        (place / "newer").touch()
        raise ValueError("half-way")
    assert os.listdir(path) == ["older"]
    assert os.listdir(tmp_path) == ["folder"]


def test_errors_name_the_requested_file(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    with pytest.raises(FileNotFoundError) as caught, replacing_file(path):
        pass
    assert caught.value.filename == str(path)


def test_files_have_the_rights_that_the_user_gives_new_files(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_json(tmp_path / "json", {"é": 1})
    modes = [(tmp_path / name).stat().st_mode for name in ("plain", "json")]
    assert modes[0] == modes[1]
    assert json.loads((tmp_path / "json").read_text(encoding="utf-8")) == {"é": 1}


def test_errors_of_writers_that_are_not_python_are_errors_of_the_system(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("older")
    with pytest.raises(OSError, match="No space left") as caught, replacing_path(path) as place:
        place.write_text("half")
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    assert (caught.value.errno, caught.value.filename) == (28, str(path))
    assert path.read_text() == "older"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("writer", [replacing_file, replacing_folder, replacing_path])
def test_errors_about_other_files_keep_their_name(tmp_path: Path, writer: Any) -> None:
    with pytest.raises(FileNotFoundError) as caught, writer(tmp_path / "file"):
        (tmp_path / "source").read_text()
    assert caught.value.filename == str(tmp_path / "source")
    with pytest.raises(OSError, match="No space left") as full, writer(tmp_path / "file"):
        raise OSError(28, "No space left on device")
    assert full.value.filename == str(tmp_path / "file")


@pytest.mark.parametrize("names", [None, {"file", "folder"}])
def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path, names: set[str] | None) -> None:
    def killed() -> int:
        with replacing_path(tmp_path / "file"), replacing_folder(tmp_path / "folder"):
            os._exit(3)

    assert children.wait_for(children.start(killed, tmp_path / "log")) == 3
    (tmp_path / "log").unlink()
    assert len(os.listdir(tmp_path)) == 2
    users = [".file.x1.part", ".notes.part", ".thesis.old", "kept.part", ".hidden"]
    for name in users:
        (tmp_path / name).touch()
    remove_dead_temporaries(tmp_path, names)
    assert sorted(os.listdir(tmp_path)) == sorted(users)


def test_what_a_living_process_writes_is_not_removed(tmp_path: Path) -> None:
    def waiting() -> int:
        with replacing_path(tmp_path / "file") as path:
            path.write_text("half")
            signal.pause()
        return 0

    child = children.start(waiting, tmp_path / "log")
    # A file that is not locked yet may be removed; its writer then makes another.
    assert children.wait_for(child, until=lambda: any(path.stat().st_size for path in tmp_path.rglob("file"))) is None
    remove_dead_temporaries(tmp_path, {"file"})
    assert len(os.listdir(tmp_path)) == 2
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    remove_dead_temporaries(tmp_path, {"other"})
    assert len(os.listdir(tmp_path)) == 2
    remove_dead_temporaries(tmp_path, {"file"})
    assert os.listdir(tmp_path) == ["log"]
