"""Every public name has an example that is run: in its docstring, or in the page about Python."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import machamp_lite

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
# It reads an exported model; tests/export/test_onnx.py runs what its docstring shows.
TESTED_ELSEWHERE = {"load_onnx"}
MODULES = sorted(
    {"machamp_lite.errors", *(f"machamp_lite.{module}" for module in machamp_lite._LAZY.values())}
    | {f"machamp_lite.api.{path.stem}" for path in (ROOT / "machamp_lite/api").glob("[a-z]*.py")}
)


@pytest.mark.parametrize("name", sorted(set(machamp_lite.__all__) - TESTED_ELSEWHERE))
def test_every_public_name_has_an_example(name: str) -> None:
    in_page = "".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
    assert ">>>" in getattr(machamp_lite, name).__doc__ or re.search(rf"\bmachamp_lite\.{name}\b", in_page)


@pytest.mark.parametrize("module", MODULES)
def test_doctests_hold(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS).failed == 0
