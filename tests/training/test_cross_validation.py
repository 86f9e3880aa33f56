"""Cross-validation: every sentence is predicted once, by the model that has not seen it."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.cli import main as cli
from machamp_lite.training import run as runs
from machamp_lite.training.cross_validation import assign_folds


@pytest.fixture
def flags(tiny_params: str, tmp_path: Path) -> list[str]:
    return [
        *("--parameters_config", tiny_params, "--device", "-1", "--set", "training.num_epochs=1"),
        *("--model_dir", str(tmp_path / "group")),
    ]


# A header, comments only, empty lines, no empty line at the end, and line ends of Windows.
CSV = "text,label,other\r\nsome words,yes,1\r\nmore words,no,2\r\nmost words,yes,3\r\nno words,no,4\r\n"
FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "train.csv": (CSV, {"sent_idxs": ["text"], "tasks": {"t": {"task_type": "classification", "column_idx": "label"}}}),
    "train.jsonl": (
        "".join(
            json.dumps({"text": text, "id": number, "label": label}) + "\n\n"
            for number, (text, label) in enumerate([("some words", "a"), ("more", "b"), ("dogs", "a"), ("cats", "b")])
        ),
        {"sent_idxs": ["text"], "tasks": {"t": {"task_type": "classification", "column_idx": "label"}}},
    ),
    "train.conllu": (
        "# only a comment\n\n# sent_id = 1\n1\tThe\t_\tDET\n2-3\tdogs\t_\t_\n2\tdog\t_\tNOUN\n3\ts\t_\tPART\n\n"
        "1\tRun\t_\tVERB\n\n\n# sent_id = 3\n1\tWho\t_\tPRON\n1.1\tx\t_\t_\n\n1\tEnd\t_\tNOUN",
        {"word_idx": 1, "tasks": {"t": {"task_type": "seq", "column_idx": 3}}},
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_each_sentence_is_predicted_by_the_model_that_has_not_seen_it(
    name: str, flags: list[str], write_config: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, dataset = FILES[name]
    source, group = tmp_path / name, tmp_path / "group"
    source.write_bytes(text.encode())
    config = write_config(D={**dataset, "train_data_path": str(source)})
    assert cli.train(["--dataset_configs", config, *flags, "--folds", "2"]) == 0
    folds = json.loads((group / "folds.json").read_text())["D"]
    assert sorted(folds) == [1, 1, 2, 2]
    # The models predict the whole file; each line is that of one of them.
    whole = []
    for fold in (1, 2):
        run = group / f"fold_{fold}"
        assert json.loads((run / "metrics.json").read_text())["best_epoch"] == 1
        assert cli.predict([str(run), str(source), str(tmp_path / f"whole{fold}"), "--device", "-1"]) == 0
        whole.append((tmp_path / f"whole{fold}").read_bytes().split(b"\n"))
    lines = text.encode().split(b"\n")
    sentence, expected, training = -1, [], {1: list[bytes](), 2: list[bytes]()}
    starts_new = True
    for number, line in enumerate(lines):
        is_header = name == "train.csv" and number == 0
        is_comment = line.startswith(b"# only") or (number and lines[number - 1].startswith(b"# only"))
        if name == "train.conllu":
            if line and starts_new and not is_comment:
                sentence += 1
            starts_new = not line
            in_sentence = bool(line) or lines[number - 1] != b""
            in_sentence = in_sentence and not is_comment
        else:
            in_sentence = bool(line.strip()) and not is_header
            sentence += in_sentence
        fold = folds[sentence] if in_sentence else None
        expected.append(line if fold is None else whole[fold - 1][number])
        for left_out in training:
            if fold != left_out:
                training[left_out].append(line)
    assert (group / "D.out").read_bytes().split(b"\n") == expected
    for left_out, kept in training.items():
        path = group / "data" / f"fold_{left_out}" / f"D{source.suffix}"
        assert path.read_bytes().replace(b"\n", b"").rstrip() == b"".join(kept).rstrip()
    gold = Counter(line.split(b"\t")[3] for line in lines if line[:1].isdigit() and line.count(b"\t") == 3)
    scores = json.loads((group / "D.out.eval").read_text())["t"]
    assert scores["scored"] == 4 and (not gold or scores["scored_words"] == gold.total() - gold[b"_"])
    found = json.loads((group / "summary.json").read_text())["scores"]["D"]["t"]["accuracy"]
    assert found["overall"] == scores["accuracy"]
    assert list(found["values"]) == ["fold_1", "fold_2"]
    shown = capsys.readouterr().out
    assert "all folds" in shown


def test_documents_stay_together_and_folds_are_of_equal_size() -> None:
    for seed in range(20):
        folds = assign_folds(list(range(10)), 3, seed=seed)
        assert sorted(Counter(folds).values()) == [3, 3, 4]
        assert folds == assign_folds(list(range(10)), 3, seed=seed)
        units = [0, 0, 0, 1, 2, 2, 3, 3, 3, 3]
        by_unit = dict(zip(units, assign_folds(units, 2, seed=seed), strict=True))
        assert assign_folds(units, 2, seed=seed) == [by_unit[unit] for unit in units]
        assert set(by_unit.values()) == {1, 2}
    assert len({tuple(assign_folds(list(range(10)), 2, seed=seed)) for seed in range(20)}) > 10


def test_folds_of_documents_and_of_several_datasets(
    flags: list[str],
    write_config: Callable[..., str],
    treebank: Path,
    pair_dataset: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = treebank.read_text()
    for number in "134":
        text = text.replace(f"# sent_id = {number}\n", f"# newdoc id = {number}\n# sent_id = {number}\n")
    treebank.write_text(text)
    tasks = {"upos": {"task_type": "seq", "column_idx": 3}}
    words = {"train_data_path": str(treebank), "word_idx": 1, "tasks": tasks}
    config = write_config(WORDS=words)
    given = ["--dataset_configs", config, *flags, "--folds", "3", "--fold_by", "document"]
    assert cli.train(given) == 0
    folds = json.loads((tmp_path / "group" / "folds.json").read_text())["WORDS"]
    assert folds[0] == folds[1] and sorted(folds[1:]) == [1, 2, 3]
    assert cli.train(["--dataset_configs", config, *flags, "--folds", "2"]) == 2
    assert "was started with other folds" in capsys.readouterr().err
    two = ["--dataset_configs", write_config("two.json", WORDS=words, PAIRS=pair_dataset), *flags[:-1]]
    assert cli.train([*two, str(tmp_path / "other"), "--folds", "3", "--fold_by", "document"]) == 2
    assert f"--folds: {pair_dataset['train_data_path']} has 1 document, expected at least 3" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    assert cli.train([*two, str(tmp_path / "other"), "--folds", "2", "--set", "PAIRS.max_sents=3"]) == 0
    assert len((tmp_path / "other" / "PAIRS.out").read_text().splitlines()) == 3
    assert (tmp_path / "other" / "WORDS.out").read_text().count("\n") == text.count("\n")
    # With dev data, it chooses the epoch.
    assert (tmp_path / "other" / "fold_1" / "PAIRS.out").exists()


def test_interrupted_folds_are_resumed(
    flags: list[str],
    write_config: Callable[..., str],
    pair_dataset: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = write_config(D={**pair_dataset, "dev_data_path": None})
    given = ["--dataset_configs", config, *flags[:-1]]
    assert cli.train([*given, str(tmp_path / "whole"), "--folds", "2"]) == 0
    original, saved = runs.save_state, list[Any]()

    def save_state(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        saved.append(arguments)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(runs, "save_state", save_state)
    group = tmp_path / "group"
    assert cli.train([*given, str(group), "--folds", "2"]) == 130
    assert not (group / "D.out").exists()
    assert cli.train(["--resume", str(group), "--device", "-1"]) == 0
    for name in ("D.out", "D.out.eval", "folds.json"):
        assert (group / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    (group / "D.out").write_text("mine")
    capsys.readouterr()
    assert cli.train(["--resume", str(group), "--device", "-1"]) == 1
    assert f"{group / 'D.out'}: was written by something else" in capsys.readouterr().err
    assert (group / "D.out").read_text() == "mine"
    (group / "data" / "fold_1" / "D.tsv").write_text("a dog\tb\tyes\n")
    assert cli.train(["--resume", str(group), "--device", "-1"]) == 2
    assert "has changed since" in capsys.readouterr().err
