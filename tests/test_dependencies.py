"""Every package that the code imports is named in pyproject.toml, for those who need it."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FILES = sorted((ROOT / "machamp_lite").rglob("*.py"))
INSTALLED = packages_distributions()
# The extras without which a module, or the modules of a folder, cannot be used.
EXTRAS = {
    "cli/completion.py": ["completion"],
    "data/formats/arrow.py": ["arrow"],
    "export/onnx_": ["onnx"],
    "inference/ud_scores.py": ["ud"],
    "interfaces/spacy.py": ["spacy"],
    "nn/lora.py": ["lora"],
    "reporting/": ["report"],
    "serving/": ["serve"],
    "training/trackers.py": ["wandb", "mlflow", "trackio"],
    "tuning/": ["tune", "report"],
}


def normalized(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def named(requirements: list[str]) -> set[str]:
    return {normalized(re.split(r"[^\w.-]", one)[0]) for one in requirements}


def imported_distributions(path: Path) -> set[str]:
    """The packages to install for the imports of a file, at its top and in its functions."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
    others = modules - sys.stdlib_module_names - {"machamp_lite"}
    # Trackers need not be installed for the tests; their modules have the names of their packages.
    return {normalized(INSTALLED.get(module, [module])[0]) for module in others}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imported_packages_are_dependencies(path: Path) -> None:
    name = path.relative_to(ROOT / "machamp_lite").as_posix()
    extras = [extra for start, own in EXTRAS.items() if name.startswith(start) for extra in own]
    dependencies = sum((PROJECT["optional-dependencies"][extra] for extra in extras), PROJECT["dependencies"])
    assert imported_distributions(path) <= named(dependencies)


def test_the_extras_of_modules_are_needed() -> None:
    main = named(PROJECT["dependencies"])
    for start, extras in EXTRAS.items():
        files = [path for path in FILES if path.relative_to(ROOT / "machamp_lite").as_posix().startswith(start)]
        imported = set().union(*map(imported_distributions, files)) - main
        for extra in extras:
            assert imported & named(PROJECT["optional-dependencies"][extra]), (start, extra)
