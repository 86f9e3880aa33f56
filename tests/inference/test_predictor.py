"""Prediction changes labels and nothing else, scores what has gold labels, and leaves no traces of a failure."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.data.records import read_records
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import ConfigError
from machamp_lite.inference.dataset_matching import choose_dataset
from machamp_lite.inference.predictor import predict_file
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model
from machamp_lite.training.data import read_data
from machamp_lite.training.run import build_model, train

TREEBANK = """\
# text = Dogs ran.\twith a tab
# mood = statement
7\tdogs\tdog\tNOUN\t_\t_\t8\tnsubj\t_\tx
8-9\tran.\t_\t_\t_\t_\t_\t_\t_\t_
8\tran\trun\tVERB\t_\t_\t0\troot\t_\t_
9\t.\t.\tPUNCT\t_\t_\t8\tpunct\t_\t_
9.1\tran\trun\tVERB\t_\t_\t_\t_\t8:conj\t_

# mood: question
1\twho\twho\tPRON\t_\t_\t2\tnsubj\t_\t_
2\tran\trun\tVERB\t_\t_\t0\troot\t_\t_
"""
COUNTS = {"scored", "skipped", "scored_words", "skipped_words"}
# Of an older prediction.
SCORES = '{"upos": {"accuracy": 0.5, "scored": 1, "skipped": 0}}\n'
PAIRS = "a dog\tit ran\tyes\nhe\tshe\tno\n"


@pytest.fixture(scope="module")
def run_folder(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over a treebank and sentence pairs, barely trained."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "ud").write_text(TREEBANK)
    (folder / "pairs").write_text(PAIRS)
    tasks = {
        "upos": {"task_type": "seq", "column_idx": 3},
        "lemma": {"task_type": "string2string", "column_idx": 2},
        "tree": {
            "task_type": "dependency",
            "column_idx": 6,
            "arc_representation_dim": 8,
            "tag_representation_dim": 8,
        },
        "mood": {"task_type": "classification", "column_idx": -1},
    }
    same = {"same": {"task_type": "classification", "column_idx": 2}}
    datasets = {
        "UD": {"train_data_path": str(folder / "ud"), "word_idx": 1, "tasks": tasks},
        "PAIRS": {"train_data_path": str(folder / "pairs"), "sent_idxs": [0, 1], "tasks": same},
    }
    (folder / "c.json").write_text(json.dumps(datasets))
    overrides = [f"transformer_model={encoder}", "encoder.max_input_length=40", "training.num_epochs=1"]
    train(load_config([folder / "c.json"], overrides=overrides), folder / "run", progress=False)
    return folder / "run"


@pytest.fixture(scope="module")
def model(run_folder: Path) -> Model:
    """The model of the run."""
    return load_model(run_folder)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with inputs, to be worked in."""
    monkeypatch.chdir(tmp_path)
    Path("ud").write_text(TREEBANK)
    Path("pairs").write_text(PAIRS)
    return tmp_path


def restored(model: Model, dataset: str, source: Path, target: Path) -> bytes:
    """An output with the gold labels of its input written back."""
    config = model.config.datasets[dataset]
    gold = read_records(source, file_format_of(config))
    texts = []
    for record, gold_record in zip(read_records(target, file_format_of(config)), gold, strict=True):
        for task, options in config.tasks.items():
            decoder = decoder_class(options)
            labels = decoder.read_labels(gold_record, task=task, config=options) if record.rows else None
            if labels is not None:
                decoder.write_labels(record, labels, task=task, config=options)
        texts.append(record.text())
    return "".join(texts).encode()


