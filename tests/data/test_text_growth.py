"""Tokenizers that could make texts longer without bound are found; those of the published families are not."""

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest

from machamp_lite.data.text_growth import growth_fault
from machamp_lite.model.pretrained import load_tokenizer


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def charsmap(*forms: str) -> dict[str, Any]:
    """A map of SentencePiece with some normal forms."""
    trie = bytes(64)
    data = len(trie).to_bytes(4, "little") + trie + b"".join(form.encode() + b"\0" for form in forms)
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(data).decode()}


def tokenizer(*, decoder: Any = None, **parts: Any) -> Any:
    """A stand-in that has the parts of a tokenizer.json; each list is a sequence."""

    def part(steps: Any) -> Any:
        if steps is None:
            return None
        document = {"type": "Sequence", "steps": steps}
        return SimpleNamespace(__getstate__=lambda: json.dumps(document).encode())

    names = ("normalizer", "pre_tokenizer", "post_processor")
    model = SimpleNamespace(**parts.pop("model", {}))
    backend = SimpleNamespace(**{name: part(parts.get(name)) for name in names}, decoder=part(decoder), model=model)
    return SimpleNamespace(backend_tokenizer=backend)


NMT = charsmap("a", "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 \u0639\u0644\u064a\u0647")
SPACES = replace({"Regex": " {2,}"}, " ")
META = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
# The steps of published tokenizers.
FAMILIES: dict[str, dict[str, Any]] = {
    "BERT": {"normalizer": [{"type": "BertNormalizer"}], "pre_tokenizer": [{"type": "BertPreTokenizer"}]},
    "ModernBERT": {"normalizer": [{"type": "NFC"}], "pre_tokenizer": [BYTES]},
    "XLM-R": {"normalizer": [NMT, SPACES], "pre_tokenizer": [{"type": "WhitespaceSplit"}, META]},
    "ALBERT": {
        "normalizer": [
            replace({"String": "``"}, '"'),
            replace({"String": "''"}, '"'),
            *({"type": name} for name in ("NFKD", "StripAccents", "Lowercase")),
            NMT,
            SPACES,
        ],
        "pre_tokenizer": [META],
    },
    "DeBERTa": {"normalizer": [{"type": "Strip"}, NMT, SPACES], "pre_tokenizer": [META]},
    "Llama 2": {
        "normalizer": [{"type": "Prepend", "prepend": "\u2581"}, replace({"String": " "}, "\u2581")],
        "decoder": [replace({"String": "\u2581"}, " "), {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip"}],
    },
    "Llama 3": {"pre_tokenizer": [{"type": "Split"}, BYTES], "post_processor": [BYTES, {"type": "RobertaProcessing"}]},
    "Gemma": {"normalizer": [replace({"String": " "}, "\u2581")], "pre_tokenizer": [{"type": "Split"}]},
    "CLIP": {"normalizer": [{"type": "NFC"}, replace({"Regex": "\\s+"}, " "), {"type": "Lowercase"}]},
}


@pytest.mark.parametrize("parts", FAMILIES.values(), ids=FAMILIES)
def test_published_tokenizers_are_taken(parts: dict[str, Any]) -> None:
    assert growth_fault(tokenizer(**parts)) is None


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram", "t5", "byt5", "canine", "gpt2", "llama", "modernbert"])
def test_tiny_tokenizers_are_taken(encoders: dict[str, str], kind: str) -> None:
    assert growth_fault(load_tokenizer(encoders[kind])) is None


GROWING: dict[str, dict[str, Any]] = {
    "a letter doubled 20 times": {"normalizer": [replace({"String": "a"}, "aa")] * 20},
    "over several parts": {
        "normalizer": [replace({"String": "a"}, "aa")] * 8,
        "pre_tokenizer": [BYTES] * 4,
    },
    "sequences in sequences": {
        "normalizer": [{"type": "Sequence", "normalizers": [replace({"String": "a"}, "aaaa")] * 4}] * 2
    },
    "a long normal form": {"normalizer": [charsmap("x" * 20_000)]},
    "forms again and again": {"normalizer": [NMT, replace({"String": " "}, "\ufdfa")] * 4},
    "a kind that is new": {"normalizer": [{"type": "Own", "text": "x" * 20_000}]},
    "written texts": {"decoder": [replace({"String": "a"}, "aa")] * 20},
    "a long prefix": {"model": {"continuing_subword_prefix": "#" * 1000}},
    "all parts of long words": {"model": {"max_input_chars_per_word": 10**9}},
}


@pytest.mark.parametrize("parts", GROWING.values(), ids=GROWING)
def test_growing_tokenizers_are_found(parts: dict[str, Any]) -> None:
    assert "expected at most" in str(growth_fault(tokenizer(**parts)))
