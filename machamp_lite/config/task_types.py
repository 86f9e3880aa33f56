"""The options of each task type, and the properties of the type that the config depends on.

The built-in task types are defined here, so that reading a config imports neither torch nor transformers. Any other
task type is one file in ``decoders/``, which defines its decoder and its subclass of ``TaskOptions``.
"""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from machamp_lite.data.span_schemes import ALIASES
from machamp_lite.errors import nearest
from machamp_lite.weighting.class_weights import Scheme

Level = Literal["word", "sentence"]
# What the encoder reads for a task: "words" and "subwords" are the words of a sentence or the texts of a TSV row, with
# one hidden state per word or subword; "masked" is the same with some subwords masked; "raw" is the text in "# text".
InputType = Literal["words", "masked", "subwords", "raw"]

# How the subwords of a word or a text become one hidden state; machamp_lite/nn/pooling.py computes it.
Pooling = Literal["first", "last", "first_last", "mean", "max", "attention"]
POOLINGS: dict[Level, tuple[Pooling, ...]] = {
    "word": ("first", "last", "first_last", "mean", "max"),
    "sentence": ("first", "last", "mean", "max", "attention"),
}
_SINGLE_SUBWORDS = {"pooling": "its items are single subwords, with nothing to pool"}

# The column_idx of a task whose labels are in a comment, and the weight_column of weights in a comment.
COMMENT = -1
# The name of the comment for weights, which is the same for all tasks.
WEIGHT_COMMENT = "weight"
# No file has this many columns. Prediction fills rows up to the column of the label.
MOST_COLUMNS = 10_000
# Far enough below the largest float32, 3.4e38, that a loss multiplied by it stays finite.
LARGEST_NUMBER = 1e30
LARGEST_TAU = 100
# Labels with at least this probability are more probable than not.
PLAIN_THRESHOLD = 0.5

NonNegative = Annotated[float, Field(ge=0, le=LARGEST_NUMBER, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, le=LARGEST_NUMBER, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Threshold = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0.01, le=100)]
Positive = Annotated[int, Field(gt=0, lt=2**31)]
# The size of a vector. The memory for parameters grows with its square.
Width = Annotated[int, Field(gt=0, le=8192)]
# A text that is not a number: the name of a column in a header or of a key.
ColumnName = Annotated[str, Field(pattern=r"[^\d\s]")]
ColumnNumber = Annotated[int, Field(ge=0, lt=MOST_COLUMNS)]
Column = ColumnNumber | ColumnName
NoColumn = Annotated[int, Field(ge=COMMENT, le=COMMENT)]


class Rates(NamedTuple):
    """Learning rates of a task type: the decoder's, and the encoder's as a multiple of it."""

    lr: float
    decay_factor: float


# Measured with an encoder of width 384: docs/developing/measurements.md.
WORD_RATES, SPAN_RATES, TEXT_RATES = Rates(0.005, 0.08), Rates(0.005, 0.04), Rates(0.001, 0.1)

_SCORES, _AVERAGES = ("f1", "precision", "recall", "fbeta"), ("micro", "macro", "weighted", "binary")
# Of all task types with classes.
CLASS_METRICS: tuple[str, ...] = tuple(f"{score}_{average}" for score in _SCORES for average in _AVERAGES)
LABEL_METRICS: tuple[str, ...] = ("accuracy", *CLASS_METRICS)
SPAN_METRICS: tuple[str, ...] = (
    *("span_f1", "span_precision", "span_recall"),
    *("span_f1_macro", "span_precision_macro", "span_recall_macro"),
)


def no_class_options(reason: str) -> dict[str, str]:
    """The options that need classes, as ``unsupported_options`` with one reason for all."""
    return dict.fromkeys(("class_weights", "focal_gamma", "label_smoothing", "logit_adjustment"), reason)


