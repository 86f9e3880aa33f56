"""What every task type implements: from the labels in a record to a loss, and from scores back to the record.

The methods of ``Decoder`` are in the order in which data passes through them:

- the class methods from ``read_labels`` to ``encode`` turn the labels of a record into an array of gold ids;
  ``read_gold`` removes the labels of items that are not annotated, so that ``classes``, ``count`` and ``encode`` get
  labels only;
- ``forward`` turns the encoder's hidden states into scores;
- ``item_losses`` computes the loss of each item from the scores and the gold ids;
- ``decode`` computes labels from the scores, ``rank`` the best labels of each item;
- ``write_labels`` and ``write_ranked`` write them into the record.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from machamp_lite.config.task_types import COMMENT, TaskOptions
from machamp_lite.data.records import EMPTY, Record
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.confidence import Confidence
from machamp_lite.decoders.gold_likelihood import GoldItems, GoldLikelihood, LabelLikelihood
from machamp_lite.decoders.label_cells import read_column, read_sentence_label, read_weights
from machamp_lite.decoders.top_k import Ranked, argmax, best_labels, format_ranked
from machamp_lite.nn.decisions import log_mean_exp
from machamp_lite.weighting.class_weights import given_weights, scheme_weights
from machamp_lite.weighting.losses import LabelObjective, weighted_count

LanguageModelKind = Literal["masked", "sequence"]
GraphDecoding = Literal["labels", "label_sets", "edit_scripts", "numbers", "distributions", "paths", "trees"]


@dataclass(frozen=True, slots=True)
class LabelIssue:
    """Gold labels of one sentence that can be read, but are unusual.

    Issues of the same ``kind`` are counted together; ``message`` describes this one if ``kind`` does not. Labels that
    are ``excluded`` are neither trained on nor scored; ``handling`` says how the others are used.
    """

    kind: str
    row: int = 0
    message: str = ""
    handling: str = ""
    excluded: bool = False


class Decoder(nn.Module, ABC):
    """Base of all decoders.

    The items that get labels are words or sentences, as ``Options.level`` says. With another ``input_type`` than
    "words", the items of the level "word" are the masked subwords, all subwords, or the subwords of the raw text.
    N is the number of items in a batch, B the number of sentences, D the width of the hidden states.
    """

    # The options of the task type.
    Options: ClassVar[type[TaskOptions]]
    # The pretrained language model whose head ``use_pretrained_head`` gets, if any.
    language_model: ClassVar[LanguageModelKind | None] = None
    # Whether ``encode`` returns one row per label. Then ``classes`` and ``encode`` get the labels of many sentences
    # at once, as one list.
    one_row_per_label: ClassVar[bool] = False
    # Whether the loss of each item depends only on the scores of this item. If not, and only some items of a sentence
    # are annotated, ``forward`` gets all of them, and ``item_losses`` gets -1 as the gold of the others.
    items_are_independent: ClassVar[bool] = True
    # False if an item can have several labels, so that each label is a binary decision.
    labels_are_exclusive: ClassVar[bool] = True
    # False if the vocabulary does not consist of the labels in the file.
    labels_are_classes: ClassVar[bool] = True
    # Whether a label is the position of a head (0 is the root) and a relation.
    labels_are_arcs: ClassVar[bool] = False
    # By name of a parameter, the dimensions whose first rows belong to the labels of the vocabulary. A run that starts
    # from a model keeps the rows of the labels that both have; without this, changed labels make the decoder new.
    label_dimensions: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    # How ``export`` decodes ``graph_outputs`` without torch; None for task types that are not exported to ONNX.
    graph_decoding: ClassVar[GraphDecoding | None] = None
    # The regular expression that each label in the vocabulary of a model folder must match.
    label_pattern: ClassVar[str] = ".*"

    def __init__(self, *, config: Any, vocabulary: Vocabulary, width: int) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.width = width
        self.dropout = nn.Dropout(config.dropout)
        self.objective: Any = self.make_objective()

    @classmethod
    def make_vocabulary(cls, tokenizer: Any, **saved: Any) -> Vocabulary:
        """An empty vocabulary, or one with the ``saved`` labels and counts of a model folder."""
        return Vocabulary(**saved)

    def make_objective(self) -> nn.Module | None:
        """The loss that uses class weights, and the similar options of the task; None if it has no such options."""
        return None

    def use_pretrained_head(self, language_model: Any) -> None:
        """Takes over parts of the pretrained ``language_model``."""

    def adapt_to_buffers_of(self, other: Any) -> None:
        """Adapts parameters copied from ``other``, a decoder of this type with other values in its buffers."""

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """The pretrained parameters of the decoder, which have the learning rate of the encoder."""
        return []

    @classmethod
    def place(cls, task: str, config: TaskOptions) -> str:
        """Where the labels are in a file, for messages."""
        columns = config.columns()
        if not columns:
            return f"comment '# {task} = LABEL'"
        return f"column{'s' * (len(columns) > 1)} {', '.join(map(str, columns))}"

    @classmethod
    def check_record(cls, record: Record, *, task: str, config: TaskOptions) -> None:
        """Raises ``DataError`` for a record into which no labels of this task could be written."""

    @classmethod
    def read_labels(cls, record: Record, *, task: str, config: TaskOptions) -> list[Any] | None:
        """The gold labels of one record, one per word or a single one; None if it is not annotated.

        By default they are strings in ``column_idx``; the label of a sentence may also be in a comment. Raises
        ``DataError`` with one line for each label that cannot be read.
        """
        if config.labels_words():
            return read_column(record, task=task, column=config.column_idx)
        label = read_sentence_label(record, task=task, column=config.column_idx)
        return None if label in (None, EMPTY, config.ignore_label) else [label]

    @classmethod
    def read_gold(cls, record: Record, *, task: str, config: TaskOptions) -> list[Any] | None:
        """As ``read_labels``, with None for each ``ignore_label``; None if no item is annotated."""
        labels = cls.read_labels(record, task=task, config=config)
        if labels is None or config.ignore_label is None:
            return labels
        labels = [None if label == config.ignore_label else label for label in labels]
        return labels if labels.count(None) < len(labels) else None

    @classmethod
    def read_weights(cls, record: Record, *, task: str, config: TaskOptions) -> list[float] | None:
        """The weights in ``weight_column``, one per word or one for all items of the sentence; None without any.

        Raises ``DataError`` with one line for each weight that cannot be read.
        """
        return read_weights(record, task=task, column=config.weight_column, one_per_word=config.labels_words())

    @classmethod
    def find_issues(
        cls, records: Sequence[Record], labels: Sequence[list[Any]], *, task: str, config: Any
    ) -> Iterable[tuple[int, LabelIssue]]:
        """Unusual labels of annotated records: the index of the record and the issue.

        ``labels`` has no items that are not annotated; if items are not independent, they are None.
        """
        return ()

    @classmethod
    def classes(cls, labels: Sequence[Any], words: Iterable[str]) -> list[str]:
        """The classes of the labels, which are added to the vocabulary: by default the labels themselves."""
        return list(labels)

    @classmethod
    def count(cls, vocabulary: Vocabulary, labels: Sequence[Any], class_ids: Sequence[int]) -> None:
        """Adds further counts of the labels of training data to the vocabulary."""

    @classmethod
    def encode(cls, labels: Sequence[Any], class_ids: Sequence[int]) -> np.ndarray:
        """The gold array of one sentence, for ``item_losses``. *Shape:* (items, ...)."""
        return np.asarray(class_ids, dtype=np.int64)

    @classmethod
    def class_ids(cls, gold: np.ndarray) -> np.ndarray:
        """The ids of all classes in the gold array of one sentence."""
        return gold

    @abstractmethod
    def forward(self, hidden: Tensor, lengths: Tensor) -> Any:
        """Scores: a tensor, or a named tuple of tensors.

        ``lengths``, on the host, are the numbers of items per sentence. *Shape:* (N, D), (B,).
        """

    @abstractmethod
    def item_losses(self, scores: Any, gold: Tensor) -> list[Tensor]:
        """The terms of the loss, each with the loss of every item, 0 where gold is -1.

        *Shape:* gold (N, ...) -> (N,) each.
        """

    def item_counts(self, gold: np.ndarray) -> list[np.ndarray | float]:
        """What the loss of an item counts in each term, as an array or one number for all items.

        By default 1 or the class weight; with several losses per item, it is their number. It depends on gold labels
        alone, so that the counts of a whole batch are known to each process and micro-batch before the forward pass.
        *Shape:* gold (items, ...) of one sentence -> (items,) each.
        """
        return [1.0 if self.objective is None else self.objective.counts(gold)]

    def loss_sums(self, scores: Any, gold: Tensor, weights: Tensor | None = None) -> list[Tensor]:
        """The terms of the loss, each a sum over items times their weights. *Shape:* gold (N, ...), (N,) -> () each."""
        losses = self.item_losses(scores, gold)
        return [(loss if weights is None else loss * weights).sum() for loss in losses]

    def loss_counts(self, gold: np.ndarray, weights: np.ndarray | None = None) -> list[float]:
        """What the sums of one sentence add to the divisor of each term. *Shape:* (items, ...), (items,)."""
        return [weighted_count(counts, weights, items=len(gold)) for counts in self.item_counts(gold)]

    def label_weights(self) -> list[float] | None:
        """The weight of each label of the vocabulary; None without ``class_weights``."""
        weights = None if self.objective is None else self.objective.weights
        return None if weights is None else [float(weight) for weight in weights]

    @abstractmethod
    def decode(self, scores: Any, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The predicted labels of each sentence; ``sentences`` are their words."""

    def rank(self, scores: Any, sentences: Sequence[Sequence[str]], *, top_n: int) -> list[list[Any]]:
        """Per sentence, the ``top_n`` best labels of each item with their probabilities.

        The first one is the label that ``decode`` returns, the others follow by probability.
        """
        raise NotImplementedError(f"{type(self).__name__} has no alternatives to the decoded labels")

    def confidences(self, scores: Any, sentences: Sequence[Sequence[str]]) -> list[Confidence] | None:
        """How probable the decoded labels of each sentence are; None for a task without probabilities."""
        return None

    @property
    def temperature(self) -> float:
        """What scores are divided by before probabilities are computed."""
        return getattr(self.config, "temperature", None) or 1.0

    def average(self, members: Sequence[Any], scores: Sequence[Any]) -> Any:
        """The scores of an ensemble, for this decoder, from those of its members for the same items.

        ``members`` are the decoders of the same task that made them.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot predict as an ensemble")

    def adapt_to_ensemble(self, members: Sequence[Any]) -> None:
        """Changes this decoder, a copy of the first of ``members``, so that it decodes their average scores."""

    def graph_outputs(self, hidden: Tensor) -> dict[str, Tensor]:
        """What an ONNX graph computes for each item, with the decisions of the task. *Shape:* (N, D) -> (N, ...)."""
        raise NotImplementedError(f"{type(self).__name__} has no ONNX graph")

    def decoding_arrays(self) -> dict[str, Tensor]:
        """Further numbers from which ``graph_outputs`` are decoded."""
        return {}

    def decoding_options(self) -> dict[str, Any]:
        """Further options, as JSON, with which ``graph_outputs`` are decoded."""
        return {}

    def gold_likelihood(self, scores: Any, gold: GoldItems) -> GoldLikelihood:
        """What the scores say of the gold labels; only task types with the option ``temperature`` have it."""
        raise NotImplementedError(f"{type(self).__name__} has no probabilities to calibrate")

    def join(self, parts: Sequence[list[Any]]) -> list[Any]:
        """The labels of a long sentence from those of its parts; the label of a whole sentence is that of part 0."""
        return [label for part in parts for label in part] if self.Options.level == "word" else parts[0]

    # The same for the results of ``rank``.
    join_ranked = join

    @classmethod
    def as_value(cls, label: Any) -> Any:
        """A decoded label as it is in a ``Prediction``: a string, a number, or a tuple of these."""
        return label

    @classmethod
    def align_for_scoring(cls, gold: Sequence[Any], predicted: Sequence[Any]) -> Sequence[Any]:
        """The predicted labels of one sentence as metrics compare them with ``gold``: by default unchanged."""
        return predicted

    @classmethod
    def label_pairs(
        cls, gold: Sequence[Any], predicted: Sequence[Any], words: Sequence[str]
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Gold and predicted classes of the same items, for the scores of each label."""
        return cls.classes(gold, words), cls.classes(predicted, words)

    @classmethod
    def write_labels(cls, record: Record, labels: Sequence[Any], *, task: str, config: TaskOptions) -> None:
        """Writes labels to where ``read_labels`` reads them."""
        if config.column_idx == COMMENT:
            record.set_comment(task, labels[0])
        else:
            record.set_column(config.column_idx, labels)

    @classmethod
    def write_ranked(
        cls, record: Record, ranked: Sequence[Any], *, task: str, config: TaskOptions, conn: str, sep: str
    ) -> None:
        """Writes the results of ``rank``, for example as ``NOUN=0.9000|VERB=0.1000``."""
        labels = [format_ranked(item, conn=conn, sep=sep) for item in ranked]
        cls.write_labels(record, labels, task=task, config=config)


