"""The comparison of two runs: scores of the runs, tests of their differences, labels and sentences that differ."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.cli import comparison_text
from machamp_lite.cli import main as cli
from machamp_lite.cli.commands import main
from machamp_lite.config.loading import load_config
from machamp_lite.inference.comparison import MetricComparison, TaskComparison, compare_files, correct
from machamp_lite.inference.predicted_sentences import PredictedFile, PredictedSentence
from machamp_lite.metrics import METRICS
from machamp_lite.metrics.significance import bootstrap_metrics, compare_metrics
from machamp_lite.training.kept_predictions import read_dev_predictions

ROOT = Path(__file__).resolve().parents[2]
PAIRS = """\
a dog sleeps\tthe dog rests\tyes\t4.5\t0.75\t0.25
books fell\ta cat ran\tno\t0\t0\t1
he left\the stayed\tno\t-1.25\t0.5\t0.5
trains run\tbuses run\tyes\t3\t1\t0
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, encoders: dict[str, str]) -> Path:
    """A folder with data and two runs with other seeds."""
    folder = tmp_path_factory.mktemp("runs")
    sentences = (ROOT / "data" / "ewt" / "dev.conllu").read_text(encoding="utf-8").split("\n\n")
    (folder / "t.conllu").write_text("\n\n".join(sentences[:6]) + "\n\n", encoding="utf-8")
    (folder / "p.tsv").write_text(PAIRS)
    path, pairs = str(folder / "t.conllu"), str(folder / "p.tsv")
    config = {
        "UD": {
            "train_data_path": path,
            "dev_data_path": path,
            "word_idx": 1,
            "tasks": {
                "upos": {"task_type": "seq", "column_idx": 3},
                "lemma": {"task_type": "string2string", "column_idx": 2},
                "tree": {"task_type": "dependency", "column_idx": 6},
                "tags": {"task_type": "multiseq", "column_idx": 5},
                "split": {"task_type": "tok", "column_idx": -1},
            },
        },
        "P": {
            "train_data_path": pairs,
            "dev_data_path": pairs,
            "sent_idxs": [0, 1],
            "tasks": {
                "same": {"task_type": "classification", "column_idx": 2},
                "degree": {"task_type": "regression", "column_idx": 3},
                "shares": {"task_type": "probdistr", "column_idxs": [4, 5]},
            },
        },
    }
    (folder / "c.json").write_text(json.dumps(config))
    params = {
        "transformer_model": encoders["wordpiece"],
        "encoder": {"max_input_length": 64},
        "decoders": {"dependency": {"arc_representation_dim": 16, "tag_representation_dim": 8}},
        "training": {"num_epochs": 1, "precision": "fp32"},
    }
    (folder / "p.json").write_text(json.dumps(params))
    flags = ["--dataset_configs", str(folder / "c.json"), "--parameters_config", str(folder / "p.json"), "-q"]
    for seed in ("1", "2"):
        rate = ["--set", "training.optimizer.lr=0.02"] if seed == "2" else []
        assert cli.train([*flags, "--device", "-1", "--seed", seed, "--model_dir", str(folder / seed), *rate]) == 0
    return folder


def run(*arguments: Any) -> int:
    return main(["compare", *map(str, arguments)])


def scores_of(text: str) -> dict[tuple[str, str, str], tuple[str, str]]:
    """The two values of each row of the table of a comparison, by dataset, task and metric."""
    rows = [line.split() for line in text.split("\n\n")[1].splitlines()[1:]]
    return {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows}


def test_the_scores_are_those_of_the_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs / "1", runs / "2", "--resamples", 20) == 0
    found = scores_of(capsys.readouterr().out)
    evals = [
        {name: json.loads((runs / seed / f"{name}.out.eval").read_text()) for name in ("UD", "P")} for seed in "12"
    ]
    # Labels of tok are not in the output.
    assert {(dataset, task) for dataset, task, _ in found} == {
        (dataset, task) for dataset, tasks in evals[0].items() for task in tasks if task != "split"
    }
    for (dataset, task, metric), values in found.items():
        expected = [METRICS[metric].as_text(scores[dataset][task][metric]) for scores in evals]
        if task in ("degree", "shares"):
            # Numbers are rounded in the output.
            assert list(map(float, values)) == pytest.approx(list(map(float, expected)), abs=1)
        else:
            assert list(values) == expected, (dataset, task, metric)


