"""The labels that the decoders of a model give words in memory, as they would be written to a file."""

from collections.abc import Iterable, Sequence
from typing import Any

from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.data.records import Record
from machamp_lite.dataloading.dataset_reader import DatasetReader
from machamp_lite.inference.dataset_matching import choose_dataset
from machamp_lite.inference.engine import predict_labels
from machamp_lite.model.multitask_model import Model


def predict_words(
    model: Model, sentences: Iterable[Sequence[str]], *, dataset: str | None = None
) -> list[dict[str, list[Any]]]:
    """The labels of sentences, or of the texts of rows, by task."""
    name = choose_dataset(model.config, dataset)
    records = [
        Record("input", number, [], [[] for _ in words], list(range(len(words))), list(words))
        for number, words in enumerate(sentences, start=1)
    ]
    reader = DatasetReader(
        name=name,
        config=find_dataset(model.config, name).active(),
        tokenizer=model.tokenizer,
        vocabularies=model.vocabularies,
    )
    pairs = [
        (number, example)
        for number, examples in enumerate(reader.examples(records, [{} for _ in records]))
        for example in examples
        if example.input_type in ("words", "subwords")
    ]
    predicted: list[dict[str, list[Any]]] = [{} for _ in records]
    for index, labels in predict_labels(model, [example for _, example in pairs]):
        predicted[pairs[index][0]] |= labels
    return predicted
