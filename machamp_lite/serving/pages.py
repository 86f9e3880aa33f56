"""The pages of a server: one to try its models, and its reference. They load nothing from elsewhere."""

import json
from typing import Any

from machamp_lite.reporting.templates import templates

PACKAGE = "machamp_lite.serving"
# The page may only call its own server.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def try_page(*, needs_token: bool) -> str:
    """A page that predicts a text, and shows its labels, spans and trees."""
    return templates(PACKAGE).get_template("try.html").render(needs_token=needs_token)


def docs_page(document: dict[str, Any]) -> str:
    """An OpenAPI description as a page."""
    return templates(PACKAGE).get_template("docs.html").render(
        document=document, as_json=lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    )
