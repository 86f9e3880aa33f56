"""Prints the lowest versions of the packages in pyproject.toml that users install, as constraints for pip."""

import re
import tomllib
from pathlib import Path

# Tools of the tests and of the site, for which users need no particular versions.
_TOOLS = ("dev", "docs")


def main() -> None:
    """Prints one line per package with a lower bound."""
    text = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = [names for extra, names in project["optional-dependencies"].items() if extra not in _TOOLS]
    for requirement in [*project["dependencies"], *(name for names in extras for name in names)]:
        if match := re.match(r"([\w-]+)(?:\[.*\])?[>=]=([\w.]+)", requirement):
            print(f"{match[1]}=={match[2]}")


if __name__ == "__main__":
    main()
