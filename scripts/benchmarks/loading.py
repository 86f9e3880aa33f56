"""The time to read a million words of training data, from their files and from the data cache."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.figures import Figure, in_rounds
from benchmarks.processes import in_fresh_process
from benchmarks.subject import Subject
from machamp_lite.config import Config
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.records import read_records
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.model.pretrained import load_tokenizer
from machamp_lite.training.data import read_data

# The number of words that the targets are for.
MILLION = 1_000_000


def reading(subject: Subject) -> list[Figure]:
    """Seconds to read the training files, repeated up to a number of words, in a fresh process each time."""
    with tempfile.TemporaryDirectory() as place:
        files, words = repeated_files(subject.config(), words=subject.words, folder=Path(place))
        cache = str(Path(place, "cache"))
        # Fills the cache.
        in_fresh_process(seconds_of_reading, subject, files=files, cache=cache)
        found = in_rounds(
            {
                "cold": lambda: in_fresh_process(seconds_of_reading, subject, files=files, cache=None),
                "cached": lambda: in_fresh_process(seconds_of_reading, subject, files=files, cache=cache),
            },
            repeats=subject.repeats,
            warm_up=False,
        )
    targets = {"cold": 5.0, "cached": 0.3} if subject.words >= MILLION else {}
    sources = {"cold": "from their files", "cached": "from the cache"}
    return [
        Figure(
            f"reading_{name}",
            f"reading {words:,} words {sources[name]}",
            "s",
            values,
            at_most=targets.get(name),
        )
        for name, values in found.items()
    ]


def repeated_files(config: Config, *, words: int, folder: Path) -> tuple[dict[str, str], int]:
    """Files with the training data repeated until all have a number of words; and the actual number."""
    once = sum(_words_of(dataset) for dataset in config.datasets.values())
    times = -(-words // max(1, once))
    files = {}
    for number, (name, dataset) in enumerate(config.datasets.items()):
        text = Path(str(dataset.train_data_path)).read_bytes()
        header, body = b"", text
        if dataset.skip_first_line:
            header, _, body = text.partition(b"\n")
            header += b"\n"
        # A blank line ends a sentence of a file with one word per line; in a TSV it would be a text.
        body = body.rstrip(b"\n") + (b"\n" if dataset.word_idx is None else b"\n\n")
        path = folder / f"{number}{Path(str(dataset.train_data_path)).suffix}"
        path.write_bytes(header + times * body)
        files[name] = str(path)
    return files, times * once


def _words_of(dataset: DatasetConfig) -> int:
    """The number of words of a training file; texts are split at spaces."""
    records = read_records(str(dataset.train_data_path), file_format_of(dataset))
    return sum(len(" ".join(record.words).split()) for record in records)


def seconds_of_reading(subject: Subject, *, files: Mapping[str, str], cache: str | None) -> float:
    """Seconds to read the training data of the given files, without dev data."""
    config = subject.config()
    whole = {"dev_data_path": None, "max_sents": None, "max_words": None}
    datasets = {
        name: dataset.model_copy(update={"train_data_path": files[name], **whole})
        for name, dataset in config.datasets.items()
    }
    config = config.model_copy(update={"datasets": datasets})
    # Imports at the first use are not counted.
    load_tokenizer(config.params.transformer_model)
    start = time.perf_counter()
    read_data(config, cache=None if cache is None else Path(cache))
    return time.perf_counter() - start