class StrictModel(BaseModel):
    """Base of all options: frozen; unknown keys and values of another type are errors."""

    # Building a validator takes time, and most configs have few task types: each is built when it is first used.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class TaskOptions(StrictModel):
    """The options of every task. Subclasses add those of their task type."""

    level: ClassVar[Level]
    input_type: ClassVar[InputType] = "words"
    metrics: ClassVar[tuple[str, ...]]
    # False for numbers and texts, which have no counts, weights or scores per label.
    has_classes: ClassVar[bool] = True
    # False if ``topn`` has no effect: for numbers, and labels that are not written.
    supports_top_k: ClassVar[bool] = True
    # Options of ``TaskOptions`` that the task type does not have, with the reason for the error message.
    unsupported_options: ClassVar[dict[str, str]] = {}
    # Options that cannot be combined in this task type, with the reason for the error message.
    conflicts: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    # Used where the params have "auto".
    rates: ClassVar[Rates] = WORD_RATES

    task_type: str
    column_idx: Annotated[int, Field(ge=COMMENT, lt=MOST_COLUMNS)] | ColumnName
    # Weights of items in the loss: those of words, or one for all items of a sentence.
    weight_column: Annotated[int, Field(ge=COMMENT, lt=MOST_COLUMNS)] | ColumnName | None = None
    loss_weight: NonNegative
    metric: str
    # A single metric may be given without a list.
    additional_metrics: Annotated[
        list[str],
        BeforeValidator(
            lambda value: [value] if isinstance(value, str) else value, json_schema_input_type=list[str] | str
        ),
    ]
    # Of metrics that end in _binary; by default chosen from the labels of the training data.
    positive_label: Annotated[str, Field(min_length=1)] | None
    # How many times as much as precision recall counts in metrics that begin with fbeta.
    beta: PositiveFloat
    class_weights: Scheme | dict[str, NonNegative] | None
    class_weights_beta: Probability
    focal_gamma: NonNegative
    label_smoothing: Probability
    logit_adjustment: NonNegative
    layers_to_use: Annotated[list[int], Field(min_length=1)] | Literal["all"]
    pooling: Pooling | None
    dropout: Probability
    learning_rate: PositiveFloat | None
    ignore_label: Annotated[str, Field(min_length=1)] | None
    topn: Positive

    @field_validator("pooling", mode="before")
    @classmethod
    def _check_pooling(cls, value: Any) -> Any:
        known = POOLINGS[cls.level]
        if isinstance(value, str) and value not in known:
            expected = f"one of {', '.join(known)} for a {cls.level}"
            raise ValueError(f"expected {expected}, found '{value[:60]}'{nearest(value, known)}")
        return value

    @property
    def pooling_or_default(self) -> Pooling:
        """The pooling: by default the last subword of a word, and the first one of a text."""
        return self.pooling or ("last" if self.level == "word" else "first")

    @classmethod
    def labels_words(cls) -> bool:
        """Whether there is one label per word."""
        return cls.level == "word" and cls.input_type == "words"

    @property
    def is_on(self) -> bool:
        """False with a ``loss_weight`` of 0: the task is neither trained nor predicted."""
        return self.loss_weight > 0

    @property
    def is_calibrated_in_training(self) -> bool:
        """Whether training fits a temperature: the task type has one, none is given, and no label depends on it."""
        return False

    def columns(self) -> list[Column]:
        """The columns that this task reads and writes; empty for labels in a comment, or without written labels."""
        return [] if self.column_idx == COMMENT else [self.column_idx]

    @property
    def has_positive_label(self) -> bool:
        """Whether a metric scores only the positive label."""
        return any(name.endswith("_binary") for name in self.metric_names())

    @property
    def scores_spans(self) -> bool:
        """Whether the scores of each label are those of the types of spans, not of such labels as ``B-PER``."""
        return self.metric in SPAN_METRICS

    @property
    def writes_several(self) -> bool:
        """Whether prediction writes several labels per item."""
        return self.supports_top_k and self.topn > 1

    def metric_names(self) -> list[str]:
        """The main metric first, then the additional ones."""
        return list(dict.fromkeys([self.metric, *self.additional_metrics]))


