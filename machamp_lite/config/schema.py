"""The shape of a config: what params.json and dataset configs may hold."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

from machamp_lite.data.tokenization import LongInput
from machamp_lite.decoders import DECODERS, Decoder, TaskConfig
from machamp_lite.decoders.base import MOST_COLUMNS
from machamp_lite.decoders.task_config import NonNegative, PositiveFloat
from machamp_lite.weighting.class_weights import Scheme

Fraction = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(gt=0, lt=2**31)]
# Of vectors; memory goes with its square.
Width = Annotated[int, Field(gt=0, le=8192)]
Column = Annotated[int, Field(ge=0, lt=MOST_COLUMNS)]


class Strict(BaseModel):
    """Frozen, and without room for a misspelt key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LoraParams(Strict):
    """``encoder -> lora`` of params.json; without ``target_modules`` every linear map has an adapter."""

    rank: Width
    alpha: PositiveFloat
    dropout: Probability
    target_modules: Annotated[list[str], Field(min_length=1)] | None


class EncoderParams(Strict):
    """``encoder`` of params.json."""

    dropout: Probability
    max_input_length: Annotated[int, Field(ge=3, lt=2**31)]
    update_weights_encoder: bool
    dataset_embeds_dim: Width
    packing: bool | Literal["auto"]
    long_input: LongInput
    lora: LoraParams | None

    @model_validator(mode="after")
    def _check_lora(self) -> Self:
        if self.lora is not None and not self.update_weights_encoder:
            raise ValueError(
                "lora trains the encoder by adapters, expected update_weights_encoder to be true"
            )
        return self


class BatchingParams(Strict):
    """``batching`` of params.json."""

    max_tokens: Positive
    batch_size: Positive
    shuffle: bool
    sort_by_size: bool
    diverse: bool
    sampling_smoothing: Fraction


class OptimizerParams(Strict):
    """``training -> optimizer`` of params.json."""

    lr: PositiveFloat
    betas: Annotated[list[Probability], Field(min_length=2, max_length=2)]
    weight_decay: NonNegative


class SchedulerParams(Strict):
    """``training -> learning_rate_scheduler`` of params.json."""

    cut_frac: Fraction
    decay_factor: PositiveFloat
    discriminative_fine_tuning: bool
    gradual_unfreezing: bool


class TrainingParams(Strict):
    """``training`` of params.json."""

    keep_top_n: Positive
    num_epochs: Positive
    patience: Positive | None
    save_minutes: PositiveFloat | None
    keep_state: bool
    accumulation_steps: Positive
    precision: Literal["auto", "fp32", "bf16"]
    grad_norm: PositiveFloat | None
    task_weighting: Literal["static", "uncertainty", "dwa", "random"]
    optimizer: OptimizerParams
    learning_rate_scheduler: SchedulerParams


class DatasetDefaults(Strict):
    """``datasets`` of params.json: what every dataset has unless its own config says otherwise."""

    skip_first_line: bool
    max_sents: Positive | None
    max_words: Positive | None
    dataset_embed_idx: Annotated[int, Field(ge=-1, lt=MOST_COLUMNS)] | None
    split_mlm: bool
    oversample: str | None
    oversample_scheme: Scheme


class Params(Strict):
    """The whole of params.json; ``decoders`` is checked task type by task type."""

    transformer_model: Annotated[str, Field(min_length=1)]
    reset_transformer_model: bool
    random_seed: Annotated[int, Field(ge=0, lt=2**32)]
    encoder: EncoderParams
    decoders: dict[str, dict[str, Any]]
    datasets: DatasetDefaults
    batching: BatchingParams
    training: TrainingParams


