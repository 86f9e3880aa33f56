"""Every user's error, from a flag to a byte in a file, ends in plain lines and exit code 2."""

import contextlib
import gzip
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzzing import DATASETS, PAIRS, PLAIN, TREEBANK, predict, train, write_workplace

from machamp_lite.dataloading import dataset_reader as reader
from machamp_lite.inference import engine
from machamp_lite.model.serialization import load_model

TRAIN = ["--dataset_configs", "c.json", "--parameters_config", "p.json", "--model_dir", "run"]
ONE = "1\tdogs\tdog\tNOUN\tNNS\t_\t0\troot\tO\t_\n\n"


@pytest.fixture
def here(encoder: str, tmp_path: Path) -> Path:
    """A folder with good files."""
    write_workplace(tmp_path, encoder)
    return tmp_path


def edit_config(here: Path, change: Callable[[Any], object]) -> None:
    config = json.loads((here / "c.json").read_text())
    change(config)
    (here / "c.json").write_text(json.dumps(config))


FLAGS = {
    "a device that is not there": (["--device", "99"], "--device: found 99"),
    "a device that is no number": (["--device", "cuda"], "--device"),
    "a config that is a folder": (["--dataset_configs", "."], ".: is a folder, expected a file"),
    "a config that is not there": (["--dataset_configs", "d.json"], "d.json: no such file"),
    "a config that is a device": (["--dataset_configs", "/dev/null"], "/dev/null: no such file"),
    "params that are data": (["--parameters_config", "ud"], "ud:"),
    "a run's folder below a file": (["--model_dir", "ud/run"], "ud/run: cannot be created"),
    "a run's folder that is a file": (["--model_dir", "ud"], "ud: is a file"),
    "a value in many brackets": (
        ["--set", "training.num_epochs=" + "[" * 10**4],
        "--set training.num_epochs=",
    ),
    "a key of many parts": (["--set", "UD." + "a." * 10**4 + "b=1"], "--set UD.a"),
    "a number of many digits": (
        ["--set", "training.num_epochs=" + "9" * 400],
        "expected a number below 2147483648",
    ),
    "a width beyond memory": (["--set", "UD.tasks.tree.arc_representation_dim=10000000"], "at most 8192"),
    "a column beyond all files": (["--set", "UD.tasks.upos.column_idx=1000000000"], "a number below 10000"),
    "a former model that is data": (["--retrain", "ud"], "ud: found"),
    "a run to go on with that is none": (["--resume", "ud"], "--dataset_configs"),
}


@pytest.mark.parametrize(("flags", "reported"), FLAGS.values(), ids=FLAGS)
def test_flags(here: Path, flags: list[str], reported: str) -> None:
    from fuzzing import run

    from machamp_lite.cli import main as cli

    code, lines = run(cli.train, [*TRAIN, "--device", "-1", *flags], here)
    assert code == 2
    assert len(lines) == 1 and reported in lines[0], lines


PATHS = {"a folder": os.mkdir, "a pipe": os.mkfifo}


