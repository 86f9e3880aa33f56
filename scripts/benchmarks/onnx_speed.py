"""Prediction with torch and with ONNX Runtime: speed, and how many labels are the same."""

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

import machamp_lite
from benchmarks.figures import Figure, NotMeasuredError, ratios, timed
from benchmarks.subject import Subject, save_trained
from machamp_lite.errors import ConfigError
from machamp_lite.export.onnx_folder import export_onnx
from machamp_lite.model.serialization import load_model

Inputs = list[tuple[str, ...]]
Predict = Callable[[Inputs], list[machamp_lite.Prediction]]


def onnx(subject: Subject) -> list[Figure]:
    """Words per second of ONNX Runtime, with weights in fp32 and in 8 bits, over those of torch."""
    with tempfile.TemporaryDirectory() as place:
        folders = {name: Path(place, name) for name in ("torch", "fp32", "int8")}
        material = save_trained(subject, folders["torch"])
        try:
            for name in ("fp32", "int8"):
                export_onnx(load_model(folders["torch"]), folders[name], int8=name == "int8", provenance={})
        except ConfigError as error:
            raise NotMeasuredError(error.faults[0]) from None
        threads = torch.get_num_threads()
        # Both have the same tasks.
        dataset, chosen = next(iter(machamp_lite.load_onnx(folders["fp32"]).manifest.datasets.items()))
        predictor = machamp_lite.load(folders["torch"], device="cpu")
        predict: dict[str, Predict] = {"torch": partial(predictor.predict, dataset=dataset, tasks=list(chosen.tasks))}
        for name in ("fp32", "int8"):
            exported = machamp_lite.load_onnx(folders[name], threads=threads)
            predict[name] = partial(exported.predict, dataset=dataset)
        examples = [each for batch in material.batches() for each in batch if each.dataset == dataset]
        inputs = [tuple(example.words) for example in examples][: subject.sentences]
        return _figures(predict, inputs, list(chosen.tasks), repeats=subject.repeats)


def _figures(predict: Mapping[str, Predict], inputs: Inputs, tasks: Sequence[str], *, repeats: int) -> list[Figure]:
    found = {name: own(inputs) for name, own in predict.items()}
    times = timed({name: partial(own, inputs) for name, own in predict.items()}, repeats=repeats)
    words = sum(map(len, inputs))
    figures = []
    for name in ("fp32", "int8"):
        sources = {f"{side}, words/s": words / statistics.median(times[side]) for side in ("torch", name)}
        for task in tasks:
            pairs = list(zip(_items(found["torch"], task), _items(found[name], task), strict=True))
            sources[f"the same labels, {task}, %"] = 100 * sum(one == other for one, other in pairs) / len(pairs)
        what = f"prediction with ONNX Runtime, {name} / torch"
        figures.append(Figure(f"onnx_{name}", what, "ratio", ratios(times["torch"], times[name]), sources=sources))
    return figures


def _items(predictions: Sequence[machamp_lite.Prediction], task: str) -> Iterator[Any]:
    """The labels of all items of a task, with the heads of trees."""
    for prediction in predictions:
        labels, heads = prediction.labels[task], prediction.heads.get(task)
        if task not in prediction.columns.words:
            yield labels
        else:
            assert isinstance(labels, tuple)
            yield from zip(labels, heads, strict=True) if heads is not None else labels
