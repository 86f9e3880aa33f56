"""How long a million words of training data take to be read, from their files and from the data cache."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.child import in_fresh_process
from benchmarks.figures import Figure, at_most
from benchmarks.rounds import in_rounds
from benchmarks.subject import Subject
from machamp_lite.config import Config
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.records import read_records
from machamp_lite.dataloading.datasets import read_data
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.model.pretrained import load_tokenizer

# Targets are for so many words.
MILLION = 1_000_000


def reading(subject: Subject) -> list[Figure]:
    """Seconds of reading the training files, repeated until there are so many words, each time in a fresh process."""
    with tempfile.TemporaryDirectory() as place:
        files, words = repeated_files(subject.config(), words=subject.words, folder=Path(place))
        cache = str(Path(place, "cache"))
        # Fills the cache, and warms up.
        in_fresh_process(seconds_of_reading, subject, files=files, cache=cache)
        found = in_rounds(
            {
                "cold": lambda: in_fresh_process(seconds_of_reading, subject, files=files, cache=None),
                "cached": lambda: in_fresh_process(seconds_of_reading, subject, files=files, cache=cache),
            },
            repeats=subject.repeats,
            warm_up=False,
        )
    targets = {"cold": at_most(5.0), "cached": at_most(0.3)} if subject.words >= MILLION else {}
    places = {"cold": "from their files", "cached": "from the cache"}
    return [
        Figure(
            f"reading_{name}",
            f"reading {words:,} words {places[name]}",
            "s",
            values,
            target=targets.get(name),
        )
        for name, values in found.items()
    ]


def repeated_files(config: Config, *, words: int, folder: Path) -> tuple[dict[str, str], int]:
    """Files of all training data, each so many times that together they have as many words; and how many these are."""
    once = sum(_words_of(dataset) for dataset in config.datasets.values())
    times = -(-words // max(1, once))
    files = {}
    for number, (name, dataset) in enumerate(config.datasets.items()):
        text = Path(str(dataset.train_data_path)).read_bytes()
        header, body = b"", text
        if dataset.skip_first_line:
            header, _, body = text.partition(b"\n")
            header += b"\n"
        # A blank line ends a sentence of a file with a word a line; elsewhere it would be a text of its own.
        body = body.rstrip(b"\n") + (b"\n" if dataset.word_idx is None else b"\n\n")
        path = folder / f"{number}{Path(str(dataset.train_data_path)).suffix}"
        path.write_bytes(header + times * body)
        files[name] = str(path)
    return files, times * once


def _words_of(dataset: DatasetConfig) -> int:
    """The words of a training file; those of texts by their spaces."""
    records = read_records(str(dataset.train_data_path), file_format_of(dataset))
    return sum(len(" ".join(record.words).split()) for record in records)


def seconds_of_reading(subject: Subject, *, files: Mapping[str, str], cache: str | None) -> float:
    """Seconds of reading the training data of other files, without dev data."""
    config = subject.config()
    whole = {"dev_data_path": None, "max_sents": None, "max_words": None}
    datasets = {
        name: dataset.model_copy(update={"train_data_path": files[name], **whole})
        for name, dataset in config.datasets.items()
    }
    config = config.model_copy(update={"datasets": datasets})
    # What it imports when it is first used is not counted.
    load_tokenizer(config.params.transformer_model)
    start = time.perf_counter()
    read_data(config, cache=None if cache is None else Path(cache))
    return time.perf_counter() - start
