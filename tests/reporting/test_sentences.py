"""The errors of a report are those of the dev file and its prediction, and their number is limited."""

import json
import shutil
from pathlib import Path

import pytest

from machamp_lite.metrics.label_report import NONE
from machamp_lite.reporting.run_results import read_run
from machamp_lite.reporting.sentences import compare, span_confusions

SPANS = [
    ([(0, 2, "A")], [(0, 2, "A")], []),
    ([(0, 2, "A")], [], [("A", NONE)]),
    ([], [(0, 2, "A")], [(NONE, "A")]),
    ([(0, 2, "A")], [(0, 2, "B")], [("A", "B")]),
    ([(0, 2, "A")], [(1, 3, "A")], [("A", NONE), (NONE, "A")]),
    ([(0, 4, "A")], [(0, 2, "A"), (2, 4, "B")], [(NONE, "A"), ("A", NONE), (NONE, "B")]),
    ([(0, 1, "A"), (3, 4, "B")], [(3, 4, "A")], [("A", NONE), ("B", "A")]),
]


@pytest.mark.parametrize(("gold", "predicted", "expected"), SPANS)
def test_spans_are_paired_with_those_of_the_same_words(
    gold: list[tuple[int, int, str]], predicted: list[tuple[int, int, str]], expected: list[tuple[str, str]]
) -> None:
    assert span_confusions(gold, predicted) == expected


def test_the_numbers_of_errors_are_those_of_the_scores(trained: Path) -> None:
    run = read_run(trained)
    for dataset in ("WORDS", "PAIRS"):
        found = {group.task: group for group in compare(run, dataset).tasks}
        assert list(found) == list(run.datasets[dataset].tasks)
        for task, group in found.items():
            scores = run.scores[dataset][task]
            assert group.num_sentences == scores["scored"]
            wrong = [is_wrong for sentence in group.shown for is_wrong in sentence.wrong]
            metric = {"tree": "las", "topics": "multi_acc"}.get(task, "accuracy")
            if metric in scores:
                assert 1 - sum(wrong) / len(wrong) == pytest.approx(scores[metric])


def test_a_predicted_file_with_all_gold_labels_has_no_errors(run: Path) -> None:
    shutil.copy(run.parent / "dev.conllu", run / "WORDS.out")
    for group in compare(read_run(run), "WORDS").tasks:
        assert not group.num_wrong and group.num_sentences == 4


def test_each_error_is_found_at_its_line(run: Path) -> None:
    text = (run.parent / "dev.conllu").read_text(encoding="utf-8")
    changes = {
        "2\tran\trun\tVERB": "2\tran\trun\tNOUN",
        "NOUN\t_\t_\t3\tnsubj": "NOUN\t_\t_\t1\tnsubj",
        "B-motion": "B-state",
        "# mood = order": "# mood = statement",
    }
    for old, new in changes.items():
        text = text.replace(old, new, 1)
    (run / "WORDS.out").write_text(text, encoding="utf-8")
    found = {group.task: group.wrong for group in compare(read_run(run), "WORDS").tasks}
    line = {1: 1, 2: 6, 3: 10}
    errors = {
        task: [(sentence.where.rpartition(":")[2], *sentence.confusions) for sentence in sentences]
        for task, sentences in found.items()
    }
    assert errors == {
        "upos": [(str(line[2]), ("VERB", "NOUN"))],
        "lemma": [],
        "tree": [(str(line[1]), ("nsubj", "nsubj (other head)"))],
        "entities": [(str(line[2]), ("motion", "state"))],
        "mood": [(str(line[3]), ("order", "statement"))],
    }


def test_the_number_of_sentences_is_limited(trained: Path) -> None:
    for group in compare(read_run(trained), "WORDS", most=1).tasks:
        assert len(group.wrong) <= 1 and not group.right
        assert group.num_sentences == 4


def test_a_changed_or_missing_dev_file_is_reported(run: Path) -> None:
    dev = run.parent / "dev.conllu"
    assert not compare(read_run(run), "WORDS").notes
    dev.write_text(dev.read_text(encoding="utf-8").replace("DET", "PRON"), encoding="utf-8")
    assert "has changed since the training" in compare(read_run(run), "WORDS").notes[0]
    dev.write_text(dev.read_text(encoding="utf-8").replace("Who", "What"), encoding="utf-8")
    assert "found 'Who' where " in compare(read_run(run), "WORDS").notes[1]
    dev.unlink()
    assert compare(read_run(run), "WORDS").notes == [f"{dev}: is missing, so that its sentences cannot be shown"]
    (run / "PAIRS.out").unlink()
    assert "PAIRS.out: is missing" in compare(read_run(run), "PAIRS").notes[0]


def test_several_labels_per_item_are_not_compared(run: Path) -> None:
    path = run / "model" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["datasets"]["WORDS"]["tasks"]["upos"]["topn"] = 2
    path.write_text(json.dumps(config), encoding="utf-8")
    found = compare(read_run(run), "WORDS")
    assert "upos" not in [group.task for group in found.tasks]
    assert "task 'upos' wrote several labels per item" in found.notes[0]
