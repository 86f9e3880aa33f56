"""The subject of all measurements: a config, its data, the model of a run, and the encoder alone."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import BertConfig

from machamp_lite.acceleration import accelerate
from machamp_lite.config import Config, load_config
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.records import read_records
from machamp_lite.dataloading.batch_sampler import BatchSampler, Stream
from machamp_lite.dataloading.datasets import RunData, training_streams
from machamp_lite.dataloading.example import Example, file_format_of
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.precision import resolved
from machamp_lite.model.pretrained import load_tokenizer, load_transformer
from machamp_lite.model.serialization import save_model
from machamp_lite.training.checkpoint import seed_everything
from machamp_lite.training.data import read_data
from machamp_lite.training.optimizer import make_optimizer, set_encoder_trainable
from machamp_lite.training.run import build_model
from machamp_lite.training.train_step import train_step
from machamp_lite.training.trainer import Trainer
from machamp_lite.training.trainer_state import TrainerState

CPU = torch.device("cpu")
# The arguments of an encoder. *Shape:* (B, L) each.
Inputs = dict[str, torch.Tensor]
# With gradual unfreezing the encoder is not trained in the first epoch.
EPOCH = 2


@dataclass(frozen=True, slots=True)
class Subject:
    """The flags of the benchmark: a config, as for ``load_config``, and the amount of data and rounds.

    ``settings`` are those of the section ``acceleration``.
    """

    dataset_configs: list[str]
    parameters_config: str | None
    overrides: list[str]
    sentences: int
    words: int
    repeats: int
    settings: Sequence[str] = ()

    def config(self, *overrides: str) -> Config:
        """The config, checked, with more overrides; raises ``ConfigError``."""
        return load_config(
            self.dataset_configs,
            parameters_config=self.parameters_config,
            overrides=[*self.overrides, *overrides],
        )


@dataclass(frozen=True, slots=True)
class BenchmarkData:
    """The data of a run, and streams of a part of its training data; models are built for all data."""

    config: Config
    data: RunData
    streams: list[Stream]

    def batches(self, *, sentences: int | None = None) -> Sequence[list[Example]]:
        """The batches of an epoch of the part, or the first batches that have this number of sentences."""
        batches, found = BatchSampler(self.streams, self.config.params.batching, seed=1).epoch(1), 0
        if sentences is None:
            return batches
        for number, batch in enumerate(batches, start=1):
            found += len(batch)
            if found >= sentences:
                return batches[:number]
        return batches

    def model(self) -> Model:
        """The model of a run, without acceleration."""
        seed_everything(self.config.params.random_seed)
        return build_model(self.config, self.data)

    def model_and_optimizer(self, *, device: str = "cpu") -> tuple[Model, torch.optim.Optimizer]:
        """The model of a run and its optimizer, before the first step."""
        model = self.model().to(device)
        accelerate(model, seen_subwords=(examples.subword_ids() for examples in self.data.train.values()))
        optimizer = make_optimizer(model)
        set_encoder_trainable(model, epoch=EPOCH)
        return model, optimizer

    def encoder(self) -> Any:
        """The bare encoder, as transformers loads it."""
        params = self.config.params
        return load_transformer(params.transformer_model, reset=params.reset_transformer_model).encoder


def read(config: Config, *, sentences: int | None) -> BenchmarkData:
    """The data of a config, with streams of the first sentences of each training file, or of all sentences."""
    data = read_data(config)
    part = dataclasses.replace(data, train={name: every[:sentences] for name, every in data.train.items()})
    return BenchmarkData(config, data, training_streams(config, part))


def first_records(dataset: DatasetConfig, number: int) -> str:
    """The text of the first sentences of a training file."""
    records = read_records(str(dataset.train_data_path), file_format_of(dataset))
    return "".join(record.text() for record in itertools.islice((each for each in records if each.rows), number))


def base_shape_encoder(name: str, folder: str, shape: Mapping[str, Any]) -> None:
    """Writes an encoder in the shape of BERT-base, or of another BERT, with the tokenizer of an encoder."""
    tokenizer = load_tokenizer(name)
    tokenizer.save_pretrained(folder)
    size = load_transformer(name).encoder.get_input_embeddings().num_embeddings
    BertConfig(**shape, vocab_size=size, pad_token_id=tokenizer.pad_token_id or 0).save_pretrained(folder)


def take_steps(model: Model, batches: Sequence[list[Example]], optimizer: torch.optim.Optimizer) -> None:
    """Runs training steps like the trainer."""
    model.train()
    for examples in batches:
        train_step(model, [examples], optimizer)


def train_epochs_of(model: Model, optimizer: torch.optim.Optimizer, streams: Sequence[Stream]) -> None:
    """Trains for all epochs of the model's config, without dev data and without saving."""
    Trainer(
        model=model,
        optimizer=optimizer,
        state=TrainerState(),
        sampler=BatchSampler(streams, model.config.params.batching, seed=1),
        dev={},
        after_epoch=lambda state: None,
        save=lambda state: None,
    ).train()