class LabelDecoder(Decoder):
    """Scores C classes by one linear layer; by default one label per item, cross-entropy and argmax."""

    one_row_per_label = True
    graph_decoding: ClassVar[GraphDecoding | None] = "labels"
    # Whether an item has exactly one label, so that its probabilities sum to 1.
    labels_are_exclusive: ClassVar[bool] = True
    label_dimensions: ClassVar[Mapping[str, tuple[int, ...]]] = {"scores.weight": (0,), "scores.bias": (0,)}

    def __init__(self, *, config: Any, vocabulary: Vocabulary, width: int) -> None:
        super().__init__(config=config, vocabulary=vocabulary, width=width)
        self.scores = nn.Linear(width, len(vocabulary))

    def make_objective(self) -> nn.Module | None:
        """Cross-entropy."""
        return label_objective(self.config, self.vocabulary)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Any:
        """*Shape:* (N, D) -> (N, C)."""
        return self.scores(self.dropout(hidden))

    def item_losses(self, scores: Any, gold: Tensor) -> list[Tensor]:
        """*Shape:* (N, C), (N,) -> (N,)."""
        return [self.objective(scores, gold)]

    def best_ids(self, scores: Any) -> Tensor:
        """The id of the predicted class of each item. *Shape:* -> (N,)."""
        return argmax(scores)

    def log_probabilities(self, scores: Any) -> Tensor:
        """The log-probability of each class. *Shape:* -> (N, C)."""
        return scores.float().log_softmax(-1)

    def graph_outputs(self, hidden: Tensor) -> dict[str, Tensor]:
        """The id of the predicted class (N,), and the log-probability of each class (N, C)."""
        scores = self.scores(hidden)
        return {"ids": self.best_ids(scores), "log_probabilities": self.log_probabilities(scores)}

    def average(self, members: Sequence[Any], scores: Sequence[Any]) -> Any:
        """The logarithm of the mean probability of each class. *Shape:* (N, C) each -> (N, C)."""
        means = log_mean_exp([one.log_probabilities(own) for one, own in zip(members, scores, strict=True)])
        return self.temperature * means

    def targets(self, scores: Tensor, gold: Tensor) -> Tensor:
        """1 for the gold class of each item, 0 for others; all 0 if it is unknown. *Shape:* (N, C), (N,) -> (N, C)."""
        return (torch.arange(scores.shape[1], device=gold.device) == gold.unsqueeze(1)).float()

    def gold_likelihood(self, scores: Any, gold: GoldItems) -> GoldLikelihood:
        """Of single items."""
        own = scores[gold.rows.to(scores.device)]
        return LabelLikelihood(own, self.targets(own, gold.ids), exclusive=self.labels_are_exclusive)

    def decode(self, scores: Any, sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """The predicted class of each item."""
        labels = [self.vocabulary.labels[class_id] for class_id in self.best_ids(scores).tolist()]
        return self.split_by_sentence(labels, sentences)

    def rank(self, scores: Any, sentences: Sequence[Sequence[str]], *, top_n: int) -> list[list[Ranked]]:
        """The most probable classes of each item."""
        log_probabilities, best_ids = self.log_probabilities(scores), self.best_ids(scores)
        ranked = best_labels(log_probabilities, best_ids, labels=self.vocabulary.labels, top_n=top_n)
        return self.split_by_sentence(ranked, sentences)

    def confidences(self, scores: Any, sentences: Sequence[Sequence[str]]) -> list[Confidence] | None:
        """The product of the probabilities of all items."""
        chosen = self.log_probabilities(scores).gather(1, self.best_ids(scores).unsqueeze(1)).squeeze(1)
        return [Confidence(math.fsum(own), len(own)) for own in self.split_by_sentence(chosen.tolist(), sentences)]

    def split_by_sentence(self, labels: Sequence[Any], sentences: Sequence[Sequence[str]]) -> list[list[Any]]:
        """Splits the labels of a batch into one list per sentence."""
        return split(labels, [len(words) if self.Options.level == "word" else 1 for words in sentences])


def scaled_mean(values: Sequence[Tensor], members: Sequence[Decoder], ensemble: Decoder) -> Tensor:
    """The mean of scores or parameters of decoders, each in units of its temperature. *Shape:* any -> the same."""
    scaled = [own * (ensemble.temperature / one.temperature) for one, own in zip(members, values, strict=True)]
    return torch.stack(scaled).mean(0)


def label_objective(config: TaskOptions, vocabulary: Vocabulary) -> LabelObjective:
    """Cross-entropy with the options of a task."""
    return LabelObjective(
        weights=class_weights(config, vocabulary),
        focal_gamma=config.focal_gamma,
        label_smoothing=config.label_smoothing,
        logit_adjustment=config.logit_adjustment,
        counts=vocabulary.counts,
    )


def class_weights(
    config: TaskOptions,
    vocabulary: Vocabulary,
    *,
    from_counts: Callable[..., list[float]] = scheme_weights,
) -> list[float] | None:
    """The weight of each label of a task: those of the config, or by a scheme from the counts of the training data."""
    weights = config.class_weights
    if isinstance(weights, str):
        return from_counts(weights, vocabulary.counts, beta=config.class_weights_beta)
    return None if weights is None else given_weights(weights, vocabulary.labels)


def split(labels: Sequence[Any], lengths: Sequence[int]) -> list[list[Any]]:
    """Splits a flat list into one list per sentence."""
    end = 0
    return [list(labels[(start := end) : (end := start + length)]) for length in lengths]