class SingleLabelOptions(TaskOptions):
    """One label per item. The most probable one is predicted, unless ``tau``, ``offsets`` or ``costs`` are given."""

    # The multiple of the log of a label's share of the training data that is subtracted from its score.
    tau: Annotated[float, Field(ge=-LARGEST_TAU, le=LARGEST_TAU)]
    # By label, what is added to its score before the label with the highest one is predicted.
    offsets: dict[str, Annotated[float, Field(ge=-LARGEST_TAU, le=LARGEST_TAU)]] | None
    # By gold label, then by predicted label. A cost that is not listed is 0 if both are equal, else 1.
    costs: dict[str, dict[str, NonNegative]] | None
    # Scores are divided by it before the softmax. Null: fitted on the dev data at the end of training.
    temperature: Temperature | None

    @property
    def is_calibrated_in_training(self) -> bool:
        return self.temperature is None and self.costs is None


class ClassificationOptions(SingleLabelOptions):
    """One label per sentence."""

    level = "sentence"
    rates = TEXT_RATES
    metrics = LABEL_METRICS


class SpanLabelOptions(TaskOptions):
    """Labels of words that may mark spans. ``scheme`` is their encoding; "auto" detects it in the training data."""

    level = "word"

    scheme: Annotated[
        Literal["auto", "BIO", "IOB1", "BIOES", "BILOU", "IOE2"],
        BeforeValidator(
            lambda value: ALIASES.get(value, value) if isinstance(value, str) else value,
            json_schema_input_type=Literal[
                "auto", "BIO", "IOB1", "BIOES", "BILOU", "IOE2", "IOB2", "IOBES", "BILUO"
            ],
        ),
    ]


class SeqOptions(SingleLabelOptions, SpanLabelOptions):
    """One label per word."""

    level = "word"
    metrics = (*LABEL_METRICS, *SPAN_METRICS)


class SeqBioOptions(SpanLabelOptions):
    """One span label per word, predicted by a conditional random field."""

    rates = SPAN_RATES
    metrics = (*SPAN_METRICS, *LABEL_METRICS)
    conflicts = (
        ("focal_gamma", "class_weights", "class weights are margins, so the loss has no probability of the labels"),
    )

    # Scores are divided by it before probabilities are computed. Null: fitted on the dev data at the end of training.
    temperature: Temperature | None
    # Predicted spans with a lower probability become outside labels.
    min_confidence: Threshold

    @property
    def scores_spans(self) -> bool:
        return True

    @property
    def is_calibrated_in_training(self) -> bool:
        return self.temperature is None and self.min_confidence == 0


class String2StringOptions(TaskOptions):
    """One string per word, such as its lemma."""

    level = "word"
    metrics = LABEL_METRICS


class AsymmetricLoss(StrictModel):
    """``asymmetric_loss``, with the values of Ridnik et al. 2021: see ``AsymmetricObjective``."""

    positive_gamma: NonNegative = 0.0
    negative_gamma: NonNegative = 4.0
    margin: Probability = 0.05


class DistributionBalancedLoss(StrictModel):
    """``distribution_balanced_loss``, with the values of Wu et al. 2020: see ``DistributionBalancedObjective``."""

    alpha: NonNegative = 0.1
    beta: NonNegative = 10.0
    mu: NonNegative = 0.2
    bias: NonNegative = 0.05
    negative_scale: PositiveFloat = 2.0


