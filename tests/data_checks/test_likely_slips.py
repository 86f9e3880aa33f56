"""Likely slips in data files get one line each: a warning where the data can be used, an error where it cannot."""

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.cli import main as cli

SENTENCES: dict[str, Any] = {
    "sent_idxs": [0],
    "tasks": {"mood": {"task_type": "classification", "column_idx": 1}},
}
WORDS: dict[str, Any] = {"word_idx": 0, "tasks": {"tag": {"task_type": "seq", "column_idx": 1}}}
NUMBERS: dict[str, Any] = {
    "sent_idxs": [0],
    "tasks": {"score": {"task_type": "regression", "column_idx": 1}},
}
SETS: dict[str, Any] = {"sent_idxs": [0], "tasks": {"topics": {"task_type": "multiclas", "column_idx": 1}}}
SHARES: dict[str, Any] = {
    "sent_idxs": [0],
    "tasks": {"votes": {"task_type": "probdistr", "column_idxs": [1, 2]}},
}
TREES: dict[str, Any] = {
    "word_idx": 1,
    "tasks": {"tree": {"task_type": "dependency", "column_idx": 2}},
}


def rows(labels: str, text: str = "the dog number {}") -> str:
    """A line per label, separated by spaces in ``labels``."""
    return "".join(f"{text.format(number)}\t{label}\n" for number, label in enumerate(labels.split()))


MOODS = rows("pos neg neg pos pos neg neg pos pos neg neg pos")
TAGS = "the\tDET\ndog\tNOUN\nran\tVERB\n\n" * 5
SCORES = rows("1 2.5 3 4 0 -1")


