"""The model: one encoder, and one decoder per task."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.masking import Masker
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.dataloading.batch import Batch, make_batch
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders import decoder_class
from machamp_lite.decoders.base import Decoder, LanguageModelKind
from machamp_lite.errors import ConfigError
from machamp_lite.model.encoder import Encoded, Encoder, Source
from machamp_lite.model.pretrained import Pretrained
from machamp_lite.nn.pooling import AttentionPooling, mean_of_segments
from machamp_lite.nn.ragged import to_device
from machamp_lite.nn.scalar_mix import ScalarMix, mix
from machamp_lite.weighting.task_weighting import make_task_weights

# By task: the divisor of each term of its loss.
LossCounts = Mapping[str, Sequence[float]]


class Model(nn.Module):
    """Encodes a batch once, and scores it with the decoder of every task in it."""

    def __init__(
        self,
        *,
        config: Config,
        pretrained: Pretrained,
        tokenizer: Any,
        vocabularies: Mapping[str, Vocabulary],
    ) -> None:
        super().__init__()
        self.config = config
        # The folder from which it was loaded.
        self.folder: Path | None = None
        # Prediction may set another one.
        self.precision: str = config.params.training.precision
        self.pretrained = pretrained
        self.encoder = Encoder(pretrained.encoder, params=config.params.encoder)
        check_encoder(self.encoder, config)
        options = config.params.encoder
        self.tokenizer = WordTokenizer(
            tokenizer, max_input_length=options.max_input_length, long_input=options.long_input
        )
        self.vocabularies = dict(vocabularies)
        tasks = config.tasks()
        # Modules are in lists and not named after tasks, because names of modules must not contain dots.
        self.tasks = list(tasks)
        self.layers = [self.encoder.layer_numbers(task.layers_to_use) for task in tasks.values()]
        self.sources = [
            Source(task.level, task.pooling_or_default, layers)
            for task, layers in zip(tasks.values(), self.layers, strict=True)
        ]
        active = [layers for layers, task in zip(self.layers, tasks.values(), strict=True) if task.is_on]
        self.used_layers = sorted({layer for layers in active for layer in layers})
        self.dropout = nn.Dropout(config.params.encoder.dropout)
        self.mixes = nn.ModuleList(ScalarMix(len(layers)) for layers in self.layers)
        # Has no parameters for tasks with another pooling.
        self.attention = nn.ModuleList(
            AttentionPooling(self.encoder.width) if source.pooling == "attention" else nn.Identity()
            for source in self.sources
        )
        self.dataset_embedding = self._make_dataset_embedding()
        self.decoders = nn.ModuleList(self._make_decoder(name, task) for name, task in tasks.items())
        for decoder in self.decoders:
            if isinstance(decoder, Decoder) and decoder.language_model:
                decoder.use_pretrained_head(pretrained.language_model)
        loss_weights = {name: task.loss_weight for name, task in tasks.items()}
        self.task_weights = make_task_weights(config.params.training.task_weighting, loss_weights)
        self.dataset_decoders: dict[str, dict[str, type[Decoder]]] = {
            name: _decoders_of(dataset) for name, dataset in config.datasets.items()
        }
        has_masked_inputs = any(task.input_type == "masked" for task in tasks.values())
        self.masker = Masker(tokenizer) if has_masked_inputs else None

    def _make_dataset_embedding(self) -> nn.Embedding | None:
        """A vector for each dataset id (Ammar et al. 2016); unknown ids have zeros."""
        if not self.config.has_dataset_ids:
            return None
        known = len(self.vocabularies[DATASET_IDS])
        return nn.Embedding(known + 1, self.config.params.encoder.dataset_embeds_dim, padding_idx=0)

    def _make_decoder(self, name: str, task: TaskOptions) -> Decoder:
        decoder, width = decoder_class(task), self.encoder.width
        if self.dataset_embedding is not None and decoder.language_model is None:
            width += self.dataset_embedding.embedding_dim
        return decoder(config=task, vocabulary=self.vocabularies[name], width=width)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    def _mix(self, number: int) -> ScalarMix:
        mix = self.mixes[number]
        assert isinstance(mix, ScalarMix)
        return mix

    def decoder(self, task: str) -> Decoder:
        """The decoder of a task."""
        decoder = self.decoders[self.tasks.index(task)]
        assert isinstance(decoder, Decoder)
        return decoder

    def batch(self, examples: list[Example], *, only_annotated: bool) -> Batch:
        """Makes a batch; in training mode, other subwords are masked each time."""
        if self.training and self.masker is not None:
            examples = [
                self._mask_again(example) if example.input_type == "masked" and example.gold else example
                for example in examples
            ]
        for name in {example.dataset for example in examples} - self.dataset_decoders.keys():
            # The tasks of several datasets are predicted together.
            self.dataset_decoders[name] = _decoders_of(find_dataset(self.config, name))
        return make_batch(
            examples, tasks=self.dataset_decoders, device=self.device, only_annotated=only_annotated
        )

    def _mask_again(self, example: Example) -> Example:
        assert self.masker is not None
        # Seeded by torch, whose random state is part of the checkpoint.
        random = np.random.default_rng(int(torch.randint(2**62, ())))
        original_ids = next(iter(example.gold.values()))
        segments, ids = self.masker.mask_again(example.segments, original_ids, random)
        return dataclasses.replace(example, segments=segments, gold=dict.fromkeys(example.gold, ids))

    def forward(self, batch: Batch) -> dict[str, Any]:
        """The scores of every task with items in the batch."""
        groups = self._group_tasks_by_input(batch)
        # Not a set: its order, and thereby the order of sums of gradients, would differ between processes.
        sources = dict.fromkeys(self.sources[self.tasks.index(task)] for task, *_ in groups)
        encoded = self.encoder(batch, self.used_layers, list(sources))
        hidden: dict[str, Tensor] = {}
        for tasks in groups:
            hidden |= zip(tasks, self._hidden(tasks, encoded, batch).unbind(), strict=True)
        return {
            task: self.decoder(task)(hidden[task], batch.tasks[task].lengths)
            for task in self.tasks
            if task in hidden
        }

    def _group_tasks_by_input(self, batch: Batch) -> list[list[str]]:
        """The tasks of a batch in groups that read the same items from the same source."""
        groups: dict[Any, list[str]] = {}
        for source, task in zip(self.sources, self.tasks, strict=True):
            if task in batch.tasks:
                items = batch.tasks[task]
                alone = task if self.decoder(task).language_model else None
                rows = None if items.rows is None else items.rows.numpy().tobytes()
                groups.setdefault((source, rows, alone), []).append(task)
        return list(groups.values())

    def _hidden(self, tasks: list[str], encoded: Encoded, batch: Batch) -> Tensor:
        """The input of the decoders of a group of tasks. *Shape:* (T, N, D)."""
        numbers, decoder, items = [*map(self.tasks.index, tasks)], self.decoder(tasks[0]), batch.tasks[tasks[0]]
        source = self.sources[numbers[0]]
        states, has_attention = encoded.states[source], source.pooling == "attention"
        if items.rows is not None and not has_attention:
            states = states.index_select(1, to_device(items.rows, self.device))
        mixed = mix([self._mix(number) for number in numbers], states)
        if has_attention:
            mixed = self._attend(numbers, mixed, encoded)
            if items.rows is not None:
                mixed = mixed.index_select(1, to_device(items.rows, self.device))
        datasets = self.dataset_embedding
        if datasets is not None and decoder.language_model is None:
            of_words = source.level == "word"
            ids = batch.word_datasets if of_words else batch.sentence_datasets
            if ids is None:
                ids = torch.zeros(batch.words if of_words else len(batch.examples), dtype=torch.long)
            ids = ids if items.rows is None else ids[items.rows]
            vectors = datasets(to_device(ids, self.device)).to(mixed.dtype)
            mixed = torch.cat([mixed, vectors.expand(len(tasks), -1, -1)], dim=-1)
        return self.dropout(mixed)

    def _attend(self, numbers: list[int], mixed: Tensor, encoded: Encoded) -> Tensor:
        """The states of sentences with each task's attention. *Shape:* (T, S, D) -> (T, B, D)."""
        lengths = encoded.segment_lengths
        pooled = [self.attention[number](rows, lengths) for number, rows in zip(numbers, mixed, strict=True)]
        return mean_of_segments(torch.stack(pooled), encoded.segments_per_sentence)

    def losses(
        self, batch: Batch, scores: Mapping[str, Any], counts: LossCounts | None = None
    ) -> dict[str, Tensor]:
        """The mean loss of each task, without its task weight.

        ``counts`` are by default those of the batch. If the batch is part of a larger one, and ``counts`` are those of
        the larger one, the losses of all parts add up to its losses.
        """
        counts = self.loss_counts(batch.examples) if counts is None else counts
        losses = {}
        for task, task_scores in scores.items():
            gold, weights = batch.tasks[task].gold, batch.tasks[task].weights
            if gold is not None:
                sums = self.decoder(task).loss_sums(task_scores, gold, weights)
                # The count is 0 if all items have the weight 0; then there is no loss.
                means = [total / (count or math.inf) for total, count in zip(sums, counts[task], strict=True)]
                losses[task] = torch.stack(means).sum() if len(means) > 1 else means[0]
        return losses

    def loss_counts(self, examples: Sequence[Example]) -> LossCounts:
        """The divisors of the loss terms of each task with gold labels, except tasks that are switched off."""
        counts = {}
        for task in self.task_weights.numbers:
            count = self.decoder(task).loss_counts
            if of_sentences := [
                count(example.gold[task], example.item_weights(task)) for example in examples if task in example.gold
            ]:
                counts[task] = [sum(terms) for terms in zip(*of_sentences, strict=True)]
        return counts

    def total_loss(self, losses: Mapping[str, Tensor]) -> Tensor | None:
        """The sum of the losses times their task weights; None if no task of the batch has a weight."""
        return self.task_weights.total(losses)

    def labels(self, batch: Batch, scores: Mapping[str, Any]) -> list[dict[str, list[Any]]]:
        """The predicted labels of each sentence by task."""
        predicted: list[dict[str, list[Any]]] = [{} for _ in batch.examples]
        for task, task_scores in scores.items():
            sentences = batch.tasks[task].sentences
            words = [batch.examples[sentence].words for sentence in sentences]
            for sentence, labels in zip(sentences, self.decoder(task).decode(task_scores, words), strict=True):
                predicted[sentence][task] = labels
        return predicted


