"""The lemma rules of MaChAmp and UDPipe (Straka 2018), which are the labels of ``string2string`` in converted models.

A rule such as ``↓0;d¦--+y`` has two parts. The first is the casing: where in the lemma upper (``↑``) and lower case
(``↓``) start, as ``¦``-separated offsets. The second is either ``a`` and the lemma itself, or ``d`` and one edit script
for each end of the lower-cased word. An edit script copies a character (``→``), removes one (``-``), or inserts one
(``+`` and the character). What is between both ends is copied.
"""

import re
from collections.abc import Iterator

_UPPER, _LOWER, _SEPARATOR, _COPY, _INSERT = "↑↓¦→+"
# At most nine digits, because int() refuses numbers with thousands of digits.
_RULE = re.compile(r"[↑↓]-?[0-9]{1,9}(¦[↑↓]-?[0-9]{1,9})*;(a.*|d[^¦]*¦.*)", re.DOTALL)


def is_lemma_rule(label: str) -> bool:
    """Whether a label is a rule, and not an edit script of this program."""
    return bool(_RULE.fullmatch(label))


def apply_lemma_rule(word: str, rule: str) -> str:
    """The lemma. A rule that does not fit the word changes only its casing.

    >>> apply_lemma_rule("Cries", "↓0;d¦--+y-"), apply_lemma_rule("paris", "↑0¦↓1;d¦"), apply_lemma_rule("is", "↓0;abe")
    ('cry', 'Paris', 'be')
    """
    casing, _, edit = rule.partition(";")
    lemma = edit[1:] if edit.startswith("a") else _edited(word.lower(), edit[1:])
    for part in casing.split(_SEPARATOR):
        # A lemma is in lower case at first.
        if part != f"{_LOWER}0":
            start = int(part[1:])
            change = str.upper if part.startswith(_UPPER) else str.lower
            lemma = lemma[:start] + change(lemma[start:])
    return lemma


def _edited(word: str, edit: str) -> str:
    front, _, back = ([*_actions(script)] for script in edit.partition(_SEPARATOR))
    start, stop = (_length(front), len(word) - _length(back))
    try:
        return _apply(front, word, 0) + word[start:stop] + _apply(back, word, stop)
    except IndexError:
        return word


def _actions(script: str) -> Iterator[str]:
    """The actions of an edit script; an insertion is ``+`` with its character."""
    characters = iter(script)
    for character in characters:
        yield character + next(characters, "") if character == _INSERT else character


def _length(actions: list[str]) -> int:
    """How many characters of the word an edit script reads."""
    return sum(not action.startswith(_INSERT) for action in actions)


def _apply(actions: list[str], word: str, position: int) -> str:
    result = []
    for action in actions:
        if action.startswith(_INSERT):
            result.append(action[1:])
            continue
        if action == _COPY:
            result.append(word[position])
        position += 1
    return "".join(result)
