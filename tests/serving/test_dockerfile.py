"""The Dockerfile copies what exists, installs the torch of the package, and is not root."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "scripts" / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / "scripts" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()


def copied() -> set[str]:
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    return {path for line in lines for path in line.split()}


def test_everything_that_is_copied_exists_and_is_not_ignored() -> None:
    assert copied() and all((ROOT / path).exists() for path in copied())
    assert IGNORED[0] == "*"
    assert {line[1:] for line in IGNORED if line.startswith("!")} == copied()


def test_everything_that_a_wheel_is_built_from_is_copied() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r'^"(\w+)/[^"]*" = |^readme = "(.*)"|^license-files = \["(.*)"\]', project, re.MULTILINE)
    assert {name for names in named for name in names if name} | {"machamp_lite", "pyproject.toml"} == copied()


def test_the_torch_of_the_image_is_that_of_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    requirement = re.search(r'"(torch[^"]*)"', project)
    assert requirement is not None and f'"{requirement[1]}"' in DOCKERFILE


def test_the_server_is_not_root_and_gets_signals() -> None:
    user, entry = DOCKERFILE.index("\nUSER machamp\n"), DOCKERFILE.index('\nENTRYPOINT ["machamp-lite", "serve", ')
    assert user < entry
