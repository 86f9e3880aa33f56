"""Writes the sample data sets of the project: a treebank, intents with slots, pairs, plain text and questions.

Run `python scripts/make_sample_data.py [--out data]`; the same files come out every time.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path

from sample_data.intents import intents
from sample_data.plain import plain_text
from sample_data.questions import questions
from sample_data.ratings import rated_pairs
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


def texts(blocks: list[str]) -> list[str]:
    """The `# text` comment of each block."""
    comments = [dict(re.findall(r"^# (\w+) = (.*)$", block, re.MULTILINE)) for block in blocks]
    return [comment["text"] for comment in comments]


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
    trees = treebank(SEED)
    write_corpus(out, "treebank.{}.conllu", trees, "\n", words_in_column)
    raw = texts(trees["test"])
    write_corpus(out, "treebank.raw.txt", {"": raw}, "\n", words_in_text)
    requests = intents(SEED)
    write_corpus(out, "intents.{}.conll", requests, "\n", words_in_column)
    write_corpus(out, "requests.txt", {"": raw_texts(requests["test"][:20])}, "\n", words_in_text)
    write_corpus(out, "pairs.{}.tsv", rated_pairs(SEED), "\n", words_in_pair)
    corpus = {text for blocks in trees.values() for text in texts(blocks)}
    write_corpus(out, "plain.{}.txt", plain_text(SEED + 1, corpus), "\n", words_in_text)
    write_corpus(out, "questions.{}.tsv", questions(SEED + 2), "\n", words_in_pair)


if __name__ == "__main__":
    main()
