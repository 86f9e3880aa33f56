"""Properties of the sample data and of the script that writes it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
SCRIPT = ROOT / "scripts" / "make_sample_data.py"
SPLITS = ("train", "dev", "test")
FILES = [
    *(f"treebank.{split}.conllu" for split in SPLITS),
    *(f"intents.{split}.conll" for split in SPLITS),
    *(f"pairs.{split}.tsv" for split in SPLITS),
    *(f"questions.{split}.tsv" for split in SPLITS),
    "plain.train.txt",
    "plain.dev.txt",
    "requests.txt",
    "treebank.raw.txt",
]

Block = tuple[dict[str, str], list[list[str]]]


def blocks(name: str) -> list[Block]:
    """The comments and rows of every sentence of a column file."""
    found: list[Block] = []
    for text in (DATA / name).read_text(encoding="utf-8").strip().split("\n\n"):
        lines = text.split("\n")
        comments = dict(line[2:].split(" = ", 1) for line in lines if line.startswith("# "))
        found.append((comments, [line.split("\t") for line in lines if not line.startswith("# ")]))
    return found


def trees(split: str) -> list[Block]:
    return blocks(f"treebank.{split}.conllu")


def text_lines(name: str) -> list[str]:
    return (DATA / name).read_text(encoding="utf-8").splitlines()


def pair_rows(split: str) -> list[list[str]]:
    return [line.split("\t") for line in text_lines(f"pairs.{split}.tsv")]


def words(rows: list[list[str]]) -> list[list[str]]:
    return [row for row in rows if row[0].isdigit()]


def surface_forms(rows: list[list[str]]) -> list[tuple[str, list[str]]]:
    """Each form of the text with the words that it stands for."""
    found: list[tuple[str, list[str]]] = []
    covered = 0
    for row in rows:
        first, _, last = row[0].partition("-")
        if last:
            covered = int(last)
            found.append((row[1], []))
        elif first.isdigit() and int(first) > covered:
            found.append((row[1], [row[1]]))
        elif first.isdigit():
            found[-1][1].append(row[1])
    return found


def spoken(rows: list[list[str]]) -> str:
    """The surface text: multiword forms cover their words, SpaceAfter=No glues."""
    text, covered = "", 0
    for row in rows:
        if "." in row[0]:
            continue
        first, _, last = row[0].partition("-")
        if last:
            covered = int(last)
        elif int(first) <= covered:
            continue
        text += row[1] + ("" if "SpaceAfter=No" in row[9] else " ")
    return text.rstrip()


def test_regenerating_gives_the_committed_files_byte_for_byte(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SCRIPT), "--out", str(tmp_path)], check=True, capture_output=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name


def test_files_are_small_and_end_their_lines_with_a_bare_newline() -> None:
    contents = [(DATA / name).read_bytes() for name in FILES]
    assert sum(map(len, contents)) < 1_000_000
    assert all(b"\r" not in content and content.endswith(b"\n") for content in contents)


@pytest.mark.parametrize(("split", "least"), [("train", 450), ("dev", 100), ("test", 100)])
def test_treebank_is_large_enough_and_has_ten_columns(split: str, least: int) -> None:
    found = trees(split)
    assert len(found) >= least
    assert all(len(row) == 10 and all(row) for _, rows in found for row in rows)


@pytest.mark.parametrize("split", SPLITS)
def test_every_tree_has_one_root_no_cycle_and_ids_that_count_up(split: str) -> None:
    for comments, rows in trees(split):
        plain = words(rows)
        assert [int(row[0]) for row in plain] == list(range(1, len(plain) + 1))
        heads = {int(row[0]): int(row[6]) for row in plain}
        assert [row[7] for row in plain if row[6] == "0"] == ["root"]
        for start in heads:
            node, steps = start, 0
            while node:
                node, steps = heads[node], steps + 1
                assert steps <= len(heads), comments["sent_id"]


@pytest.mark.parametrize("split", SPLITS)
def test_text_comment_equals_the_joined_words(split: str) -> None:
    for comments, rows in trees(split):
        assert comments["text"] == spoken(rows)
    for comments, rows in blocks(f"intents.{split}.conll"):
        assert comments["text"] == " ".join(row[1] for row in rows)


@pytest.mark.parametrize("split", SPLITS)
def test_forms_are_found_in_the_text_one_after_another_with_spaces_alone_between(split: str) -> None:
    for comments, rows in trees(split):
        rest = comments["text"]
        for form, covered in surface_forms(rows):
            assert rest.startswith(form), comments["sent_id"]
            assert "".join(covered) == form, comments["sent_id"]
            rest = rest.removeprefix(form).lstrip(" ")
        assert not rest, comments["sent_id"]


def test_raw_text_is_that_of_the_test_trees() -> None:
    assert text_lines("treebank.raw.txt") == [comments["text"] for comments, _ in trees("test")]


def test_training_trees_hold_multiword_tokens_and_a_few_empty_nodes() -> None:
    rows = [row for _, block in trees("train") for row in block]
    assert sum("-" in row[0] for row in rows) >= 40
    assert 2 <= sum("." in row[0] for row in rows) <= 3


def test_sentence_ids_are_unique() -> None:
    counts = Counter(comments["sent_id"] for split in SPLITS for comments, _ in trees(split))
    assert max(counts.values()) == 1


@pytest.mark.parametrize("pattern", ["treebank.{}.conllu", "intents.{}.conll"])
def test_no_sentence_occurs_twice_within_or_between_splits(pattern: str) -> None:
    counts = Counter(comments["text"] for split in SPLITS for comments, _ in blocks(pattern.format(split)))
    assert max(counts.values()) == 1


def test_no_pair_occurs_twice_within_or_between_splits() -> None:
    counts = Counter(tuple(row[:2]) for split in SPLITS for row in pair_rows(split))
    assert max(counts.values()) == 1


@pytest.mark.parametrize("split", SPLITS)
def test_slots_are_well_formed_bio(split: str) -> None:
    for comments, rows in blocks(f"intents.{split}.conll"):
        previous = "O"
        for number, (identifier, _, tag) in enumerate(rows, 1):
            assert identifier == str(number)
            assert tag == "O" or tag[:2] in ("B-", "I-")
            if tag.startswith("I-"):
                assert previous[2:] == tag[2:], comments["text"]
            previous = tag


def test_intents_are_unevenly_distributed_and_all_learnable() -> None:
    counts = {
        split: Counter(comments["intent"] for comments, _ in blocks(f"intents.{split}.conll"))
        for split in SPLITS
    }
    assert [counts[split].total() for split in SPLITS] == [500, 120, 120]
    assert 8 <= len(counts["train"]) <= 10
    assert min(counts["train"].values()) >= 6
    assert max(counts["train"].values()) >= 25 * min(counts["train"].values())
    for split in ("dev", "test"):
        assert set(counts[split]) == set(counts["train"])
        assert min(counts[split].values()) >= 2


def test_there_are_ten_slot_types_and_more_all_seen_in_training() -> None:
    slots = {
        split: {row[2][2:] for _, rows in blocks(f"intents.{split}.conll") for row in rows if row[2] != "O"}
        for split in SPLITS
    }
    assert len(slots["train"]) >= 10
    assert slots["dev"] | slots["test"] <= slots["train"]


@pytest.mark.parametrize(("split", "size"), [("train", 600), ("dev", 120), ("test", 120)])
def test_pair_labels_have_their_shares(split: str, size: int) -> None:
    counts = Counter(row[2] for row in pair_rows(split))
    assert counts == {
        "entails": size * 45 // 100,
        "contradicts": size * 35 // 100,
        "unrelated": size * 20 // 100,
    }


@pytest.mark.parametrize("side", [0, 1])
def test_one_sentence_of_a_pair_does_not_give_the_label_away(side: int) -> None:
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for row in pair_rows("train"):
        seen[row[side]][row[2]] += 1
    held_out = [row for split in ("dev", "test") for row in pair_rows(split)]
    guesses = [seen[row[side]].most_common(1)[0][0] if row[side] in seen else "entails" for row in held_out]
    right = sum(guess == row[2] for guess, row in zip(guesses, held_out, strict=True))
    assert right / len(held_out) < 0.55


def test_repeated_second_sentences_mostly_carry_several_labels() -> None:
    labels: dict[str, list[str]] = defaultdict(list)
    for _, second, label, *_ in pair_rows("train"):
        labels[second].append(label)
    repeated = [found for found in labels.values() if len(found) > 2]
    assert sum(len(set(found)) > 1 for found in repeated) > 0.8 * len(repeated)


def test_pair_length_does_not_depend_on_the_label() -> None:
    lengths: dict[str, list[int]] = defaultdict(list)
    for first, second, label, *_ in pair_rows("train"):
        lengths[label].append(len((first + " " + second).split()))
    means = [sum(found) / len(found) for found in lengths.values()]
    assert max(means) - min(means) < 2
