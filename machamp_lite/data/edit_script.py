"""Edit scripts: labels that turn a word into its lemma or its normalised form."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from os.path import commonprefix

from machamp_lite.data.machamp_lemma_rules import apply_lemma_rule, is_lemma_rule
from machamp_lite.data.ranked import Ranked, merge

# If several casings fit equally well, the first is used. With `lower` before `keep`, "The" and "the" share a script,
# because an uncased encoder cannot distinguish them. `keep` is used for names.
_CASINGS: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "keep": str,
    "title": lambda word: word[:1].upper() + word[1:].lower(),
    "upper": str.upper,
}
_ABSOLUTE = "="
# At most nine digits, because int() refuses numbers with thousands of digits.
_SCRIPT = re.compile(
    rf"({'|'.join(_CASINGS)})(?:<([0-9]{{1,9}})(?:\+(.*?))?)?(?:>([0-9]{{1,9}})(?:\+(.*))?)?", re.DOTALL
)
# For longer words, only common prefixes and suffixes are compared, which takes linear time.
_MAX_SEARCH_LENGTH = 64
# Scripts with a total probability below this do not change the four digits that are written.
_NEGLIGIBLE = 5e-5


@lru_cache(maxsize=2**18)
def make_script(word: str, target: str) -> str:
    """The script that turns the word into the target, chosen so that many words share it.

    A script has a casing (`keep`, `lower`, `title` or `upper`), then an edit of the start and an edit of the end, each
    of which cuts and adds characters: `lower>3+y` lower-cases a word, cuts three characters from its end and adds "y";
    `keep<2>1+en` cuts two from the start and one from the end, and adds "en". A target that has little in common with
    its word is written out: `=go`. `apply_script(word, make_script(word, target)) == target` for all strings.

    After the lemma rules of UDPipe (Straka 2018, "UDPipe 2.0 Prototype at CoNLL 2018 UD Shared Task").

    >>> make_script("walked", "walk"), make_script("Jumped", "jump")
    ('lower>2', 'lower>2')
    >>> make_script("NASA", "NASA"), make_script("dog", "dog"), make_script("flies", "fly"), make_script("went", "go")
    ('keep', 'lower', 'lower>3+y', '=go')
    """
    if word == target:
        return "lower" if word.lower() == target else "keep"
    script = _affix_script(word, target)
    # The check is needed because an added string that looks like a cut would be parsed as one.
    return script if script and apply_script(word, script) == target else _ABSOLUTE + target


def apply_script(word: str, script: str) -> str | None:
    """The result of applying a script to a word; None if it does not apply.

    A script does not apply if it would cut the whole word. A string that is not a script applies to no word.

    >>> apply_script("Cries", "lower>3+y"), apply_script("is", "lower>3+y"), apply_script("is", "=be")
    ('cry', None, 'be')
    """
    if script.startswith(_ABSOLUTE):
        return script.removeprefix(_ABSOLUTE)
    if is_lemma_rule(script):
        # Of a model that was converted from MaChAmp.
        return apply_lemma_rule(word, script)
    match = _SCRIPT.fullmatch(script)
    if match is None:
        return None
    casing, front, prefix, back, suffix = match.groups(default="")
    cased = _CASINGS[casing](word)
    start, stop = int(front or 0), len(cased) - int(back or 0)
    if start >= stop and stop - start < len(cased):
        return None
    return prefix + cased[start:stop] + suffix


@lru_cache(maxsize=2**18)
def edited(word: str, script: str) -> str:
    """The result of applying a script to a word; the word itself if the script does not apply.

    Also if nothing would be left, because an empty label could not be read again.
    """
    return apply_script(word, script) or word


def rank_edited(word: str, scripts: Iterable[tuple[str, float]], *, first: str, top_n: int) -> Ranked:
    """The most probable results of scripts with probabilities in descending order, those of equal results added.

    ``first`` is put first.

    >>> rank_edited("Cries", [("lower>3+y", 0.5), ("=cry", 0.25), ("keep", 0.25)], first="cry", top_n=2)
    [('cry', 0.75), ('Cries', 0.25)]
    """
    found, left = [], 1.0
    for script, probability in scripts:
        found.append((edited(word, script), probability))
        left -= probability
        if left < _NEGLIGIBLE:
            break
    return merge(found, first=first, top_n=top_n)


def _affix_script(word: str, target: str) -> str | None:
    """The script that keeps the longest part of the word; None if too little of it can be kept."""
    cased_words = [(casing, change(word)) for casing, change in _CASINGS.items()]
    options = [(casing, cased, *_longest_common(cased, target)) for casing, cased in cased_words]
    casing, cased, start, in_target, kept = max(options, key=lambda option: option[-1])
    # One common letter is chance: "am", "are" and "was" share `=be`, but only "are" would have `lower<2+b`.
    if kept < min(2, len(target)) or 2 * kept < len(target):
        return None
    front = _affix("<", start, target[:in_target])
    back = _affix(">", len(cased) - start - kept, target[in_target + kept :])
    return casing + front + back


def _affix(mark: str, cut: int, added: str) -> str:
    """The part of a script for one end: what to cut and what to add."""
    return f"{mark}{cut}{'+' if added else ''}{added}" if cut or added else ""


def _longest_common(word: str, target: str) -> tuple[int, int, int]:
    """The start of the longest common substring in the word and in the target, and its length."""
    if max(len(word), len(target)) > _MAX_SEARCH_LENGTH:
        prefix = len(commonprefix([word, target]))  # noqa: RUF071
        suffix = len(commonprefix([word[::-1], target[::-1]]))  # noqa: RUF071
        return (0, 0, prefix) if prefix >= suffix else (len(word) - suffix, len(target) - suffix, suffix)
    for length in range(min(len(word), len(target)), 0, -1):
        for start in range(len(word) - length + 1):
            found = target.find(word[start : start + length])
            if found >= 0:
                return start, found, length
    return 0, 0, 0
