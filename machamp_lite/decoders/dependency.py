"""``dependency``: a tree over the words; heads in ``column_idx``, relations in the column after it."""

import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from machamp_lite.config.task_types import DependencyOptions, TaskOptions
from machamp_lite.data.cells import header_hint
from machamp_lite.data.records import EMPTY, Record
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import Decoder, LabelIssue, read_column, split
from machamp_lite.decoders.top_k import Ranked, argmax, best_labels, joined
from machamp_lite.errors import DataError
from machamp_lite.nn.biaffine import ArcScores, PairLabelScores
from machamp_lite.nn.ragged import flatten, is_item, pad, starts_of, to_device
from machamp_lite.nn.spanning_tree import cyclic_words, decode_trees

Arc = tuple[int, str]
# Words of a sentence that is learnt from: memory and time go with the square.
LONGEST_TREE = 2000
# The share of all roots from which on a relation is one of roots, whatever other words have it.
MANY_ROOTS = 0.1
# The relation of roots in models that do not say which relations roots had in training.
ROOT = "root"
# The relations that Universal Dependencies has for loosely connected parts.
LOOSE = ("parataxis", "dep")


class DependencyScores(NamedTuple):
    """Arc scores and what relations are scored from once heads are known; head 0 is the root.

    *Shape:* arcs (B, L, L + 1), dependents (W, T), heads (W + 1, T), the root as the last one, lengths (B,).
    """

    arcs: Tensor
    dependents: Tensor
    heads: Tensor
    lengths: Tensor


