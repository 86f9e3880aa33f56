"""The peak of memory in training over what weights, gradients, moments and the bare encoder's activations take.

Each of both sides is measured in a fresh process, as what the resident memory grows beyond data and imports.
"""

import contextlib
import ctypes
import gc
import re
from pathlib import Path

import torch

from benchmarks.child import in_fresh_process
from benchmarks.figures import Figure, NotMeasuredError, at_most
from benchmarks.rounds import ratios
from benchmarks.subject import Material, Subject, autocast, bare_step, equal_length_groups, read, take_steps
from machamp_lite.training.run import build_model

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# fp32: a weight, its gradient, and two moments of Adam.
BYTES_A_WEIGHT = 4 * 4
MEGABYTE = 1e6
# A process gives one value, and is slow to start.
MOST_ROUNDS = 3


def memory(subject: Subject) -> list[Figure]:
    """The peak of training over the least that it could be."""
    if not STATUS.exists():
        raise NotMeasuredError("memory is read from /proc, which this system does not have")
    peaks, least, parts = [], [], {}
    for _ in range(min(subject.repeats, MOST_ROUNDS)):
        training = in_fresh_process(training_peak, subject)
        activations = in_fresh_process(bare_activations, subject)
        peaks.append(training["peak"])
        least.append(training["weights"] + activations)
        parts = {
            "training, MB": training["peak"] / MEGABYTE,
            "weights, gradients, moments, MB": training["weights"] / MEGABYTE,
            "bare activations, MB": activations / MEGABYTE,
        }
    return [
        Figure(
            "memory",
            "peak memory of training over weights, gradients, moments and bare activations",
            "ratio",
            ratios(tuple(peaks), tuple(least)),
            target=at_most(1.15),
            sources=parts,
        )
    ]


def training_peak(subject: Subject) -> dict[str, int]:
    """Bytes that training takes at most beyond what data and imports take, and those of weights in fp32."""
    material = _ready(subject)
    batches = list(material.batches())
    before = _start_counting()
    model, optimizer = material.trainee()
    # The first step makes the moments, so that those after it have them from the start.
    take_steps(model, [*batches[:1], *batches], optimizer)
    peak = _peak() - before
    weights = sum(parameter.numel() for parameter in material.model().parameters())
    return {"peak": peak, "weights": BYTES_A_WEIGHT * weights}


def bare_activations(subject: Subject) -> int:
    """Bytes by which the peak rises over a bare forward and backward, with the gradients there before."""
    material = _ready(subject)
    groups = equal_length_groups(material.batches())
    encoder = material.encoder().train()
    for parameter in encoder.parameters():
        # Filled, since memory that was never written to is not there.
        parameter.grad = torch.empty_like(parameter).fill_(0)
    before = _start_counting()
    for ids in groups:
        bare_step(encoder, ids, material.config)
    return _peak() - before


def _ready(subject: Subject) -> Material:
    """Reads the data, and has torch and transformers import what they import when they are first used."""
    material = read(subject.config(), sentences=subject.sentences)
    with torch.device("meta"):
        # Without weights.
        build_model(material.config, material.data, reset=True)
    with autocast(material.config):
        map_of_one = torch.nn.Linear(1, 1)
        optimizer = torch.optim.AdamW(map_of_one.parameters(), fused=True)
        map_of_one(torch.ones(1, 1)).sum().backward()
    torch.nn.utils.clip_grad_norm_(map_of_one.parameters(), 1.0)
    optimizer.step()
    return material


def _start_counting() -> int:
    """The bytes that are resident now; what was resident before is forgotten, where the system lets it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # What is freed and kept would be taken for the model without being seen.
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        CLEAR.write_text("5")
    return _bytes_of("VmRSS")


def _peak() -> int:
    """The most bytes that were resident since counting started."""
    return _bytes_of("VmHWM")


def _bytes_of(key: str) -> int:
    """A line of the process's status, which is in kilobytes."""
    found = re.search(rf"^{key}:\s+(\d+) kB$", STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise NotMeasuredError(f"{STATUS} has no line {key}")
    return 1024 * int(found[1])