def swapped(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


INPUTS = {
    "as it is": TREEBANK,
    "Windows line ends": TREEBANK.replace("\n", "\r\n"),
    "a byte order mark": "\ufeff" + TREEBANK,
    "no line end at the end": TREEBANK.rstrip("\n"),
    "blank lines everywhere": "\n\n" + TREEBANK.replace("\n\n", "\n\t\n \n\n") + "\n\n\n",
    "a block of comments alone": "# a\n# b = c\n\n" + TREEBANK + "\n#newdoc\n\n",
    "# as a word": swapped(TREEBANK, ("7\tdogs", "7\t#"), ("1\twho", "1\t#")),
    "words of other scripts": swapped(TREEBANK, ("7\tdogs", "7\t\u732b\u200d"), ("2\tran", "2\t\xa0")),
    "an empty word": swapped(TREEBANK, ("7\tdogs", "7\t")),
    "more columns": TREEBANK.replace("\tx\n", "\tx\ty\t\tz\n"),
}


@pytest.mark.parametrize("content", INPUTS.values(), ids=INPUTS)
def test_with_gold_labels_restored_the_output_is_the_input(model: Model, here: Path, content: str) -> None:
    (here / "in").write_bytes(content.encode())
    scores = predict_file(model, "in", "out", dataset="UD")
    assert set(scores) == {"upos", "lemma", "tree", "mood"}
    assert restored(model, "UD", here / "in", here / "out") == content.encode()


PAIR_INPUTS = {
    "as it is": PAIRS,
    "Windows line ends, a byte order mark and blank lines": "\ufeff" + PAIRS.replace("\n", "\r\n\r\n"),
    "more columns": PAIRS.replace("yes\n", "yes\tx\t\n"),
    "empty texts": "\t\tyes\n \tx\tno",
}


@pytest.mark.parametrize("content", PAIR_INPUTS.values(), ids=PAIR_INPUTS)
def test_pairs_come_back_byte_for_byte(model: Model, here: Path, content: str) -> None:
    (here / "in").write_bytes(content.encode())
    predict_file(model, "in", "out", dataset="PAIRS")
    assert restored(model, "PAIRS", here / "in", here / "out") == content.encode()


word = st.sampled_from(["#", "dogs", "ran", "1-2", "_", "\u00e9", "a b"])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sentences=st.lists(st.lists(word, min_size=1, max_size=4), min_size=1, max_size=4),
    blanks=st.lists(st.sampled_from(["\n", "\r\n", "\t\n", "\n\n"]), min_size=4, max_size=4),
    comments=st.lists(
        st.sampled_from(["", "# x\n", "# mood = \n", "# text = a\tb\r\n"]), min_size=4, max_size=4
    ),
)
def test_what_is_not_predicted_comes_back(
    model: Model, here: Path, sentences: list[list[str]], blanks: list[str], comments: list[str]
) -> None:
    lines = []
    for words, blank, comment in zip(sentences, blanks, comments, strict=False):
        rows = [f"{number}\t{text}\t_\t_\t5\t6\t_\t_\t8\n" for number, text in enumerate(words, start=1)]
        lines += [comment, *rows, blank]
    (here / "in").write_bytes("".join(lines).encode())
    assert predict_file(model, "in", "out", dataset="UD") == {}
    kept = [_unpredicted(line) for line in (here / "out").read_bytes().decode().split("\n")]
    expected = [_unpredicted(line) for line in "".join(lines).split("\n")]
    assert [line for line in kept if line is not None] == [line for line in expected if line is not None]


def _unpredicted(line: str) -> list[str] | None:
    """The columns of a line that no task writes; None for a comment that one writes."""
    if line.startswith("# mood ="):
        return None
    columns = line.split("\t")
    return columns if line.startswith("#") else columns[:2] + columns[4:6] + columns[8:]


def test_columns_without_gold_labels_are_filled_and_not_scored(model: Model, here: Path) -> None:
    Path("in").write_text("1\tdogs\t_\t_\n2\tran\n")
    Path("out.eval").write_text(SCORES)
    assert predict_file(model, "in", "out", dataset="UD") == {}
    assert not Path("out.eval").exists()
    comment, *rows = Path("out").read_text().splitlines()
    assert comment.startswith("# mood = ")
    assert [row.split("\t")[:2] for row in rows] == [["1", "dogs"], ["2", "ran"]]
    for row in rows:
        columns = row.split("\t")
        assert len(columns) == 8
        assert columns[4:6] == ["_", "_"]
        assert "_" not in (columns[3], columns[6], columns[7])


def test_only_what_has_gold_labels_is_scored(model: Model, here: Path) -> None:
    Path("in").write_text("1\tdogs\t_\tNOUN\n2\tran\t_\t_\n")
    scores = predict_file(model, "in", "out", dataset="UD")
    assert set(scores) == {"upos"}
    written = json.loads(Path("out.eval").read_text())
    assert written.keys() == scores.keys()
    assert written["upos"]["accuracy"] == scores["upos"]["accuracy"]
    assert written["upos"]["labels"]["labels"]["NOUN"]["support"] == 1


def test_labels_that_training_never_saw_only_count_as_wrong(model: Model, here: Path) -> None:
    Path("in").write_text("1\tdogs\tdogs\tNEVER\t_\t_\t77\tx\n")
    scores = predict_file(model, "in", "out", dataset="UD")
    assert scores["upos"]["accuracy"] == 0
    assert "tree" not in scores, "a head that cannot be read is no gold label"


