"""Numbers in data files: plain decimals, in the digits 0 to 9."""

import re

# Single precision ends at 3.4e38, and differences of numbers must fit, too.
LARGEST = 1e38
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def parse_number(text: str) -> float | None:
    """The number that a cell holds; None for anything else.

    >>> parse_number("-1.5e3"), parse_number("1_000"), parse_number("nan")
    (-1500.0, None, None)
    """
    # Python's own float() also reads underscores, "nan", "inf" and the digits of every script.
    if not _DECIMAL.fullmatch(text.strip(" ")):
        return None
    number = float(text)
    return number if abs(number) <= LARGEST else None


def expected_number(text: str) -> str:
    """The end of an error about a cell that holds no number.

    >>> expected_number("1,5")
    'expected a number with a decimal point and no other separators'
    """
    if re.fullmatch(r"[+-]?[0-9][0-9 .,'_]*", text) and parse_number(text) is None and not text.isdecimal():
        return "expected a number with a decimal point and no other separators"
    if _DECIMAL.fullmatch(text.strip(" ")):
        return f"expected a number from {-LARGEST:g} to {LARGEST:g}"
    if text.isnumeric():
        return "expected a number in the digits 0 to 9"
    return "expected a number"
