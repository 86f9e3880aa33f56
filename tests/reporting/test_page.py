"""A report is one file with all that a run folder says, escaped, bounded in size, and never the end of a training."""

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from html_page import Page

import machamp_lite
from machamp_lite.cli.commands import main
from machamp_lite.metrics import METRICS
from machamp_lite.reporting import charts, page
from machamp_lite.reporting.page import is_report, limited, render
from machamp_lite.reporting.run_results import read_run, read_runs
from machamp_lite.reporting.sentences import compare
from machamp_lite.reporting.tables import label_sections, same_task, score_rows


@pytest.fixture
def without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the charts, which take most of the time."""
    for name in ("learning_curves", "task_weights", "reliability", "recall_by_count"):
        monkeypatch.setattr(charts, name, lambda *arguments: "")


@pytest.fixture(scope="module")
def text(trained: Path) -> str:
    return render([read_run(trained)])


def test_the_page_is_well_formed_and_loads_nothing(text: str) -> None:
    found = Page(text)
    ids = found.attributes("id")
    assert len(ids) == len(set(ids))
    assert not [tag for tag, _ in found.tags if tag in ("img", "link", "iframe", "object", "image")]
    assert not found.attributes("src")
    assert all(link.startswith("#") for link in [*found.attributes("href"), *found.attributes("xlink:href")])
    assert {link for link in found.attributes("href") if link.startswith("#") and link[1:] not in ids} == set()
    assert not re.search(r"url\(\s*['\"]?(?!#)|@import", text)


def test_every_form_field_section_and_picture_has_a_name(text: str) -> None:
    found = Page(text)
    ids = found.attributes("id")
    assert all(label in ids for label in found.attributes("aria-labelledby"))
    for tag, attributes in found.tags:
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        if "tabindex" in attributes and tag != "pre":
            assert attributes.get("aria-label")
    fields = re.findall(r"<label[^>]*>[^<]*<(?:select|input)|<label[^>]*><input[^>]*> ?\w", text)
    assert len(fields) == len(re.findall(r"<select|<input", text))


def test_words_and_labels_are_escaped(text: str) -> None:
    # Also in attributes and pictures.
    assert "<img" not in text and text.count("&lt;img/src=x/onerror=alert(1)&gt;") > 5


def test_all_scores_and_labels_are_in_the_page(trained: Path, text: str) -> None:
    run = read_run(trained)
    texts = "\n".join(Page(text).texts)
    for dataset, tasks in run.scores.items():
        for task, scores in tasks.items():
            for name in run.tasks[task].metric_names():
                assert METRICS[name].as_text(scores[name]) in texts, (dataset, task, name)
            for label in scores.get("labels", {}).get("labels", {}):
                assert label in texts
    for epoch in run.history:
        for loss in epoch["train"].values():
            assert f"{loss:.4f}" in texts
    for name in ("PAIRS/score", "WORDS/tree", "dataset-configs.json", "transformers"):
        assert name in texts


def test_charts_have_the_colours_of_the_page(text: str) -> None:
    drawn = re.findall(r'<svg class="chart".*?</svg>', text, re.DOTALL)
    # Two curves per task, the weights of tasks, recall, and reliability.
    assert len(drawn) > 2 * 8
    used = set(re.findall(r"var\((--[\w-]+)\)", "".join(drawn)))
    defined = set(re.findall(r"^\s*(--[\w-]+):", text, re.MULTILINE))
    assert used and used <= defined
    assert not re.search(r"#[0-9a-f]{6}", "".join(drawn))


@pytest.mark.usefixtures("without_charts")
def test_several_runs_are_side_by_side(trained: Path, run: Path) -> None:
    path = run / "WORDS.out.eval"
    scores = json.loads(path.read_text(encoding="utf-8"))
    scores["upos"]["accuracy"] = 0.999
    path.write_text(json.dumps(scores), encoding="utf-8")
    runs = read_runs([trained, run])
    assert [one.name for one in runs] == [str(trained), str(run)]
    row = next(row for row in score_rows(runs) if (row.task, row.metric) == ("upos", "accuracy"))
    assert row.texts[1] == "99.90" and row.best == [1]
    found = Page(render(runs))
    assert set(found.attributes("data-run")) == {str(trained), str(run)}


def test_labels_have_their_counts_and_weights_in_training(trained: Path) -> None:
    run = read_run(trained)
    found = {section.task: section for section in label_sections([run])}
    rows = {row.label: row for row in found["upos"].rows}
    assert rows["VERB"].count == 4 and rows["DET"].count == 1
    weights = [(rows[label].weight or 0) * (rows[label].count or 0) for label in ("VERB", "DET")]
    assert found["upos"].has_weights and weights[0] == pytest.approx(weights[1])
    assert not found["mood"].has_weights
    # Entities are counted, not their words.
    thing = next(row for row in found["entities"].rows if row.label == "thing")
    assert thing.count == (trained.parent / "train.conllu").read_text(encoding="utf-8").count("B-thing")
    assert found["topics"].confusion is None or "(none)" in found["topics"].confusion["labels"]


def test_the_recall_of_several_runs_is_in_one_chart(trained: Path, run: Path) -> None:
    sections = list(label_sections(read_runs([trained, run])))
    drawn: dict[str, list[int]] = {}
    for section in sections:
        drawn.setdefault(section.task, []).append(len(same_task(section, sections)))
    assert drawn["upos"] == [2, 0]
    page = render(read_runs([trained, run]))
    assert page.count("in the training data, of all runs") == page.count("Recall against") > 0


@pytest.mark.usefixtures("without_charts")
def test_a_run_of_an_older_version_or_without_dev_data_has_a_report(run: Path) -> None:
    (run / "environment.json").unlink()
    for name in ("WORDS", "PAIRS"):
        (run / f"{name}.out.eval").unlink()
        (run / f"{name}.out").unlink()
    assert "of an older version" in render([read_run(run)])
    history = json.loads((run / "history.json").read_text(encoding="utf-8"))
    empty: dict[str, Any] = {"dev": {}, "tasks": {}, "counts": {}, "labels": {}, "dev_sum": None}
    (run / "history.json").write_text(json.dumps([epoch | empty for epoch in history]), encoding="utf-8")
    path = run / "dataset-configs.json"
    configs = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({name: {**entry, "dev_data_path": None} for name, entry in configs.items()}))
    assert "There is no dev data" in render([read_run(run)])


@pytest.mark.usefixtures("without_charts")
def test_scores_of_the_other_format_are_those_of_the_best_epoch(run: Path) -> None:
    expected = list(score_rows([read_run(run)]))
    machamp = {"upos": {"accuracy": {"accuracy": 0.5, "sum": "accuracy"}}, "sum": 0.5}
    (run / "WORDS.out.eval").write_text(json.dumps(machamp), encoding="utf-8")
    found = read_run(run)
    # Only the official scores are missing.
    assert list(score_rows([found])) == [row for row in expected if "official" not in row.metric] != expected
    assert "WORDS" in render([found])


def test_the_size_of_a_page_is_limited(trained: Path) -> None:
    groups = compare(read_run(trained), "WORDS").tasks
    everything = list(limited(groups))
    assert len(everything) == sum(len(group.shown) for group in groups) == 4 * len(groups)
    few = list(limited(groups, size=5000))
    # Of all tasks in turn.
    assert 0 < len(few) < len(everything) and everything[: len(few)] == few
    assert len({group.task for group, _ in few}) == min(len(few), len(groups))


@pytest.mark.usefixtures("without_charts")
def test_the_command_writes_one_file(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run)]) == 0
    assert is_report(run / "report.html")
    assert capsys.readouterr().out == f"written: {run / 'report.html'}\n"
    # It replaces a report, and nothing else.
    assert main(["report", str(run), "--sentences", "1"]) == 0
    (tmp_path / "thesis.html").write_text("<!doctype html>", encoding="utf-8")
    assert main(["report", str(run), "--out", str(tmp_path / "thesis.html")]) == 2
    assert "exists already and is no report" in capsys.readouterr().err
    assert main(["report", str(run), str(run), "--out", str(tmp_path / "both.html")]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: found no epoch of a run (history.json and metrics.json), expected the folder of a run"),
        (["a", "b"], "--out: is missing, expected the file to write for several runs"),
        (["a", "--out", "no/such.html"], "--out: the folder no does not exist"),
        (["a", "--sentences", "0"], "--sentences: found 0, expected at least 1"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", *arguments]) == 2
    assert capsys.readouterr().err == f"{message}\n"


@pytest.fixture
def config(trained: Path, tmp_path: Path) -> Callable[..., Any]:
    def load(*overrides: str) -> Any:
        overrides = ("training.num_epochs=1", *overrides)
        folder = trained.parent
        paths = [folder / "config.json"]
        return machamp_lite.load_config(paths, params=folder / "params.json", overrides=overrides)

    return load


@pytest.mark.usefixtures("without_charts")
def test_training_writes_a_report_unless_it_is_switched_off(
    config: Callable[..., Any], trained: Path, tmp_path: Path
) -> None:
    assert not (trained / "report.html").exists()
    machamp_lite.train(config("training.report=true"), tmp_path / "run", progress=False)
    assert is_report(tmp_path / "run" / "report.html")
    # A new run replaces it.
    machamp_lite.train(config(), tmp_path / "run", progress=False, overwrite=True)
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_bug_in_the_report_is_logged_and_the_training_ends_well(
    run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: Any, **options: Any) -> str:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(page, "render", broken)
    page.write_run_report(run)
    assert caplog.records[-1].exc_info is not None
    assert not (run / "report.html").exists()


def test_missing_packages_are_named(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(page, "REQUIRED", ("jinja2", "no_such_package"))
    with caplog.at_level(logging.INFO):
        page.write_run_report(run)
    line = "no report.html: it requires no_such_package; run pip install 'machamp_lite[report]'"
    assert [record.getMessage() for record in caplog.records] == [line]
    assert main(["report", str(run)]) == 2
    expected = "report: found no package no_such_package; run pip install 'machamp_lite[report]'\n"
    assert capsys.readouterr().err.endswith(expected)


def test_a_file_of_the_user_is_not_replaced(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    (run / "report.html").write_text("mine", encoding="utf-8")
    page.write_run_report(run)
    assert "exists already and is no report" in caplog.records[-1].getMessage()
    assert (run / "report.html").read_text(encoding="utf-8") == "mine"
    shutil.rmtree(run)
