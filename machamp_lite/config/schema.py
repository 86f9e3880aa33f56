"""The typed config: params, datasets with their tasks, and the whole config."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from machamp_lite.config.task_types import (
    COMMENT,
    MOST_COLUMNS,
    WEIGHT_COMMENT,
    Column,
    ColumnName,
    NonNegative,
    Positive,
    PositiveFloat,
    Probability,
    StrictModel,
    TaskOptions,
    Width,
)
from machamp_lite.weighting.class_weights import Scheme

# The format of scores files, also of later predictions with the model.
EvalFormat = Literal["detailed", "machamp"]
TrackerName = Literal["tensorboard", "wandb", "mlflow", "trackio"]
Fraction = Annotated[float, Field(ge=0, le=1)]
# Other names of formats.
_FORMAT_ALIASES = {"conll": "tsv", "conllu": "tsv", "json": "jsonl", "ndjson": "jsonl"}
FormatName = Annotated[
    Literal["tsv", "csv", "jsonl", "arrow", "parquet"],
    BeforeValidator(
        lambda value: _FORMAT_ALIASES.get(value, value) if isinstance(value, str) else value,
        json_schema_input_type=Literal[
            "tsv", "csv", "jsonl", "arrow", "parquet", "conll", "conllu", "json", "ndjson"
        ],
    ),
]


class LoraParams(StrictModel):
    """``encoder -> lora`` of params.json; without ``target_modules`` every linear layer has an adapter."""

    rank: Width
    alpha: PositiveFloat
    dropout: Probability
    target_modules: Annotated[list[str], Field(min_length=1)] | None


class EncoderParams(StrictModel):
    """``encoder`` of params.json."""

    dropout: Probability
    max_input_length: Annotated[int, Field(ge=3, lt=2**31)]
    update_weights_encoder: bool
    dataset_embeds_dim: Width
    packing: bool | Literal["auto"]
    long_input: Literal["truncate", "stride"]
    lora: LoraParams | None

    @model_validator(mode="after")
    def _check_lora(self) -> Self:
        if self.lora is not None and not self.update_weights_encoder:
            raise ValueError(
                "lora trains the encoder by adapters, expected update_weights_encoder to be true"
            )
        return self


class BatchingParams(StrictModel):
    """``batching`` of params.json."""

    max_tokens: Positive
    batch_size: Positive
    shuffle: bool
    sort_by_size: bool
    diverse: bool
    sampling_smoothing: Fraction


class OptimizerParams(StrictModel):
    """``training -> optimizer`` of params.json."""

    lr: PositiveFloat | Literal["auto"]
    betas: Annotated[list[Probability], Field(min_length=2, max_length=2)]
    eps: PositiveFloat
    weight_decay: NonNegative
    amsgrad: bool


class SchedulerParams(StrictModel):
    """``training -> learning_rate_scheduler`` of params.json."""

    cut_frac: Fraction
    decay_factor: PositiveFloat | Literal["auto"]
    discriminative_fine_tuning: bool
    gradual_unfreezing: bool


class TrainingParams(StrictModel):
    """``training`` of params.json."""

    keep_top_n: Positive
    average_top_n: Annotated[int, Field(ge=0, lt=2**31)]
    num_epochs: Positive
    patience: Positive | None
    save_minutes: PositiveFloat | None
    keep_state: bool
    accumulation_steps: Positive
    precision: Literal["auto", "fp32", "bf16"]
    grad_norm: PositiveFloat | None
    task_weighting: Literal["static", "uncertainty", "dwa", "random", "famo"]
    log_gradients: Positive | None
    eval_format: EvalFormat
    calibrate: bool
    trackers: list[TrackerName]
    report: bool
    optimizer: OptimizerParams
    learning_rate_scheduler: SchedulerParams


class DatasetDefaults(StrictModel):
    """``datasets`` of params.json: the defaults of every dataset."""

    format: FormatName | None
    separator: Annotated[str, Field(pattern=r'^[^"\r\n]$')] | None
    quoting: bool | None
    skip_first_line: bool
    max_sents: Positive | None
    max_words: Positive | None
    dataset_embed_idx: Annotated[int, Field(ge=-1, lt=MOST_COLUMNS)] | ColumnName | None
    sampling_weight: PositiveFloat
    split_mlm: bool
    oversample: str | None
    oversample_scheme: Scheme


class Params(StrictModel):
    """The content of params.json; ``decoders`` is checked per task type."""

    transformer_model: Annotated[str, Field(min_length=1)]
    reset_transformer_model: bool
    random_seed: Annotated[int, Field(ge=0, lt=2**32)]
    encoder: EncoderParams
    decoders: dict[str, dict[str, Any]]
    datasets: DatasetDefaults
    batching: BatchingParams
    training: TrainingParams

    @model_validator(mode="after")
    def _check_gradients(self) -> Self:
        if self.training.log_gradients is not None and not self.encoder.update_weights_encoder:
            raise ValueError(
                "training.log_gradients compares gradients of the encoder, expected update_weights_encoder to be true"
            )
        return self


class DatasetConfig(DatasetDefaults):
    """One dataset and its tasks, with all defaults filled in."""

    train_data_path: str | None = None
    dev_data_path: str | None = None
    word_idx: Column | None = None
    sent_idxs: Annotated[list[Column], Field(min_length=1)] | None = None
    tasks: dict[str, SerializeAsAny[TaskOptions]]

    def active(self) -> Self:
        """This dataset without the tasks that are switched off."""
        return self.model_copy(
            update={"tasks": {task: options for task, options in self.tasks.items() if options.is_on}}
        )

    @property
    def dataset_column(self) -> Column | None:
        """The column of the ids of data sets; None if there is none."""
        return None if self.dataset_embed_idx == -1 else self.dataset_embed_idx

    def all_columns(self) -> list[Column]:
        """All columns that are read or written."""
        dataset_ids = [] if self.dataset_column is None else [self.dataset_column]
        labels = (column for _, column in self._task_columns())
        return [*self.text_columns(), *labels, *dataset_ids, *self.weight_columns()]

    def required_columns(self) -> dict[Column, str]:
        """The columns that training requires, each with the option or task that reads it."""
        required = {column: f"task '{task}'" for task, column in self._task_columns()}
        if self.dataset_column is not None:
            required[self.dataset_column] = "dataset_embed_idx"
        return required | self.text_columns()

    def weight_columns(self) -> dict[Column, str]:
        """The columns with the weights of items, which only training requires, each with the option that reads it."""
        columns = {task: options.weight_column for task, options in self.tasks.items()}
        return {
            column: f"weight_column of task '{task}'"
            for task, column in columns.items()
            if column is not None and column != COMMENT
        }

    def label_columns(self) -> list[Column]:
        """The columns that prediction writes."""
        texts = self.text_columns()
        columns = [column for _, column in self.active()._task_columns() if column not in texts]
        return list(dict.fromkeys(columns))

    def sentence_values(self) -> list[str]:
        """The names of values per sentence in a file with words: comments, or values of their own."""
        if self.word_idx is None:
            return []
        names = [
            [str(column) for column in options.columns()] or [task]
            for task, options in self.tasks.items()
            if not options.labels_words() and options.input_type in ("words", "subwords")
        ]
        has_raw_text = any(options.input_type == "raw" for options in self.tasks.values())
        weights = [
            WEIGHT_COMMENT if options.weight_column == COMMENT else str(options.weight_column)
            for options in self.tasks.values()
            if options.weight_column is not None
            and (options.weight_column == COMMENT or not options.labels_words())
        ]
        every = [*(name for several in names for name in several), *["text"] * has_raw_text, *weights]
        return list(dict.fromkeys(every))

    def shared_columns(self) -> dict[Column, list[str]]:
        """The columns that several tasks write, each with the names of the tasks."""
        writers: dict[Column, list[str]] = {}
        for task, column in self.active()._task_columns():
            writers.setdefault(column, []).append(task)
        return {column: tasks for column, tasks in writers.items() if len(tasks) > 1}

    def id_task(self) -> str | None:
        """The task, if any, that writes the column in which CoNLL-U has word ids."""
        if not self.word_idx:
            return None
        return next((task for task, column in self._task_columns() if column == 0), None)

    def text_tasks(self) -> dict[str, Column]:
        """The tasks whose label is one of the input texts, with its column; this label is not written."""
        texts = self.sent_idxs or []
        return {task: column for task, column in self._task_columns() if column in texts}

    def text_columns(self) -> dict[Column, str]:
        """The columns that prediction requires, each with the option that reads it."""
        if self.word_idx is not None:
            return {self.word_idx: "word_idx"}
        return dict.fromkeys(self.sent_idxs or [], "sent_idxs")

    def _task_columns(self) -> list[tuple[str, Column]]:
        return [(task, column) for task, options in self.tasks.items() for column in options.columns()]


class Config(StrictModel):
    """Everything that a training run depends on, except the data; made by ``load_config``.

    >>> import machamp_lite
    >>> tasks = {"upos": {"task_type": "seq", "column_idx": 3}}
    >>> config = machamp_lite.load_config(
    ...     {"EWT": {"train_data_path": "data/ewt/train.conllu", "word_idx": 1, "tasks": tasks}}
    ... )
    >>> config.tasks()["upos"].task_type, config.params.training.num_epochs
    ('seq', 10)
    """

    params: Params
    datasets: dict[str, DatasetConfig]
    # The config file of each dataset, for errors that are found when data is read.
    sources: dict[str, str] = Field(default_factory=dict)
    # The user's params file, if there is one.
    params_source: str | None = None
    # About keys without effect.
    warnings: list[str] = Field(default_factory=list)

    @property
    def has_dataset_ids(self) -> bool:
        """Whether any dataset has ids of datasets (``dataset_embed_idx``)."""
        return any(dataset.dataset_embed_idx is not None for dataset in self.datasets.values())

    def tasks(self) -> dict[str, TaskOptions]:
        """The tasks of all datasets by name; a task that several datasets share is listed once."""
        return {
            task: options for dataset in self.datasets.values() for task, options in dataset.tasks.items()
        }

    def switched_off(self) -> list[str]:
        """The tasks with a ``loss_weight`` of 0."""
        return [task for task, options in self.tasks().items() if not options.is_on]

    def with_task_options(self, changes: Mapping[str, Mapping[str, Any]]) -> Self:
        """This config with changed options of some tasks, by the name of the task."""
        datasets = {}
        for name, dataset in self.datasets.items():
            tasks = {task: options.model_copy(update=changes.get(task)) for task, options in dataset.tasks.items()}
            datasets[name] = dataset.model_copy(update={"tasks": tasks})
        return self.model_copy(update={"datasets": datasets})