class MultiSeqOptions(TaskOptions):
    """A set of labels per word: those with a probability above ``threshold``."""

    level: ClassVar[Level] = "word"
    metrics = ("multi_acc", "multi_f1_micro", "multi_f1_macro", *CLASS_METRICS)
    unsupported_options = {
        "label_smoothing": "its labels are not exclusive, so there is no distribution to smooth",
        "logit_adjustment": "its labels are not exclusive, expected class_weights or distribution_balanced_loss",
    }
    conflicts = (
        ("distribution_balanced_loss", "class_weights", "both correct for the frequency of labels"),
        ("asymmetric_loss", "distribution_balanced_loss", "each replaces the binary cross-entropy"),
        ("asymmetric_loss", "focal_gamma", "the loss has its own positive_gamma and negative_gamma"),
    )

    asymmetric_loss: AsymmetricLoss | None
    distribution_balanced_loss: DistributionBalancedLoss | None
    # One for all labels, or one per label; "*" is for the labels that are not listed, by default 0.5.
    threshold: Threshold | dict[str, Threshold]
    # Scores are divided by it before the sigmoid. Null: fitted on the dev data at the end of training.
    temperature: Temperature | None

    @property
    def is_calibrated_in_training(self) -> bool:
        # A probability of 0.5 stays 0.5.
        return self.temperature is None and self.threshold == PLAIN_THRESHOLD


class MultiClasOptions(MultiSeqOptions):
    """A set of labels per sentence."""

    level = "sentence"
    rates = TEXT_RATES


class DependencyOptions(TaskOptions):
    """A tree: the head of each word in ``column_idx``, its relation in the next column; or both in ``column_idxs``."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["column_idx"]}, {"required": ["column_idxs"]}]}
    )

    level = "word"
    metrics = ("las", "uas", *CLASS_METRICS)

    arc_representation_dim: Width
    tag_representation_dim: Width
    activation: Literal["elu", "linear"]
    # Scores are divided by it before probabilities are computed. Null: fitted on the dev data at the end of training.
    temperature: Temperature | None
    column_idxs: Annotated[list[Column], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _allow_columns_alone(cls, given: Any) -> Any:
        has_columns = isinstance(given, dict) and given.get("column_idxs") is not None
        return {"column_idx": COMMENT, **given} if has_columns else given

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        if isinstance(self.column_idx, str) or (self.column_idxs is not None and self.column_idx != COMMENT):
            raise ValueError(
                "expected a number as column_idx, or column_idxs: the columns of heads and of relations"
            )
        return self

    def columns(self) -> list[Column]:
        """The columns of heads and of relations."""
        if self.column_idxs is not None:
            return self.column_idxs
        return [] if self.column_idx == COMMENT else [self.column_idx, int(self.column_idx) + 1]

    @property
    def is_calibrated_in_training(self) -> bool:
        return self.temperature is None


class RegressionOptions(TaskOptions):
    """One number per sentence."""

    level = "sentence"
    rates = TEXT_RATES
    has_classes = False
    supports_top_k = False
    metrics = ("avg_dist", "mae", "pearson", "spearman")
    unsupported_options = no_class_options("its labels are numbers, not classes")


class ProbDistrOptions(TaskOptions):
    """One distribution per sentence: ``size`` probabilities in a comment, or one column per probability."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["column_idxs"]}, {"required": ["size"]}]})

    level = "sentence"
    rates = TEXT_RATES
    has_classes = False
    supports_top_k = False
    metrics = ("avg_dist", "mae", "kl")
    unsupported_options = no_class_options("its labels are distributions over all classes")

    column_idx: NoColumn = COMMENT
    column_idxs: Annotated[list[Column], Field(min_length=2)] | None = None
    size: Annotated[int, Field(ge=2, lt=MOST_COLUMNS)] | None = None

    @field_validator("column_idx", mode="before")
    @classmethod
    def _check_column(cls, value: Any) -> Any:
        if isinstance(value, int) and value >= 0:
            raise ValueError(f"found {value}, expected column_idxs, a list with the column of each probability")
        return value

    @model_validator(mode="after")
    def _check_columns_or_size(self) -> Self:
        if (self.column_idxs is None) == (self.size is None):
            raise ValueError(
                "expected either column_idxs or, for a comment, size, the number of its probabilities"
            )
        return self

    @property
    def width(self) -> int:
        """The number of probabilities."""
        return self.size or len(self.columns())

    def columns(self) -> list[Column]:
        """The columns of the probabilities."""
        return self.column_idxs or []


