"""Computes how many times longer a tokenizer can make a text. Untrusted tokenizers may double it many times."""

import base64
import json
from math import prod
from typing import Any

# ALBERT's tokenizer, which has seven steps of normalisation, can make some texts 2600 times longer.
MAX_GROWTH = 10_000
# For prefixes and suffixes of subwords, and for words: WordPiece tries all substrings of a word.
MAX_AFFIX_LENGTH, MAX_WORD_LENGTH = 100, 10_000
# The most characters that a step makes of one character. The other known steps only split, strip or mark texts.
_GROWTH = {"NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18, "Lowercase": 2, "BertNormalizer": 24, "Metaspace": 2}
_SAME_LENGTH = {
    "Strip", "StripAccents", "Nmt", "BertPreTokenizer", "CharDelimiterSplit", "Digits", "FixedLength", "Punctuation",
    "Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit", "BertProcessing", "RobertaProcessing", "ByteFallback",
    "Fuse", "CTC", "WordPiece", "BPEDecoder",
}  # fmt: skip


def growth_fault(tokenizer: Any) -> str | None:
    """The end of an error message about a tokenizer that can make texts too long; None if it cannot."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        # Files cannot add steps to tokenizers written in Python.
        return None
    reading = prod(_growth(_state(backend, part), part) for part in ("normalizer", "pre_tokenizer", "post_processor"))
    writing = _growth(_state(backend, "decoder"), "decoder")
    for what, growth in (("make a text", reading), ("write a text", writing)):
        if growth > MAX_GROWTH:
            return f"can {what} {min(growth, 10**15):,.0f} times longer, expected at most {MAX_GROWTH:,}"
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        length = len(getattr(backend.model, name, None) or "")
        if length > MAX_AFFIX_LENGTH:
            return f"has a {name} of {length} characters, expected at most {MAX_AFFIX_LENGTH}"
    longest = getattr(backend.model, "max_input_chars_per_word", 0)
    if longest > MAX_WORD_LENGTH:
        return f"has max_input_chars_per_word {longest}, expected at most {MAX_WORD_LENGTH}"
    return None


def _state(backend: Any, name: str) -> Any:
    """The JSON state of a part of a tokenizer."""
    part = getattr(backend, name)
    return None if part is None else json.loads(part.__getstate__())


def _growth(step: Any, part: str) -> float:
    """The factor by which a step can make a text longer."""
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
        # Each byte becomes a character.
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
    """The longest normal form in a map of SentencePiece: the length of a trie, the trie, zero-terminated forms."""
    data = base64.b64decode(encoded)
    forms = data[4 + int.from_bytes(data[:4], "little") :]
    return max(1, *(len(form) for form in forms.split(b"\0")))
