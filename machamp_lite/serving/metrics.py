"""Counts what a server does, in the text format of Prometheus.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[str, ...]
Sample = tuple[str, Labels, float]
T = TypeVar("T")


class _ByLabels(Generic[T]):
    """One value per combination of labels, which has the names ``labels``."""

    kind = ""

    def __init__(self, name: str, text: str, labels: Sequence[str], make: Callable[[], T]) -> None:
        self.name, self.text, self.labels = name, text, tuple(labels)
        self._make = make
        self._values: dict[Labels, T] = {}

    def _at(self, labels: Labels) -> T:
        return self._values.setdefault(labels, self._make())

    def lines(self) -> Iterator[str]:
        """The lines of this metric."""
        yield f"# HELP {self.name} {self.text}"
        yield f"# TYPE {self.name} {self.kind}"
        for suffix, labels, value in self._samples():
            names = (*self.labels, "le")[: len(labels)]
            pairs = ",".join(f'{name}="{_escaped(label)}"' for name, label in zip(names, labels, strict=True))
            # All digits of a count: with six, a counter above a million would grow in steps.
            number = f"{value:.15g}"
            yield f"{self.name}{suffix}{{{pairs}}} {number}" if pairs else f"{self.name}{suffix} {number}"

    def _samples(self) -> Iterable[Sample]:
        raise NotImplementedError


class Counter(_ByLabels[list[float]]):
    """A number that only grows."""

    kind = "counter"

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, text, labels, lambda: [0.0])

    def add(self, *labels: str, by: float = 1) -> None:
        """Adds to the number with these labels."""
        self._at(labels)[0] += by

    def _samples(self) -> Iterable[Sample]:
        return [("", labels, value) for labels, (value,) in self._values.items()]


class Gauge(_ByLabels[float]):
    """A number that is read when the metrics are shown."""

    kind = "gauge"

    def __init__(
        self, name: str, text: str, values: Mapping[Labels, Callable[[], float]], labels: Sequence[str] = ()
    ) -> None:
        super().__init__(name, text, labels, float)
        self._functions = values

    def _samples(self) -> Iterable[Sample]:
        return [("", labels, function()) for labels, function in self._functions.items()]


class Histogram(_ByLabels[list[float]]):
    """The distribution of values: how many are at most each of some bounds, their number and sum."""

    kind = "histogram"

    def __init__(self, name: str, text: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        # The count of each interval, and the sum.
        super().__init__(name, text, labels, lambda: [0.0] * (len(bounds) + 2))
        self.bounds = bounds

    def add(self, *labels: str, value: float) -> None:
        """Adds a value with these labels."""
        counts = self._at(labels)
        counts[bisect_left(self.bounds, value)] += 1
        counts[-1] += value

    def _samples(self) -> Iterable[Sample]:
        for labels, (*counts, total) in self._values.items():
            below = 0.0
            for bound, count in zip((*self.bounds, float("inf")), counts, strict=True):
                below += count
                yield "_bucket", (*labels, "+Inf" if bound == float("inf") else f"{bound:g}"), below
            yield "_count", labels, below
            yield "_sum", labels, total


class ServerMetrics:
    """The metrics of a server; ``queues`` gives the number of waiting sentences of each model."""

    def __init__(self, queues: Mapping[str, Callable[[], int]]) -> None:
        self.requests = Counter("machamp_lite_requests_total", "Answered requests.", ["path", "status"])
        self.seconds = Histogram(
            "machamp_lite_request_seconds", "Seconds from the headers of a request to its answer.", SECONDS, ["path"]
        )
        self.sentences = Counter("machamp_lite_sentences_total", "Predicted sentences.", ["model"])
        self.batches = Histogram("machamp_lite_batch_sentences", "Sentences per batch.", SIZES, ["model"])
        self.batch_seconds = Histogram("machamp_lite_batch_seconds", "Seconds per batch.", SECONDS, ["model"])
        self.queue = Gauge(
            "machamp_lite_queue_sentences",
            "Sentences that wait for a batch.",
            {(model,): size for model, size in queues.items()},
            ["model"],
        )
        self.memory = Gauge("process_resident_memory_bytes", "Memory of the process.", {(): resident_memory})

    def add_batch(self, model: str, sentences: int, seconds: float) -> None:
        """Counts a batch of a model."""
        self.sentences.add(model, by=sentences)
        self.batches.add(model, value=sentences)
        self.batch_seconds.add(model, value=seconds)

    def text(self) -> str:
        """All metrics."""
        metrics: tuple[_ByLabels, ...] = (
            self.requests,
            self.seconds,
            self.sentences,
            self.batches,
            self.batch_seconds,
            self.queue,
            self.memory,
        )
        return "".join(f"{line}\n" for metric in metrics for line in metric.lines())


def resident_memory() -> float:
    """The memory of this process in bytes; NaN where the system does not have /proc."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return float(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return float("nan")


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