@pytest.fixture
def run(
    tmp_path: Path, write_config: Callable[..., str], tiny_params: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Trains, or checks, on files ``train`` and ``dev``."""

    def run(layout: dict[str, Any], train: str, dev: str | None, *flags: str, cache: str = "off") -> int:
        monkeypatch.chdir(tmp_path)
        dataset = {**layout, "train_data_path": "train"}
        Path("train").write_text(train, encoding="utf-8")
        if dev is not None:
            dataset["dev_data_path"] = "dev"
            Path("dev").write_text(dev, encoding="utf-8")
        config = write_config(DATA=dataset)
        flags = ("--dataset_configs", config, "--parameters_config", tiny_params, "--device", "-1", *flags)
        return cli.train([*flags, "--data_cache", cache])

    return run


@pytest.fixture
def warnings(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """The warnings of ``--check``."""

    def warnings(layout: dict[str, Any], train: str, dev: str | None = None, cache: str = "off") -> list[str]:
        assert run(layout, train, dev, "--check", cache=cache) == 0
        lines = capsys.readouterr().err.splitlines()
        return [line[9:].removeprefix("warning: ") for line in lines if " data: read" not in line]

    return warnings


HEADERS: dict[str, tuple[dict[str, Any], str, str | None, list[str]]] = {
    "of sentences": (SENTENCES, "sentence\tlabel\n" + MOODS, None, ["train:1", "'label'"]),
    "of sentences with the task's name": (SENTENCES, "Tweet\tMood\n" + MOODS, None, ["train:1", "'Mood'"]),
    "of dev data": (SENTENCES, MOODS, "sentence\tlabel\n" + MOODS, ["dev:1", "'label'"]),
    "of words": (WORDS, "token\tner_tags\n" + TAGS, None, ["train:1", "'ner_tags'"]),
    "of words, before a blank line": (WORDS, "Word\tPOS\n\n" + TAGS, None, ["train:1", "'POS'"]),
    "of sets of labels": (SETS, "text\ttopics\n" + rows("a|b a b a|b c c"), None, ["train:1", "'topics'"]),
    "with a byte order mark": (SENTENCES, "\ufefftext\tlabel\n" + MOODS, None, ["train:1", "'label'"]),
    "in unknown words": (SENTENCES, "Satz\tStimmung\n" + MOODS, None, ["train:1", "'Stimmung'"]),
}


@pytest.mark.parametrize(("layout", "train", "dev", "named"), HEADERS.values(), ids=HEADERS)
def test_a_header_that_is_read_as_data(
    warnings: Callable[..., list[str]],
    layout: dict[str, Any],
    train: str,
    dev: str | None,
    named: list[str],
) -> None:
    (line,) = warnings(layout, train, dev)
    assert line.startswith(f"{named[0]}: ")
    assert all(part in line for part in [*named, '"skip_first_line": true']), line


def test_a_header_in_training_and_in_dev_data_is_a_line_each(warnings: Callable[..., list[str]]) -> None:
    lines = warnings(SENTENCES, "text\tlabel\n" + MOODS, "text\tlabel\n" + MOODS.replace("dog", "cat"))
    assert [line.split(" ")[0] for line in lines] == ["train:1:", "dev:1:"]


def test_a_header_is_reported_in_training_too(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--model_dir", str(tmp_path / "run"), "--set", "training.num_epochs=1")
    assert run(SENTENCES, "text\tlabel\n" + MOODS, None, *flags) == 0
    assert capsys.readouterr().err.count('"skip_first_line": true') == 1


HEADERS_OF_NUMBERS = {
    "regression": (NUMBERS, "text\tscore\n" + SCORES, "train:1: found 'score' (task 'score'), expected a number"),
    "probdistr": (SHARES, "text\tyes\tno\na\t1\t0\n", "train:1: found 'yes' (task 'votes'), expected a number"),
    "dependency": (TREES, "ID\tFORM\tHEAD\tDEPREL\n1\ta\t0\troot\n2\tb\t1\tdep\n\n", "train:1: found the head 'HEAD'"),
}  # fmt: skip


@pytest.mark.parametrize(("layout", "train", "start"), HEADERS_OF_NUMBERS.values(), ids=HEADERS_OF_NUMBERS)
def test_a_header_of_numbers_is_one_error_that_names_the_key(
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    layout: dict[str, Any],
    train: str,
    start: str,
) -> None:
    assert run(layout, train, None, "--check") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(start) and '"skip_first_line": true' in line


SKIPPED = {
    "a label": (SENTENCES, MOODS, "'neg'"),
    "a tag": (WORDS, TAGS, "'DET'"),
    "a number": (NUMBERS, SCORES, "'1'"),
    "a set of labels": (SETS, rows("a|b a b a|b c c"), "'a|b'"),
}


@pytest.mark.parametrize(("layout", "train", "label"), SKIPPED.values(), ids=SKIPPED)
def test_a_first_line_that_is_skipped_and_is_no_header(
    warnings: Callable[..., list[str]], layout: dict[str, Any], train: str, label: str
) -> None:
    train = train.replace("pos", "neg", 1)
    (line,) = warnings({**layout, "skip_first_line": True}, train)
    assert line.startswith("train:1: ") and label in line and "skip_first_line" in line


def spelt(labels: Sequence[str]) -> str:
    return "".join(f"the dog number {number}\t{label}\n" for number, label in enumerate(labels))


POS, NEG = ["pos", "pos", "pos"], ["neg", "neg", "neg"]
VARIANTS: dict[str, tuple[list[str], list[str]]] = {
    "case": ([*POS, *NEG, "Pos"], ["pos (3)", "Pos (1)"]),
    "a space after": ([*POS, *NEG, "pos "], ["pos (3)", "'pos ' (1)"]),
    "a space before": ([*POS, *NEG, " pos"], ["pos (3)", "' pos' (1)"]),
    "a no-break space": ([*POS, *NEG, "pos\u00a0"], ["pos (3)", "pos\\xa0 (1)"]),
    "a byte order mark": ([*POS, *NEG, "pos\ufeff"], ["pos (3)", "pos\\ufeff (1)"]),
    "a decomposed letter": ([*["caf\u00e9"] * 3, *NEG, "cafe\u0301"], ["caf\u00e9 (3)", "cafe\\u0301 (1)"]),
    "several at once": ([*POS, *NEG, "Pos", "NEG ", "pos"], ["pos (4)", "Pos (1)", "neg (3)", "'NEG ' (1)"]),
}


@pytest.mark.parametrize(("labels", "named"), VARIANTS.values(), ids=VARIANTS)
def test_labels_that_are_spelt_in_several_ways(
    warnings: Callable[..., list[str]], labels: list[str], named: list[str]
) -> None:
    (line,) = warnings(SENTENCES, spelt(labels))
    assert line.startswith("task 'mood': labels that differ only in case, outer spaces or Unicode form")
    assert all(part in line for part in named), line


def test_labels_of_dev_data_that_are_spelt_in_another_way(warnings: Callable[..., list[str]]) -> None:
    lines = warnings(SENTENCES, spelt([*POS, *NEG]), spelt([*POS, "neg "]))
    assert any("neg (3), 'neg ' (1)" in line for line in lines), lines


def test_many_spellings_are_cut(warnings: Callable[..., list[str]]) -> None:
    names = [f"label{number}" for number in range(20)] * 2
    (line,) = warnings(SENTENCES, spelt([*names, *map(str.upper, names)]))
    assert line.count(" (2)") == 10 and "and 15 more" in line


SLIPS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "empty parts of label sets": (
        SETS,
        rows("a||b a|b |a b| a c c"),
        ["task 'topics'", "label sets with an empty part", "(3, the first in train:1)", "dropped"],
    ),
    "repeated labels in label sets": (
        SETS,
        rows("a|b b a|a b|a|b c c"),
        ["task 'topics'", "a label twice", "(2, the first in train:3)", "counted once"],
    ),
    "shares that do not add up to one": (
        SHARES,
        "a\t0.5\t0.5\nb\t0.5\t0.4\nc\t0.2\t0.2\n",
        ["task 'votes'", "(2, the first in train:2)", "divided by their sum"],
    ),
    "labels that are the words": (
        {"word_idx": 0, "tasks": {"tag": {"task_type": "seq", "column_idx": 1}}},
        "".join(f"{word}\t{word}\n" for word in "the dog ran and the cat ran home".split()) * 3,
        ["task 'tag'", "column 1", "the word itself"],
    ),
    "a label per row": (
        SENTENCES,
        spelt([f"id{number}" for number in range(30)]),
        ["task 'mood'", "30 labels", "30", "column_idx"],
    ),
    "words that are ids": (
        {"word_idx": 0, "tasks": {"tag": {"task_type": "seq", "column_idx": 2}}},
        "1\tthe\tDET\n2\tdog\tNOUN\n3\tran\tVERB\n\n" * 10,
        ["train", "column 0", "only numbers", "word_idx"],
    ),
    "texts that are read as words": (
        WORDS,
        rows("yes no yes yes no"),
        ["column 0 of train", "word_idx reads as words", "('the dog number 0')", "set sent_idxs to [0]"],
    ),
    "words that are read as texts": (
        SENTENCES,
        TAGS * 4,
        ["train looks like CoNLL", "sent_idxs reads each line as a text", "set word_idx to"],
    ),
    "texts that are numbers": (
        SENTENCES,
        "".join(f"{number}\t{'yes' if number % 3 else 'no'}\n" for number in range(30)),
        ["train", "column 0", "only numbers", "sent_idxs"],
    ),
}


@pytest.mark.parametrize(("layout", "train", "named"), SLIPS.values(), ids=SLIPS)
def test_a_slip_is_one_line(
    warnings: Callable[..., list[str]], layout: dict[str, Any], train: str, named: list[str]
) -> None:
    (line,) = warnings(layout, train)
    assert all(part in line for part in named), line


@pytest.mark.parametrize(
    "case", ["header", "empty parts of label sets", "words that are ids", "a label per row"]
)
def test_data_from_the_cache_has_the_same_warnings(
    warnings: Callable[..., list[str]], tmp_path: Path, case: str
) -> None:
    layout, train = HEADERS["of sentences"][:2] if case == "header" else SLIPS[case][:2]
    dev = train.replace("dog", "cat")
    cache = str(tmp_path / "cache")
    read, cached = (warnings(layout, train, dev, cache=cache) for _ in range(2))
    assert cached[0].startswith("data: from the cache")
    assert cached[1:] == read and read


def test_dev_labels_none_of_which_training_has(warnings: Callable[..., list[str]]) -> None:
    dev = MOODS.replace("pos", "happy").replace("neg", "sad")
    (line,) = warnings(SENTENCES, MOODS, dev)
    assert "none of the labels of dev is in the training data" in line and "happy, sad" in line


GOOD: dict[str, tuple[dict[str, Any], str]] = {
    "a first label that is rare among rare ones": (SENTENCES, rows("once pos neg pos neg twice other")),
    "a first word that names a column": (WORDS, "text\tNOUN\n" + TAGS),
    "a header that is skipped": ({**SENTENCES, "skip_first_line": True}, "text\tlabel\n" + MOODS),
    "a header of numbers that is skipped": ({**NUMBERS, "skip_first_line": True}, "text\tscore\n" + SCORES),
    "an unknown header that is skipped": ({**SENTENCES, "skip_first_line": True}, "Satz\tS\n" + MOODS),
    "words with spaces": (WORDS, "New York\tNOUN\nis\tVERB\nbig\tADJ\n\n" * 10),
    "texts of one word with one blank line at the end": (SENTENCES, rows("pos neg " * 15, "w{}") + "\n"),
    "texts with blank lines between them": (SENTENCES, "\n".join(rows("pos neg pos neg " * 9).splitlines(True))),
    "votes": (SHARES, "a\t3\t1\nb\t10\t0\nc\t2\t2\n"),
    "rounded shares": (SHARES, "a\t0.33\t0.66\nb\t0.5\t0.5\n"),
    "numbers among words": (WORDS, "1\tNUM\n2\tNUM\ndog\tNOUN\n\n" * 10),
    "label sets": (SETS, rows("a|b _ a b|a b c c")),
    "lemmas that are the words": (
        {"word_idx": 0, "tasks": {"lemma": {"task_type": "string2string", "column_idx": 1}}},
        "dog\tdog\nran\trun\ncat\tcat\n\n" * 5,
    ),
}


@pytest.fixture
def warnings_of_all(
    tmp_path: Path,
    write_config: Callable[..., str],
    tiny_params: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., list[str]]:
    """The warnings of ``--check`` for several datasets in one config, each with a file of its own."""

    def warnings(datasets: dict[str, tuple[dict[str, Any], str]]) -> list[str]:
        monkeypatch.chdir(tmp_path)
        for name, (_, text) in datasets.items():
            Path(name).write_text(text, encoding="utf-8")
        config = write_config(
            **{name: {**layout, "train_data_path": name} for name, (layout, _) in datasets.items()}
        )
        flags = ["--dataset_configs", config, "--parameters_config", tiny_params, "--device", "-1"]
        assert cli.train([*flags, "--check", "--data_cache", "off"]) == 0
        lines = capsys.readouterr().err.splitlines()
        return [line[9:].removeprefix("warning: ") for line in lines if " data: read" not in line]

    return warnings


def test_good_data_has_no_warning(warnings_of_all: Callable[..., list[str]]) -> None:
    datasets = {}
    for number, (layout, train) in enumerate(GOOD.values()):
        tasks = {f"{task}{number}": options for task, options in layout["tasks"].items()}
        datasets[f"DATA{number}"] = ({**layout, "tasks": tasks}, train)
    assert warnings_of_all(datasets) == []


def test_labels_of_a_task_in_several_datasets_are_counted_file_by_file(
    warnings_of_all: Callable[..., list[str]],
) -> None:
    header, ids = "text\tlabel\n", spelt([f"id{number}" for number in range(30)])
    lines = warnings_of_all(
        {
            "A": (SENTENCES, header + MOODS),
            "B": (SENTENCES, header + MOODS),
            "C": (SENTENCES, ids),
            "D": ({**SENTENCES, "skip_first_line": True}, MOODS),
        }
    )
    assert [line.split(" ")[0] for line in lines] == ["A:1:", "B:1:", "C:", "D:1:"]


SEPARATED = {
    "spaces": ("train", WORDS, TAGS.replace("\t", " "), "spaces"),
    "spaces in dev data": ("dev", WORDS, TAGS.replace("\t", " "), "spaces"),
    "several spaces": ("train", WORDS, TAGS.replace("\t", "    "), "spaces"),
    "commas": ("train", WORDS, TAGS.replace("\t", ","), "commas"),
    "semicolons": ("train", WORDS, TAGS.replace("\t", ";"), "semicolons"),
    "sentences with commas": ("train", SENTENCES, MOODS.replace("\t", ","), "commas"),
    "sentences with semicolons in dev data": ("dev", SENTENCES, MOODS.replace("\t", ";"), "semicolons"),
    "quoted sentences": (
        "train",
        SENTENCES,
        MOODS.replace("the dog", '"the dog, the cat').replace("\t", '",'),
        "commas",
    ),
    "sentences with many spaces": ("train", SENTENCES, MOODS.replace("\t", "    "), "spaces"),
    "comments": ("train", WORDS, "# text = the dog, ran\n" + TAGS.replace("\t", " "), "spaces"),
    "a header": (
        "train",
        {**SENTENCES, "skip_first_line": True},
        "text,label\n" + MOODS.replace("\t", ","),
        "commas",
    ),
    "a tree": ("train", TREES, "1 a 0 root\n2 b 1 dep\n\n" * 20, "spaces"),
}


@pytest.mark.parametrize(("part", "layout", "text", "separator"), SEPARATED.values(), ids=SEPARATED)
def test_rows_without_tabs_are_one_line_with_their_separator(
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    part: str,
    layout: dict[str, Any],
    text: str,
    separator: str,
) -> None:
    good = TAGS if layout is WORDS else MOODS
    texts = (text, None) if part == "train" else (good, text)
    assert run(layout, *texts, "--check") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{part}:") and f"{separator}, expected tabs; " in line, line


def test_rows_that_only_lack_a_column_are_listed_as_before(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(SENTENCES, "a dog, a cat\nthe dog\n", None, "--check") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "train:1: found 1 column, expected at least 2: task 'mood' reads column 1, counted from 0 (and 1 more line "
        "like it: 2)"
    ]


RUNNING_TEXT = "The dog ran home .\nThe cat , which was old , did not .\nNo dogs !\n\n" * 5
COMMENTS = "# sent_id = 1\n# text = the dog ran\n"


def test_no_command_is_suggested_that_would_destroy_a_text(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(WORDS, RUNNING_TEXT, None, "--check") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train:1: rows have no tabs and look like texts, expected columns")
    assert "sed" not in line and "sent_idxs" in line and "--raw_text" in line


def test_a_suggested_command_converts_texts(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(SENTENCES, MOODS.replace("\t", "    "), None, "--check") == 2
    (line,) = capsys.readouterr().err.splitlines()
    command = line.partition("for example with ")[2].replace("NEW_FILE", "converted")
    subprocess.run(command, shell=True, check=True)
    assert Path("converted").read_text() == MOODS


@pytest.mark.parametrize(
    ("separator", "keys"), [(",", {"format": "csv"}), (";", {"format": "csv", "separator": ";"})]
)
def test_the_keys_that_read_another_separator_are_named(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], separator: str, keys: dict[str, str]
) -> None:
    quoted = MOODS.replace("the dog", f'"the dog{separator} the cat').replace("\t", f'"{separator}')
    assert run(SENTENCES, quoted, None, "--check") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(f'"{key}": "{value}"' in line for key, value in keys.items())
    assert run({**SENTENCES, **keys}, quoted, None, "--check") == 0


@pytest.mark.parametrize("comments", ["", COMMENTS])
def test_words_that_are_read_as_texts_are_one_line_with_word_idx(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], comments: str
) -> None:
    train = (comments + "1\tthe\tDET\n2\tdog\tNOUN\n3\tran\tVERB\n\n") * 10
    layout = {"sent_idxs": [1], "tasks": {"mood": {"task_type": "classification", "column_idx": 2}}}
    assert run(layout, train, None, "--check") == (2 if comments else 0)
    lines = [line for line in capsys.readouterr().err.splitlines() if " data: read" not in line]
    assert len(lines) == 1 and "looks like CoNLL" in lines[0] and "set word_idx to" in lines[0]


def test_rows_without_tabs_are_named_in_prediction(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--set", "training.num_epochs=1", "--model_dir")
    second = {"word_idx": 1, "tasks": {"tag": {"task_type": "seq", "column_idx": 2}}}
    assert run(WORDS, TAGS, None, *flags, "first") == 0
    assert run(second, "1\ta\tX\n2\tb\tY\n", None, *flags, "second") == 0
    capsys.readouterr()
    (tmp_path / "in").write_text("1 the\n2 dog\n\n" * 20)
    assert cli.predict(["second", "in", "out", "--device", "-1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("in:1: ") and "spaces, expected tabs" in line
    # Where only the column of words is read, a row without tabs may be meant as it is.
    (tmp_path / "in").write_text(TAGS.replace("\t", " "))
    assert cli.predict(["first", "in", "out", "--device", "-1"]) == 0
    assert capsys.readouterr().err.count("in:1: rows look separated by spaces") == 1
    (tmp_path / "in").write_text(RUNNING_TEXT)
    assert cli.predict(["first", "in", "out", "--device", "-1"]) == 0
    assert "in:1: rows look like texts and have no tabs, so each is read as one word" in capsys.readouterr().err
    (tmp_path / "in").write_text("the\nNew York\ndog\n")
    assert cli.predict(["first", "in", "out", "--device", "-1"]) == 0
    assert "separated" not in capsys.readouterr().err


NO_NUMBERS = [
    "1_000",
    "\u0661\u0662",
    "\uff11",
    "nan",
    "NaN",
    "inf",
    "-Infinity",
    "1e999",
    "1e39",
    "-4e38",
    "0x10",
    "1,5",
    "1.000.000",
    "1 000",
    "--1",
    "e5",
    ".",
]


# Each with a format of its files: a part per number, and the place of the number in the part.
PLACES_OF_NUMBERS = {
    "regression in a column": (NUMBERS, "text\t{}\n", 1, 1),
    "probdistr in columns": (SHARES, "text\t1\t{}\n", 1, 1),
    "regression in a comment": (
        {**WORDS, "tasks": {"score": {"task_type": "regression", "column_idx": -1}}},
        "# score = {}\na\tX\n\n",
        3,
        2,
    ),
    "probdistr in a comment": (
        {**WORDS, "tasks": {"votes": {"task_type": "probdistr", "size": 2}}},
        "# votes = 1|{}\na\tX\n\n",
        3,
        2,
    ),
    "heads": (TREES, "1\ta\t0\troot\n2\tb\t{}\tdep\n\n", 3, 2),
}


@pytest.mark.parametrize(
    ("layout", "part", "lines_of_part", "line_of_number"), PLACES_OF_NUMBERS.values(), ids=PLACES_OF_NUMBERS
)
def test_what_is_no_plain_number_is_refused_wherever_numbers_are_read(
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    layout: dict[str, Any],
    part: str,
    lines_of_part: int,
    line_of_number: int,
) -> None:
    train = part.format("1") + "".join(map(part.format, NO_NUMBERS))
    assert run(layout, train, None, "--check") == 2
    lines = capsys.readouterr().err.splitlines()
    # Values with the same reason are one line with their number.
    more = [re.search(r"\(and (\d+) more", line) for line in lines]
    assert len(lines) + sum(int(match[1]) for match in more if match) == len(NO_NUMBERS)
    for line in lines:
        number, found = re.match(r"train:(\d+): found (?:the head )?'(.*?)' .*expected ", line).groups()  # type: ignore[union-attr]
        assert NO_NUMBERS[(int(number) - line_of_number) // lines_of_part - 1] == found


def test_plain_numbers_are_read(run: Callable[..., int]) -> None:
    numbers = ["1", "-1", "+1", "1.5", ".5", "5.", "1e3", "1E-3", " 2 ", "007", "1e38"]
    assert run(NUMBERS, "".join(f"a\t{number}\n" for number in numbers), None, "--check") == 0


def test_labels_with_spaces_are_quoted_wherever_they_are_printed(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = spelt(["good one", " bad", "fine"] * 6)
    flags = ("--model_dir", "run", "--set", "training.num_epochs=1")
    assert run(SENTENCES, train, None, "--check") == 0
    assert "labels: ' bad' 6, fine 6, 'good one' 6" in capsys.readouterr().out
    weighted = {**SENTENCES, "tasks": {"mood": {**SENTENCES["tasks"]["mood"], "class_weights": "balanced"}}}
    assert run(weighted, train, None, "--check") == 0
    assert "\n    ' bad'      " in capsys.readouterr().out
    assert run(SENTENCES, train, train.replace("dog", "cat"), *flags) == 0
    assert "\n' bad'      " in capsys.readouterr().out
    # The label itself is as it was.
    scores = json.loads((tmp_path / "run" / "DATA.out.eval").read_text())
    assert set(scores["mood"]["labels"]["labels"]) == {"good one", " bad", "fine"}
