"""What every decoder is: one task type's whole life, from the columns of a record back to them.

In the order in which data meets them: ``read_labels`` (record -> labels as strings), ``classes`` (labels -> what
is counted and predicted), ``encode`` (classes -> ids), ``forward`` (hidden states -> scores), ``loss_sums`` or
``decode`` (two readings of the scores; ``decode`` gives labels again), ``write_labels`` (labels -> record). Where
several labels an item are asked for, ``rank`` and ``write_ranked`` stand in the place of the last two.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor, nn

from machamp_lite.config.task_types import COMMENT, TaskOptions
from machamp_lite.data.records import EMPTY, Record
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.top_k import Ranked, argmax, best_labels, joined
from machamp_lite.errors import DataError
from machamp_lite.weighting.class_weights import given_weights, scheme_weights
from machamp_lite.weighting.losses import BinaryObjective, LabelObjective, MarginObjective

LanguageModelKind = Literal["masked", "sequence"]


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """Gold labels of one sentence that can be read, but are unusual.

    ``kind`` is the same for all issues that are counted together, ``message`` describes this one if ``kind`` does not.
    Labels that are ``excluded`` are neither trained on nor scored; ``handling`` says how others are used.
    """

    kind: str
    row: int = 0
    message: str = ""
    handling: str = ""
    excluded: bool = False


class Decoder(nn.Module, ABC):
    """Base of all decoders. N is the number of words or sentences, by ``level``; D the encoder's width.

    With another view than words, the items of level ``word`` are the hidden subwords, all subwords, or the subwords of
    the raw text.
    """

    # The options of a task, which also say what the config has to know about the task type.
    Options: ClassVar[type[TaskOptions]]
    # The pretrained language model around the encoder that ``adopt`` is given, if any.
    language_model: ClassVar[LanguageModelKind | None] = None
    # Whether ``encode`` gives a row a label: it and ``classes`` then read many sentences at once, laid end to end.
    one_row_per_label: ClassVar[bool] = False
    # False for classes that are made of labels and words: many of them are rare, and none is a label of the file.
    labels_are_classes: ClassVar[bool] = True
    # What a label of its vocabulary looks like, as a regular expression.
    label_form: ClassVar[str] = ".*"

    def __init__(self, *, config: Any, vocabulary: Vocabulary, width: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.width = width
        self.dropout = nn.Dropout(config.dropout)
        self.objective: Any = self.make_objective()

    def make_objective(self) -> LabelObjective | BinaryObjective | MarginObjective | None:
        """The loss over labels, as the task's options weigh it; None for labels that have no classes."""
        return LabelObjective(
            weights=class_weights(self.config, self.vocabulary),
            focal_gamma=self.config.focal_gamma,
            label_smoothing=self.config.label_smoothing,
            logit_adjustment=self.config.logit_adjustment,
            counts=self.vocabulary.counts,
        )

    @classmethod
    def make_vocabulary(cls, tokenizer: Any, **saved: Any) -> Vocabulary:
        """The vocabulary of a task, empty or from what a model folder has ``saved`` of it."""
        return Vocabulary(**saved)

    def use_pretrained_head(self, language_model: Any) -> None:
        """Takes over the parts of the pretrained language model that ``language_model`` asks for."""

    @classmethod
    def place(cls, task: str, config: TaskOptions) -> str:
        """Where the labels are, for error messages."""
        columns = config.columns()
        if not columns:
            return f"comment '# {task} = LABEL'"
        return f"column{'s' * (len(columns) > 1)} {', '.join(map(str, columns))}"

    @classmethod
    @abstractmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[Any] | None:
        """The gold labels of one record, one a word or one in all; None if it is not annotated.

        Raises ``DataError`` with a line for each label that cannot be read.
        """

    @classmethod
    def find_issues(
        cls, records: Sequence[Record], labels: Sequence[list[Any]], *, task: str, config: Any
    ) -> Iterable[tuple[int, LabelIssue]]:
        """Issues with labels of many annotated records, each with the index of its record."""
        return ()

    @classmethod
    def check_record(cls, record: Record, *, task: str, config: TaskOptions) -> None:
        """Raises ``DataError`` for a record into which no labels of this task could be written."""

    @classmethod
    def classes(cls, labels: Sequence[Any], words: Sequence[str]) -> list[str]:
        """The class of each label: what the vocabulary counts. Most often the label itself."""
        return list(labels)

    @classmethod
    def count(cls, vocabulary: Vocabulary, labels: Sequence[Any], class_ids: Sequence[int]) -> None:
        """Counts in the vocabulary what else a decoder must know of the classes of training data."""

    @classmethod
    def encode(cls, labels: Sequence[Any], class_ids: Sequence[int]) -> np.ndarray:
        """What ``loss_sums`` is given of one sentence's labels, first axis N."""
        return np.asarray(class_ids, dtype=np.int64)

    @classmethod
    def class_ids(cls, gold: np.ndarray) -> np.ndarray:
        """The ids of the classes in what ``encode`` gave."""
        return gold

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Those of its parameters that were pretrained, and so learn at the encoder's rate."""
        return []

    def label_weights(self) -> list[float] | None:
        """The weight of each label of the vocabulary; None without ``class_weights``."""
        weights = None if self.objective is None else self.objective.weights
        return None if weights is None else [float(weight) for weight in weights]

    @abstractmethod
    def forward(self, hidden: Tensor, lengths: Tensor) -> Any:
        """Scores. *Shape:* hidden (N, D); lengths (B,), on the host, are each sentence's number of items, N in all."""

    @abstractmethod
    def loss_sums(self, scores: Any, gold: Tensor) -> list[Tensor]:
        """The terms of the loss, each summed over the labelled items and not yet divided by ``loss_counts``."""

    def loss_counts(self, gold: np.ndarray) -> list[float]:
        """What each term is divided by: the number of items, or the sum of their weights. The loss adds up the means.

        It depends on gold labels alone, so that processes and micro-batches know the counts of a whole batch before
        they have scores. *Shape:* gold (N, ...), as ``encode`` returns it.
        """
        return [len(gold) if self.objective is None else self.objective.count(gold)]

    @abstractmethod
    def decode(self, scores: Any, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """Labels of each sentence, from scores and the sentences' words."""

    def rank(self, scores: Any, sentences: Sequence[Sequence[str]], *, top_n: int) -> list[list[Any]]:
        """The ``top_n`` best labels of each item with their probabilities: lists of ``Ranked``, one a sentence.

        The first is what ``decode`` gives, the others follow by probability.
        """
        raise NotImplementedError(f"{type(self).__name__} has no labels beside the decoded ones")

    def join(self, parts: Sequence[list[Any]]) -> list[Any]:
        """The labels of a sentence from those of its parts: a label of a sentence is that of the first part."""
        return [label for part in parts for label in part] if self.Options.level == "word" else parts[0]

    # The same of what ``rank`` gave.
    join_ranked = join

    @classmethod
    def align_for_scoring(cls, gold: Sequence[Any], predicted: Sequence[Any]) -> Sequence[Any]:
        """The predicted labels as the metrics compare them with gold: most often as they are."""
        return predicted

    @classmethod
    def label_pairs(
        cls, gold: Sequence[Any], predicted: Sequence[Any], words: Sequence[str]
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Gold and predicted classes side by side, for scores of single labels."""
        return cls.classes(gold, words), cls.classes(predicted, words)

    @classmethod
    @abstractmethod
    def write_labels(cls, record: Record, labels: Sequence[Any], *, task: str, config: TaskOptions) -> None:
        """Writes labels to where ``read_labels`` reads them."""

    @classmethod
    def write_ranked(
        cls, record: Record, ranked: Sequence[Any], *, task: str, config: TaskOptions, conn: str, sep: str
    ) -> None:
        """Writes what ``rank`` gave of one record there, as ``label=0.9000|label=0.1000``."""
        labels = [joined(item, conn=conn, sep=sep) for item in ranked]
        cls.write_labels(record, labels, task=task, config=config)


def class_weights(config: TaskOptions, vocabulary: Vocabulary) -> list[float] | None:
    """The weight of each label that a task's options ask for, schemes reading the counts of its training data."""
    asked, beta = config.class_weights, config.class_weights_beta
    if isinstance(asked, str):
        return scheme_weights(asked, vocabulary.counts, beta=beta)
    return None if asked is None else given_weights(asked, vocabulary.labels)


class LabelDecoder(Decoder):
    """A decoder with one class an item: one linear map, cross-entropy, argmax."""

    one_row_per_label: ClassVar[bool] = True

    def __init__(self, *, config: TaskOptions, vocabulary: Vocabulary, width: int) -> None:
        super().__init__(config=config, vocabulary=vocabulary, width=width)
        self.scores = nn.Linear(width, len(vocabulary))

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """*Shape:* (N, D) -> (N, C)."""
        return self.scores(self.dropout(hidden))

    def loss_sums(self, scores: Tensor, gold: Tensor) -> list[Tensor]:
        """Cross-entropy. *Shape:* (N, C), (N,) -> () each."""
        return [self.objective(scores, gold)]

    def decode(self, scores: Tensor, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The label with the highest score for each item."""
        labels = [self.vocabulary.labels[number] for number in argmax(scores).tolist()]
        return split(labels, [self.items(words) for words in sentences])

    def rank(self, scores: Tensor, sentences: Sequence[Sequence[str]], *, top_n: int) -> list[list[Ranked]]:
        """The labels with the highest scores, by their softmax."""
        ranked = best_labels(
            scores.float().log_softmax(-1), argmax(scores), labels=self.vocabulary.labels, top_n=top_n
        )
        return split(ranked, [self.items(words) for words in sentences])

    @classmethod
    def items(cls, words: Sequence[str]) -> int:
        """How many labels a sentence of these words has."""
        return len(words) if cls.Options.level == "word" else 1


def split(labels: Sequence[Any], lengths: Sequence[int]) -> list[list[Any]]:
    """Cuts one flat list into one list a sentence."""
    end = 0
    return [list(labels[(start := end) : (end := start + length)]) for length in lengths]


def read_column(record: Record, *, task: str, column: int) -> list[str]:
    """One label a word row; raises ``DataError`` for empty ones."""
    labels = record.column(column)
    lengths = [len(row) for row in record.rows]
    if min(lengths) <= column < max(lengths) and labels.count(EMPTY) < len(labels):
        row = next(row for row, length in enumerate(lengths) if length <= column)
        raise DataError(f"{record.where(row)}: found no column {column} (task '{task}'), which other rows have")
    if "" in labels:
        raise DataError(
            [
                f"{record.where(row)}: found an empty label in column {column} (task '{task}'), expected a label; "
                "'_' says that there is none"
                for row, label in enumerate(labels)
                if label == ""
            ]
        )
    return labels


def read_sentence_label(record: Record, *, task: str, column: int) -> str | None:
    """The label of a sentence, from a column or a comment; None without the comment, ``DataError`` if it is empty."""
    if column != COMMENT:
        return read_column(record, task=task, column=column)[0]
    labels = list(dict.fromkeys(record.comments(task)))
    if "" in labels:
        raise DataError(f"{record.where()}: found an empty comment '# {task} =', expected a label")
    if len(labels) > 1:
        found = f"several comments '# {task} =' ({', '.join(labels)})"
        raise DataError(f"{record.where()}: found {found}, expected one label")
    return labels[0] if labels else None


def write_sentence_label(record: Record, label: str, *, task: str, column: int) -> None:
    """Writes the label of a sentence to where ``read_sentence_label`` reads it."""
    if column == COMMENT:
        record.set_comment(task, label)
    else:
        record.set_column(column, [label])
