"""Training steps and prediction with all optimisations, and without each of them.

Each variant has a process of its own, which waits while the others are measured. A ratio is the time of a round without
an optimisation over the time of the same round with all: above 1, the optimisation saves time.
"""

import contextlib
import dataclasses
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

import torch

from benchmarks.figures import Figure, in_rounds, ratios, seconds
from benchmarks.processes import ROOT, SCRIPTS
from benchmarks.speed import BASE_SHAPE
from benchmarks.subject import Subject, base_shape_encoder, read, take_steps, train_epochs_of
from machamp_lite.acceleration import WITHOUT, accelerate
from machamp_lite.errors import ConfigError, MachampError, did_you_mean
from machamp_lite.inference.engine import predict_labels
from machamp_lite.training.optimizer import make_optimizer

ALL = "nothing"
# By command and precision, the optimisations that change anything.
VARIANTS = {
    "fp32": {"train": ("dropout", "packing", "vocabulary", "allocator"), "predict": ("packing",)},
    "bf16": {
        "train": ("dropout", "packing", "vocabulary", "allocator", "linear", "primitives"),
        "predict": ("packing", "linear", "bf16_copy", "primitives"),
    },
    "bf16_gpu": {"train": ("mask_sync", "vocabulary"), "predict": ("mask_sync",)},
}
SETTINGS = ("minilm_fp32", "minilm_bf16", "base_fp32", "base_bf16", "minilm_bf16_gpu", "base_bf16_gpu")
# A round with BERT-base's shape takes about as long with this part of the sentences.
FEWER = 6
# Epochs of training before prediction is measured: the best heads of an untrained parser are rarely trees.
EPOCHS = 5
# Settles the memory allocator and oneDNN as the command does, before torch is imported.
WORKER = """
from machamp_lite.acceleration.allocator import keep_freed_memory, limit_onednn_primitives
limit_onednn_primitives({primitives})
keep_freed_memory()
from benchmarks.acceleration import work
work()
"""
PRIMITIVES = {"train": 4096, "predict": 64}


def acceleration(subject: Subject) -> list[Figure]:
    """The ratios of all settings, or of those of ``--settings``; without a GPU, of those for the CPU."""
    cpu = [name for name in SETTINGS if torch.cuda.is_available() or not name.endswith("_gpu")]
    settings = subject.settings or cpu
    if unknown := [name for name in settings if name not in SETTINGS]:
        raise ConfigError(f"--settings: found '{unknown[0]}'{did_you_mean(unknown[0], SETTINGS)}")
    return [figure for setting in settings for figure in _figures(subject, setting)]


def _figures(subject: Subject, setting: str) -> Iterator[Figure]:
    encoder, _, precision = setting.partition("_")
    overrides = [*subject.overrides, f"training.precision={precision.partition('_')[0]}"]
    with tempfile.TemporaryDirectory() as folder:
        if encoder == "base":
            base_shape_encoder(subject.config().params.transformer_model, folder, BASE_SHAPE)
            overrides += [f"transformer_model={folder}", "reset_transformer_model=true"]
            subject = dataclasses.replace(subject, sentences=max(1, subject.sentences // FEWER))
        subject = dataclasses.replace(subject, overrides=overrides)
        for command, names in VARIANTS[precision].items():
            with contextlib.ExitStack() as stack:
                workers = {
                    name: stack.enter_context(worker(subject, command, name, gpu=precision.endswith("_gpu")))
                    for name in (ALL, *names)
                }
                # They build their models at the same time.
                for run in workers.values():
                    run()
                times = in_rounds(workers, repeats=subject.repeats)
            for name in names:
                yield Figure(
                    f"{setting}_{command}_{name}",
                    f"{setting}, {command}, without {name}",
                    "ratio",
                    ratios(times[name], times[ALL]),
                )


@contextlib.contextmanager
def worker(subject: Subject, command: str, without: str, *, gpu: bool) -> Iterator[Callable[[], float]]:
    """A process with a model, and a function that makes it work for one round and returns the seconds."""
    paths = os.pathsep.join([str(SCRIPTS), str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER.format(primitives=PRIMITIVES[command])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, WITHOUT: "" if without == ALL else without},
    )
    assert process.stdin and process.stdout

    def run() -> float:
        # A process that has ended is reported below.
        with contextlib.suppress(BrokenPipeError):
            print("work", file=process.stdin, flush=True)
        if not (answer := process.stdout.readline()):  # type: ignore[union-attr]
            raise MachampError(f"the process for {command} without {without} ended with {process.wait()}")
        return float(answer)

    try:
        with contextlib.suppress(BrokenPipeError):
            description = {"subject": dataclasses.asdict(subject), "command": command, "gpu": gpu}
            print(json.dumps(description), file=process.stdin, flush=True)
        yield run
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def work() -> None:
    """Reads a description from stdin, then works for one round per line and prints the seconds."""
    logging.getLogger("machamp_lite").setLevel(logging.ERROR)
    call = json.loads(sys.stdin.readline())
    run = ready(Subject(**call["subject"]), command=call["command"], gpu=call["gpu"])
    for _ in sys.stdin:
        print(seconds(run), flush=True)


def ready(subject: Subject, *, command: str, gpu: bool) -> Callable[[], None]:
    """A model on its device, as a function that trains it or predicts with it for one round."""
    device = "cuda" if gpu else "cpu"
    material = read(subject.config(f"training.num_epochs={EPOCHS}"), sentences=subject.sentences)
    batches = material.batches()
    examples = [example for batch in batches for example in batch]
    if command == "train":
        model, optimizer = material.model_and_optimizer(device=device)
    else:
        model = accelerate(material.model().to(device))
        train_epochs_of(model, make_optimizer(model), material.streams)

    def work() -> None:
        if command == "train":
            take_steps(model, batches, optimizer)
        else:
            for _ in predict_labels(model, examples):
                pass
        if gpu:
            torch.cuda.synchronize()

    return work
