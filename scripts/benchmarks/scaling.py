"""The cost of more tasks and more data in training."""

import dataclasses
import statistics
from collections.abc import Callable

import numpy as np

from benchmarks.figures import Figure, NotMeasuredError, ratios, timed
from benchmarks.subject import Subject, read, take_steps, train_epochs_of
from machamp_lite.config import Config
from machamp_lite.dataloading.batch_sampler import Stream
from machamp_lite.dataloading.example_store import ExampleStore

COUNTS = (1, 4, 10)
TIMES = 8
# These sections use this part of the sentences: they have several models, or several times the data.
FEWER = {"tasks": 3, "epoch": 4}


def tasks(subject: Subject) -> list[Figure]:
    """Training with one tag task, and with several copies of it under other names."""
    most = max(COUNTS)
    material = read(
        with_tag_tasks(subject.config(), most), sentences=max(1, subject.sentences // FEWER["tasks"])
    )
    batches = material.batches()
    models = {}
    for count in COUNTS:
        config = with_tag_tasks(material.config, count)
        models[count] = dataclasses.replace(material, config=config).model_and_optimizer()
    times = timed(
        {
            str(count): lambda model=model, optimizer=optimizer: take_steps(model, batches, optimizer)  # type: ignore[misc]
            for count, (model, optimizer) in models.items()
        },
        repeats=subject.repeats,
    )
    sources = {f"{count} tasks, s": statistics.median(times[str(count)]) for count in COUNTS}
    return [
        Figure(
            f"tasks_{count}",
            f"training, {count} tag tasks over one",
            "ratio",
            ratios(times[str(count)], times["1"]),
            at_most=1.12 if count == most else None,
            sources=sources,
        )
        for count in COUNTS[1:]
    ]


def with_tag_tasks(config: Config, count: int) -> Config:
    """A config with copies of the first task of type seq of any dataset; raises ``NotMeasuredError``."""
    for name, dataset in config.datasets.items():
        for task, options in dataset.tasks.items():
            if options.task_type == "seq":
                copies = {task: options} | {f"{task} {number}": options for number in range(2, count + 1)}
                copied = dataset.model_copy(update={"tasks": copies})
                return config.model_copy(update={"datasets": {name: copied}})
    raise NotMeasuredError("the config has no task of type seq")


def epoch(subject: Subject) -> list[Figure]:
    """A whole epoch, including batching, with the same sentences once and several times."""
    config = subject.config("training.num_epochs=1")
    material = read(config, sentences=max(1, subject.sentences // FEWER["epoch"]))
    model, optimizer = material.model_and_optimizer()

    def train(times: int) -> Callable[[], None]:
        streams = [repeated(stream, times) for stream in material.streams]

        def whole_epoch() -> None:
            train_epochs_of(model, optimizer, streams)

        return whole_epoch

    times = timed({"once": train(1), "often": train(TIMES)}, repeats=subject.repeats)
    return [
        Figure(
            f"epoch_{TIMES}x",
            f"seconds per word of an epoch, {TIMES} times the data over once",
            "ratio",
            tuple(ratio / TIMES for ratio in ratios(times["often"], times["once"])),
            at_most=1.05,
            sources={f"{name}, s": statistics.median(values) for name, values in times.items()},
        )
    ]


def repeated(stream: Stream, times: int) -> Stream:
    """A stream in which each example is repeated, with its sampling weight split between the copies."""
    assert isinstance(stream.examples, ExampleStore)
    sampling_weights = None if stream.sampling_weights is None else np.tile(stream.sampling_weights, times) / times
    examples = stream.examples.take(np.tile(stream.examples.indices, times))
    return Stream(examples, stream.epochs, sampling_weights, stream.weight)
