"""The model: one encoder, one decoder a task."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from machamp_lite.batching.batch import Batch, make_batch
from machamp_lite.batching.instances import Instance
from machamp_lite.config.schema import Config, decoder_class
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import Decoder, Level, TaskConfig
from machamp_lite.encoder import Encoder
from machamp_lite.errors import ConfigError
from machamp_lite.modules.scalar_mix import ScalarMix
from machamp_lite.weighting.task_weights import make_task_weights


class Model(nn.Module):
    """Encodes a batch once and scores it by the decoder of every task in it."""

    def __init__(
        self,
        *,
        config: Config,
        transformer: Any,
        tokenizer: Any,
        vocabularies: Mapping[str, Vocabulary],
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(transformer)
        longest = config.params.encoder.max_input_length
        if longest > self.encoder.longest_input:
            raise ConfigError(
                f"encoder -> max_input_length: found {longest}, but the transformer takes at most "
                f"{self.encoder.longest_input} subwords"
            )
        self.tokenizer = WordTokenizer(tokenizer, max_input_length=longest)
        self.vocabularies = dict(vocabularies)
        tasks = config.tasks()
        # Tasks are kept by number: a task's name may hold dots, which module names may not.
        self.tasks = list(tasks)
        self.layers = [self._layers_of(name, task) for name, task in tasks.items()]
        self.asked_layers = sorted({layer for layers in self.layers for layer in layers})
        self.dropout = nn.Dropout(config.params.encoder.dropout)
        self.mixes = nn.ModuleList(ScalarMix(len(layers)) for layers in self.layers)
        self.decoders = nn.ModuleList(
            decoder_class(task)(config=task, vocabulary=self.vocabularies[name], width=self.encoder.width)
            for name, task in tasks.items()
        )
        loss_weights = {name: task.loss_weight for name, task in tasks.items()}
        self.task_weights = make_task_weights(config.params.training.task_weighting, loss_weights)
        self.levels: dict[str, dict[str, Level]] = {
            name: {task: decoder_class(config).level for task, config in dataset.tasks.items()}
            for name, dataset in config.datasets.items()
        }

    def _layers_of(self, name: str, task: TaskConfig) -> tuple[int, ...]:
        try:
            return self.encoder.layer_numbers(task.layers_to_use)
        except ConfigError as error:
            raise ConfigError(f"tasks -> {name} -> {error}") from None

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def decoder(self, task: str) -> Decoder:
        """The decoder of a task."""
        decoder = self.decoders[self.tasks.index(task)]
        assert isinstance(decoder, Decoder)
        return decoder

    def batch(self, instances: list[Instance], *, only_annotated: bool) -> Batch:
        """A batch on the model's device."""
        return make_batch(instances, tasks=self.levels, device=self.device, only_annotated=only_annotated)

    def forward(self, batch: Batch) -> dict[str, Any]:
        """The scores of every task that the batch has items of."""
        encoded = self.encoder(batch, self.asked_layers)
        scores = {}
        for number, task in enumerate(self.tasks):
            if task not in batch.tasks:
                continue
            items, decoder = batch.tasks[task], self.decoders[number]
            states = encoded.words if decoder.level == "word" else encoded.sentences
            if len(self.layers[number]) < len(self.asked_layers):
                states = states[[self.asked_layers.index(layer) for layer in self.layers[number]]]
            hidden = self.mixes[number](states)
            if items.rows is not None:
                hidden = hidden.index_select(0, items.rows)
            scores[task] = decoder(self.dropout(hidden), items.lengths)
        return scores

    def losses(self, batch: Batch, scores: Mapping[str, Any]) -> dict[str, Tensor]:
        """The mean loss of each task, not weighted."""
        gold = {task: batch.tasks[task].gold for task in scores}
        return {
            task: self.decoder(task).loss(scores[task], ids) for task, ids in gold.items() if ids is not None
        }

    def total_loss(self, losses: Mapping[str, Tensor]) -> Tensor | None:
        """The sum of the losses times their weights; None if no task of the batch has a weight."""
        return self.task_weights.total(losses)

    def labels(self, batch: Batch, scores: Mapping[str, Any]) -> list[dict[str, list[Any]]]:
        """The predicted labels of every task, sentence by sentence."""
        predicted: list[dict[str, list[Any]]] = [{} for _ in batch.instances]
        for task, task_scores in scores.items():
            places = batch.tasks[task].sentences
            words = [batch.instances[place].words for place in places]
            for place, labels in zip(places, self.decoder(task).decode(task_scores, words), strict=True):
                predicted[place][task] = labels
        return predicted
