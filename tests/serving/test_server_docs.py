"""The page about the server is right: curl commands are answered, systemd reads the service, no option is left out."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from live_server import serving

import machamp_lite
from machamp_lite.cli.serve import serve_parser
from machamp_lite.serving.limits import Limits
from machamp_lite.serving.openapi import document
from machamp_lite.serving.served_model import ServedModel

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "using" / "server.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_every_curl_command_is_answered(tmp_path: Path, tiny_params: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    small = {"params": tiny_params, "overrides": {"training.num_epochs": 1}, "device": "cpu"}
    machamp_lite.train("configs/treebank.json", tmp_path / "treebank", **small)
    commands = "".join(blocks("shell")).splitlines()
    assert len(commands) == 6
    with serving(ServedModel("treebank", machamp_lite.load(tmp_path / "treebank", device="cpu"))) as server:
        for command in commands:
            line = command.replace(ADDRESS, f"http://{server.host}:{server.port}")
            done = subprocess.run([*shlex.split(line), "--fail-with-body", "--silent"], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout
            assert '"predictions"' in done.stdout or "\tNOUN\t" in done.stdout or done.stdout.count("\t") > 1000


def test_every_path_status_and_option_is_described() -> None:
    description = document(Limits())
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    paths = {path for row in rows for path in re.findall(r"`(?:GET|POST) (/[^`]*)`", row.split("|")[1])}
    assert paths == description["paths"].keys()
    statuses = {status for row in rows for status in re.findall(r"\b[2-5]\d\d\b", row.split("|")[1])}
    answers = [one["responses"] for methods in description["paths"].values() for one in methods.values()]
    assert {status for answer in answers for status in answer} | {"405"} == statuses
    flags = {flag for action in serve_parser("serve")._actions for flag in action.option_strings}
    assert not {flag for flag in flags - {"-h", "--help", "--version"} if f"`{flag} " not in PAGE}
    for name in Limits.__dataclass_fields__:
        default = str(getattr(Limits(), name)).removesuffix(".0")
        assert any(f"--{name} " in row and default in row for row in rows), name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_can_read_the_service(tmp_path: Path) -> None:
    (service,) = blocks("ini")
    path = tmp_path / "machamp-lite.service"
    # Of programs and files that are not here, it would say so.
    path.write_text(service.replace("/opt/machamp_lite/bin/machamp-lite", "/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True)
    assert "machamp-lite.service:" not in done.stderr, done.stderr
