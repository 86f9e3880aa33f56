"""A model of a server: what it reads, what it predicts for a batch, and what clients can ask about it."""

import io
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machamp_lite.api.arguments import named_arguments
from machamp_lite.api.inputs import choose_datasets, sentence_of_texts
from machamp_lite.api.predictor import Predictor
from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.data.formats import format_of, module_of
from machamp_lite.data.records import Record, read_records
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.files.streams import SpooledInput
from machamp_lite.inference.dataset_matching import describe, matching_dataset
from machamp_lite.inference.predictor import predict_records
from machamp_lite.serving.batching import Item
from machamp_lite.serving.requests import ConlluKind, PredictKind

# The name of a file that was sent, in messages.
SOURCE = "request"
# What clients do instead of using a flag.
_PARAMETERS = {"raw_text": """POST /predict and {"texts": [...]}"""}


def model_names(paths: Sequence[str]) -> dict[str, str]:
    """The path of each model by its name, that of its folder; raises ``ConfigError`` for equal names."""
    names: dict[str, str] = {}
    for given in paths:
        path = Path(given).absolute()
        name = path.parent.name if path.name == "model" else path.name
        if name in names:
            raise ConfigError(
                f"MODEL: found two models with the name '{name}' ({names[name]}, {given}), expected different names of "
                "folders; a link with another name (ln -s) is enough"
            )
        names[name] = given
    return names


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model with the name by which requests choose it."""

    name: str
    predictor: Predictor

    def dataset_of(self, name: str | None, inputs: Sequence[Any]) -> str:
        """The dataset with this name, or without one those that read the first input.

        Raises ``ConfigError`` if there is none, ``DataError`` for an input that it does not read.
        """
        config = self.predictor.config
        with named_arguments():
            name = choose_datasets(config, inputs[0]) if name is None else name
            if (dataset := find_dataset(config, name)).word_idx is None:
                # The model checks this, too, but it numbers the inputs of a batch.
                for number, given in enumerate(inputs, start=1):
                    sentence_of_texts(given, number, name, dataset)
        return name

    def read_file(self, body: bytes, name: str | None) -> tuple[str, list[Record]]:
        """The dataset of a file, and its records; raises ``ConfigError`` or ``DataError`` if it cannot be read."""
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{SOURCE}: found no UTF-8 at byte {error.start}, expected text") from None
        config = self.predictor.config
        with tempfile.NamedTemporaryFile(prefix="machamp_lite-") as file, named_arguments(_PARAMETERS):
            file.write(body)
            file.flush()
            source = SpooledInput(file.name, SOURCE)
            name = matching_dataset(config, name, source, vocabularies=self.predictor.model.vocabularies)
            dataset = find_dataset(config, name)
            if (found := format_of(SOURCE, dataset.format)) != "tsv":
                raise ConfigError(f"dataset: '{name}' has files of the format {found}, expected lines with columns")
            return name, list(read_records(source, file_format_of(dataset), required=dataset.text_columns()))

    def write_file(self, name: str, records: Sequence[Record]) -> str:
        """The text of records of a dataset."""
        file_format, text = file_format_of(find_dataset(self.predictor.config, name)), io.StringIO()
        with module_of(SOURCE, file_format).writer(text, SOURCE, file_format) as write:
            for record in records:
                write(record)
        return text.getvalue()

    def predict(self, kind: PredictKind | ConlluKind, items: Sequence[Item]) -> list[Any]:
        """For each input its prediction in JSON or HTML, or each record with its labels."""
        values: list[Any] = [item.value for item in items]
        if isinstance(kind, ConlluKind):
            return list(predict_records(self.predictor.model, kind.dataset, values, top_n=kind.topn))
        found = self.predictor.predict(values, dataset=kind.dataset, tasks=kind.tasks, top_k=kind.top_k)
        if kind.html:
            return [one._repr_html_() for one in found]
        return [json.dumps(one.to_dict(columns=False), ensure_ascii=False, allow_nan=False) for one in found]

    def describe(self) -> dict[str, Any]:
        """The datasets of the model, what each reads, the number of texts per input, and the types of its tasks."""
        return {
            "name": self.name,
            "datasets": {
                name: {
                    "reads": describe(dataset),
                    "num_texts": len(dataset.sent_idxs or [0]),
                    "tasks": {task: options.task_type for task, options in dataset.active().tasks.items()},
                }
                for name, dataset in self.predictor.config.datasets.items()
            },
        }