@pytest.mark.parametrize(("label", "warnings"), [("NOUN", 0), ("n", 1)])
def test_gold_labels_of_which_the_model_knows_none_give_a_warning(
    model: Model, here: Path, caplog: pytest.LogCaptureFixture, label: str, warnings: int
) -> None:
    # Lemmas are not the labels of the vocabulary, which are edit scripts.
    Path("other").write_text(f"1\tDogs\tcanine\t{label}\n2\tbark\twoof\tv\n\n")
    predict_file(model, "other", "out", dataset="UD")
    found = [line for line in caplog.messages if "knows none of the gold labels" in line]
    assert len(found) == warnings
    assert all(line.startswith("other: task 'upos': ") and "n, v" in line for line in found)


TSV_INPUTS = {
    "a header": ("sentence1\tsentence2\tlabel\n" + PAIRS, "in:1: looks like a header ('sentence1', 'sentence2')"),
    "a header without labels": ("text1\tText\na\tb\n", "in:1: looks like a header"),
    "some rows without labels": ("a\tb\tyes\nc\td\ne\tf\n", "in:2: found 2 columns, but other rows have 3: 2 rows"),
    "no labels": ("a\tb\nc\td\n", None),
    "labels of which none is known": ("a\tb\t_\nc\td\t_\n", None),
    "further columns": ("a\tb\tyes\tx\nc\td\tno\n", None),
    "a first text that names a column": ("text\ttext\tyes\na\tb\tno\n", None),
}


@pytest.mark.parametrize(("text", "start"), TSV_INPUTS.values(), ids=TSV_INPUTS)
def test_a_tsv_with_a_header_or_without_some_columns_gives_a_warning(
    model: Model, here: Path, caplog: pytest.LogCaptureFixture, text: str, start: str | None
) -> None:
    Path("in").write_text(text)
    predict_file(model, "in", "out", dataset="PAIRS")
    lines = [line for line in caplog.messages if "knows none" not in line]
    assert len(lines) == (start is not None)
    assert all(line.startswith(str(start)) for line in lines), lines


