"""Fixtures for tests of runs."""

from pathlib import Path

import pytest


@pytest.fixture
def turned(treebank: Path, tmp_path: Path) -> Path:
    """The sentences of the treebank in another order, so that its labels get other ids."""
    path = tmp_path / "turned.conllu"
    blocks = treebank.read_text().strip("\n").split("\n\n")
    path.write_text("".join(f"{block}\n\n" for block in reversed(blocks)))
    return path