def save_trained(subject: Subject, folder: Path) -> BenchmarkData:
    """Trains the model of a run for one epoch, on a part of its data, and saves it; returns the data."""
    material = read(subject.config("training.num_epochs=1"), sentences=subject.sentences)
    model, optimizer = material.model_and_optimizer()
    train_epochs_of(model, optimizer, material.streams)
    save_model(model, folder)
    return material


def autocast(config: Config) -> torch.autocast:
    """The precision of a config on the CPU, as a context."""
    enabled = resolved(config.params.training.precision, CPU) == "bf16"
    return torch.autocast(CPU.type, dtype=torch.bfloat16, enabled=enabled)


def bare_training(encoder: Any, groups: Iterable[Inputs], config: Config) -> None:
    """Forward and backward passes of the encoder only, in the precision of a config."""
    encoder.train()
    for inputs in groups:
        encoder.zero_grad(set_to_none=True)
        bare_step(encoder, inputs, config)


def bare_step(encoder: Any, inputs: Inputs, config: Config) -> None:
    """One forward and backward pass; gradients are accumulated."""
    with autocast(config):
        output = encoder(**inputs)
    output.last_hidden_state.float().sum().backward()


def bare_prediction(encoder: Any, groups: Iterable[Inputs], config: Config) -> None:
    """Forward passes of the encoder only, in the precision of a config."""
    encoder.eval()
    with torch.inference_mode(), autocast(config):
        for inputs in groups:
            encoder(**inputs)


def segment_lengths(example: Example) -> np.ndarray:
    """The number of subwords of each segment of a sentence. *Shape:* (P,)."""
    return np.diff(example.segments.segment_starts, append=len(example.segments.subword_ids))


def subwords_of(batches: Iterable[Sequence[Example]]) -> int:
    """The number of subwords of some batches."""
    return sum(len(example.segments.subword_ids) for batch in batches for example in batch)


def equal_length_groups(batches: Iterable[Sequence[Example]]) -> list[Inputs]:
    """For each batch, rows of one length with the same total number of subwords, so that there is no padding.

    The length is the median of the batch; the segments of that length replace the others.
    """
    groups = []
    for batch in batches:
        rows = sorted(rows_of(batch), key=len)
        length = len(rows[len(rows) // 2])
        repeated = [row for row in rows if len(row) == length]
        number = max(1, round(sum(map(len, rows)) / length))
        groups.append({"input_ids": torch.stack([repeated[index % len(repeated)] for index in range(number)])})
    return groups


def padded_groups(batches: Iterable[Sequence[Example]], *, pad_id: int) -> list[Inputs]:
    """The same batches with padding, and a mask if any row is padded, as transformers are usually called."""
    groups = []
    for batch in batches:
        rows = rows_of(batch)
        ids = pad_sequence(rows, batch_first=True, padding_value=pad_id)
        lengths = torch.tensor([len(row) for row in rows])
        inputs = {"input_ids": ids}
        if int(lengths.min()) < ids.shape[1]:
            inputs["attention_mask"] = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        groups.append(inputs)
    return groups


def rows_of(batch: Sequence[Example]) -> list[torch.Tensor]:
    """The subwords of each segment of a batch. *Shape:* (L,) each."""
    ids = ((torch.from_numpy(np.array(each.segments.subword_ids)), segment_lengths(each).tolist()) for each in batch)
    return [row for values, lengths in ids for row in values.split(lengths)]
