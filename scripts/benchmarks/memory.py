"""The peak memory of training over weights, gradients, moments and the activations of the encoder alone.

Both are measured in a fresh process, as the growth of the resident memory beyond data and imports.
"""

import contextlib
import ctypes
import gc
import re
from pathlib import Path

import torch

from benchmarks.figures import Figure, NotMeasuredError, ratios
from benchmarks.processes import in_fresh_process
from benchmarks.subject import (
    BenchmarkData,
    Subject,
    autocast,
    bare_step,
    equal_length_groups,
    read,
    take_steps,
)
from machamp_lite.training.run import build_model

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# In fp32: a weight, its gradient, and two moments of Adam.
BYTES_PER_WEIGHT = 4 * 4
MEGABYTE = 1e6
# Each value requires a process, which is slow to start.
MOST_ROUNDS = 3


def memory(subject: Subject) -> list[Figure]:
    """The peak memory of training over the least possible peak."""
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
            at_most=1.15,
            sources=parts,
        )
    ]


def training_peak(subject: Subject) -> dict[str, int]:
    """The peak of training in bytes beyond data and imports, and the bytes of weights, gradients and moments."""
    material = _ready(subject)
    batches = list(material.batches())
    before = _start_counting()
    model, optimizer = material.model_and_optimizer()
    # The first step creates the moments, so that all later steps have them.
    take_steps(model, [*batches[:1], *batches], optimizer)
    peak = _peak() - before
    weights = sum(parameter.numel() for parameter in material.model().parameters())
    return {"peak": peak, "weights": BYTES_PER_WEIGHT * weights}


def bare_activations(subject: Subject) -> int:
    """The growth of the peak in bytes in a forward and backward of the encoder, whose gradients exist before."""
    material = _ready(subject)
    groups = equal_length_groups(material.batches())
    encoder = material.encoder().train()
    for parameter in encoder.parameters():
        # Filled, because memory is not resident before it is written to.
        parameter.grad = torch.empty_like(parameter).fill_(0)
    before = _start_counting()
    for ids in groups:
        bare_step(encoder, ids, material.config)
    return _peak() - before


def _ready(subject: Subject) -> BenchmarkData:
    """Reads the data, and uses torch and transformers once, so that lazy imports are not counted."""
    material = read(subject.config(), sentences=subject.sentences)
    with torch.device("meta"):
        # Without weights.
        build_model(material.config, material.data, reset=True)
    with autocast(material.config):
        layer = torch.nn.Linear(1, 1)
        optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
        layer(torch.ones(1, 1)).sum().backward()
    torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    optimizer.step()
    return material


def _start_counting() -> int:
    """The bytes that are resident now; resets the peak, if the system allows it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # Otherwise the model could reuse freed memory of the process, which would not be counted.
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        CLEAR.write_text("5")
    return _bytes_of("VmRSS")


def _peak() -> int:
    """The peak of resident bytes since ``_start_counting``."""
    return _bytes_of("VmHWM")


def _bytes_of(key: str) -> int:
    """An entry of the process's status, in bytes."""
    found = re.search(rf"^{key}:\s+(\d+) kB$", STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise NotMeasuredError(f"{STATUS} has no line {key}")
    return 1024 * int(found[1])
