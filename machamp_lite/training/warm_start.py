"""Warm start: a run starts with the encoder of an earlier model, and with its decoders for tasks of the same kind.

Where labels have changed, the decoder keeps what it has learnt about the labels that both models have: the rows of its
parameters that belong to these labels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from machamp_lite.config.schema import Config
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.model.multitask_model import Model


@dataclass(frozen=True, slots=True)
class SharedLabels:
    """The labels that the vocabularies of two models have in common, as pairs of ids with equal labels."""

    old: list[int]
    new: list[int]
    # The numbers of all labels.
    old_size: int
    new_size: int

    @classmethod
    def of(cls, old: Vocabulary, new: Vocabulary) -> "SharedLabels":
        """Compares two vocabularies."""
        ids = {label: number for number, label in enumerate(old.labels)}
        pairs = [(ids[label], number) for number, label in enumerate(new.labels) if label in ids]
        return cls([one for one, _ in pairs], [other for _, other in pairs], len(old), len(new))

    @property
    def are_all(self) -> bool:
        """Whether both models have the same labels, in any order."""
        return len(self.old) == self.old_size == self.new_size

    def copy(self, target: Tensor, source: Tensor, dimensions: Sequence[int]) -> None:
        """Copies what belongs to shared labels; ``dimensions`` are those that are indexed by labels.

        Further rows, such as the start of a sentence in transitions, follow those of the labels in both tensors.
        """
        if not dimensions:
            target.copy_(source)
            return
        dimension, *rest = dimensions
        further = target.shape[dimension] - self.new_size
        old, new = (
            torch.tensor([*ids, *range(size, size + further)], device=target.device)
            for ids, size in ((self.old, self.old_size), (self.new, self.new_size))
        )
        rows = target.index_select(dimension, new)
        self.copy(rows, source.to(target.device).index_select(dimension, old), rest)
        target.index_copy_(dimension, new, rows)

    def describe(self) -> str:
        """The numbers of labels that are kept, new and dropped."""
        kept = len(self.old)
        return f"{kept} kept, {self.new_size - kept} new, {self.old_size - kept} dropped"


def with_encoder_of(init_model: Model, config: Config) -> Config:
    """The config with the name of the initial model's encoder."""
    name = init_model.config.params.transformer_model
    changes = {"transformer_model": name, "reset_transformer_model": False}
    return config.model_copy(update={"params": config.params.model_copy(update=changes)})


def copy_decoders(model: Model, init_model: Model) -> None:
    """Copies dataset ids, and the weights of decoders, layer mixes and attention except ``reinitialized_tasks``."""
    reinitialized = reinitialized_tasks(model, init_model)
    with torch.no_grad():
        for task in model.tasks:
            if task not in reinitialized:
                old, shared = dict(_named_parameters(init_model, task)), _shared_labels(model, init_model, task)
                dimensions = model.decoder(task).label_dimensions
                for name, parameter in _named_parameters(model, task):
                    shared.copy(parameter, old[name], dimensions.get(name, ()))
                model.decoder(task).adapt_to_buffers_of(init_model.decoder(task))
        _copy_dataset_embedding(model, init_model)


def _copy_dataset_embedding(model: Model, init_model: Model) -> None:
    old, new = init_model.dataset_embedding, model.dataset_embedding
    if old is not None and new is not None and old.embedding_dim == new.embedding_dim:
        shared = SharedLabels.of(init_model.vocabularies[DATASET_IDS], model.vocabularies[DATASET_IDS])
        # Row 0 is that of unknown ids.
        shared.copy(new.weight[1:], old.weight[1:], (0,))


def reinitialized_tasks(model: Model, init_model: Model) -> dict[str, str]:
    """The tasks whose decoders start with new weights, each with the reason; the model may be on the meta device."""
    reasons = {task: _why_reinitialized(model, init_model, task) for task in model.tasks}
    return {task: reason for task, reason in reasons.items() if reason is not None}


def describe(model: Model, init_model: Model) -> list[str]:
    """Lines that say which decoders are kept, and which labels of them."""
    lines = []
    for task, reason in ((task, _why_reinitialized(model, init_model, task)) for task in model.tasks):
        outcome = "keeps its decoder" if reason is None else f"new decoder: {reason}"
        if reason is None and model.decoder(task).label_dimensions:
            shared = _shared_labels(model, init_model, task)
            outcome += "" if shared.are_all else f"; labels: {shared.describe()}"
        lines.append(f"task {task}: {outcome}")
    removed = [task for task in init_model.tasks if task not in model.tasks]
    return lines + ([f"not in this run: {', '.join(removed)}"] if removed else [])


def _shared_labels(model: Model, init_model: Model, task: str) -> SharedLabels:
    return SharedLabels.of(init_model.vocabularies[task], model.vocabularies[task])


def _why_reinitialized(model: Model, init_model: Model, task: str) -> str | None:
    if task not in init_model.tasks:
        return "the initial model does not have it"
    old, new = init_model.config.tasks()[task], model.config.tasks()[task]
    if old.task_type != new.task_type:
        return f"its type has changed from {old.task_type} to {new.task_type}"
    shared, decoder = _shared_labels(model, init_model, task), model.decoder(task)
    if decoder.label_dimensions and shared.old_size and not shared.old:
        return "it has none of the labels of the initial model"
    if decoder.Options.has_classes and not decoder.label_dimensions and not shared.are_all:
        return f"its labels have changed ({shared.describe()})"
    old_layers, new_layers = (_layers(each, task) for each in (init_model, model))
    if old_layers != new_layers:
        return f"its layers have changed from {_listed(old_layers)} to {_listed(new_layers)}"
    old_pooling, new_pooling = old.pooling_or_default, new.pooling_or_default
    if old_pooling != new_pooling and "attention" in (old_pooling, new_pooling):
        return f"its pooling has changed from {old_pooling} to {new_pooling}"
    old_shapes, new_shapes = (_shapes(each, task) for each in (init_model, model))
    if old_shapes != new_shapes:
        changed = sorted(name for name, _ in set(old_shapes.items()) ^ set(new_shapes.items()))
        return f"the shape of {changed[0]} has changed"
    return None


def _layers(model: Model, task: str) -> tuple[int, ...]:
    return tuple(model.layers[model.tasks.index(task)])


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _named_parameters(model: Model, task: str) -> list[tuple[str, nn.Parameter]]:
    """The weights of a task's decoder, layer mix and attention, without buffers, which follow from config and data."""
    number = model.tasks.index(task)
    return [
        *model.decoder(task).named_parameters(),
        *model.mixes[number].named_parameters(prefix="mix"),
        *model.attention[number].named_parameters(prefix="attention"),
    ]


def _shapes(model: Model, task: str) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter, without the number of labels in the dimensions that are indexed by labels."""
    dimensions, labels = model.decoder(task).label_dimensions, len(model.vocabularies[task])
    return {
        name: tuple(
            size - labels * (dimension in dimensions.get(name, ())) for dimension, size in enumerate(parameter.shape)
        )
        for name, parameter in _named_parameters(model, task)
    }
