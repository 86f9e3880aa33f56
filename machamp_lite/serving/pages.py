"""The pages of a server: one to try its models, and its reference. They load nothing from elsewhere."""

import json
from typing import Any

from jinja2 import Environment, PackageLoader

# The page may only call its own server.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def try_page(*, needs_token: bool) -> str:
    """A page that predicts a text, and shows its labels, spans and trees."""
    return _environment().get_template("try.html").render(needs_token=needs_token)


def docs_page(document: dict[str, Any]) -> str:
    """An OpenAPI description as a page."""
    return _environment().get_template("docs.html").render(
        document=document, as_json=lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    )


def _environment() -> Environment:
    report = PackageLoader("machamp_lite.reporting", "page")
    environment = Environment(
        loader=PackageLoader("machamp_lite.serving", "page"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["report_style"] = report.get_source(environment, "report.css")[0]
    return environment
