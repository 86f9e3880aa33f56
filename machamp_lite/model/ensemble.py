"""Several models with the same tasks and labels that predict together: their probabilities are averaged."""

import copy
import logging
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from machamp_lite.data.vocabulary import DATASET_IDS
from machamp_lite.dataloading.batch import Batch
from machamp_lite.decoders import decoder_class
from machamp_lite.decoders.base import Decoder, LabelDecoder
from machamp_lite.errors import ConfigError, first_items, shown_label
from machamp_lite.model.multitask_model import Model

logger = logging.getLogger(__name__)

# The options by which a task decides, of which those of the first member are used.
_DECISIONS = ("tau", "offsets", "costs", "threshold", "min_confidence", "topn")


class Ensemble(Model):
    """Scores a batch with all members, and decodes the average scores, see ``Decoder.average``.

    A task decides by the options of the first member. Its temperature is the mean of all: the scores of members are
    first divided by their own, so it only sets the scale. Raises ``ConfigError`` for members that differ in tasks,
    labels or subwords, and for task types that cannot be averaged.
    """

    def __init__(self, members: Sequence[Model], *, folder: Path | None = None) -> None:
        faults = [fault for member in members for fault in _faults(members[0], member)]
        if faults:
            raise ConfigError(dict.fromkeys(faults))
        # Not that of ``Model``, which would build another encoder.
        nn.Module.__init__(self)
        first = members[0]
        for line in dict.fromkeys(line for member in members for line in _other_decisions(first, member)):
            logger.warning("%s", line)
        self.folder, self.precision = folder, first.precision
        self.tasks, self.tokenizer, self.vocabularies = first.tasks, first.tokenizer, first.vocabularies
        self.masker, self.dataset_decoders = first.masker, first.dataset_decoders
        temperatures = {
            task: {"temperature": statistics.fmean(one.decoder(task).temperature for one in members)}
            for task in first.tasks
            if hasattr(first.decoder(task).config, "temperature")
        }
        self.config = first.config.with_task_options(temperatures)
        self.members = nn.ModuleList(members)
        self.decoders = nn.ModuleList(self._make_decoder_of(task) for task in self.tasks)

    def _of_members(self, task: str) -> list[Decoder]:
        members: Any = self.members
        return [member.decoder(task) for member in members]

    def _make_decoder_of(self, task: str) -> Decoder:
        members = self._of_members(task)
        decoder = copy.deepcopy(members[0])
        decoder.config = self.config.tasks()[task]
        decoder.adapt_to_ensemble(members)
        return decoder

    def forward(self, batch: Batch) -> dict[str, Any]:
        """The average scores of every task with items in the batch."""
        scores = [member(batch) for member in self.members]
        return {
            task: self.decoder(task).average(self._of_members(task), [own[task] for own in scores])
            for task in scores[0]
        }


def _other_decisions(first: Model, other: Model) -> Iterator[str]:
    """A line for each option by which a task of two models decides differently."""
    for task in first.tasks:
        one, two = first.decoder(task).config, other.decoder(task).config
        for key in _DECISIONS:
            if getattr(one, key, None) != getattr(two, key, None):
                yield f"task '{task}': {key} differs between the models of the ensemble; that of {first.folder} is used"


def _faults(first: Model, other: Model) -> Iterator[str]:
    """What an ensemble cannot have."""
    expected = f"expected the same as in {first.folder}, because both predict together"
    if _layout(first) != _layout(other):
        yield f"{other.folder}: found other datasets or tasks, {expected}"
        return
    if _input(first) != _input(other):
        yield f"{other.folder}: found another tokenizer, max_input_length or other ids of datasets, {expected}"
    for task, options in first.config.tasks().items():
        decoder = decoder_class(options)
        if decoder.average is Decoder.average:
            yield f"task '{task}': models of type {options.task_type} cannot predict as an ensemble; expected one model"
        has_labels = issubclass(decoder, LabelDecoder) or options.has_classes
        labels, others = (model.vocabularies[task].labels if has_labels else [] for model in (first, other))
        if labels != others:
            yield (
                f"{other.folder}: task '{task}': found {_difference(labels, others)} than in {first.folder}, because "
                "both were trained on different files (as with --folds); train the models of an ensemble on the same "
                "files, for example with --seeds"
            )


def _difference(labels: Sequence[str], others: Sequence[str]) -> str:
    """How the labels of two models differ."""
    one, other = set(labels), set(others)
    further, missing = (sorted(map(shown_label, some)) for some in (other - one, one - other))
    if not further and not missing:
        return "the same labels in another order"
    parts = [f"{word} {first_items(some)}" for word, some in (("with", further), ("without", missing)) if some]
    return f"other labels ({', '.join(parts)})"


def _layout(model: Model) -> dict[str, Any]:
    """The tasks of each dataset with their types and columns."""
    return {
        name: {task: (options.task_type, options.columns(), options.is_on) for task, options in dataset.tasks.items()}
        for name, dataset in model.config.datasets.items()
    }


def _input(model: Model) -> tuple[Any, ...]:
    """What decides which subwords and ids of datasets a sentence has."""
    params, ids = model.config.params.encoder, model.vocabularies.get(DATASET_IDS)
    subwords = model.tokenizer.tokenizer.get_vocab()
    return subwords, params.max_input_length, params.long_input, None if ids is None else ids.labels
