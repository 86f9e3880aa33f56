"""How much of what the encoder computes is subwords, and not padding."""

from collections.abc import Iterable

import numpy as np

from benchmarks.figures import Figure, at_least
from benchmarks.subject import Subject, read, segment_lengths


def share(subject: Subject) -> list[Figure]:
    """Real subwords over what rows of batches hold, over all training data; packed rows hold nothing else."""
    material = read(subject.config(), sentences=None)
    lengths = [
        np.concatenate([segment_lengths(example) for example in batch]) for batch in material.batches()
    ]
    what, sources = "share of real subwords, batches", {"batches": float(len(lengths))}
    padded = Figure(
        "share_padded",
        f"{what} padded",
        "ratio",
        (filled(lengths),),
        target=at_least(0.95),
        sources=sources,
    )
    if material.model().encoder.first_position is None:
        return [padded]
    packed = Figure("share_packed", f"{what} packed", "ratio", (1.0,), target=at_least(0.99), sources=sources)
    return [padded, packed]


def filled(batches: Iterable[np.ndarray]) -> float:
    """The share of subwords in rows as long as the longest of each batch. *Shape:* (P,) for each batch."""
    real, computed = 0, 0
    for lengths in batches:
        real += int(lengths.sum())
        computed += len(lengths) * int(lengths.max())
    return real / computed