@pytest.mark.parametrize("make", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("key", ["train_data_path", "dev_data_path"])
def test_training_data_is_a_file(here: Path, make: Callable[[Path], None], key: str) -> None:
    make(here / "odd")
    edit_config(here, lambda config: config["UD"].update({key: "odd"}))
    code, (line,) = train(*TRAIN, folder=here)
    assert code == 2 and f"UD -> {key}: 'odd' is a " in line


def make_socket(path: Path) -> None:
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


NO_INPUTS = {"a folder": os.mkdir, "a socket": make_socket}


@pytest.mark.parametrize("make", NO_INPUTS.values(), ids=NO_INPUTS)
def test_input_and_output_of_predict_are_files_or_streams(
    here: Path, many_tasks: Path, make: Callable[[Path], None]
) -> None:
    make(here / "odd")
    for files in (("odd", "out"), ("ud", "odd")):
        code, (line,) = predict(str(many_tasks / "run"), *files, folder=here)
        assert code == 2 and line.startswith("odd: is a ") and "expected a file" in line
    assert (here / "odd").exists()
    for device in ("/dev/stdin", "/dev/null", "/dev/zero"):
        code, (line,) = predict(str(many_tasks / "run"), device, "out", "--dataset", "UD", folder=here)
        assert code == 2 and line.startswith(device)


ROW = "1\t{}\tdog\tNOUN\tNNS\t_\t0\troot\tO\t_\n\n"
# Files, and a part of the message in training; empty if training succeeds.
TREEBANKS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "in: no sentences found"),
    "only blank lines": (b"\n\t\n\r\n", "in: no sentences found"),
    "only a byte order mark": ("\ufeff".encode(), "in: no sentences found"),
    "UTF-16": (TREEBANK.encode("utf-16"), "in: found UTF-16, expected UTF-8; convert it, for example with"),
    "a damaged gzip file": (
        gzip.compress(TREEBANK.encode(), mtime=0)[:-9],
        "in: cannot be read (the gzip file is damaged",
    ),
    "the line ends of old Macs": (
        TREEBANK.replace("\n", "\r").encode(),
        "in: found lines that end with CR alone",
    ),
    "an empty word": (
        TREEBANK.encode() + ROW.format("").encode(),
        "in:23: found no word in column 1, expected one",
    ),
    "Latin 1": (
        ROW.format("f\xfcr").encode("latin1"),
        "in:1: found the byte 0xfc at column 4, expected UTF-8",
    ),
    "a row that is too short": (
        TREEBANK.encode() + b"1\tdogs\n\n",
        "in:23: found 2 columns, expected at least 9",
    ),
    "spaces for tabs": (
        TREEBANK.replace("\t", " ").encode(),
        "in:4: rows are separated by spaces, expected tabs; ",
    ),
    "a tab too few": (TREEBANK.replace("ran\trun", "ran run").encode(), "expected "),
    "a head that is no number": (ONE.replace("\t0\t", "\tx\t").encode(), "in:1: found the head 'x'"),
    "an empty label": (ONE.replace("NOUN", "").encode(), "in:1: found an empty label in column 3"),
    "a number that is none": (
        b"# degree = nan\n" + ONE.encode(),
        "found 'nan' (task 'degree'), expected a number",
    ),
    "a huge number": (
        b"# degree = 1e400\n" + ONE.encode(),
        "found '1e400' (task 'degree'), expected a number",
    ),
    "Windows line ends": (TREEBANK.replace("\n", "\r\n").encode(), ""),
    "a byte order mark": (("\ufeff" + TREEBANK).encode(), ""),
    "NUL bytes": (TREEBANK.replace("dogs", "do\0gs").encode(), ""),
    "a long word": (TREEBANK.replace("dogs", "dogs" * 2500).encode(), ""),
    "a word of nothing to be seen": (TREEBANK.replace("dogs", "\u200b\u200d").encode(), ""),
    "text from right to left": (TREEBANK.replace("dogs", "\u202e\u05e9\u05dc\u05d5\u05dd").encode(), ""),
    "a word of combining marks": (TREEBANK.replace("dogs", "\u0301" * 1000).encode(), ""),
    "labels with odd characters": (TREEBANK.replace("NOUN", "a|b=c d\u200b'\"").encode(), ""),
    "a label of many characters": (TREEBANK.replace("NOUN", "N" * 10**4).encode(), ""),
    "other line ends inside a row": (TREEBANK.replace("dogs", "do\x0b\x85\u2028gs").encode(), ""),
}


@pytest.mark.parametrize(("content", "reported"), TREEBANKS.values(), ids=TREEBANKS)
def test_treebanks(here: Path, content: bytes, reported: str) -> None:
    (here / "in").write_bytes(content)
    edit_config(
        here,
        lambda config: (config.pop("TEXT"), config["UD"].update(train_data_path="in", dev_data_path="in")),
    )
    code, lines = train(*TRAIN, folder=here)
    if reported:
        assert code == 2 and any(reported in line for line in lines), lines
        return
    assert code == 0, lines
    code, lines = predict("run", "in", "out", "--dataset", "UD", folder=here)
    assert code == 0, lines
    assert unlabelled((here / "out").read_bytes()) == unlabelled(content)


def unlabelled(content: bytes) -> list[bytes]:
    """The words of a treebank, row by row, with all else that no task writes."""
    rows = [line.split(b"\t") for line in content.split(b"\n")]
    return [
        b"\t".join([*row[:2], *row[4:5], *row[9:]])
        for row in rows
        if not row[0].startswith((b"# mood", b"# degree"))
    ]


TABLES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "in: no sentences found"),
    "one column": (b"a dog\n", "in:1: found 1 column, expected at least 4"),
    "an empty label": (b"a\tb\t\t1\n", "in:1: found an empty label in column 2"),
    "a number that is none": (b"a\tb\tyes\tone\n", "in:1: found 'one' (task 'score'), expected a number"),
    "empty texts": (b"\t\tyes\t1\n \t \tno\t2\n", ""),
    "a long text": (b"a dog " * 20_000 + b"\tb\tyes\t1\n", ""),
    "a text without spaces": (b"dog" * 50_000 + b"\tb\tyes\t1\n", ""),
    "mixed line ends": (PAIRS.replace("\n", "\r\n", 1).encode(), ""),
}


