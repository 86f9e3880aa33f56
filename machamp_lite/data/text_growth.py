"""How many times longer a tokenizer can make a text: untrusted ones may double it again and again."""

import base64
import json
from math import prod
from typing import Any

# ALBERT's tokenizer, which normalises in seven steps, could make some texts 2600 times longer.
MOST_GROWTH = 10_000
# In characters, of prefixes and suffixes of subwords, and of words: WordPiece tries all parts of a word.
LONGEST_AFFIX, LONGEST_WORD = 100, 10_000
# How many characters a step makes of one, at most. The other steps only split, strip or mark texts.
_GROWTH = {"NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18, "Lowercase": 2, "BertNormalizer": 24, "Metaspace": 2}
_SAME_LENGTH = {
    "Strip", "StripAccents", "Nmt", "BertPreTokenizer", "CharDelimiterSplit", "Digits", "FixedLength", "Punctuation",
    "Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit", "BertProcessing", "RobertaProcessing", "ByteFallback",
    "Fuse", "CTC", "WordPiece", "BPEDecoder",
}  # fmt: skip


def fault_of(tokenizer: Any) -> str | None:
    """What is wrong with a tokenizer whose texts could grow without bound; None if nothing is."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        # Tokenizers written in Python have no steps that files could add.
        return None
    reading = prod(_growth(_state(backend, part), part) for part in ("normalizer", "pre_tokenizer", "post_processor"))
    writing = _growth(_state(backend, "decoder"), "decoder")
    for what, growth in (("make a text", reading), ("write a text", writing)):
        if growth > MOST_GROWTH:
            return f"can {what} {min(growth, 10**15):,.0f} times longer, expected at most {MOST_GROWTH:,}"
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        length = len(getattr(backend.model, name, None) or "")
        if length > LONGEST_AFFIX:
            return f"has a {name} of {length} characters, expected at most {LONGEST_AFFIX}"
    longest = getattr(backend.model, "max_input_chars_per_word", 0)
    if longest > LONGEST_WORD:
        return f"has max_input_chars_per_word {longest}, expected at most {LONGEST_WORD}"
    return None


def _state(backend: Any, name: str) -> Any:
    """The JSON of a part of a tokenizer."""
    part = getattr(backend, name)
    return None if part is None else json.loads(part.__getstate__())


def _growth(step: Any, part: str) -> float:
    """How many characters, or copies of a text, a step can make of one."""
    if not isinstance(step, dict):
        return 1
    kind = step.get("type")
    if kind == "Sequence":
        return prod(_growth(inner, part) for value in step.values() if isinstance(value, list) for inner in value)
    if kind == "Replace":
        return _replacement(step.get("pattern"), str(step.get("content")))
    if kind == "Precompiled":
        return _longest_normal_form(str(step.get("precompiled_charsmap")))
    if kind == "TemplateProcessing":
        segments = [segment for name in ("single", "pair") for segment in step.get(name, ()) if "Sequence" in segment]
        return max(1, len(segments))
    if kind == "ByteLevel":
        # Each byte of a character is a character.
        return 4 if part in ("normalizer", "pre_tokenizer") else 1
    if kind in _SAME_LENGTH:
        return 1
    return _GROWTH.get(str(kind)) or 1 + sum(len(value) for value in step.values() if isinstance(value, str))


def _replacement(pattern: Any, content: str) -> float:
    literal = pattern.get("String") if isinstance(pattern, dict) else None
    if literal:
        return max(1.0, len(content) / len(literal))
    # A regular expression may match the empty string between two characters.
    return 1 + len(content)


def _longest_normal_form(encoded: str) -> float:
    """The longest form in SentencePiece's map: the length of a trie, the trie, and forms that end with a zero byte."""
    data = base64.b64decode(encoded)
    forms = data[4 + int.from_bytes(data[:4], "little") :]
    return max(1, *(len(form) for form in forms.split(b"\0")))
