"""Plain text: sentences of the treebank's grammar that the treebank itself does not hold."""

from __future__ import annotations

from collections.abc import Collection

from sample_data.picker import Picker
from sample_data.treebank import SCENES, SENTENCES_PER_DOCUMENT, sentences
from sample_data.trees import text_of

SIZES = {"train": 1500, "dev": 150}


def plain_text(seed: int, known: Collection[str]) -> dict[str, list[str]]:
    """The lines of every split, scene by scene; no sentence is `known` or comes twice."""
    pick, seen = Picker(seed), set(known)
    splits: dict[str, list[str]] = {}
    for split, size in SIZES.items():
        lines: list[str] = []
        for document in range(size // SENTENCES_PER_DOCUMENT):
            pick.scene = SCENES[document % len(SCENES)]
            lines += [text_of(sentence) for sentence in sentences(pick, seen, SENTENCES_PER_DOCUMENT)]
        splits[split] = lines
    return splits
