"""The serve command: its flags, its errors before a model is loaded, and how it ends."""

import contextlib
import logging
import os
import re
import signal
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import children
import pytest

import machamp_lite
from machamp_lite.cli import serve as command
from machamp_lite.cli.commands import main
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.errors import ConfigError

SECRET = "0123456789abcdef"

WRONG_FLAGS = {
    "--port 70000": "--port: found 70000, expected a number from 0 to 65535",
    "--max_batch 0": "--max_batch: found 0, expected a number from 1 to ",
    "--timeout nan": "--timeout: found nan, expected a number from 1 to ",
    "--max_wait_ms -1": "--max_wait_ms: found -1, expected a number from 0 to ",
    "--max_queue 10": "--max_queue: found 10, expected at least --max_sentences (512), so that a request can wait",
    "--cors example.org": "--cors: found 'example.org', expected * or an address without a path, such as ",
    "--cors https://example.org/": "--cors: found 'https://example.org/', expected * or an address without a path, ",
    "--token NO_SUCH_NAME": "--token: found neither a file nor an environment variable 'NO_SUCH_NAME', expected one ",
    "--token SHORT": "--token: SHORT has 5 characters, expected at least 16, ",
    "--token ''": "--token: found the empty name '', expected a name",
    "--host no.such.host.invalid": "--host: found 'no.such.host.invalid' (",
}


@pytest.mark.parametrize(("flags", "start"), WRONG_FLAGS.items(), ids=WRONG_FLAGS)
def test_a_wrong_flag_is_reported_before_models_are_loaded(
    flags: str, start: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHORT", "abcde")
    assert main(["serve", "no_run", *(flag.strip("'") for flag in flags.split(" "))]) == 2
    assert capsys.readouterr().err.startswith(start)


def test_a_port_that_is_taken_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        assert main(["serve", "no_run", "--port", str(port)]) == 2
    assert capsys.readouterr().err.startswith(f"--port: 127.0.0.1:{port} cannot be used (Address already in use), ")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", "no_run"]) == 2
    assert capsys.readouterr().err == "serve: found no package uvicorn; run pip install 'machamp_lite[serve]'\n"


def test_a_token_is_read_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    monkeypatch.setenv("TOKEN_FOR_TESTS", SECRET)
    assert command._read_token(str(tmp_path / "token")) == command._read_token("TOKEN_FOR_TESTS") == SECRET
    for wrong in ("with spaces in between", "ü" * 16, "a" * 15):
        (tmp_path / "token").write_text(wrong)
        with pytest.raises(ConfigError):
            command._read_token(str(tmp_path / "token"))


@contextlib.contextmanager
def serving_child(run: str, *flags: str, log: Path) -> Iterator[tuple[int, str]]:
    """The process id of the command, and the address that it has printed."""

    def serve() -> int:
        # Ignored where the tests were started in the background.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return main(["serve", run, "--port", "0", "--device", "-1", *flags])

    child = children.start(serve, log)
    address = re.compile(r" at (http://\S+)\n")
    try:
        assert children.wait_for(child, until=lambda: bool(address.search(read(log)))) is None, read(log)
        found = address.search(read(log))
        assert found is not None
        yield child, found[1]
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def read(log: Path) -> str:
    return log.read_text(encoding="utf-8") if log.exists() else ""


@pytest.fixture
def run(write_config: Callable[..., str], pair_dataset: dict[str, Any], tiny_params: str, tmp_path: Path) -> str:
    machamp_lite.train(write_config(PAIRS=pair_dataset), tmp_path / "run", params=tiny_params, device="cpu")
    return str(tmp_path / "run")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_with_exit_code_0(run: str, tmp_path: Path, number: int) -> None:
    log = tmp_path / "log.txt"
    with serving_child(run, log=log) as (child, address):
        with urllib.request.urlopen(f"{address}/health", timeout=10) as answer:
            assert answer.status == 200
        os.kill(child, number)
        assert children.wait_for(child) == 0
    assert children.plain_lines(read(log)) == [f"serving run at {address}"]


def test_an_address_for_others_without_a_token_is_warned_of(run: str, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with serving_child(run, "--host", "0.0.0.0", log=log):
        assert "warning: --host: everyone who reaches 0.0.0.0 may send requests; " in read(log)


def test_faults_of_a_running_server_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("machamp_lite")
    for shows_errors, lines in ((True, 2), (False, 1)):
        set_up_logging(logging.WARNING, shows_errors=shows_errors)
        logger.info("read as EWT")
        logger.warning("a warning")
        logger.error("a process that predicted was killed")
        assert len(capsys.readouterr().err.splitlines()) == lines