def _decoders_of(dataset: DatasetConfig) -> dict[str, type[Decoder]]:
    return {task: decoder_class(options) for task, options in dataset.active().tasks.items()}


def check_encoder(encoder: Encoder, config: Config) -> None:
    """Raises ``ConfigError`` if an encoder is too short for ``max_input_length``, or lacks layers of the tasks."""
    found, most, faults = config.params.encoder.max_input_length, encoder.longest_input, []
    if found > most:
        faults.append(
            f"encoder -> max_input_length: found {found}, but the transformer takes at most {most} subwords; set "
            "encoder.max_input_length to this number or less"
        )
    for name, task in config.tasks().items():
        try:
            encoder.layer_numbers(task.layers_to_use)
        except ConfigError as error:
            faults.append(f"tasks -> {name} -> {error}")
    if faults:
        raise ConfigError(faults)


def language_model_kind(config: Config) -> LanguageModelKind | None:
    """The kind of language model that the tasks of a config require; raises ``ConfigError`` for two kinds."""
    kinds = {
        decoder_class(task).language_model: f"{name} ({task.task_type})"
        for name, task in config.tasks().items()
        if decoder_class(task).language_model
    }
    if len(kinds) > 1:
        raise ConfigError(
            f"tasks -> {' and '.join(kinds.values())}: no encoder has the language models of both, "
            "expected them in separate models"
        )
    return next(iter(kinds), None)
