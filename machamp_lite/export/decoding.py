"""Decodes the outputs of an ONNX graph with NumPy: one class per kind of decoding, as decoders do it with torch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from machamp_lite.config.task_types import Level
from machamp_lite.data.edit_script import edited, rank_edited
from machamp_lite.data.records import EMPTY
from machamp_lite.data.span_schemes import EDGE, SCHEMES, Span, outside_label
from machamp_lite.export.manifest import ExportedTask
from machamp_lite.nn.arc_marginals import arc_marginals
from machamp_lite.nn.best_tree import decode_tree

Arrays = Mapping[str, np.ndarray]
# Labels with their probabilities, the best first; of trees, the heads of a word and its relations.
RankedLabels = dict[str, float]
RankedItem = RankedLabels | tuple[dict[int, float], RankedLabels]
# The score of a transition that violates the scheme, as in the CRF of torch.
_FORBIDDEN = -1e30


class TaskDecoding:
    """Labels from the outputs for the items of one sentence, its N words or the sentence itself, with C labels."""

    # Whether a label is the position of a head and a relation.
    has_heads: ClassVar[bool] = False

    def __init__(self, task: ExportedTask, level: Level, arrays: Arrays) -> None:
        self.labels = task.labels
        self.options = task.options
        self.level = level
        self.arrays = arrays

    def decode(self, outputs: Arrays, words: Sequence[str]) -> list[Any]:
        """The predicted labels of the items."""
        raise NotImplementedError

    def probabilities(self, outputs: Arrays) -> np.ndarray | None:
        """The probability of each label of each item; None if there is none. *Shape:* (N, C)."""
        found = outputs.get("log_probabilities")
        return None if found is None else np.exp(found)

    def rank(
        self, outputs: Arrays, labels: Sequence[Any], words: Sequence[str], *, top_k: int
    ) -> list[RankedItem] | None:
        """The most probable labels of each item with their probabilities, the predicted one first."""
        probabilities = self.probabilities(outputs)
        if probabilities is None:
            return None
        return [
            best_labels(row, labels=self.labels, first=label, top_k=top_k)
            for label, row in zip(labels, probabilities, strict=True)
        ]

    def span_probabilities(self, outputs: Arrays, labels: Sequence[Any]) -> dict[Span, float]:
        """The probability of each predicted span; empty without a model of spans."""
        return {}

    def as_value(self, label: Any) -> Any:
        """A label as it is in a ``Prediction``: a string, a number, or a tuple of these."""
        return label

    def join(self, parts: Sequence[list[Any]]) -> list[Any]:
        """The labels of a long sentence from those of its parts; the label of a whole sentence is that of part 0."""
        return [label for part in parts for label in part] if self.level == "word" else parts[0]

    # The same for the results of ``rank``.
    join_ranked = join


class Labels(TaskDecoding):
    """The predicted class is an output of the graph."""

    def decode(self, outputs: Arrays, words: Sequence[str]) -> list[Any]:
        """One label per item."""
        return [self.labels[number] for number in outputs["ids"].tolist()]


class EditScripts(Labels):
    """The classes are edit scripts."""

    def decode(self, outputs: Arrays, words: Sequence[str]) -> list[Any]:
        """Each word changed by its script; a script that does not fit leaves the word unchanged."""
        scripts = super().decode(outputs, words)
        return list(map(edited, words, scripts))

    def rank(
        self, outputs: Arrays, labels: Sequence[Any], words: Sequence[str], *, top_k: int
    ) -> list[RankedItem] | None:
        """The most probable strings; the probabilities of scripts with the same result are added."""
        rows = np.exp(outputs["log_probabilities"])
        return [
            dict(rank_edited(word, self._sorted_scripts(row), first=label, top_n=top_k))
            for word, label, row in zip(words, labels, rows, strict=True)
        ]

    def _sorted_scripts(self, probabilities: np.ndarray) -> Iterator[tuple[str, float]]:
        for number in np.argsort(-probabilities, kind="stable"):
            yield self.labels[number], float(probabilities[number])


class LabelSets(TaskDecoding):
    """Which labels are predicted is an output of the graph."""

    def decode(self, outputs: Arrays, words: Sequence[str]) -> list[Any]:
        """The labels of each item, joined in alphabetical order, or ``_``."""
        rows = [[self.labels[number] for number in np.flatnonzero(row)] for row in outputs["chosen"]]
        return ["|".join(sorted(row, key=str.lower)) or EMPTY for row in rows]

    def rank(
        self, outputs: Arrays, labels: Sequence[Any], words: Sequence[str], *, top_k: int
    ) -> list[RankedItem] | None:
        """The most probable labels of each item, predicted or not."""
        return super().rank(outputs, [None] * len(labels), words, top_k=top_k)

    def as_value(self, label: Any) -> Any:
        """The labels of an item, none for ``_``."""
        return () if label == EMPTY else tuple(label.split("|"))


class Scalars(TaskDecoding):
    """Numbers are outputs of the graph."""

    def decode(self, outputs: Arrays, words: Sequence[str]) -> list[Any]:
        """One number per item."""
        found: list[Any] = outputs["numbers"].tolist()
        return found


class Distributions(TaskDecoding):
    """Distributions are outputs of the graph."""

    def decode(self, outputs: Arrays, words: Sequence[str]) -> list[Any]:
        """One distribution per item."""
        return [tuple(row) for row in outputs["distributions"].tolist()]


class Paths(TaskDecoding):
    """The best path of labels in a span scheme: a linear-chain CRF, see ``machamp_lite/nn/crf.py``."""

    def __init__(self, task: ExportedTask, level: Level, arrays: Arrays) -> None:
        super().__init__(task, level, arrays)
        self.scheme, labels = SCHEMES[self.options["scheme"]], self.labels
        self.temperature = float(self.options["temperature"])
        self.min_confidence = float(self.options["min_confidence"])
        self.outside = outside_label(labels, self.scheme)
        self.allowed = np.array([[self.scheme.allows(one, other) for other in labels] for one in [*labels, EDGE]])
        self.continues = np.array([[self.scheme.continues_span(one, other) for other in labels] for one in labels])
        self.may_end = np.array([self.scheme.allows(label, EDGE) for label in labels])

    def decode(self, outputs: Arrays, words: Sequence[str]) -> list[Any]:
        """The best path, without spans below ``min_confidence``."""
        path = self._viterbi(outputs["emissions"])
        if self.min_confidence > 0 and self.outside is not None:
            for span in self.scheme.spans([self.labels[label] for label in path]):
                if self.span_probability(outputs["emissions"], span) < self.min_confidence:
                    path[span[0] : span[1]] = self.outside
        return [self.labels[label] for label in path]

    def probabilities(self, outputs: Arrays) -> np.ndarray:
        """The marginal probability of each label: sums over all paths in the scheme. *Shape:* (W, C)."""
        emissions = outputs["emissions"] / self.temperature
        start, steps, ends = self._scores(self.temperature)
        forward, backward = [start + emissions[0]], [ends]
        for row in emissions[1:]:
            forward.append(_log_sum(forward[-1][:, None] + steps, 0) + row)
        for row in emissions[:0:-1]:
            backward.append(_log_sum(steps + (row + backward[-1]), 1))
        marginals = np.array(forward) + np.array(backward[::-1])
        return np.exp(marginals - _log_sum(marginals, 1)[:, None])

    def span_probabilities(self, outputs: Arrays, labels: Sequence[Any]) -> dict[Span, float]:
        """The probability of each predicted span."""
        return {span: self.span_probability(outputs["emissions"], span) for span in self.scheme.spans(labels)}

    def span_probability(self, emissions: np.ndarray, span: Span) -> float:
        """The probability of a span: of all paths that have exactly this span."""
        return float(np.exp(min(0.0, self._log_total(emissions, span) - self._log_total(emissions))))

    def _scores(self, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The scores of first labels, transitions and last labels. *Shape:* (C,), (C, C), (C,)."""
        transitions = np.where(self.allowed, self.arrays["transitions"] / temperature, _FORBIDDEN)
        return transitions[-1], transitions[:-1], np.where(self.may_end, self.arrays["ends"] / temperature, _FORBIDDEN)

    def _viterbi(self, emissions: np.ndarray) -> np.ndarray:
        start, transitions, ends = self._scores()
        scores, steps = start + emissions[0], []
        for row in emissions[1:]:
            following = scores[:, None] + transitions
            steps.append(following.argmax(0))
            scores = following.max(0) + row
        path = [int((scores + ends).argmax())]
        for previous in reversed(steps):
            path.append(int(previous[path[-1]]))
        return np.array(path[::-1])

    def _log_total(self, emissions: np.ndarray, span: Span | None = None) -> float:
        """The logarithm of the sum over all paths, or over those that have exactly this span."""
        emissions = emissions / self.temperature
        start, transitions, ends = self._scores(self.temperature)
        inside = np.where(self.continues, transitions, _FORBIDDEN)
        apart = np.where(self.continues, _FORBIDDEN, transitions)
        first, end, kind = span or (-1, -1, "")
        parsed = [self.scheme.parse(label) if self.scheme.marks_span(label) else None for label in self.labels]
        is_other = np.array([mark is None or mark[1] != kind for mark in parsed])
        scores = start + emissions[0]
        for position, row in enumerate(emissions):
            if position:
                steps = apart if position in (first, end) else inside if first < position < end else transitions
                scores = _log_sum(scores[:, None] + steps, 0) + row
            if position == first:
                scores = np.where(is_other, _FORBIDDEN, scores)
        return float(_log_sum(scores + ends, 0))


