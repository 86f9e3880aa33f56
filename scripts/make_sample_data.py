"""Writes the sample data sets of the project: a treebank, intents with slots, and sentence pairs.

Run `python scripts/make_sample_data.py [--out data]`; the same files come out every time.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from sample_data.intents import intents
from sample_data.pairs import pairs
from sample_data.treebank import treebank

SEED = 20


def words_in_column(block: str) -> int:
    """The words of a block whose rows open with a plain number."""
    return sum(line.split("\t")[0].isdigit() for line in block.splitlines())


def words_in_pair(row: str) -> int:
    """The words of both sentences of a pair."""
    return sum(len(text.split()) for text in row.split("\t")[:2])


def words_in_text(line: str) -> int:
    """The words of a line of plain text."""
    return len(line.split())


def raw_texts(blocks: list[str]) -> list[str]:
    """The words of each block, separated by spaces and without any annotation."""
    rows = [[line.split("\t") for line in block.splitlines() if "\t" in line] for block in blocks]
    return [" ".join(row[1] for row in sentence) for sentence in rows]


def write_atomically(path: Path, text: str) -> None:
    """Write beside the target and rename, so that no reader meets half a file."""
    beside = path.with_name(path.name + ".partial")
    beside.write_text(text, encoding="utf-8", newline="\n")
    os.replace(beside, path)


def write_corpus(
    out: Path, pattern: str, splits: dict[str, list[str]], gap: str, count: Callable[[str], int]
) -> None:
    """Write every split of a corpus and say what is in it."""
    for split, items in splits.items():
        path = out / pattern.format(split)
        write_atomically(path, "".join(item + gap for item in items))
        print(f"{path.name}: {len(items)} sentences, {sum(map(count, items))} words")


def main() -> None:
    """Write all sample files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder of the files")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    write_corpus(out, "treebank.{}.conllu", treebank(SEED), "\n", words_in_column)
    requests = intents(SEED)
    write_corpus(out, "intents.{}.conll", requests, "\n", words_in_column)
    write_corpus(out, "requests.txt", {"": raw_texts(requests["test"][:20])}, "\n", words_in_text)
    write_corpus(out, "pairs.{}.tsv", pairs(SEED), "", words_in_pair)


if __name__ == "__main__":
    main()
