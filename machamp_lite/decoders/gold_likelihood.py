"""The gold labels of some sentences under a model, from which temperatures are fitted and calibration is measured."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from machamp_lite.data.span_schemes import Scheme, Span
from machamp_lite.metrics.span_f1 import span_sets
from machamp_lite.nn.crf import LinearChainCRF, SpanQuery
from machamp_lite.nn.ragged import flatten, is_item, pad
from machamp_lite.nn.tree_marginals import log_tree_partition, tree_marginals


@dataclass(frozen=True, slots=True)
class GoldItems:
    """The annotated items of a batch.

    ``sentences`` are the indices of annotated sentences among all sentences of the task, and ``labels`` their labels.
    *Shape:* rows (N,), the indices of annotated items among all items, ids (N, ...).
    """

    sentences: Sequence[int]
    labels: Sequence[Sequence[Any]]
    rows: Tensor
    ids: Tensor

    def padded(self, lengths: Tensor) -> Tensor:
        """The ids of the annotated sentences, -1 for items without annotation and padding. *Shape:* -> (B, L, ...)."""
        ids = self.ids.new_full((int(lengths.sum()), *self.ids.shape[1:]), -1)
        ids[self.rows.to(ids.device)] = self.ids
        return pad(ids, lengths, value=-1)[list(self.sentences)]


class Loss(NamedTuple):
    """A sum of negative log-likelihoods, its derivative with respect to the inverse temperature, and their number."""

    total: float
    slope: float
    number: int


class GoldLikelihood(ABC):
    """What the scores of a batch say of its gold labels, at any temperature."""

    # Whether probabilities of an item sum to 1, as ``CalibrationScores``.
    exclusive: bool
    # The number of annotated items.
    items: int

    @abstractmethod
    def loss(self, inverse: float) -> Loss:
        """The loss at an inverse temperature; it is convex in it. Gold labels with the probability 0 are left out."""

    @abstractmethod
    def probabilities(self, temperature: float) -> tuple[Tensor, Tensor]:
        """Probabilities, and targets that are 1 for what is right, else 0. *Shape:* (N, C), (N, C)."""


class LabelLikelihood(GoldLikelihood):
    """Of items that are scored independently; ``exclusive`` ones have one label each. *Shape:* (N, C), (N, C)."""

    def __init__(self, scores: Tensor, targets: Tensor, *, exclusive: bool) -> None:
        self.scores, self.targets, self.exclusive = scores.float().cpu(), targets.cpu(), exclusive
        self.items = len(scores)

    def loss(self, inverse: float) -> Loss:
        scores, targets = self.scores, self.targets
        if self.exclusive:
            is_known = targets.sum(-1) > 0
            scores, targets = scores[is_known], targets[is_known]
        scaled = inverse * scores
        if self.exclusive:
            total = -(scaled.log_softmax(-1) * targets).sum(dtype=torch.float64)
        else:
            total = functional.binary_cross_entropy_with_logits(scaled, targets, reduction="none").double().sum()
        slope = ((self._normalised(scaled) - targets) * scores).sum(dtype=torch.float64)
        return Loss(float(total), float(slope), len(scores) if self.exclusive else scores.numel())

    def probabilities(self, temperature: float) -> tuple[Tensor, Tensor]:
        return self._normalised(self.scores / temperature), self.targets

    def _normalised(self, scores: Tensor) -> Tensor:
        return scores.softmax(-1) if self.exclusive else scores.sigmoid()


class PathLikelihood(GoldLikelihood):
    """Of the labels of whole sentences in a CRF. Probabilities are those of the predicted spans.

    *Shape:* emissions (B, L, C), gold (B, L), -1 for words without annotation and for padding, lengths (B,).
    """

    exclusive = False

    def __init__(
        self,
        crf: LinearChainCRF,
        emissions: Tensor,
        gold: Tensor,
        lengths: Tensor,
        *,
        labels: Sequence[Sequence[Any]],
        names: Sequence[str],
        scheme: Scheme,
    ) -> None:
        self.crf, self.emissions, self.gold, self.lengths = crf, emissions.float(), gold, lengths
        self.labels, self.names, self.scheme = labels, names, scheme
        self.items = sum(len(sentence) - sentence.count(None) for sentence in map(list, labels))

    def loss(self, inverse: float) -> Loss:
        # Prediction runs in inference mode, in which tensors have no gradients.
        with torch.inference_mode(mode=False), torch.enable_grad():
            emissions, gold, lengths = self.emissions.clone(), self.gold.clone(), self.lengths.clone()
            is_word = is_item(lengths, gold.shape[1]).to(gold.device)
            is_possible = ((gold >= 0) | ~is_word).all(1) & self.crf.is_well_formed(gold.clamp_min(0), lengths)
            chosen = is_possible.nonzero().squeeze(1)
            emissions, gold, lengths = emissions[chosen], gold[chosen].clamp_min(0), lengths[chosen.cpu()]
            if not len(chosen):
                return Loss(0.0, 0.0, 0)
            variable = emissions.new_tensor(inverse, requires_grad=True)
            paths = self.crf.path_log_probabilities(emissions, gold, lengths, temperature=1 / variable)
            (slope,) = torch.autograd.grad(-paths.sum(), variable)
            return Loss(-float(paths.detach().sum()), float(slope), int(lengths.sum()))

    def probabilities(self, temperature: float) -> tuple[Tensor, Tensor]:
        paths = self.crf.viterbi(self.emissions, self.lengths).tolist()
        spans: list[tuple[int, Span]] = []
        right: list[float] = []
        for sentence, (gold, path) in enumerate(zip(self.labels, paths, strict=True)):
            predicted = [self.names[label] for label in path[: len(gold)]]
            in_gold, in_predicted = span_sets(self.scheme, list(gold), predicted)
            spans += [(sentence, span) for span in sorted(in_predicted)]
            right += [float(span in in_gold) for span in sorted(in_predicted)]
        queries = span_queries(spans, self.names, self.scheme)
        found = self.crf.span_probabilities(self.emissions, self.lengths, queries, temperature=temperature)
        return found.unsqueeze(1), torch.tensor(right, device=found.device).unsqueeze(1)


class TreeLikelihood(GoldLikelihood):
    """Of whole trees, and of the relations of gold arcs. Probabilities are those of the heads of each word.

    *Shape:* arcs (B, L, L + 1), heads (B, L), -1 for words without annotation and for padding, lengths (B,), relation
    scores (N, R), -inf for those that are not possible, relations (N,).
    """

    exclusive = True

    def __init__(
        self, arcs: Tensor, heads: Tensor, lengths: Tensor, *, relation_scores: Tensor, relations: Tensor
    ) -> None:
        self.arcs, self.heads, self.lengths = arcs.float(), heads, lengths
        known = relation_scores.gather(1, relations.clamp_min(0).unsqueeze(1)).squeeze(1).isfinite() & (relations >= 0)
        self.relations = LabelLikelihood(
            relation_scores[known].float().clamp_min(-1e9),
            functional.one_hot(relations[known], relation_scores.shape[1]).float(),
            exclusive=True,
        )
        self.items = int((heads >= 0).sum())

    def loss(self, inverse: float) -> Loss:
        is_word = is_item(self.lengths, self.heads.shape[1]).to(self.heads.device)
        # Of the sum over trees with one root; there is no cycle in gold trees.
        is_tree = ((self.heads >= 0) == is_word).all(1) & ((self.heads == 0).sum(1) == 1)
        chosen = is_tree.nonzero().squeeze(1)
        relations = self.relations.loss(inverse)
        if not len(chosen):
            return relations
        arcs, lengths, is_word = self.arcs[chosen].double(), self.lengths[chosen.cpu()], is_word[chosen]
        gold = arcs.gather(2, self.heads[chosen].clamp_min(0).unsqueeze(2)).squeeze(2).masked_fill(~is_word, 0.0)
        total = log_tree_partition(inverse * arcs, lengths).sum() - inverse * gold.sum()
        marginals = tree_marginals(inverse * arcs, lengths)
        slope = (marginals * arcs.nan_to_num(0.0)).sum() - gold.sum()
        number = int(is_word.sum())
        return Loss(float(total) + relations.total, float(slope) + relations.slope, number + relations.number)

    def probabilities(self, temperature: float) -> tuple[Tensor, Tensor]:
        marginals = flatten(tree_marginals(self.arcs / temperature, self.lengths), self.lengths)
        heads = flatten(self.heads, self.lengths)
        annotated = heads >= 0
        return marginals[annotated], functional.one_hot(heads[annotated], marginals.shape[1]).float()


def span_queries(
    spans: Sequence[tuple[int, Span]], names: Sequence[str], scheme: Scheme
) -> list[SpanQuery]:
    """The queries for the probabilities of spans, given with the index of their sentence."""
    first: dict[str, set[int]] = {}
    for label, name in enumerate(names):
        if scheme.marks_span(name):
            first.setdefault(scheme.parse(name)[1], set()).add(label)
    return [SpanQuery(sentence, start, end, first[kind]) for sentence, (start, end, kind) in spans]
