"""A server with many clients, over the same model that predicts the same sentences in this process."""

import asyncio
import contextlib
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import machamp_lite
from benchmarks.figures import Figure
from benchmarks.processes import ROOT
from benchmarks.subject import Subject, save_trained
from machamp_lite.errors import MachampError

CLIENTS = 32
# Of each round of the server, and of each round of prediction.
SECONDS = 24.0
OPTIONS = ["--port", "0", "--device", "-1", "--max_queue", "4096"]


@dataclass(slots=True)
class Load:
    """What clients have seen: the number of answers with another status than 200, and the seconds of all answers."""

    errors: int = 0
    seconds: list[float] = field(default_factory=list)


def serving(subject: Subject) -> list[Figure]:
    """Sentences per second of a server, over those of ``Predictor.predict``."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "model")
        material = save_trained(subject, folder)
        sentences = [list(example.words) for batch in material.batches() for example in batch]
        predictor = machamp_lite.load(folder, device="cpu")
        figures = []
        for workers in (1, max(2, os.cpu_count() or 1)):
            with server(folder, workers) as (process, host, port):
                figures.append(_figure(subject, predictor, sentences, process.pid, host, port, workers))
        return figures


def _figure(
    subject: Subject,
    predictor: machamp_lite.Predictor,
    sentences: list[list[str]],
    pid: int,
    host: str,
    port: int,
    workers: int,
) -> Figure:
    ratios, rates, load, memory = [], [], Load(), list[float]()
    messages = [request(sentence) for sentence in sentences]
    for number in range(-1, subject.repeats):
        seconds = SECONDS if number >= 0 else SECONDS / 4
        found = Load()
        alone = predict_rate(predictor, sentences, seconds)
        served = asyncio.run(serve_rate(messages, found, host, port, seconds))
        memory.append(memory_of(pid))
        if number >= 0:
            ratios.append(served / alone)
            rates.append((alone, served))
            load.errors += found.errors
            load.seconds += found.seconds
    if load.errors:
        raise MachampError(f"serving: {load.errors} of {len(load.seconds)} requests failed")
    percentiles = statistics.quantiles(load.seconds, n=100)
    sources = {
        "predict_sentences_per_s": statistics.median(alone for alone, _ in rates),
        "served_sentences_per_s": statistics.median(served for _, served in rates),
        "requests": len(load.seconds),
        "errors": load.errors,
        "p50_ms": 1000 * percentiles[49],
        "p99_ms": 1000 * percentiles[98],
        **{f"memory_mb_{number}": size / 1e6 for number, size in enumerate(memory)},
    }
    what = f"a server with {CLIENTS} clients, one sentence per request, --workers {workers}, over prediction"
    name = "serving" if workers == 1 else "serving_workers"
    return Figure(name, what, "ratio", tuple(ratios), at_least=0.85, sources=sources)


@contextlib.contextmanager
def server(model: Path, workers: int) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """The command in a process of its own, with its address."""
    command = [sys.executable, "-m", "machamp_lite", "serve", str(model), *OPTIONS, "--workers", str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://([\d.]+):(\d+)", line)
        if found is None:
            raise MachampError(f"{' '.join(command[1:])}: did not start")
        yield process, found[1], int(found[2])
    finally:
        process.terminate()
        process.wait()


def predict_rate(predictor: machamp_lite.Predictor, sentences: list[list[str]], seconds: float) -> float:
    """Sentences per second in this process."""
    start, number = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        predictor.predict(sentences)
        number += len(sentences)
    return number / (time.perf_counter() - start)


async def serve_rate(messages: Sequence[bytes], load: Load, host: str, port: int, seconds: float) -> float:
    """Answers per second of clients that each keep one connection, and send the next request after an answer."""
    stream, end = itertools.cycle(messages), time.perf_counter() + seconds
    start = time.perf_counter()
    await asyncio.gather(*(_client(stream, load, host, port, end) for _ in range(CLIENTS)))
    return len(load.seconds) / (time.perf_counter() - start)


async def _client(stream: Iterator[bytes], load: Load, host: str, port: int, end: float) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    while (start := time.perf_counter()) < end:
        writer.write(next(stream))
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
        load.errors += not head.startswith(b"HTTP/1.1 200")
        load.seconds.append(time.perf_counter() - start)
    writer.close()


def request(words: Sequence[str]) -> bytes:
    """A request for the prediction of one sentence."""
    body = json.dumps({"words": words}).encode()
    lines = ["POST /predict HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    return head.encode() + body


def memory_of(pid: int) -> float:
    """The memory of a process and those that it has started, in bytes; what they share counts once."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
    assert found is not None
    return 1024 * float(found[1]) + sum(memory_of(int(child)) for child in children)
