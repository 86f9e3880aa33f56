"""What a model card says that is not in the run: name, languages and licence, in the terms of the Hugging Face hub."""

import locale
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from machamp_lite.errors import ConfigError, did_you_mean, shorten

logger = logging.getLogger(__name__)

# What the hub accepts: https://huggingface.co/docs/hub/model-cards
_LANGUAGE = re.compile("[a-z]{2,3}|code|multilingual")
# The most frequent ones, and those that only the hub has: https://huggingface.co/docs/hub/repositories-licenses
_LICENSES = (
    *("apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc0-1.0", "gpl-3.0"),
    *("lgpl-3.0", "agpl-3.0", "bsd-3-clause", "openrail", "other", "unknown"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardInfo:
    """The name of a model, the codes of its languages, and the identifier of its licence.

    Raises ``ConfigError`` for a language that the hub refuses, and warns of a licence that it may refuse.
    """

    name: str
    languages: Sequence[str] = ()
    license: str | None = None

    def __post_init__(self) -> None:
        if faults := [_language_fault(name) for name in self.languages if not _LANGUAGE.fullmatch(name)]:
            raise ConfigError(faults)
        if self.license is not None and not _is_license(self.license):
            logger.warning(
                "--license: found '%s', which the hub may refuse; expected an identifier of SPDX in lower case%s",
                shorten(self.license),
                did_you_mean(self.license.lower(), _LICENSES),
            )


def _language_fault(name: str) -> str:
    # The part before the region, or the code of a language whose English name the standard library knows.
    code = re.split("[-_]", locale.locale_alias.get(name.lower(), name.lower()))[0]
    hint = f"; did you mean '{code}'?" if _LANGUAGE.fullmatch(code) else ""
    return f"--language: found '{shorten(name)}', expected a code of ISO 639 in lower case, such as en or deu{hint}"


def _is_license(name: str) -> bool:
    if name in _LICENSES:
        return True
    try:
        return name == canonicalize_license_expression(name).lower()
    except InvalidLicenseExpression:
        return False