class Dependency(Decoder):
    """A biaffine parser (Dozat and Manning 2017) that scores relations only at gold or chosen heads."""

    one_row_per_label = True
    Options = DependencyOptions
    forbidden: Tensor

    def __init__(self, *, config: DependencyOptions, vocabulary: Vocabulary, width: int) -> None:
        super().__init__(config=config, vocabulary=vocabulary, width=width)
        self.widths = [config.arc_representation_dim] * 2 + [config.tag_representation_dim] * 2
        self.project = nn.Linear(width, sum(self.widths))
        self.root = nn.Parameter(torch.randn(width) * 0.02)
        self.arcs = ArcScores(config.arc_representation_dim)
        self.relations = PairLabelScores(width=config.tag_representation_dim, labels=len(vocabulary))
        # Not among the weights: it follows from the vocabulary.
        self.register_buffer("forbidden", _forbidden_relations(vocabulary), persistent=False)

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[Arc] | None:
        """(position of the head, relation) of each word, 0 for the root; None if all heads are ``_``."""
        heads = record.column(config.column_idx)
        if heads.count(EMPTY) == len(heads):
            return None
        if len(heads) > LONGEST_TREE:
            raise DataError(
                f"{record.where(0)}: found a sentence of {len(heads)} words, expected at most {LONGEST_TREE} for the "
                f"task '{task}' (dependency); a blank line ends a sentence"
            )
        relations = read_column(record, task=task, column=config.column_idx + 1)
        known = {"0": 0, **(record.ids or {str(place): place for place in range(1, len(heads) + 1)})}
        positions = list(map(known.get, heads))
        if positions[0] is None and (hint := header_hint(record, 0, heads[0])):
            raise DataError(
                f"{record.where(0)}: found the head '{heads[0]}' in column {config.column_idx} (task '{task}'), "
                f"expected a number{hint}"
            )
        if None in positions or any(map(operator.eq, positions, itertools.count(1))):
            raise DataError(
                f"{record.where(place - 1)}: found the head '{head}' in column {config.column_idx} (task "
                f"'{task}'), expected the id of another word of its sentence ({len(heads)} words) or 0"
                for place, (head, position) in enumerate(zip(heads, positions, strict=True), start=1)
                if position is None or position == place
            )
        if EMPTY in relations and relations.count(EMPTY) < len(relations):
            row = relations.index(EMPTY)
            raise DataError(
                f"{record.where(row)}: found no relation ('_') beside the head '{heads[row]}' (task '{task}'), "
                "expected one, or none in the whole sentence"
            )
        return list(zip(cast(list[int], positions), relations, strict=True))

    @classmethod
    def check_record(cls, record: Record, *, task: str, config: TaskOptions) -> None:
        """Raises ``DataError`` if the ids that heads refer to restart within the sentence, or count from 0."""
        if record.ids is not None:
            if "0" in record.ids:
                row = record.ids["0"] - 1
                raise DataError(
                    f"{record.where(row)}: found the id '0', expected ids that count from 1: for the task '{task}' "
                    "(dependency) the head 0 is the root"
                )
            return
        numbers = record.column(0)
        distinct = len(set(numbers))
        if numbers == record.words or distinct in (1, len(numbers)) or not all(map(str.isdecimal, numbers)):
            # The words themselves, the number of a document, or no numbers: heads are positions.
            return
        first_rows: dict[str, int] = {}
        repeated = (row for row, number in enumerate(numbers) if first_rows.setdefault(number, row) != row)
        row = next(repeated)
        cause = (
            f"a blank line is missing before line {record.first_line + record.row_lines[row]}"
            if numbers[row] == numbers[0]
            else "each word needs an id of its own"
        )
        raise DataError(
            f"{record.where(row)}: found the id '{numbers[row]}' a second time in one sentence, to which the heads of "
            f"the task '{task}' (dependency) refer: {cause}"
        )

    @classmethod
    def find_issues(
        cls, records: Sequence[Record], labels: Sequence[Sequence[Arc]], *, task: str, config: TaskOptions
    ) -> Iterator[tuple[int, LabelIssue]]:
        """Heads that form a cycle or do not have exactly one root; only a tree with several roots is used."""
        lengths = np.array([len(arcs) for arcs in labels], dtype=np.int64)
        heads = np.array([head for arcs in labels for head, _ in arcs], dtype=np.int64)
        if not len(heads):
            return
        starts = np.cumsum(lengths) - lengths
        roots, cyclic = np.add.reduceat(heads == 0, starts, dtype=np.int64), cyclic_words(heads, lengths)
        column = f"in column {config.column_idx} (task '{task}')"
        for index in np.flatnonzero((roots != 1) | (cyclic > 0)).tolist():
            if roots[index] == 0:
                yield index, LabelIssue("without a root", 0, f"no word has the head 0 {column}", excluded=True)
            elif cyclic[index]:
                message = f"the heads form a cycle {column}, expected a tree"
                yield index, LabelIssue("with a cycle", int(cyclic[index]) - 1, message, excluded=True)
            else:
                second = [row for row, (head, _) in enumerate(labels[index]) if head == 0][1]
                message = f"found {roots[index]} words with the head 0 {column}, expected one root"
                handling = "used, but a predicted tree has one root"
                yield index, LabelIssue("with several roots", second, message, handling)

    @classmethod
    def count(cls, vocabulary: Vocabulary, labels: Sequence[Arc], class_ids: Sequence[int]) -> None:
        """Counts the relations of roots."""
        vocabulary.count_roots(
            number for (head, _), number in zip(labels, class_ids, strict=True) if head == 0
        )

    @classmethod
    def classes(cls, labels: Sequence[Arc], words: Sequence[str]) -> list[str]:
        """The relations."""
        return [relation for _, relation in labels]

    @classmethod
    def encode(cls, labels: Sequence[Arc], class_ids: Sequence[int]) -> np.ndarray:
        """*Shape:* (W, 2), the head's position and the relation's id."""
        return np.array([[head for head, _ in labels], class_ids], dtype=np.int64).T

    @classmethod
    def class_ids(cls, gold: np.ndarray) -> np.ndarray:
        """The ids of the relations."""
        return gold[:, 1]

    def forward(self, hidden: Tensor, lengths: Tensor) -> DependencyScores:
        """*Shape:* (W, D), (B,) -> see ``DependencyScores``."""
        # The root is projected as one more word, so that one product serves all.
        rows = torch.cat([hidden, self.root.unsqueeze(0).to(hidden.dtype)])
        projected = self.project(self.dropout(rows))
        if self.config.activation == "elu":
            projected = functional.elu(projected, inplace=True)
        arc_dependent, arc_head, tag_dependent, tag_head = self.dropout(projected).split(self.widths, dim=-1)
        arcs = self.arcs(pad(arc_dependent[:-1], lengths), _with_root(arc_head, lengths))
        return DependencyScores(arcs.float(), tag_dependent[:-1], tag_head, lengths)

    def loss_sums(self, scores: DependencyScores, gold: Tensor) -> list[Tensor]:
        """Cross-entropy of heads, and the loss of relations at gold heads. *Shape:* gold (W, 2)."""
        heads, relations = gold.unbind(-1)
        arcs = flatten(_mask_padding(scores), scores.lengths)
        relation_loss = self.objective(self._relation_scores(scores, heads), relations)
        return [functional.cross_entropy(arcs, heads, reduction="sum"), relation_loss]

    def loss_counts(self, gold: np.ndarray) -> list[float]:
        """Words for heads; relations may be weighted."""
        return [len(gold), self.objective.count(gold[:, 1])]

    def decode(self, scores: DependencyScores, sentences: Sequence[Sequence[str]]) -> list[list[Arc]]:
        """The best tree with one root for each sentence, and the best relation of each of its arcs.

        A root has a relation that roots have in training, and other words have one that other words have there.
        """
        lengths = [len(words) for words in sentences]
        heads = decode_trees(scores.arcs, lengths)
        chosen = torch.as_tensor(heads, device=scores.arcs.device)
        numbers = argmax(self._allowed_scores(scores, chosen)).tolist()
        relations = [self.vocabulary.labels[number] for number in numbers]
        return split(list(zip(heads.tolist(), relations, strict=True)), lengths)

    def rank(
        self, scores: DependencyScores, sentences: Sequence[Sequence[str]], *, top_n: int
    ) -> list[list[tuple[Ranked, Ranked]]]:
        """The best heads of each word, each scored alone, and the best relations to the head in the tree."""
        lengths = [len(words) for words in sentences]
        chosen = torch.as_tensor(decode_trees(scores.arcs, lengths), device=scores.arcs.device)
        arcs = flatten(_mask_padding(scores), scores.lengths).log_softmax(-1)
        heads = best_labels(arcs, chosen, labels=range(arcs.shape[1]), top_n=top_n)
        relation_scores = self._allowed_scores(scores, chosen)
        relations = best_labels(
            relation_scores.float().log_softmax(-1),
            argmax(relation_scores),
            labels=self.vocabulary.labels,
            top_n=top_n,
        )
        return split(list(zip(heads, relations, strict=True)), lengths)

    def join(self, parts: Sequence[list[Arc]]) -> list[Arc]:
        """One tree of those of parts: roots of later parts are dependents of the first one's."""
        joined: list[Arc] = []
        for part in parts:
            start = len(joined)
            moved = _mover(parts[0], start)
            for head, relation in part:
                is_loose = head == 0 and start > 0
                joined.append((moved(head), self._loose_relation(relation) if is_loose else relation))
        return joined

    def join_ranked(self, parts: Sequence[list[tuple[Ranked, Ranked]]]) -> list[tuple[Ranked, Ranked]]:
        """The same, with all heads of each word."""
        joined: list[tuple[Ranked, Ranked]] = []
        firsts = [(heads[0][0], "") for heads, _ in parts[0]]
        for part in parts:
            start = len(joined)
            moved = _mover(firsts, start)
            for heads, relations in part:
                if heads[0][0] == 0 and start > 0:
                    # It is set by a rule, so that there are no others.
                    relations = [(self._loose_relation(relations[0][0]), 1.0)]
                joined.append(([(moved(head), share) for head, share in heads], relations))
        return joined

    def _loose_relation(self, relation: str) -> str:
        """The relation of the root of a later part to the first root: one of ``LOOSE``, or the most frequent one."""
        labels, counts = self.vocabulary.labels, self.vocabulary.counts
        allowed = (~self.forbidden[1]).nonzero().flatten().tolist()
        known = [labels[number] for number in sorted(allowed, key=lambda number: -counts[number])]
        return next((name for name in (*LOOSE, *known) if name in known), relation)

    def _allowed_scores(self, scores: DependencyScores, heads: Tensor) -> Tensor:
        """As ``_relation_scores``, with minus infinity for relations that the word cannot have."""
        forbidden = self.forbidden[(heads > 0).long()]
        return self._relation_scores(scores, heads).masked_fill(forbidden, float("-inf"))

    def _relation_scores(self, scores: DependencyScores, heads: Tensor) -> Tensor:
        """*Shape:* heads (W,) -> (W, R)."""
        before = starts_of(scores.lengths)[:-1].repeat_interleave(scores.lengths) - 1
        rows = torch.where(heads > 0, to_device(before, heads.device) + heads, len(before))
        return self.relations(scores.dependents, scores.heads, rows)

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[Arc], *, task: str, config: TaskOptions) -> None:
        """Writes the ids of heads, and relations."""
        ids = _ids(record)
        record.set_column(config.column_idx, [ids[head] for head, _ in labels])
        record.set_column(config.column_idx + 1, [relation for _, relation in labels])

    @classmethod
    def write_ranked(
        cls,
        record: Record,
        ranked: Sequence[tuple[Ranked, Ranked]],
        *,
        task: str,
        config: TaskOptions,
        conn: str,
        sep: str,
    ) -> None:
        """Writes the ids of heads and, in a list of their own, relations."""
        ids = _ids(record)
        heads = [[(ids[head], probability) for head, probability in item] for item, _ in ranked]
        for column, items in enumerate((heads, [item for _, item in ranked]), start=config.column_idx):
            record.set_column(column, [joined(item, conn=conn, sep=sep) for item in items])


