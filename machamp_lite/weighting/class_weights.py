"""Class weights: the weight of each label of a task, from its count in the training data or given by the user."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, get_args

from machamp_lite.errors import counted, did_you_mean

Scheme = Literal["balanced", "inverse", "max_ratio", "sqrt", "effective"]
SCHEMES: tuple[str, ...] = get_args(Scheme)

# The key for the weight of all labels that are not named.
REST = "*"

LABELS_SHOWN = 10


def scheme_weights(scheme: str, counts: Sequence[int], *, beta: float) -> list[float]:
    """The weight of each label, from its count in the training data.

    - ``balanced``: items / (labels * count), as in scikit-learn (King and Zeng 2001): the weights of the items of each
      label have the same sum
    - ``inverse``: 1 / count
    - ``max_ratio``: largest count / count: 1 for the most frequent label
    - ``sqrt``: the square root of ``balanced``, halfway to equal weights
    - ``effective``: (1 - beta) / (1 - beta ** count), scaled to a mean of 1 (Cui et al. 2019); equal weights
      at beta = 0, the ratios of ``inverse`` as beta approaches 1. Only this scheme uses ``beta``.

    The first three differ only in scale, which has no effect on a loss that is divided by the weights of its items.

    Raises ``ValueError`` for an unknown scheme, a count below 1, and a beta outside [0, 1).
    """
    if scheme not in SCHEMES:
        raise ValueError(f"found the scheme '{scheme}', expected one of {', '.join(SCHEMES)}")
    check_counts(counts)
    if scheme == "effective":
        return _effective_weights(counts, beta)
    if scheme == "inverse":
        return [1 / count for count in counts]
    if scheme == "max_ratio":
        largest = max(counts, default=0)
        return [largest / count for count in counts]
    items = sum(counts)
    balanced = [items / (len(counts) * count) for count in counts]
    return balanced if scheme == "balanced" else [math.sqrt(weight) for weight in balanced]


def positive_weights(scheme: str, counts: Sequence[int], *, items: int, beta: float) -> list[float]:
    """The weight of each label's positive items, if an item can have several labels; negative items have the weight 1.

    ``counts`` says how many of the ``items`` have each label. Having a label and not having it are treated as two
    exclusive labels; the weight is the ratio of their ``scheme_weights``. So ``balanced``, ``inverse`` and
    ``max_ratio`` are all negatives / positives, ``sqrt`` is the square root of that, and ``effective`` is
    (1 - beta ** negatives) / (1 - beta ** positives).

    If all items have a label, its weight is computed as if one item did not: a weight of 0 would exclude the label.

    Raises ``ValueError`` as ``scheme_weights`` does, and for a count above ``items``.
    """
    if max(counts, default=0) > items:
        raise ValueError(f"found a label with the count {max(counts)}, expected at most {items}, all items")
    pairs = (scheme_weights(scheme, [max(items - count, 1), count], beta=beta) for count in counts)
    return [positive / negative for negative, positive in pairs]


def given_weights(given: Mapping[str, float], labels: Sequence[str]) -> list[float]:
    """The weight of each label, given by its name or by ``*``. ``faults_of`` finds those that are missing."""
    return [given[label] if label in given else given[REST] for label in labels]


def faults_of(given: Mapping[str, float], labels: Sequence[str]) -> list[str]:
    """One line per kind of fault in the weights of a config, given the labels of the training data."""
    known = set(labels)
    missing = [label for label in labels if label not in given and REST not in given]
    unknown = [label for label in given if label not in known and label != REST]
    faults = []
    if missing:
        faults.append(
            f"found no weight for {_named(missing)}; expected one for each label of the training data, "
            f"or '{REST}' for all the rest"
        )
    if unknown:
        faults.append(f"found weights for {_unknown(unknown, known)}; expected labels of the training data")
    if labels and not missing and not any(given_weights(given, labels)):
        faults.append(f"found a weight of 0 for {_named(labels)}; expected at least one above 0")
    return faults


def check_counts(counts: Sequence[int]) -> None:
    """Raises ``ValueError`` for a label that does not occur in the training data."""
    if min(counts, default=1) < 1:
        raise ValueError(f"found a label with the count {min(counts)}, expected labels of the training data")


def _effective_weights(counts: Sequence[int], beta: float) -> list[float]:
    if not 0 <= beta < 1:
        raise ValueError(f"found the beta {beta}, expected at least 0 and less than 1")
    # The factor 1 - beta cancels in the mean; expm1 keeps the digits that 1 - beta ** count loses as beta approaches 1.
    weights = [-1 / math.expm1(count * math.log(beta)) if beta else 1.0 for count in counts]
    total = math.fsum(weights)
    return [len(weights) * weight / total for weight in weights]


def _named(labels: Sequence[str], *, show: Callable[[str], str] = "'{}'".format) -> str:
    """The number of labels, and the first ones.

    >>> _named(["NOUN", "VERB"])
    "2 labels: 'NOUN', 'VERB'"
    """
    number = counted(len(labels), "label")
    first = f", the first {LABELS_SHOWN}" if len(labels) > LABELS_SHOWN else ""
    return f"{number}{first}: {', '.join(show(label) for label in labels[:LABELS_SHOWN])}"


def _unknown(labels: Sequence[str], known: Iterable[str]) -> str:
    """Unknown labels, each with the most similar known one; the known labels are listed if there is none for some."""
    hints = {label: did_you_mean(label, known).removeprefix("; ") for label in labels[:LABELS_SHOWN]}
    nearest = {label: f" ({hint})" for label, hint in hints.items() if hint.startswith("did you mean")}
    listed = next((f"; {hint}" for label, hint in hints.items() if hint and label not in nearest), "")
    return _named(labels, show=lambda label: f"'{label}'{nearest.get(label, '')}") + listed
