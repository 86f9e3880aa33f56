"""Properties of the sample data's ratings of pairs, plain text and questions."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean, pvariance

import pytest

DATA = Path(__file__).resolve().parent.parent / "data"
SPLITS = ("train", "dev", "test")
LABELS = ("entails", "contradicts", "unrelated")
AUXILIARIES = set("Am Is Are Was Were Do Does Did Has Have Will Can Should".split())


def text_lines(name: str) -> list[str]:
    return (DATA / name).read_text(encoding="utf-8").splitlines()


def rows_of(name: str) -> list[list[str]]:
    return [line.split("\t") for line in text_lines(name)]


def pair_rows(split: str) -> list[list[str]]:
    """First sentence, second sentence, label, similarity, three shares of votes, topics."""
    return rows_of(f"pairs.{split}.tsv")


@pytest.mark.parametrize("split", SPLITS)
def test_pairs_have_eight_columns(split: str) -> None:
    assert {len(row) for row in pair_rows(split)} == {8}


@pytest.mark.parametrize("split", SPLITS)
def test_similarity_lies_between_0_and_5_and_falls_with_the_label(split: str) -> None:
    scores: dict[str, list[float]] = defaultdict(list)
    for row in pair_rows(split):
        assert re.fullmatch(r"[0-4]\.\d|5\.0", row[3])
        scores[row[2]].append(float(row[3]))
    means = [mean(scores[label]) for label in LABELS]
    assert means[0] > means[1] + 1 > means[2] + 2
    assert all(len(set(scores[label])) > 5 for label in LABELS)


@pytest.mark.parametrize("side", [0, 1])
def test_one_sentence_of_a_pair_does_not_give_its_similarity_away(side: int) -> None:
    seen: dict[str, list[float]] = defaultdict(list)
    for row in pair_rows("train"):
        seen[row[side]].append(float(row[3]))
    average = mean(score for scores in seen.values() for score in scores)
    held_out = [row for split in ("dev", "test") for row in pair_rows(split)]
    errors = [float(row[3]) - mean(seen.get(row[side], [average])) for row in held_out]
    assert mean(error**2 for error in errors) > 0.8 * pvariance(float(row[3]) for row in held_out)


@pytest.mark.parametrize("split", SPLITS)
def test_votes_sum_to_one_and_favour_the_label(split: str) -> None:
    for row in pair_rows(split):
        votes = dict(zip(LABELS, map(float, row[4:7]), strict=True))
        assert sum(votes.values()) == pytest.approx(1)
        others = [votes[label] for label in LABELS if label != row[2]]
        assert min(others) >= 0
        assert votes[row[2]] > max(others)


def test_votes_are_often_but_not_always_divided() -> None:
    unanimous = [("1.0" in row[4:7]) for row in pair_rows("train")]
    assert 0.05 < mean(unanimous) < 0.5


def test_topics_are_uneven_sometimes_none_sometimes_several_and_all_seen_in_training() -> None:
    topics = {split: [row[7].split("|") for row in pair_rows(split)] for split in SPLITS}
    counts = {split: Counter(topic for found in topics[split] for topic in found) for split in SPLITS}
    assert all(len(found) == len(set(found)) for split in SPLITS for found in topics[split])
    assert all(found == ["_"] for split in SPLITS for found in topics[split] if "_" in found)
    assert set(counts["train"]) == set(counts["dev"]) == set(counts["test"])
    assert max(counts["train"].values()) > 3 * min(counts["train"].values())
    assert min(counts["train"].values()) >= 20
    assert {len(found) for found in topics["train"]} >= {1, 2, 3, 4}


def test_the_second_sentence_of_a_pair_does_not_fix_its_topics() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for row in pair_rows("train"):
        found[row[1]].add(row[7])
    repeated = [topics for topics in found.values() if len(topics) > 1]
    assert len(repeated) > 0.5 * len(found)


def test_plain_text_repeats_no_sentence_of_its_own_or_of_the_treebank() -> None:
    plain = {split: text_lines(f"plain.{split}.txt") for split in ("train", "dev")}
    assert {split: len(lines) for split, lines in plain.items()} == {"train": 1500, "dev": 150}
    trees = [line for split in SPLITS for line in text_lines(f"treebank.{split}.conllu")]
    known = [line.removeprefix("# text = ") for line in trees if line.startswith("# text = ")]
    assert len(known) == 700
    assert max(Counter([*plain["train"], *plain["dev"], *known]).values()) == 1
    assert all(line[-1] in '.?!"' and "\t" not in line for lines in plain.values() for line in lines)


@pytest.mark.parametrize(("split", "size"), [("train", 400), ("dev", 60), ("test", 60)])
def test_questions_open_with_an_auxiliary_and_end_with_their_mark(split: str, size: int) -> None:
    rows = rows_of(f"questions.{split}.tsv")
    assert len(rows) == size
    for statement, question in rows:
        assert statement.endswith(".")
        assert question.endswith("?")
        assert question.split()[0] in AUXILIARIES


def test_no_statement_or_question_occurs_twice_within_or_between_splits() -> None:
    counts = Counter(text for split in SPLITS for row in rows_of(f"questions.{split}.tsv") for text in row)
    assert max(counts.values()) == 1


@pytest.mark.parametrize("split", SPLITS)
def test_a_question_keeps_the_words_of_its_statement_but_for_the_verb(split: str) -> None:
    for statement, question in rows_of(f"questions.{split}.tsv"):
        old = re.findall(r"[\w.-]+", statement[:-1].lower())
        new = re.findall(r"[\w.-]+", question[:-1].lower())
        missing, added = Counter(old) - Counter(new), Counter(new) - Counter(old)
        # a contraction leaves its ending, do-support inflects the helper in place of the verb
        assert missing.total() <= 1, statement
        assert added.total() <= 2, statement