class DatasetConfig(Strict):
    """One dataset of a dataset config, its tasks with every option filled in."""

    train_data_path: str | None = None
    dev_data_path: str | None = None
    word_idx: Column | None = None
    sent_idxs: Annotated[list[Column], Field(min_length=1)] | None = None
    skip_first_line: bool
    max_sents: Positive | None
    max_words: Positive | None
    dataset_embed_idx: Annotated[int, Field(ge=-1, lt=MOST_COLUMNS)] | None
    split_mlm: bool
    oversample: str | None
    oversample_scheme: Scheme
    tasks: dict[str, SerializeAsAny[TaskConfig]]

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        """What holds of every dataset, also of one in an edited model folder."""
        if self.word_idx is not None and self.sent_idxs is not None:
            raise ValueError("expected either word_idx or sent_idxs")
        for task, config in self.tasks.items():
            decoder = decoder_class(config)
            if decoder.input_type != "masked" and self.word_idx is None and self.sent_idxs is None:
                raise ValueError(f"'{task}' reads no plain text, expected either word_idx or sent_idxs")
            labels_words = decoder.level == "word" and decoder.input_type == "words"
            if (labels_words or decoder.input_type == "raw") and self.word_idx is None:
                raise ValueError(f"'{task}' labels words, expected word_idx")
            for name in config.metric_names():
                if name not in decoder.metrics:
                    raise ValueError(f"'{task}' has no metric '{name}'")
        return self

    def active(self) -> Self:
        """This dataset without the tasks that are switched off."""
        return self.model_copy(
            update={"tasks": {task: config for task, config in self.tasks.items() if config.is_on}}
        )

    def required_columns(self) -> dict[int, str]:
        """For each column that training needs, what reads it."""
        required = {column: f"task '{task}'" for task, column in self._task_columns()}
        if self.dataset_embed_idx is not None and self.dataset_embed_idx >= 0:
            required[self.dataset_embed_idx] = "dataset_embed_idx"
        return required | self.text_columns()

    def shared_columns(self) -> dict[int, list[str]]:
        """The columns that several tasks write, with these tasks."""
        writers: dict[int, list[str]] = {}
        for task, column in self.active()._task_columns():
            writers.setdefault(column, []).append(task)
        return {column: tasks for column, tasks in writers.items() if len(tasks) > 1}

    def id_task(self) -> str | None:
        """The task, if any, that writes the column in which CoNLL-U has the ids of words."""
        if not self.word_idx:
            return None
        return next((task for task, column in self._task_columns() if column == 0), None)

    def text_tasks(self) -> dict[str, int]:
        """The tasks with a label that is one of the texts, and its column; they are not written."""
        texts = self.sent_idxs or []
        return {task: column for task, column in self._task_columns() if column in texts}

    def text_columns(self) -> dict[int, str]:
        """For each column that prediction needs, what reads it."""
        if self.word_idx is not None:
            return {self.word_idx: "word_idx"}
        return dict.fromkeys(self.sent_idxs or [], "sent_idxs")

    def _task_columns(self) -> list[tuple[str, int]]:
        return [
            (task, column)
            for task, config in self.tasks.items()
            for column in decoder_class(config).columns(config)
        ]


class Config(Strict):
    """Everything that a training run depends on, but the data."""

    params: Params
    datasets: dict[str, DatasetConfig]
    # The config file of each dataset, for errors that only the data brings to light.
    sources: dict[str, str] = {}
    # The params file, if there is one beside the defaults.
    params_source: str | None = None

    @property
    def has_dataset_ids(self) -> bool:
        """Whether any dataset says from which data set its words or texts are."""
        return any(dataset.dataset_embed_idx is not None for dataset in self.datasets.values())

    def tasks(self) -> dict[str, TaskConfig]:
        """The tasks of all datasets; one that several datasets share stands once."""
        return {task: config for dataset in self.datasets.values() for task, config in dataset.tasks.items()}

    def switched_off(self) -> list[str]:
        """The tasks with a ``loss_weight`` of 0."""
        return [task for task, config in self.tasks().items() if not config.is_on]


def decoder_class(config: TaskConfig) -> type[Decoder]:
    """The decoder of a task."""
    return DECODERS[config.task_type]