def test_predicting_the_same_file_gives_the_same_comparison(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs / "1", runs / "2", "--resamples", 20) == 0
    kept = scores_of(capsys.readouterr().out)
    assert run(runs / "1", runs / "2", "--test", runs / "t.conllu", "--dataset", "UD", "--resamples", 20, "-q") == 0
    assert run(runs / "1", runs / "2", "--test", runs / "t.conllu", "--dataset", "UD", "--resamples", 20) == 0
    lines = capsys.readouterr().out.split("\n\n")[1].splitlines()[1:]
    found = {(row[0], row[1]): (row[2], row[3]) for row in map(str.split, lines)}
    expected = {key[1:]: values for key, values in kept.items() if key[0] == "UD"}
    assert expected and found.items() >= expected.items()
    assert any(task == "split" for task, _ in found)


def test_a_run_does_not_differ_from_itself(runs: Path) -> None:
    files = read_dev_predictions(runs / "1", runs / "1")
    for dataset, first, second in files.values():
        for one in compare_files(first, second, dataset=dataset, resamples=50):
            assert one.metrics and not one.labels and not one.changed
            for metric in one.metrics:
                assert (metric.p_permutation, metric.p_bootstrap, metric.low, metric.high) == (1, 1, 0, 0)


def sentence(number: int, gold: list[Any], predicted: list[Any]) -> PredictedSentence:
    words = tuple(f"w{index}" for index in range(len(gold)))
    return PredictedSentence(f"f:{number}", words, {"t": gold}, {"t": predicted})


@pytest.fixture
def compared(write_config: Callable[..., str], dataset: dict[str, Any]) -> Callable[..., list[TaskComparison]]:
    """Compares triples of gold labels and the predictions of both models; the task is one of words."""

    def compare(*triples: tuple[list[Any], list[Any], list[Any]], **options: Any) -> list[TaskComparison]:
        tasks = {"t": {"task_type": "seq", "column_idx": 3, **options}}
        task = load_config([write_config(D={**dataset, "tasks": tasks})]).tasks()
        files = [
            PredictedFile(task, [sentence(n, triple[0], triple[side]) for n, triple in enumerate(triples)])
            for side in (1, 2)
        ]
        return compare_files(*files, dataset="D", resamples=100)

    return compare


def test_labels_and_sentences_with_the_largest_differences_are_first(compared: Callable[..., Any]) -> None:
    (one,) = compared(
        (["a", "b"], ["a", "b"], ["a", "b"]),
        (["a", "b"], ["a", "a"], ["a", "b"]),
        (["b", "c"], ["c", "b"], ["b", "c"]),
        (["d", "d", "d"], ["d", "d", "x"], ["d", "x", "d"]),
        (["a", None], ["a", "x"], ["a", "y"]),
    )
    assert one.sentences == 5
    assert [(change.source, change.items, change.gain) for change in one.changed] == [
        ("f:2", [("w0", "b", "c", "b"), ("w1", "c", "b", "c")], 1.0),
        ("f:1", [("w1", "b", "a", "b")], 0.5),
        ("f:3", [("w1", "d", "d", "x"), ("w2", "d", "x", "d")], 0.0),
    ]
    assert [(row.label, row.support, row.second) for row in one.labels] == [("b", 3, 1.0), ("c", 1, 1.0), ("a", 3, 1.0)]


def test_labels_of_a_set_may_be_in_any_order(compared: Callable[..., Any]) -> None:
    (one,) = compared((["a|b", "a"], ["b|a", "a"], ["a|b", "a"]), task_type="multiseq")
    assert not one.changed


def test_the_tests_are_those_of_the_metric(compared: Callable[..., Any]) -> None:
    triples = [(["a", "b", "c"], ["a", "b", "b"], ["a", second, "c"]) for second in "bbaab"] * 3
    (one,) = compared(*triples, metric="f1_macro")
    sides = []
    for side in (1, 2):
        sides.append([])
        for triple in triples:
            metric = METRICS["f1_macro"]()
            metric.add(triple[0], triple[side])
            sides[-1].append(metric)
    (metric,) = one.metrics
    bootstrap = bootstrap_metrics(*sides, resamples=100)
    assert metric.p_permutation == compare_metrics(*sides, resamples=100)
    assert (metric.p_bootstrap, metric.low, metric.high) == (bootstrap.p_value, bootstrap.low, bootstrap.high)


@pytest.mark.parametrize(("method", "factors"), [("holm", [2, 2]), ("bonferroni", [2, 2])])
def test_p_values_are_corrected_for_all_metrics(
    compared: Callable[..., Any], method: str, factors: list[int]
) -> None:
    triples = [(["a", "b", "c"], ["a", "b", "b"], ["a", second, "c"]) for second in "bbaab"] * 3
    plain = compared(*triples, additional_metrics=["f1_macro"])
    (one,) = correct(plain, method)
    raw = [metric.p_permutation for metric in plain[0].metrics]
    smallest = min(raw)
    found = [metric.p_permutation for metric in one.metrics]
    assert found[raw.index(smallest)] == pytest.approx(min(1, 2 * smallest))
    largest = max(raw) if method == "holm" else 2 * max(raw)
    assert max(found) == pytest.approx(min(1, max(largest, 2 * smallest)))