class MlmOptions(TaskOptions):
    """Masked language modelling on the text; nothing is written."""

    level = "word"
    input_type = "masked"
    has_classes = False
    supports_top_k = False
    metrics = ("perplexity",)
    unsupported_options = {
        **no_class_options("its classes are the whole vocabulary of the encoder"),
        **_SINGLE_SUBWORDS,
        "ignore_label": "it needs no labels",
    }

    column_idx: NoColumn = COMMENT


class Seq2SeqOptions(TaskOptions):
    """One text per input text, of at most ``max_output_length`` subwords, from a beam search."""

    level = "word"
    input_type = "subwords"
    has_classes = False
    metrics = ("chrf", "bleu", "accuracy")
    unsupported_options = {
        **no_class_options("its classes are the whole vocabulary of the encoder"),
        **_SINGLE_SUBWORDS,
    }

    num_beams: Annotated[int, Field(gt=0, le=1000)]
    max_output_length: Annotated[int, Field(gt=1, le=100_000)]


class TokOptions(TaskOptions):
    """Tokenization of the text in ``# text``. With ``pre_split``, white space always ends a word."""

    level = "word"
    input_type = "raw"
    has_classes = False
    supports_top_k = False
    metrics = (*SPAN_METRICS, "accuracy")
    unsupported_options = {
        **no_class_options("its classes are positions where words begin"),
        **_SINGLE_SUBWORDS,
        "ignore_label": "its labels are the words of the file; a sentence without '# text' has none",
    }

    column_idx: NoColumn = COMMENT
    pre_split: bool


BUILT_IN: dict[str, type[TaskOptions]] = {
    "classification": ClassificationOptions,
    "dependency": DependencyOptions,
    "mlm": MlmOptions,
    "multiclas": MultiClasOptions,
    "multiseq": MultiSeqOptions,
    "probdistr": ProbDistrOptions,
    "regression": RegressionOptions,
    "seq": SeqOptions,
    "seq2seq": Seq2SeqOptions,
    "seq_bio": SeqBioOptions,
    "string2string": String2StringOptions,
    "tok": TokOptions,
}
_DECODERS = Path(__file__).resolve().parents[1] / "decoders"
# Files in decoders/ that are not task types.
_HELPERS = {"__init__", "base", "confidence", "gold_likelihood", "gold_trees", "label_cells", "single_label", "top_k"}
TASK_TYPES = sorted(BUILT_IN.keys() | {path.stem for path in _DECODERS.glob("*.py")} - _HELPERS)


def listed_metrics(names: Iterable[str]) -> str:
    """The names of metrics for a message; the many scores of classes are listed as one pattern, like those of spans.

    >>> listed_metrics(["las", *CLASS_METRICS])
    'las, (f1|precision|recall|fbeta)_(micro|macro|weighted|binary)'
    """
    patterns = {
        "span_(f1|precision|recall)[_macro]": SPAN_METRICS,
        f"({'|'.join(_SCORES)})_({'|'.join(_AVERAGES)})": CLASS_METRICS,
    }
    left = set(names)
    found = [pattern for pattern, several in patterns.items() if left.issuperset(several)]
    return ", ".join([*sorted(left.difference(*map(patterns.__getitem__, found))), *found])


def options_class(task_type: str) -> type[TaskOptions]:
    """The options of a task type. If it is not built in, imports its file, and thereby torch."""
    return BUILT_IN.get(task_type) or class_in(task_type, TaskOptions)


def class_in(task_type: str, base: type) -> Any:
    """The subclass of ``base`` in the file of a task type."""
    module = import_module(f"machamp_lite.decoders.{task_type}")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__:
            return value
    raise TypeError(f"{module.__file__}: expected a class that derives from {base.__name__}")
