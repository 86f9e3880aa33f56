"""A file of predictions is scored against a file with gold labels, without the model."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from seqeval.metrics import f1_score

from machamp_lite.config.loading import load_config
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.errors import DataError
from machamp_lite.inference.evaluation import MetricTracker
from machamp_lite.inference.predicted_scores import score_predictions

GOLD = """\
# text = Anna reads.
1\tAnna\tPROPN\tS-person
2\treads\tVERB\tO
3\t.\tPUNCT\tO

# text = Old dogs
1\tOld\tADJ\tB-animal
2\tdogs\tNOUN\tE-animal

"""
TASKS: dict[str, Any] = {
    "upos": {"task_type": "seq", "column_idx": 2, "additional_metrics": ["f1_binary"]},
    "entities": {"task_type": "seq_bio", "column_idx": 3},
}
Score = Callable[..., MetricTracker]


@pytest.fixture
def score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Score:
    """Scores texts of predictions, by default for ``GOLD``; the training file does not exist."""
    monkeypatch.chdir(tmp_path)

    def scored(predicted: str, *, gold: str = GOLD, tasks: dict[str, Any] = TASKS) -> MetricTracker:
        Path("gold").write_text(gold, encoding="utf-8")
        Path("out").write_text(predicted, encoding="utf-8")
        return score_predictions(read_config(tasks), gold="gold", predicted="out")

    return scored


def read_config(tasks: dict[str, Any]) -> DatasetConfig:
    Path("c.json").write_text(json.dumps({"D": {"train_data_path": "none", "word_idx": 1, "tasks": tasks}}))
    return load_config(["c.json"], is_trained=False).datasets["D"]


def test_scores_and_labels_are_counted_over_all_sentences(score: Score) -> None:
    found = score(GOLD.replace("VERB", "NOUN"))
    assert found.scores()["upos"]["accuracy"] == 4 / 5
    assert found.counts()["upos"] == {"scored": 2, "skipped": 0, "scored_words": 5, "skipped_words": 0}
    rows = {row.label: (row.precision, row.recall) for row in found.label_scores()["upos"].rows()}
    assert rows["NOUN"] == (0.5, 1.0)
    assert rows["VERB"] == (0.0, 0.0)


@pytest.mark.parametrize("predicted", [GOLD, GOLD.replace("E-animal", "I-animal"), GOLD.replace("S-person", "O")])
def test_the_scheme_of_spans_is_that_of_the_gold_labels(score: Score, predicted: str) -> None:
    gold, labels = ([line.split("\t")[3] for line in text.splitlines() if "\t" in line] for text in (GOLD, predicted))
    from seqeval.scheme import IOBES

    expected = f1_score([gold], [labels], mode="strict", scheme=IOBES)
    assert score(predicted).scores()["entities"]["span_f1"] == expected


def test_a_positive_label_that_is_a_guess_is_named(score: Score, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert score(GOLD).scores()["upos"]["f1_binary"] == 1
    assert caplog.messages == [
        "task 'upos': scores only the label 'VERB', the last one in sorted order; set positive_label of the task"
    ]


SECOND = GOLD.index("# text = Old")
OTHER_FILES: dict[str, tuple[str, str]] = {
    "another word": (
        GOLD.replace("dogs\t", "cats\t"),
        "out:8: found 'cats' where gold:8 has 'dogs', expected the predictions of gold",
    ),
    "a word less": (
        GOLD.replace("2\tdogs\tNOUN\tE-animal\n", ""),
        "out:6: found no word where gold:8 has 'dogs', expected the predictions of gold",
    ),
    "a sentence less": (GOLD[:SECOND], "out: ends before the sentence of gold:6, expected it too"),
    "a sentence more": (
        GOLD + GOLD[SECOND:],
        "out:10: found more sentences than in gold, expected as many",
    ),
}


@pytest.mark.parametrize(("predicted", "message"), OTHER_FILES.values(), ids=OTHER_FILES)
def test_a_file_that_is_no_prediction_is_refused_with_its_line(score: Score, predicted: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        score(predicted)
    assert error.value.faults == [message]


def test_a_sentence_without_a_prediction_is_refused_with_its_line(score: Score) -> None:
    gold = GOLD.replace("# text", "# mood = calm\n# text")
    with pytest.raises(DataError) as error:
        score(gold.replace("reads.", "reads", 1).replace("# mood = calm\n# text = Old", "# text = Old"), gold=gold,
              tasks={"mood": {"task_type": "classification", "column_idx": -1}})  # fmt: skip
    assert error.value.faults == ["out:7: found no label of task 'mood', expected a predicted one"]


def test_a_column_without_predictions_is_reported(score: Score, caplog: pytest.LogCaptureFixture) -> None:
    tasks = {"upos": {"task_type": "seq", "column_idx": 2}}
    empty = GOLD.replace("\tPROPN", "\t_").replace("\tVERB", "\t_").replace("\tPUNCT", "\t_")
    score(empty, tasks=tasks)
    assert not caplog.messages
    assert score(empty.replace("\tADJ", "\t_").replace("\tNOUN", "\t_"), tasks=tasks).scores()["upos"]["accuracy"] == 0
    assert caplog.messages == ["out: all labels of task 'upos' are '_'; was this task predicted?"]


def test_gold_labels_are_required(score: Score) -> None:
    empty = "1\tOld\t_\t_\n\n"
    with pytest.raises(DataError, match="gold: found no gold labels that can be scored"):
        score(empty, gold=empty)


def words_of(text: str, words: Sequence[str]) -> str:
    rows = (f"{number}\t{word}\tX\tO\n" for number, word in enumerate(words, start=1))
    return f"# text = {text}\n{''.join(rows)}\n"


WITH_TOK = {"words": {"task_type": "tok", "column_idx": -1}, **TASKS}


def test_words_that_are_predicted_are_scored_by_the_text(score: Score, caplog: pytest.LogCaptureFixture) -> None:
    gold = words_of("I don't know.", ["I", "do", "n't", "know", "."])
    predicted = words_of("I don't know.", ["I", "don't", "know", "."])
    found = score(predicted, gold=gold, tasks=WITH_TOK).scores()
    # 3 of 4 predicted words are among the 5 of gold.
    assert found.keys() == {"words"}
    assert found["words"]["span_f1"] == pytest.approx(2 * 3 / 9)
    assert caplog.messages[0] == (
        "out:3: found 'don't' where gold:3 has 'do', expected the predictions of gold; scored: words"
    )


def test_words_of_gold_are_no_prediction(score: Score, caplog: pytest.LogCaptureFixture) -> None:
    assert score(GOLD, tasks=WITH_TOK).scores().keys() == WITH_TOK.keys()
    assert caplog.messages[0] == "out: has the words of gold, expected those of a prediction of raw text"


def test_tasks_that_cannot_be_read_are_named(score: Score, caplog: pytest.LogCaptureFixture) -> None:
    tasks = {**TASKS, "upos": {**TASKS["upos"], "topn": 3, "additional_metrics": []}}
    assert score(GOLD, tasks=tasks).scores().keys() == {"entities"}
    assert caplog.messages == ["out: not scored, because their labels cannot be read from a file: upos"]