@pytest.mark.parametrize(("content", "reported"), TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("long_input", ["truncate", "stride"])
def test_tables(here: Path, content: bytes, reported: str, long_input: str) -> None:
    (here / "in").write_bytes(content)
    edit_config(
        here,
        lambda config: (config.pop("TEXT"), config.pop("UD"), config["PAIRS"].update(train_data_path="in")),
    )
    edit_config(here, lambda config: config["PAIRS"].pop("dev_data_path"))
    code, lines = train(*TRAIN, "--set", f"encoder.long_input={long_input}", folder=here)
    if long_input == "stride" and content.startswith(b"a dog a dog"):
        assert code == 2 and "in:1: found a sentence" in lines[0]
        return
    assert code == (2 if reported else 0) and all(reported in line for line in lines), lines


def long_sentence(words: int) -> str:
    rows = (f"{number}\tdogs\tdog\tNOUN\tNNS\t_\t{number - 1}\tdep\tO\t_\n" for number in range(1, words + 1))
    return "".join(rows) + "\n"


@pytest.mark.parametrize("tasks", [["tree"], ["upos"]])
def test_a_sentence_of_a_hundred_thousand_words_is_refused_in_training(here: Path, tasks: list[str]) -> None:
    (here / "in").write_text(long_sentence(100_000))
    chosen = {task: DATASETS["UD"]["tasks"][task] for task in tasks}
    (here / "c.json").write_text(
        json.dumps({"UD": {"train_data_path": "in", "word_idx": 1, "tasks": chosen}})
    )
    code, (line,) = train(*TRAIN, folder=here)
    assert code == 2
    assert line.startswith("in:1: found a sentence of 100000 words")
    assert line.endswith("a blank line ends a sentence")


def heads_of(path: Path) -> list[int]:
    return [int(line.split("\t")[6]) for line in path.read_text().splitlines() if "\t" in line]


def is_tree(heads: list[int]) -> bool:
    """Whether there is one root and every word leads to it."""
    known: set[int] = {0}
    for word in range(1, len(heads) + 1):
        path = []
        while word not in known and word not in path:
            path.append(word)
            word = heads[word - 1]
        if word not in known:
            return False
        known.update(path)
    return heads.count(0) == 1


@pytest.mark.parametrize("flags", [[], ["--topn", "2"]])
def test_a_long_sentence_is_predicted_in_parts_with_one_warning(
    here: Path,
    many_tasks: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(engine, "MAX_PART_SUBWORDS", 100)
    (here / "in").write_text(ONE + long_sentence(700) + ONE)
    from machamp_lite.cli import main as cli

    monkeypatch.chdir(here)
    arguments = [str(many_tasks / "run"), "in", "out", "--dataset", "UD", "--device", "-1", *flags]
    assert cli.predict(arguments) == 0
    assert capsys.readouterr().err.count("is predicted in parts") == 1
    rows = [line.split("\t") for line in (here / "out").read_text().splitlines() if "\t" in line]
    assert [row[0] for row in rows] == ["1", *map(str, range(1, 701)), "1"]
    assert all(row[3] != "_" for row in rows)
    if not flags:
        heads = heads_of(here / "out")[1:-1]
        assert is_tree(heads)


def test_a_sentence_of_ten_thousand_words_is_predicted(here: Path, many_tasks: Path) -> None:
    (here / "in").write_text(long_sentence(10_000))
    code, lines = predict(str(many_tasks / "run"), "in", "out", "--dataset", "UD", folder=here)
    assert code == 0, lines
    heads = heads_of(here / "out")
    assert len(heads) == 10_000 and is_tree(heads)


def test_parts_are_what_they_would_be_alone(many_tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from predicted_words import predict_words

    model = load_model(many_tasks / "run")
    words = ["dogs", "ran", "home", "."] * 50
    whole = predict_words(model, [words], dataset="UD")[0]
    monkeypatch.setattr(engine, "MAX_PART_SUBWORDS", 80)
    parts = predict_words(model, [words], dataset="UD")[0]
    for task in ("upos", "lemma", "feats"):
        assert parts[task] == whole[task]
    assert len(parts["tree"]) == len(words) and is_tree([head for head, _ in parts["tree"]])
    assert len(parts["mood"]) == 1


def test_long_lines_of_plain_text_are_refused_in_training(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_SENTENCE_SUBWORDS", 1000)
    (here / "text").write_text(PLAIN + "dogs ran home " * 500 + "\n")
    edit_config(
        here,
        lambda config: (config.pop("UD"), config.pop("PAIRS"), config["TEXT"].pop("dev_data_path", None)),
    )
    code, (line,) = train(*TRAIN, folder=here)
    assert code == 2 and line.startswith("text:5: found a sentence of ")