def _forbidden_relations(vocabulary: Vocabulary) -> Tensor:
    """The relations that roots (row 0) and other words (row 1) cannot have. *Shape:* (2, R).

    The majority decides, so that a slip in the training data allows nothing: a relation is one of roots if most words
    that have it are roots, or if it is that of many roots.
    """
    counts = torch.tensor(vocabulary.counts, dtype=torch.long)
    of_roots = torch.tensor(vocabulary.root_counts, dtype=torch.long)
    if not len(of_roots):
        # An older model.
        of_roots = torch.tensor([label == ROOT for label in vocabulary.labels]) * counts
    are_roots = 2 * of_roots > counts
    allowed = torch.stack([are_roots | (of_roots > MANY_ROOTS * of_roots.sum()), ~are_roots & (counts > 0)])
    # A row without any allowed relation forbids none: all sentences have one word, or "root" is not a label.
    return ~allowed & allowed.any(1, keepdim=True)


def _mover(first: Sequence[Arc], start: int) -> Callable[[int], int]:
    """What becomes of a head of a part before which ``start`` words stand; ``first`` is the first part."""
    root = next((place for place, (head, _) in enumerate(first, start=1) if head == 0), 0)
    return lambda head: head + start if head else (root if start else 0)


def _ids(record: Record) -> list[str]:
    """The ids of heads by position, 0 for the root."""
    return ["0", *(record.ids or map(str, range(1, len(record.rows) + 1)))]


def _with_root(rows: Tensor, lengths: Tensor) -> Tensor:
    """Unfolds words with the root, the last row, before each sentence. *Shape:* (W + 1, D) -> (B, L + 1, D)."""
    order = pad(torch.arange(len(rows) - 1), lengths, value=len(rows) - 1)
    order = functional.pad(order, (1, 0), value=len(rows) - 1)
    # Not rows[order]: its gradient is summed by several threads in whatever order they come.
    return rows.index_select(0, to_device(order.flatten(), rows.device)).unflatten(0, order.shape)


def _mask_padding(scores: DependencyScores) -> Tensor:
    """Arc scores with heads beyond a sentence's end, and words as their own heads, out of reach."""
    width = scores.arcs.shape[-1]
    beyond = ~is_item(scores.lengths + 1, width)
    itself = torch.eye(width, dtype=torch.bool)[1:]
    mask = beyond.unsqueeze(1) | itself.unsqueeze(0)
    return scores.arcs.masked_fill(to_device(mask, scores.arcs.device), float("-inf"))