def test_markdown_has_the_same_and_replaces_only_comparisons(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "comparison.md"
    flags = (runs / "1", runs / "2", "--resamples", 20, "--markdown", path, "--sentences", 1)
    assert run(*flags) == run(*flags) == 0
    text = path.read_text()
    assert text.startswith(f"# Comparison of {runs / '1'} and {runs / '2'}\n")
    assert "\n| dataset | task | metric | A | B | B - A | 95% interval | p | p (boot.) | * |\n| --- |" in text
    assert text.count("\n## ") == len({key[:2] for key in scores_of(capsys.readouterr().out)})
    path.write_text("mine")
    assert run(*flags) == 2
    assert capsys.readouterr().err == f"--markdown: {path} exists and is no comparison, expected another name\n"
    assert path.read_text() == "mine"


def test_quiet_comparisons_print_the_name_of_the_file(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(runs / "1", runs / "2", "--resamples", 5, "--markdown", tmp_path / "c.md", "-q") == 0
    assert capsys.readouterr().out == f"written: {tmp_path / 'c.md'}\n"


def changed_output(first: Path, second: Path, data: Path) -> None:
    (second / "UD.out").write_text("changed")


def changed_dev(first: Path, second: Path, data: Path) -> None:
    data.write_text(data.read_text() + "\n")


def other_dev(first: Path, second: Path, data: Path) -> None:
    document = json.loads((second / "run.json").read_text())
    document["dev"]["UD"] = "0"
    (second / "run.json").write_text(json.dumps(document))


def unfinished(first: Path, second: Path, data: Path) -> None:
    document = json.loads((second / "run.json").read_text())
    del document["dev"]
    (second / "run.json").write_text(json.dumps(document))


FAULTS: dict[str, tuple[Callable[[Path, Path, Path], None], str]] = {
    "a changed output": (changed_output, "{second}/UD.out: is missing or has changed since the run wrote it"),
    "a changed dev file": (changed_dev, "{data}: is missing or has changed since {first} predicted it"),
    "another dev file": (other_dev, "{first}, {second}: their dev files of UD are different"),
    "no predictions": (unfinished, "{first}, {second}: found no dataset whose dev file both have predicted"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_kept_predictions_that_cannot_be_compared_are_one_line(
    fault: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, line = FAULTS[fault]
    first, second, data = tmp_path / "1", tmp_path / "2", runs / "t.conllu"
    for folder in (first, second):
        shutil.copytree(runs / folder.name, folder)
    before = data.read_bytes()
    try:
        change(first, second, data)
        assert run(first, second) == 2
    finally:
        data.write_bytes(before)
    expected = line.format(first=first, second=second, data=data)
    assert capsys.readouterr().err == f"{expected}; give a file with --test\n"


WRONG = {
    "{0} {1} --sentences -1": "--sentences: found -1, expected at least 0",
    "{0} {1} --resamples 0": "--resamples: found 0, expected at least 1",
    "{0} {1} --dataset UD": "--dataset: has no effect without --test, expected both",
    "{0} {1} --test no": "--test: found no file no",
    "{0} {1} --markdown no/such.md": "--markdown: the folder no does not exist",
    "{0} {2}": "{2}: found no finished run, expected a run folder; give a file with --test",
    "{0}": "machamp-lite compare: the following arguments are required: RUN; see --help",
}


@pytest.mark.parametrize("flags", WRONG)
def test_every_wrong_flag_is_one_line(
    flags: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = runs / "1", runs / "2", tmp_path
    assert run(*flags.format(*places).split()) == 2
    assert capsys.readouterr().err.startswith(WRONG[flags].format(*places))


def test_tasks_that_read_other_gold_labels_are_refused(compared: Callable[..., Any]) -> None:
    from machamp_lite.errors import ConfigError

    with pytest.raises(ConfigError, match=r"f:0: the two models have different gold labels of task 't'"):
        first = PredictedFile({"t": None}, [sentence(0, ["a"], ["a"])])  # type: ignore[dict-item]
        second = PredictedFile({"t": None}, [sentence(0, ["b"], ["a"])])  # type: ignore[dict-item]
        compare_files(first, second, dataset="D", resamples=1)


def test_a_number_that_is_rounded_to_zero_has_no_sign() -> None:
    metric = MetricComparison(
        "accuracy", first=0.5, second=0.49999, low=-0.00001, high=0.02, p_permutation=1.0, p_bootstrap=1.0
    )
    assert comparison_text._numbers(metric)[2:4] == ["0.00", "0.00 to +2.00"]
