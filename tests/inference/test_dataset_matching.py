"""Without a name, an input is read as the one dataset that it looks like; if that is not clear, nothing is guessed."""

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from machamp_lite.errors import ConfigError, DataError
from machamp_lite.inference.dataset_matching import matching_dataset


def dataset(
    word_idx: int | None = None, sent_idxs: list[int] | None = None, skip_first_line: bool = False
) -> Any:
    return SimpleNamespace(word_idx=word_idx, sent_idxs=sent_idxs, skip_first_line=skip_first_line)


UD, PAIRS, PLAIN = dataset(1), dataset(None, [0, 1]), dataset()
SLOTS, TEXTS, LAST = dataset(0), dataset(None, [0]), dataset(None, [5])
ALL = {"UD": UD, "PAIRS": PAIRS, "PLAIN": PLAIN}


def config(datasets: dict[str, Any]) -> Any:
    return SimpleNamespace(datasets=datasets)


TREEBANK = "# text = The dogs\n1\tThe\t_\n2\tdogs\t_\n\n# text = Run !\n1\tRun\t_\n2\t!\t_\n"
PAIR_LINES = "a dog sleeps\tit ran\tyes\nhe left\tshe stayed\tno\n"
PLAIN_LINES = "a dog sleeps .\nit ran .\n"

FITTING = [
    (ALL, TREEBANK, "UD"),
    (ALL, TREEBANK.replace("\n", "\r\n"), "UD"),
    (ALL, "\ufeff\n\n" + TREEBANK.replace("# text = ", "#"), "UD"),
    (ALL, "1\tThe\n2\tdogs\n\n1\tRun\n\n1\tRun\n2\t!\n", "UD"),
    (ALL, "1\t#\n2\tdogs\n\n1\t10 000\n2\t!\n", "UD"),
    (ALL, PAIR_LINES, "PAIRS"),
    (ALL, PAIR_LINES + "\n\nthey sat\twe stood\tno\n", "PAIRS"),
    (ALL, PAIR_LINES.replace("\n", "\n\n"), "PAIRS"),
    (ALL, "good\tbad\n" * 2000, "PAIRS"),
    (ALL, "# a hash\tit ran\tyes\n# b\tc d\tno\n", "PAIRS"),
    (ALL, PLAIN_LINES, "PLAIN"),
    (ALL, PLAIN_LINES + "\n" + PLAIN_LINES, "PLAIN"),
    ({"SLOTS": SLOTS, "PLAIN": PLAIN}, "The\ndogs\n\nRun\n!\n", "SLOTS"),
    ({"UD": UD, "LAST": LAST}, "a\tb\tc\td\te\tsome text\n", "LAST"),
    ({"UD": UD, "TEXTS": TEXTS}, "so good\tjoy\nso bad\tgrief\n", "TEXTS"),
    ({"SLOTS": SLOTS, "PLAIN": PLAIN}, "#MeToo\n#tag\n\n#a\n#b\n#c\n", "SLOTS"),
    ({"SLOTS": SLOTS, "PAIRS": PAIRS}, "-DOCSTART-\tO\n\n#MeToo\tO\nis\tO\n\nthis\tO\nis\tO\n", "SLOTS"),
    ({"UD": UD, "HEADED": dataset(None, [1], True)}, "h\nx\ta text\ny\tother text\n", "HEADED"),
]


@pytest.mark.parametrize(("datasets", "content", "expected"), FITTING)
def test_the_one_dataset_that_fits_is_taken_and_logged(
    datasets: dict[str, Any], content: str, expected: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in").write_bytes(content.encode())
    with caplog.at_level("INFO", logger="machamp_lite"):
        assert matching_dataset(config(datasets), None, tmp_path / "in") == expected
    assert f"in: read as {expected} (" in caplog.text


UNCLEAR = [
    ({"UD": UD, "EWT": dataset(1), "PAIRS": PAIRS}, TREEBANK, "several datasets that may read it, UD, EWT;"),
    ({"UD": UD, "PAIRS": PAIRS}, "dogs\tNOUN\nran\tVERB\n", "several datasets that may read it, UD, PAIRS;"),
    ({"TEXTS": TEXTS, "PLAIN": PLAIN}, PLAIN_LINES, "several datasets that may read it, TEXTS, PLAIN;"),
    ({"UD": UD, "PAIRS": PAIRS}, PLAIN_LINES, "no dataset that reads it;"),
    ({"PAIRS": PAIRS, "PLAIN": PLAIN}, TREEBANK, "no dataset that reads it;"),
    (ALL, "", "no dataset that reads it;"),
]


@pytest.mark.parametrize(("datasets", "content", "found"), UNCLEAR)
def test_what_is_not_clear_is_one_line_that_lists_the_datasets(
    datasets: dict[str, Any], content: str, found: str, tmp_path: Path
) -> None:
    path = tmp_path / "in"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        matching_dataset(config(datasets), None, path)
    (line,) = caught.value.faults
    assert line.startswith(f"{path}: found {found} expected --dataset with one of ")
    assert all(name in line for name in datasets)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (TREEBANK.encode("utf-16"), "found UTF-16, expected UTF-8; convert it, "),
        (TREEBANK.encode("utf-16-le"), "found UTF-16LE, expected UTF-8; convert it, "),
        (gzip.compress(TREEBANK.encode(), mtime=0), "found a gzip file, expected text; unpack it with gunzip"),
        (TREEBANK.replace("\n", "\r").encode(), "found lines that end with CR alone, "),
    ],
)
def test_an_input_of_another_format_is_named(content: bytes, found: str, tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        matching_dataset(config(ALL), None, path)
    (line,) = caught.value.faults
    assert line.startswith(f"{path}: {found}")


def test_the_only_dataset_and_a_given_one_are_taken_unseen() -> None:
    assert matching_dataset(config({"UD": UD}), None, "no such file") == "UD"
    assert matching_dataset(config(ALL), "PAIRS", "no such file") == "PAIRS"
    with pytest.raises(DataError, match=r"^gone: cannot be read \("):
        matching_dataset(config(ALL), None, "gone")


def test_raw_text_is_for_the_one_dataset_that_can_be_made_of_it(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_text(PLAIN_LINES)
    assert matching_dataset(config({"UD": UD, "PAIRS": PAIRS}), None, path, raw_text=True) == "UD"
    assert matching_dataset(config({"TEXTS": TEXTS, "PAIRS": PAIRS}), None, path, raw_text=True) == "TEXTS"
    with pytest.raises(ConfigError, match="found several datasets that may read it, UD, PLAIN;"):
        matching_dataset(config(ALL), None, path, raw_text=True)
