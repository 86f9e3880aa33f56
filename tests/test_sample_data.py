"""The sample data are well-formed, and no text is in two splits."""

import re
from collections import Counter
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parent.parent / "data"
SPLITS = ("train", "dev", "test")

Sentence = tuple[dict[str, str], list[list[str]]]


def sentences(name: str) -> list[Sentence]:
    """The comments and rows of every sentence of a column file."""
    found: list[Sentence] = []
    for block in (DATA / name).read_text(encoding="utf-8").strip().split("\n\n"):
        lines = block.split("\n")
        comments = dict(re.findall(r"^# (\S+(?: \S+)?) = (.*)$", block, re.MULTILINE))
        found.append((comments, [line.split("\t") for line in lines if not line.startswith("# ")]))
    return found


def rows_of(name: str) -> list[list[str]]:
    return [line.split("\t") for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def surface_text(rows: list[list[str]]) -> str:
    """The text of a sentence in CoNLL-U: multiword tokens instead of their words, spaces except for SpaceAfter=No."""
    text, covered = "", 0
    for row in rows:
        first, _, last = row[0].partition("-")
        if "." in first or int(first) <= covered:
            continue
        covered = int(last or first)
        text += row[1] + ("" if "SpaceAfter=No" in row[9] else " ")
    return text.rstrip()


def test_every_data_set_has_a_readme_and_published_ones_their_licence() -> None:
    assert all((folder / "README.md").is_file() for folder in DATA.iterdir() if folder.is_dir())
    for name in ("ewt", "xsid"):
        assert "Attribution-ShareAlike 4.0" in (DATA / name / "LICENSE.txt").read_text(encoding="utf-8")


def test_the_readme_of_each_data_set_has_all_its_files() -> None:
    for folder in (DATA / "ewt", DATA / "xsid", DATA / "pairs"):
        text = (folder / "README.md").read_text(encoding="utf-8")
        names = {path.name for path in folder.iterdir()} - {"README.md", "LICENSE.txt"}
        assert all(f"`{name}`" in text for name in names)


@pytest.mark.parametrize("split", SPLITS)
def test_every_sentence_of_the_treebank_is_a_tree_with_the_words_of_its_text(split: str) -> None:
    for comments, rows in sentences(f"ewt/{split}.conllu"):
        assert {len(row) for row in rows} == {10}
        words = [row for row in rows if row[0].isdigit()]
        heads = {int(row[0]): int(row[6]) for row in words}
        assert list(heads) == list(range(1, len(words) + 1))
        assert [row[7] for row in words if row[6] == "0"] == ["root"]
        for node in heads:
            steps = 0
            while node:
                node, steps = heads[node], steps + 1
                assert steps <= len(heads), comments["sent_id"]
        assert surface_text(rows) == comments["text"]


def test_the_treebank_has_multiword_tokens_and_empty_nodes() -> None:
    identifiers = [row[0] for _, rows in sentences("ewt/train.conllu") for row in rows]
    assert any("-" in identifier for identifier in identifiers)
    assert any("." in identifier for identifier in identifiers)


def test_no_document_of_the_treebank_is_in_two_splits() -> None:
    documents = [
        {comments["sent_id"].rpartition("-")[0] for comments, _ in sentences(f"ewt/{split}.conllu")}
        for split in SPLITS
    ]
    assert sum(map(len, documents)) == len(set.union(*documents))


def test_raw_text_is_the_text_of_the_test_files() -> None:
    for raw, name in (("ewt/test.txt", "ewt/test.conllu"), ("xsid/requests.txt", "xsid/test.conll")):
        texts = [comments["text"] for comments, _ in sentences(name)]
        lines = (DATA / raw).read_text(encoding="utf-8").splitlines()
        assert lines == texts[: len(lines)]


def test_no_text_for_language_modelling_is_repeated_or_in_the_treebank() -> None:
    texts = [row[0] for part in ("train", "dev") for row in rows_of(f"ewt/text.{part}.txt")]
    trees = {comments["text"] for split in SPLITS for comments, _ in sentences(f"ewt/{split}.conllu")}
    assert len(texts) == len(set(texts) - trees)


@pytest.mark.parametrize("split", SPLITS)
def test_slots_are_well_formed_and_those_of_the_table(split: str) -> None:
    found = sentences(f"xsid/{split}.conll")
    table = rows_of(f"xsid/{split}.tsv")
    for (comments, rows), (english, _, intent, slots) in zip(found, table, strict=True):
        assert (comments["text"], comments["intent"]) == (english, intent)
        assert {row[2] for row in rows} == {intent}
        labels = ["O", *(row[3] for row in rows)]
        assert all(
            label[0] in "OB" or label[2:] == before[2:]
            for before, label in zip(labels, labels[1:], strict=False)
        )
        assert slots == "|".join(sorted({label[2:] for label in labels if label != "O"})) or slots == "_"


def test_no_request_or_pair_occurs_twice() -> None:
    for name, columns in (("xsid", 1), ("pairs", 2)):
        texts = [tuple(row[:columns]) for split in SPLITS for row in rows_of(f"{name}/{split}.tsv")]
        assert max(Counter(texts).values()) == 1


@pytest.mark.parametrize("split", SPLITS)
def test_labels_numbers_and_votes_of_pairs_agree(split: str) -> None:
    for _, _, label, similarity, *votes in rows_of(f"pairs/{split}.tsv"):
        shares = dict(zip(("entails", "contradicts", "unrelated"), map(float, votes), strict=True))
        assert sum(shares.values()) == pytest.approx(1)
        assert max(shares, key=shares.__getitem__) == label
        assert 0 <= float(similarity) <= 5
