"""The templates of pages."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

PACKAGE = "machamp_lite.reporting"


def templates(*packages: str) -> "Environment":
    """The templates of reports, after those in the folder ``page`` of other packages."""
    # Imported here: training works without it.
    from jinja2 import ChoiceLoader, Environment, PackageLoader

    return Environment(
        loader=ChoiceLoader([PackageLoader(package, "page") for package in (*packages, PACKAGE)]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
