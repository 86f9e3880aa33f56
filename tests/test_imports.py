"""Imports go one way: every file stands on a floor and imports only from floors below it."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "machamp_lite"

# From the ground up; what stands on one floor may import from its own room (the same folder) and from below.
FLOORS = [
    {"errors"},
    {"logs", "process", "schemes", "signals", "temporaries"},
    {"streams"},
    {"files"},
    {"data", "modules", "metrics", "label_scores", "weighting", "sandbox"},
    {"decoders"},
    {"config"},
    {"batching", "fitting"},
    {"pretrained", "encoder", "precision"},
    {"model"},
    {"evaluation"},
    {"file_pairs", "raw_input", "thresholds"},
    {"training"},
    {"predictor", "report"},
    {"runs"},
    {"__init__", "flags"},
    {"predict_flags"},
    {"cli"},
]
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "machamp_lite":
                names = [f"machamp_lite.{alias.name}" for alias in node.names]
            else:
                names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("machamp_lite.")}
    return rooms


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in FILES} == set.union(*FLOORS)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_down(path: Path) -> None:
    own = room(path)
    upward = {name for name in imported_rooms(path) if name != own and floor(name) >= floor(own)}
    assert not upward, f"{path} imports from {upward}, which are not below it"


@pytest.mark.parametrize("path", [path for path in FILES if room(path) != "cli"], ids=str)
def test_only_the_command_line_prints_or_exits(path: Path) -> None:
    source = (PACKAGE / path).read_text(encoding="utf-8")
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"print", "exit", "quit", "input", "eval", "exec"}
    if room(path) == "sandbox":
        # A forked process has no other way to end.
        source = source.replace("os._exit(0)", "", 1)
    assert not re.search(r"\bsys\.exit|\bos\._exit|logging\.basicConfig", source)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_nothing_is_pickled_and_no_code_of_a_model_is_run(path: Path) -> None:
    source = (PACKAGE / path).read_text(encoding="utf-8")
    assert not re.search(r"\bpickle\b|torch\.load|torch\.save|trust_remote_code=True", source)
