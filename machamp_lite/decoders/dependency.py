"""``dependency``: a tree over the words; heads in ``column_idx``, relations in the next column."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.config.task_types import DependencyOptions, TaskOptions
from machamp_lite.data.records import Record
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import Decoder, LabelIssue, label_objective, scaled_mean, split
from machamp_lite.decoders.confidence import Confidence
from machamp_lite.decoders.gold_likelihood import GoldItems, TreeLikelihood
from machamp_lite.decoders.gold_trees import (
    NO_HEAD,
    Arc,
    allowed_relations,
    check_ids,
    head_ids,
    read_tree,
    tree_issues,
)
from machamp_lite.decoders.top_k import Ranked, argmax, best_labels, format_ranked
from machamp_lite.nn.biaffine import ArcScores, PairLabelScores
from machamp_lite.nn.decisions import divided, log_mean_exp
from machamp_lite.nn.ragged import flatten, is_item, pad, starts_of, to_device
from machamp_lite.nn.spanning_tree import decode_trees
from machamp_lite.nn.tree_marginals import log_tree_partition, tree_marginals
from machamp_lite.weighting.losses import LabelObjective

# The relations of Universal Dependencies for loosely connected parts, the best first.
LOOSE = ("parataxis", "dep")

# The best heads of one word, and the best relations.
RankedArc = tuple[Ranked, Ranked]


class DependencyScores(NamedTuple):
    """Scores of arcs, and the vectors from which relations are scored once heads are known. Head 0 is the root.

    *Shape:* arcs (B, L, L + 1), dependents (W, T), heads (W + 1, T), the root as the last row, lengths (B,).
    """

    arcs: Tensor
    dependents: Tensor
    heads: Tensor
    lengths: Tensor


class Dependency(Decoder):
    """A biaffine parser (Dozat and Manning 2017) that scores relations only for gold or decoded heads.

    W is the number of words in a batch, L that of the longest sentence, R the number of relations, T the width of
    ``tag_representation_dim``.
    """

    one_row_per_label = True
    items_are_independent = False
    labels_are_arcs = True
    graph_decoding = "trees"
    label_dimensions = dict.fromkeys(("relations.bilinear", "relations.linear.weight", "relations.linear.bias"), (0,))
    Options = DependencyOptions
    # The relations that roots (row 0) and other words (row 1) cannot have. *Shape:* (2, R).
    forbidden: Tensor

    def __init__(self, *, config: DependencyOptions, vocabulary: Vocabulary, width: int) -> None:
        super().__init__(config=config, vocabulary=vocabulary, width=width)
        self.widths = [config.arc_representation_dim] * 2 + [config.tag_representation_dim] * 2
        self.project = nn.Linear(width, sum(self.widths))
        self.root = nn.Parameter(torch.randn(width) * 0.02)
        self.arcs = ArcScores(config.arc_representation_dim)
        self.relations: nn.Module = PairLabelScores(width=config.tag_representation_dim, labels=len(vocabulary))
        # Not saved: it follows from the vocabulary.
        self.register_buffer("forbidden", ~torch.tensor(allowed_relations(vocabulary)), persistent=False)

    def make_objective(self) -> LabelObjective:
        """The cross-entropy of relations."""
        return label_objective(self.config, self.vocabulary)

    @classmethod
    def check_record(cls, record: Record, *, task: str, config: TaskOptions) -> None:
        """Raises ``DataError`` for ids to which heads cannot refer."""
        check_ids(record, task=task)

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[Arc | None] | None:
        """The arc of each word, None if it is not annotated; None if all heads are ``_``."""
        return read_tree(record, task=task, columns=config.columns(), ignore_label=config.ignore_label)

    @classmethod
    def find_issues(
        cls, records: Sequence[Record], labels: Sequence[Sequence[Arc | None]], *, task: str, config: TaskOptions
    ) -> Iterator[tuple[int, LabelIssue]]:
        """Trees with a cycle, or without exactly one root; only those with several roots are used."""
        return tree_issues(labels, task=task, column=config.columns()[0])

    @classmethod
    def classes(cls, labels: Sequence[Arc], words: Iterable[str]) -> list[str]:
        """The relations."""
        return [relation for _, relation in labels]

    @classmethod
    def count(cls, vocabulary: Vocabulary, labels: Sequence[Arc], class_ids: Sequence[int]) -> None:
        """Counts the relations of roots."""
        vocabulary.count_roots(compress(class_ids, [head == 0 for head, _ in labels]))

    @classmethod
    def encode(cls, labels: Sequence[Arc], class_ids: Sequence[int]) -> np.ndarray:
        """The position of the head and the id of the relation. *Shape:* (words, 2)."""
        heads = np.fromiter(map(itemgetter(0), labels), np.int64, len(labels))
        return np.stack([heads, np.array(class_ids, np.int64)], axis=1)

    @classmethod
    def class_ids(cls, gold: np.ndarray) -> np.ndarray:
        """The ids of the relations."""
        return gold[:, 1]

    def forward(self, hidden: Tensor, lengths: Tensor) -> DependencyScores:
        """*Shape:* (W, D), (B,) -> see ``DependencyScores``."""
        # The root is one more row, so that one matrix multiplication is enough.
        rows = torch.cat([hidden, self.root.unsqueeze(0).to(hidden.dtype)])
        arc_dependent, arc_head, tag_dependent, tag_head = self._projected(rows)
        arcs = self.arcs(pad(arc_dependent[:-1], lengths), _pad_with_root(arc_head, lengths))
        return DependencyScores(arcs.float(), tag_dependent[:-1], tag_head, lengths)

    def _projected(self, rows: Tensor) -> tuple[Tensor, ...]:
        """The vectors of words as dependents and as heads, for arcs and for relations. *Shape:* (N, D) -> (N, ...)."""
        projected = self.project(self.dropout(rows))
        if self.config.activation == "elu":
            projected = functional.elu(projected, inplace=True)
        return self.dropout(projected).split(self.widths, dim=-1)

    def graph_outputs(self, hidden: Tensor) -> dict[str, Tensor]:
        """The vectors of words, those of dependents in arcs multiplied by the bilinear map. *Shape:* (W, ...) each."""
        arc_dependent, arc_head, tag_dependent, tag_head = self._projected(hidden)
        return {
            "dependents": self.arcs.map_dependents(arc_dependent),
            "heads": arc_head,
            "relation_dependents": tag_dependent,
            "relation_heads": tag_head,
        }

    def decoding_arrays(self) -> dict[str, Tensor]:
        """The vectors of the root, the map of relations, and the relations that words cannot have."""
        _, arc_head, _, tag_head = self._projected(self.root.unsqueeze(0))
        relations: Any = self.relations
        return {
            "root_head": arc_head,
            "root_relation_head": tag_head,
            "bilinear": relations.bilinear,
            "linear": relations.linear.weight,
            "bias": relations.linear.bias,
            "forbidden": self.forbidden,
        }

    def decoding_options(self) -> dict[str, Any]:
        """The temperature, and the relation between the parts of a long sentence."""
        return {"temperature": self.temperature, "loose": self._loose_relation("")}

    def item_losses(self, scores: DependencyScores, gold: Tensor) -> list[Tensor]:
        """Cross-entropy of the heads of annotated words, and of relations for gold heads.

        *Shape:* gold (W, 2) -> (W,) each.
        """
        heads, relations = gold.unbind(-1)
        arcs = _flat_arcs(scores)
        relation_loss = self.objective(self._relation_scores(scores, heads), relations)
        return [functional.cross_entropy(arcs, heads, ignore_index=NO_HEAD, reduction="none"), relation_loss]

    def item_counts(self, gold: np.ndarray) -> list[np.ndarray | float]:
        """1 for heads; relations may have class weights."""
        return [1.0, self.objective.counts(gold[:, 1])]

    def average(self, members: Sequence["Dependency"], scores: Sequence[DependencyScores]) -> DependencyScores:
        """The mean score of each arc: the score of a tree is its mean log-probability, up to a constant.

        The vectors for relations are concatenated, see ``MeanRelations``.
        """
        arcs = scaled_mean([own.arcs for own in scores], members, self)
        dependents = torch.cat([own.dependents for own in scores], -1)
        return DependencyScores(arcs, dependents, torch.cat([own.heads for own in scores], -1), scores[0].lengths)

    def adapt_to_ensemble(self, members: Sequence["Dependency"]) -> None:
        """Relations are scored by all members."""
        self.relations = MeanRelations(members, self.temperature)

    def decode(self, scores: DependencyScores, sentences: Sequence[Sequence[str]]) -> list[list[Arc]]:
        """The best tree with one root for each sentence, with the best allowed relation of each arc."""
        lengths = [len(words) for words in sentences]
        heads = decode_trees(scores.arcs, lengths)
        decoded = torch.as_tensor(heads, device=scores.arcs.device)
        relation_ids = argmax(self._allowed_scores(scores, decoded)).tolist()
        relations = [self.vocabulary.labels[relation_id] for relation_id in relation_ids]
        return split(list(zip(heads.tolist(), relations, strict=True)), lengths)

    def rank(
        self, scores: DependencyScores, sentences: Sequence[Sequence[str]], *, top_n: int
    ) -> list[list[RankedArc]]:
        """The most probable heads of each word, of all trees with one root, and relations for the decoded head."""
        lengths = [len(words) for words in sentences]
        decoded = torch.as_tensor(decode_trees(scores.arcs, lengths), device=scores.arcs.device)
        marginals = tree_marginals(divided(scores.arcs, self.config.temperature), scores.lengths)
        arcs = flatten(marginals, scores.lengths).log()
        heads = best_labels(arcs, decoded, labels=range(arcs.shape[1]), top_n=top_n)
        relation_scores = self._allowed_scores(scores, decoded)
        log_probabilities = divided(relation_scores, self.config.temperature).log_softmax(-1)
        best_ids = argmax(relation_scores)
        relations = best_labels(log_probabilities, best_ids, labels=self.vocabulary.labels, top_n=top_n)
        return split(list(zip(heads, relations, strict=True)), lengths)

    def confidences(self, scores: DependencyScores, sentences: Sequence[Sequence[str]]) -> list[Confidence]:
        """The probability of the predicted tree, of all trees with one root, times those of its relations."""
        lengths = [len(words) for words in sentences]
        heads = torch.as_tensor(decode_trees(scores.arcs, lengths), device=scores.arcs.device)
        arcs = divided(scores.arcs, self.config.temperature).double()
        chosen = flatten(arcs, scores.lengths).gather(1, heads.unsqueeze(1)).squeeze(1)
        relations = divided(self._allowed_scores(scores, heads), self.config.temperature).log_softmax(-1).amax(1)
        totals = log_tree_partition(arcs, scores.lengths).tolist()
        return [
            # Rounding could make it more than certain.
            Confidence(min(0.0, sum(own) - total), len(own))
            for own, total in zip(split((chosen + relations).tolist(), lengths), totals, strict=True)
        ]

    def gold_likelihood(self, scores: DependencyScores, gold: GoldItems) -> TreeLikelihood:
        """Of whole trees, and of the relations of annotated words."""
        chosen, rows, ids = list(gold.sentences), gold.rows.to(gold.ids.device), gold.ids
        heads = ids.new_zeros(len(scores.dependents))
        heads[rows] = ids[:, 0]
        return TreeLikelihood(
            scores.arcs[chosen],
            gold.padded(scores.lengths)[:, :, 0],
            scores.lengths[chosen],
            relation_scores=self._allowed_scores(scores, heads)[rows],
            relations=ids[:, 1],
        )

    def _relation_scores(self, scores: DependencyScores, heads: Tensor) -> Tensor:
        """*Shape:* heads (W,) -> (W, R)."""
        before = starts_of(scores.lengths)[:-1].repeat_interleave(scores.lengths) - 1
        rows = torch.where(heads > 0, to_device(before, heads.device) + heads, len(before))
        return self.relations(scores.dependents, scores.heads, rows)

    def _allowed_scores(self, scores: DependencyScores, heads: Tensor) -> Tensor:
        """As ``_relation_scores``, with -inf for relations that the word cannot have."""
        forbidden = self.forbidden[(heads > 0).long()]
        return self._relation_scores(scores, heads).masked_fill(forbidden, float("-inf"))

    def join(self, parts: Sequence[list[Arc]]) -> list[Arc]:
        """One tree from those of all parts: the roots of later parts become dependents of the first root."""
        ranked = [[([(head, 1.0)], [(relation, 1.0)]) for head, relation in part] for part in parts]
        return [(heads[0][0], relations[0][0]) for heads, relations in self.join_ranked(ranked)]

    def join_ranked(self, parts: Sequence[list[RankedArc]]) -> list[RankedArc]:
        """The same for the results of ``rank``."""
        joined: list[RankedArc] = []
        first_root = next((word for word, (heads, _) in enumerate(parts[0], start=1) if heads[0][0] == 0), 0)
        for part in parts:
            start = len(joined)
            for heads, relations in part:
                if heads[0][0] == 0 and start:
                    # There are no alternatives to this rule.
                    relations = [(self._loose_relation(relations[0][0]), 1.0)]
                root = first_root if start else 0
                joined.append(([(head + start if head else root, p) for head, p in heads], relations))
        return joined

    def _loose_relation(self, relation: str) -> str:
        """The relation of the root of a later part to the first root: one of ``LOOSE``, or the most frequent one."""
        labels, counts = self.vocabulary.labels, self.vocabulary.counts
        allowed = (~self.forbidden[1]).nonzero().flatten().tolist()
        known = [labels[relation_id] for relation_id in sorted(allowed, key=lambda number: -counts[number])]
        return next((name for name in (*LOOSE, *known) if name in known), relation)

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[Arc], *, task: str, config: TaskOptions) -> None:
        """Writes the ids of heads, and relations."""
        ids = head_ids(record)
        heads, relations = config.columns()
        record.set_column(heads, [ids[head] for head, _ in labels])
        record.set_column(relations, [relation for _, relation in labels])

    @classmethod
    def write_ranked(
        cls,
        record: Record,
        ranked: Sequence[RankedArc],
        *,
        task: str,
        config: TaskOptions,
        conn: str,
        sep: str,
    ) -> None:
        """Writes the ids of heads, and relations, each in their column."""
        ids = head_ids(record)
        heads = [[(ids[head], probability) for head, probability in item] for item, _ in ranked]
        for column, items in zip(config.columns(), (heads, [item for _, item in ranked]), strict=True):
            record.set_column(column, [format_ranked(item, conn=conn, sep=sep) for item in items])


class MeanRelations(nn.Module):
    """The logarithm of the mean probability of each relation, from concatenated vectors of several parsers."""

    def __init__(self, members: Sequence[Dependency], temperature: float) -> None:
        super().__init__()
        self.members = nn.ModuleList(one.relations for one in members)
        self.widths = [one.widths[-1] for one in members]
        self.temperatures = [one.temperature for one in members]
        self.temperature = temperature

    def forward(self, dependents: Tensor, heads: Tensor, rows: Tensor) -> Tensor:
        """As ``PairLabelScores``."""
        vectors = zip(dependents.split(self.widths, -1), heads.split(self.widths, -1), strict=True)
        scores = [relations(*own, rows) for relations, own in zip(self.members, vectors, strict=True)]
        scaled = [divided(own, temperature) for own, temperature in zip(scores, self.temperatures, strict=True)]
        return self.temperature * log_mean_exp([own.log_softmax(-1) for own in scaled])


def _pad_with_root(rows: Tensor, lengths: Tensor) -> Tensor:
    """Pads words, with the root (the last row) before each sentence. *Shape:* (W + 1, D) -> (B, L + 1, D)."""
    order = pad(torch.arange(len(rows) - 1), lengths, value=len(rows) - 1)
    order = functional.pad(order, (1, 0), value=len(rows) - 1)
    # The gradient of rows[order] would be summed by several threads in an order that changes between runs.
    return rows.index_select(0, to_device(order.flatten(), rows.device)).unflatten(0, order.shape)


def _flat_arcs(scores: DependencyScores) -> Tensor:
    """The scores of each word's heads: -inf for the word itself and for heads after its sentence.

    *Shape:* -> (W, L + 1).
    """
    width = scores.arcs.shape[-1]
    is_padding = ~is_item(scores.lengths + 1, width)
    is_self = torch.eye(width, dtype=torch.bool)[1:]
    mask = to_device(is_padding.unsqueeze(1) | is_self.unsqueeze(0), scores.arcs.device)
    return flatten(scores.arcs.masked_fill(mask, float("-inf")), scores.lengths)
