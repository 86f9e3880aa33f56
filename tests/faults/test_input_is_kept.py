"""Prediction never overwrites what it reads: ids, texts, comments; and says what it leaves alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzzing import TREEBANK, params_for, predict, train

from machamp_lite.cli import main as cli

SEQ0 = {"tag": {"task_type": "seq", "column_idx": 0}}
FLAGS = ["--dataset_configs", "c.json", "--parameters_config", "p.json"]
TAGGED = "X\tthe\nY\tdogs\n\nX\tran\n\nZ\tbooks\nX\tfell\nX\t.\n"


@pytest.fixture
def here(encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("p.json").write_text(json.dumps(params_for(encoder)))
    return tmp_path


Learn = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def learn(here: Path) -> Learn:
    """Trains on a file with one dataset, or checks it."""

    def learn(content: str, *flags: str, **dataset: Any) -> tuple[int, list[str]]:
        Path("train").write_text(content, encoding="utf-8")
        config = {"D": {"train_data_path": "train", "dev_data_path": "train", **dataset}}
        Path("c.json").write_text(json.dumps(config))
        return train(*FLAGS, *(flags or ["--model_dir", "run", "--overwrite"]), folder=here)

    return learn


def logged(capsys: pytest.CaptureFixture[str], part: str) -> list[str]:
    """The log lines on the terminal that have a part, without the time."""
    return [line[9:].removeprefix("warning: ") for line in capsys.readouterr().err.splitlines() if part in line]


CONLLU = {
    "a treebank": TREEBANK,
    "sentences of one word": "1\tran\n\n1\tfell\n",
    "one with numbers of its own": TREEBANK + "4\tdogs\n7\tran\n",
}
OTHERS = {
    "labels": TAGGED,
    "numbers that are labels": "1\tthe\n1\tdogs\n\n1\tran\n\n2\tbooks\n1\tfell\n\n1\tit\n2\tran\n\n2\tno\n3\tdogs\n",
    "numbers that count down": "2\tthe\n1\tdogs\n\n2\tran\n1\toff\n",
}


@pytest.mark.parametrize("content", CONLLU.values(), ids=CONLLU)
def test_a_task_in_the_column_of_ids_is_refused(here: Path, learn: Learn, content: str) -> None:
    code, (line,) = learn(content, "--check", word_idx=1, tasks=SEQ0)
    expected = (
        ": found the ids of words in column 0, as in CoNLL-U, and the task 'tag' would overwrite them; "
    )
    assert code == 2 and line == f"train{expected}expected another column_idx"
    # A model may have been trained on anything.
    assert learn(TAGGED, word_idx=1, tasks=SEQ0)[0] == 0
    Path("in").write_text(content)
    for flags in ([], ["--max_sents", "1"]):
        code, (line,) = predict("run", "in", "out", *flags, folder=here)
        assert code == 2 and line == f"in{expected}expected another column_idx"
        assert not Path("out").exists()


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_labels_in_the_first_column_are_learnt_and_written(here: Path, learn: Learn, content: str) -> None:
    assert learn(content, word_idx=1, tasks=SEQ0)[0] == 0
    assert predict("run", "train", "out", folder=here)[0] == 0
    assert [line.split("\t")[1:] for line in Path("out").read_text().splitlines()] == [
        line.split("\t")[1:] for line in content.splitlines()
    ]
    Path("raw").write_text("the dogs ran\n")
    assert predict("run", "raw", "out", "--raw_text", folder=here)[0] == 0
    rows = [line.split("\t") for line in Path("out").read_text().splitlines() if "\t" in line]
    labels = {line.split("\t")[0] for line in content.splitlines()}
    assert [row[1] for row in rows] == ["the", "dogs", "ran"] and {row[0] for row in rows} <= labels


TEXT_TASKS = {
    "classification": {"task_type": "classification", "column_idx": 1},
    "probdistr": {"task_type": "probdistr", "column_idxs": [1, 3]},
}
NUMBERS = "a dog\t3\tyes\t4\nbooks fell\t2\tno\t0\nhe left\t5\tyes\t1\n"


@pytest.mark.parametrize("task_type", TEXT_TASKS)
def test_a_task_whose_label_is_a_text_warns_and_leaves_the_text_alone(
    here: Path, learn: Learn, task_type: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = {"t": TEXT_TASKS[task_type], "same": {"task_type": "classification", "column_idx": 2}}
    assert learn(NUMBERS, "--check", sent_idxs=[0, 1], tasks=tasks)[0] == 0
    for flags in (["--check"], ["--model_dir", "run"]):
        capsys.readouterr()
        assert cli.train([*FLAGS, *flags, "--device", "-1"]) == 0
        assert logged(capsys, "sees the answer") == [
            "D: the task 't' reads its labels from column 1, which is one of the texts (sent_idxs): the model "
            "sees the answer, so its scores mean nothing; prediction leaves the column as it is"
        ]
    Path("in").write_text(NUMBERS.replace("yes", "no"))
    assert cli.predict(["run", "in", "out", "--device", "-1"]) == 0
    assert logged(capsys, "not written") == [
        "D: the labels of the task 't' are not written: column 1 is one of the texts (sent_idxs)"
    ]
    source, written = (
        [line.split("\t") for line in text.splitlines()] for text in (NUMBERS, Path("out").read_text())
    )
    assert [row[:2] + row[3:] for row in written] == [row[:2] + row[3:] for row in source]


def test_document_marks_are_not_learnt_scored_or_changed(here: Path, learn: Learn) -> None:
    mark = "-DOCSTART- -X- -X- O\n\n"
    body = "EU\tNNP\nruns\tVBZ\n\nPeter\tNNP\n\n"
    tasks = {"pos": {"task_type": "seq", "column_idx": 1}}
    assert learn(mark + body + "-DOCSTART-\tO\n\n" + body, word_idx=0, tasks=tasks)[0] == 0
    labels = json.loads(Path("run/model/labels.json").read_text())["pos"]
    assert sorted(labels["labels"]) == ["NNP", "VBZ"] and labels["items"] == 6
    assert predict("run", "train", "out", folder=here)[0] == 0
    assert [line for line in Path("out").read_text().splitlines() if "DOCSTART" in line] == [
        "-DOCSTART- -X- -X- O",
        "-DOCSTART-\tO",
    ]
    report = json.loads(Path("out.eval").read_text())["pos"]["labels"]
    assert sum(row["support"] for row in report["labels"].values()) == 6


def test_an_empty_word_is_a_fault_of_training_and_a_warning_of_prediction(
    here: Path, learn: Learn, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = {"pos": {"task_type": "seq", "column_idx": 1}}
    assert learn("a\tX\nb\tY\n", word_idx=0, tasks=tasks)[0] == 0
    content = "# a\nx\tX\n\tY\n\n\tX\nb\tY\n"
    code, lines = learn(content, "--check", word_idx=0, tasks=tasks)
    found = "found no word in column 0, expected one"
    assert code == 2 and lines == [f"train:3: {found} (and 1 more line like it: 5)"]
    capsys.readouterr()
    assert cli.predict(["run", "train", "out", "--device", "-1"]) == 0
    assert logged(capsys, "empty") == [
        "train: 2 words are empty (the first at train:3) and read as an unknown subword"
    ]
    assert [line.split("\t")[0] for line in Path("out").read_text().splitlines()] == [
        line.split("\t")[0] for line in content.splitlines()
    ]


def test_two_labels_in_comments_of_one_sentence(here: Path, learn: Learn) -> None:
    tasks = {"mood": {"task_type": "classification", "column_idx": -1}}
    one = "# mood = good\n# x\n# mood = {}\n1-2\tim\n1\tin\n2\tdem\n\n# mood = bad\n1\tb\n"
    code, lines = learn(one.format("bad"), "--check", word_idx=1, tasks=tasks)
    assert code == 2
    assert lines == ["train:1: found several comments '# mood =' (good, bad), expected one label"]
    assert learn(one.format("good"), word_idx=1, tasks=tasks)[0] == 0
    Path("in").write_text(one.format("old"))
    assert predict("run", "in", "out", folder=here)[0] == 0
    lines = Path("out").read_text().splitlines()
    assert lines[0] == lines[2] and lines[1] == "# x" and "old" not in lines[2]
    assert lines[3:6] == ["1-2\tim", "1\tin", "2\tdem"]
    assert predict("run", "out", "again", folder=here)[0] == 0
    assert Path("again").read_bytes() == Path("out").read_bytes()


def test_empty_texts_are_counted(here: Path, learn: Learn, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = {"same": {"task_type": "classification", "column_idx": 2}}
    Path("dev").write_text("a\tb\tyes\n\tb\tno\n")
    content = "a\tb\tyes\n\tb\tno\n\na\t \tyes\n\t\tno\n"
    assert learn(content, "--check", sent_idxs=[0, 1], tasks=tasks, dev_data_path="dev")[0] == 0
    # The last one with data from the cache.
    for flags in (["--check"], ["--check", "--data_cache", "cache"], ["--check", "--data_cache", "cache"]):
        capsys.readouterr()
        assert cli.train([*FLAGS, *flags, "--device", "-1"]) == 0
        assert logged(capsys, "empty text") == [
            "D: 3 instances have an empty text in train (the first in line 2)",
            "D: 1 instance has an empty text in dev (the first in line 2)",
        ]


CONTROL = "X\x1b[31m\u202e\x07\x9b"


def test_control_characters_of_data_never_reach_the_terminal(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"w{CONTROL}\t{CONTROL}{number}" for number in range(3)]
    Path("train").write_text("\n".join(["# m" + CONTROL, *rows, ""]), encoding="utf-8")
    Path("dev").write_text(f"a\t{CONTROL}new\nb\t{CONTROL}0\n\n", encoding="utf-8")
    Path("bad").write_text(f"# mood{CONTROL} = x\na\n", encoding="utf-8")
    tag = {"tag": {"task_type": "seq", "column_idx": 1}}

    def run(train_path: str, tasks: Any, *flags: str) -> int:
        dataset = {"train_data_path": train_path, "dev_data_path": "dev", "word_idx": 0, "tasks": tasks}
        Path("c.json").write_text(json.dumps({"D": dataset}))
        return cli.train([*FLAGS, "--device", "-1", *flags])

    weights = {"tag": {**tag["tag"], "class_weights": "balanced"}}
    codes = [
        run("train", tag, "--check"),
        run("train", weights, "--check"),
        run("train", tag, "--model_dir", "run"),
        cli.predict(["run", "dev", "out", "--device", "-1"]),
        run("bad", {"mood": {"task_type": "classification", "column_idx": -1}}, "--check"),
        run("bad", {**tag, "other": {**tag["tag"], "class_weights": {CONTROL: 1}}}, "--check"),
    ]
    assert codes == [0, 0, 0, 0, 2, 2]
    output = capsys.readouterr()
    for text in (output.out, output.err, Path("run/log.txt").read_text()):
        # The bar of progress moves to the start of its line.
        odd = {character for character in text if not character.isprintable()} - {"\n", "\r"}
        assert not odd
    assert r"\x1b" in output.out and r"\x1b" in output.err
    assert CONTROL in Path("out").read_text(encoding="utf-8"), "files have labels as they are"