def test_texts_that_are_read_as_words_give_a_warning(
    model: Model, here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Path("in").write_text("1\ta dog\n2\tit ran\n3\the\n")
    predict_file(model, "in", "out", dataset="UD")
    (line,) = caplog.messages
    assert line.startswith("in: column 1, which is read as words, mostly has texts with spaces ('a dog'); ")


def test_columns_that_are_filled_before_the_label_give_a_warning(
    model: Model, here: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    same = model.config.datasets["PAIRS"].tasks["same"]
    monkeypatch.setitem(model.config.datasets["PAIRS"].tasks, "same", same.model_copy(update={"column_idx": 4}))
    Path("in").write_text("a\tb\nc\td\n")
    predict_file(model, "in", "out", dataset="PAIRS")
    (line,) = caplog.messages
    assert line.startswith("in: rows have 2 columns, and labels are written to column 4: columns 2, 3 before it ")


def test_of_tasks_with_one_column_the_last_one_is_written(
    encoder: str, here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = {name: {"task_type": "classification", "column_idx": 2} for name in ("z", "a")}
    tasks["c"] = {**tasks["a"], "column_idx": 3}
    Path("train").write_text(PAIRS.replace("\n", "\tx\n"))
    Path("c.json").write_text(json.dumps({"P": {"train_data_path": "train", "sent_idxs": [0], "tasks": tasks}}))
    config = load_config(["c.json"], overrides=[f"transformer_model={encoder}", "encoder.max_input_length=40"])
    model = build_model(config, read_data(config))
    assert [line for line in caplog.messages if "same column" in line] == [
        "P: the tasks z, a write the same column 2; outputs have the labels of 'a' only"
    ]
    for task, label in (("z", "Z"), ("a", "A")):
        model.vocabularies[task].labels[:] = [label] * len(model.vocabularies[task])
    predict_file(model, "train", "out")
    assert [line.split("\t")[2] for line in Path("out").read_text().splitlines()] == ["A", "A"]


def test_strings_between_labels_need_several_labels(
    run_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(run_folder), "pairs", "out", "--dataset", "PAIRS", "--device", "-1"]
    assert cli.predict([*command, "--sep", ";", "--conn", ":"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "--conn: has no effect without --topn, expected both",
        "--sep: has no effect without --topn, expected both",
    ]
    assert not Path("out").exists()
    assert cli.predict([*command, "--sep", ";", "--conn", ":", "--topn", "2"]) == 0
    assert Path("out").read_text().splitlines()[0].split("\t")[2].count(":") == 2


@pytest.mark.parametrize("size", [1, 2, 64])
def test_batch_size_changes_no_label(model: Model, here: Path, size: int) -> None:
    predict_file(model, "ud", "out", dataset="UD")
    predict_file(model, "ud", "sized", dataset="UD", batch_size=size)
    assert Path("sized").read_bytes() == Path("out").read_bytes()


def test_many_sentences_stay_in_order(model: Model, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("in").write_text(
        "".join(f"# n = {number}\n" + "1\tdogs\n" * (1 + number % 7) + "\n" for number in range(30))
    )
    predict_file(model, "in", "whole", dataset="UD")
    monkeypatch.setattr("machamp_lite.inference.predictor.CHUNK", 4)
    predict_file(model, "in", "chunks", dataset="UD")
    assert Path("chunks").read_bytes() == Path("whole").read_bytes()
    numbers = [line for line in Path("chunks").read_text().splitlines() if line.startswith("# n")]
    assert numbers == [f"# n = {number}" for number in range(30)]


BAD_INPUTS = {
    "nothing": (b"", "in: no sentences found, expected at least one"),
    "no words": (b"1\n\n1\tdogs\n", "in:1: found 1 column, expected at least 2: word_idx reads column 1, "),
    "no UTF-8": (b"1\tdogs\n\n" * 9 + b"1\t\xff\n", "in:19: found the byte 0xff at column 3, expected UTF-8"),
}


@pytest.mark.parametrize(("content", "line"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_a_failure_leaves_no_output_and_no_trace(
    run_folder: Path, here: Path, content: bytes, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in").write_bytes(content)
    Path("old").write_text("older output")
    Path("old.eval").write_text(SCORES)
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    for target in ("new", "old"):
        assert cli.predict([str(run_folder), "in", target, "--dataset", "UD", "--device", "-1"]) == 2
        (reported,) = capsys.readouterr().err.splitlines()
        assert reported.startswith(line)
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_a_failure_while_predicting_leaves_no_trace(
    model: Model, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("machamp_lite.inference.predictor.rank_labels", fail)
    before = sorted(here.iterdir())
    with pytest.raises(KeyboardInterrupt):
        predict_file(model, "ud", "out", dataset="UD")
    assert sorted(here.iterdir()) == before


def test_an_output_that_cannot_be_written_is_reported_by_name(model: Model, here: Path) -> None:
    with pytest.raises(ConfigError, match=r"^/proc/out: cannot be written \("):
        predict_file(model, "ud", "/proc/out", dataset="UD")
    with pytest.raises(ConfigError, match=r"^no/out: the folder no does not exist$"):
        predict_file(model, "ud", "no/out", dataset="UD")


def test_a_run_folder_and_its_model_folder_predict_the_same_for_several_files(
    run_folder: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("plain").write_text("1\tdogs\n")
    flags = ["--dataset", "UD", "--device", "-1"]
    assert cli.predict([str(run_folder), "ud", "a", "plain", "b", *flags]) == 0
    output = capsys.readouterr().out
    assert [line for line in output.splitlines() if line.startswith(("written", "scores"))] == [
        "written: a",
        "scores: a.eval",
        "written: b",
    ]
    assert json.loads(Path("a.eval").read_text())["tree"].keys() - COUNTS == {"las", "uas", "labels", "calibration"}
    assert not Path("b.eval").exists()
    assert cli.predict([str(run_folder / "model"), "ud", "c", *flags]) == 0
    assert Path("c").read_bytes() == Path("a").read_bytes()


def test_which_dataset_is_asked_where_there_are_several(model: Model) -> None:
    for name, found in ((None, "none"), ("ud", "'ud'")):
        with pytest.raises(ConfigError, match=f"^--dataset: found {found}, expected one of .*: UD, PAIRS"):
            choose_dataset(model.config, name)
    assert choose_dataset(model.config, "UD") == "UD"


def test_raw_text_becomes_a_treebank(run_folder: Path, here: Path) -> None:
    Path("in").write_text("Who ran ?\n\n  dogs   ran\r\n# yes")
    flags = ["--raw_text", "--device", "-1", "--dataset"]
    assert cli.predict([str(run_folder), "in", "out", *flags, "UD"]) == 0
    blocks = Path("out").read_text().split("\n\n")
    assert [block.splitlines()[0] for block in blocks[:3]] == [
        "# text = Who ran ?",
        "# text = dogs   ran",
        "# text = # yes",
    ]
    rows = [line.split("\t") for line in blocks[1].splitlines()[2:]]
    assert [row[:2] for row in rows] == [["1", "dogs"], ["2", "ran"]]
    assert {len(row) for row in rows} == {10}
    assert not Path("out.eval").exists()
    assert cli.predict([str(run_folder), "in", "pairs_out", *flags, "PAIRS"]) == 2


def edited(change: Callable[[Any], object]) -> Callable[[Path], None]:
    """Changes a JSON file."""

    def edit(path: Path) -> None:
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return edit


def halved(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


def tasks_of(config: Any) -> Any:
    return config["datasets"]["UD"]["tasks"]


GARBAGE: list[tuple[str, str, Callable[[Path], object]]] = [
    ("config.json", "", Path.unlink),
    ("labels.json", "", Path.unlink),
    ("model.safetensors", "model.safetensors", Path.unlink),
    ("encoder/config.json", "encoder", Path.unlink),
    ("encoder/tokenizer.json", "encoder", Path.unlink),
    *[
        (name, name, damage)
        for name in ("config.json", "labels.json", "model.safetensors")
        for damage in (halved, no_text)
    ],
    *[(name, "encoder", halved) for name in ("encoder/config.json", "encoder/tokenizer.json")],
    ("config.json", "config.json", edited(lambda config: config.update(format=1))),
    ("config.json", "config.json", edited(lambda config: config.pop("datasets"))),
    ("config.json", "config.json", edited(lambda config: config["params"].update(extra=1))),
    ("config.json", "config.json", edited(lambda config: config["datasets"]["UD"].update(word_idx="x"))),
    ("config.json", "config.json", edited(lambda config: config["datasets"]["UD"].pop("word_idx"))),
    ("config.json", "config.json", edited(lambda config: config["datasets"]["PAIRS"].pop("sent_idxs"))),
    ("config.json", "config.json", edited(lambda config: tasks_of(config)["upos"].update(task_type="sequ"))),
    ("config.json", "config.json", edited(lambda config: tasks_of(config)["upos"].update(metric="f1"))),
    ("config.json", "labels.json", edited(lambda config: tasks_of(config).pop("upos"))),
    (
        "config.json",
        "model.safetensors",
        edited(lambda config: tasks_of(config)["tree"].update(arc_representation_dim=9)),
    ),
    ("labels.json", "labels.json", edited(lambda labels: labels.pop("upos"))),
    ("labels.json", "labels.json", edited(lambda labels: labels["upos"]["labels"].pop())),
    ("labels.json", "labels.json", edited(lambda labels: labels["upos"].update(labels=[1], counts=[1]))),
    (
        "labels.json",
        "model.safetensors",
        edited(lambda labels: (labels["upos"]["labels"].pop(), labels["upos"]["counts"].pop())),
    ),
]


def test_a_row_without_its_gold_column_is_not_scored(run_folder: Path, here: Path) -> None:
    Path("in").write_text("1\twho\twho\tPRON\n2\tran\n\n1\tdogs\tdog\tNOUN\n\n")
    assert cli.predict([str(run_folder), "in", "out", "--dataset", "UD", "--device", "-1"]) == 0
    scores = json.loads(Path("out.eval").read_text())["upos"]
    assert (scores["scored"], scores["skipped"]) == (1, 1)


@pytest.mark.parametrize(("name", "reported", "damage"), GARBAGE, ids=range(len(GARBAGE)))
def test_a_damaged_model_folder_is_one_line_that_names_the_file(
    run_folder: Path,
    here: Path,
    name: str,
    reported: str,
    damage: Callable[[Path], object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(run_folder / "model", "m")
    damage(Path("m", name))
    assert cli.predict(["m", "ud", "out", "--dataset", "UD", "--device", "-1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(Path("m", reported)) in line
    assert not Path("out").exists()


def test_nothing_in_a_model_folder_is_run(run_folder: Path, here: Path) -> None:
    shutil.copytree(run_folder / "model", "m")
    torch.save({"x": 1}, "m/model.safetensors")
    with pytest.raises(ConfigError, match=r"^m/model\.safetensors: "):
        load_model("m")