class Trees(TaskDecoding):
    """The best dependency tree with one root, and the best relation of each arc."""

    has_heads = True

    def decode(self, outputs: Arrays, words: Sequence[str]) -> list[Any]:
        """The position of the head (0 is the root) and the relation of each word."""
        heads = decode_tree(self._arc_scores(outputs))
        chosen = [self.labels[number] for number in self._relation_scores(outputs, heads).argmax(1)]
        return list(zip(heads.tolist(), chosen, strict=True))

    def rank(
        self, outputs: Arrays, labels: Sequence[Any], words: Sequence[str], *, top_k: int
    ) -> list[RankedItem] | None:
        """The most probable heads of each word, of all trees with one root, and relations for the decoded head."""
        temperature = float(self.options["temperature"])
        arcs = arc_marginals(self._arc_scores(outputs) / temperature)
        heads = np.array([head for head, _ in labels])
        relations = self._relation_scores(outputs, heads) / temperature
        relations = np.exp(relations - _log_sum(relations, 1)[:, None])
        return [
            (
                best_labels(own_arcs, labels=range(len(own_arcs)), first=head, top_k=top_k),
                best_labels(own_relations, labels=self.labels, first=relation, top_k=top_k),
            )
            for (head, relation), own_arcs, own_relations in zip(labels, arcs, relations, strict=True)
        ]

    def _arc_scores(self, outputs: Arrays) -> np.ndarray:
        """The score of each head of each word; head 0 is the root. *Shape:* -> (W, W + 1)."""
        arcs: np.ndarray = outputs["dependents"] @ np.concatenate([self.arrays["root_head"], outputs["heads"]]).T
        return arcs

    def _relation_scores(self, outputs: Arrays, heads: np.ndarray) -> np.ndarray:
        """The score of each relation of each word, -inf if it cannot have it. *Shape:* heads (W,) -> (W, R)."""
        arrays = self.arrays
        dependents = outputs["relation_dependents"]
        of_heads = np.concatenate([arrays["root_relation_head"], outputs["relation_heads"]])[heads]
        relations, width, _ = arrays["bilinear"].shape
        mapped = (of_heads @ arrays["bilinear"].reshape(-1, width).T).reshape(-1, relations, width)
        scores = (mapped @ dependents[:, :, None])[:, :, 0]
        scores += np.concatenate([dependents, of_heads], 1) @ arrays["linear"].T + arrays["bias"]
        scores[arrays["forbidden"][(heads > 0).astype(int)]] = -np.inf
        return scores

    def join(self, parts: Sequence[list[Any]]) -> list[Any]:
        """One tree from those of all parts: the roots of later parts become dependents of the first root."""
        ranked = [[({head: 1.0}, {relation: 1.0}) for head, relation in part] for part in parts]
        return [(next(iter(heads)), next(iter(relations))) for heads, relations in self.join_ranked(ranked)]

    def join_ranked(self, parts: Sequence[list[Any]]) -> list[Any]:
        """The same for the results of ``rank``; the first of a word's heads is the predicted one."""
        joined = list(parts[0])
        first_root = next(word for word, (heads, _) in enumerate(joined, start=1) if next(iter(heads)) == 0)
        for part in parts[1:]:
            start = len(joined)
            for heads, relations in part:
                if next(iter(heads)) == 0:
                    # There are no alternatives to this rule.
                    relations = {self.options["loose"] or next(iter(relations)): 1.0}
                joined.append(({head + start if head else first_root: p for head, p in heads.items()}, relations))
        return joined


def best_labels(probabilities: np.ndarray, *, labels: Sequence[Any], first: Any, top_k: int) -> dict[Any, float]:
    """The most probable labels of one item, without those of probability 0; ``first``, if known, is put first."""
    ids = [labels.index(first)] if first in labels else []
    ids += [number for number in np.argsort(-probabilities, kind="stable").tolist() if probabilities[number] > 0]
    return {labels[number]: float(probabilities[number]) for number in list(dict.fromkeys(ids))[:top_k]}


def _log_sum(values: np.ndarray, axis: int) -> np.ndarray:
    highest = values.max(axis, keepdims=True)
    return np.squeeze(highest, axis) + np.log(np.exp(values - highest).sum(axis))


DECODINGS: dict[str, type[TaskDecoding]] = {
    "labels": Labels,
    "edit_scripts": EditScripts,
    "label_sets": LabelSets,
    "numbers": Scalars,
    "distributions": Distributions,
    "paths": Paths,
    "trees": Trees,
}
