"""Compares prediction with torch and with ONNX Runtime on files: words per second, and agreement of labels.

python scripts/benchmarks/onnx_speed.py RUN DATA --fp32 DIR --int8 DIR [--threads N] [--repeats N]

The variants take turns, and medians are printed. The folders are those of machamp-lite export --onnx.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

import machamp_lite
from machamp_lite.api.predictor import Predictor
from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.data.records import read_records
from machamp_lite.dataloading.example import file_format_of

Predict = Callable[[list[list[str]]], list[Any]]


def items(predictions: Sequence[Any], task: str) -> Iterator[Any]:
    """The labels of all items of a task, with the heads of trees."""
    for prediction in predictions:
        labels, heads = prediction.labels[task], prediction.heads.get(task)
        if not isinstance(labels, tuple) or task not in prediction.layout.words:
            yield labels
        else:
            yield from zip(labels, heads, strict=True) if heads is not None else labels


def main() -> None:
    """Prints the speed of each variant, and the share of items with the same labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("data")
    parser.add_argument("--fp32", required=True)
    parser.add_argument("--int8", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    model: Predictor = machamp_lite.load(flags.run, device="cpu")
    (dataset,) = model.config.datasets
    records = read_records(flags.data, file_format_of(find_dataset(model.config, dataset)))
    sentences = [record.words for record in records if record.rows]
    words = sum(map(len, sentences))
    variants: dict[str, Predict] = {"torch": lambda given: model.predict(given)}
    for name in ("fp32", "int8"):
        exported = machamp_lite.load_onnx(getattr(flags, name), threads=flags.threads)
        variants[f"ONNX {name}"] = exported.predict
    found = {name: predict(sentences) for name, predict in variants.items()}
    print(f"{len(sentences)} sentences, {words} words, {flags.threads} threads")
    for name in variants:
        agreement = []
        for task in model.tasks:
            pairs = list(zip(items(found["torch"], task), items(found[name], task), strict=True))
            agreement.append(f"{task} {100 * sum(one == other for one, other in pairs) / len(pairs):.2f}%")
        print(f"{name}: the same labels as torch: {', '.join(agreement)}", flush=True)
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(flags.repeats):
        for name, predict in variants.items():
            start = time.perf_counter()
            predict(sentences)
            seconds[name].append(time.perf_counter() - start)
    for name in variants:
        print(f"{name}: {words / statistics.median(seconds[name]):.0f} words/s")


if __name__ == "__main__":
    main()
