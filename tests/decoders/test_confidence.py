"""How sure a model is of a sentence: the probability of all its labels, by the definition of each task type."""

import doctest
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from task_type_cases import CASES, Case, Setting

from machamp_lite.cli import main as cli
from machamp_lite.data.span_schemes import BIO
from machamp_lite.decoders import confidence
from machamp_lite.decoders.confidence import Confidence, join_confidences
from machamp_lite.errors import ConfigError
from machamp_lite.inference.decisions import Decision
from machamp_lite.inference.engine import rank_labels
from machamp_lite.inference.predictor import CONFIDENCE, check_options, predict_file

RANKED = ["seq", "classification", "seq_bio", "dependency", "multiseq", "multiclas", "string2string"]
every_ranked_case = pytest.mark.parametrize(
    "case", [next(case for case in CASES if case.task_type == name) for name in RANKED], ids=RANKED
)


def shaken(setting: Setting) -> Setting:
    torch.manual_seed(3)
    for parameter in setting.model.decoders.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return setting


@every_ranked_case
def test_a_batch_gives_the_confidence_of_its_sentences(make: Callable[..., Setting], case: Case) -> None:
    setting = shaken(make(case))
    examples = setting.data.dev["DATA"]
    together = dict(rank_labels(setting.model, examples, top_n={}, confidence=True))
    for number, example in enumerate(examples):
        ((_, alone),) = rank_labels(setting.model, [example], top_n={}, confidence=True)
        own, other = alone.confidences["task"], together[number].confidences["task"]
        assert own.log_probability == pytest.approx(other.log_probability, abs=1e-4)
        assert (own.items, [span for span, _ in own.spans]) == (other.items, [span for span, _ in other.spans])
        assert own.log_probability <= 1e-6 and all(0 <= value <= 1 for _, value in own.spans)


@pytest.mark.parametrize("task_type", ["seq", "classification"])
def test_independent_items_are_multiplied(make: Callable[..., Setting], task_type: str) -> None:
    setting = shaken(make(next(case for case in CASES if case.task_type == task_type)))
    found = rank_labels(setting.model, setting.data.dev["DATA"], top_n={"task": 2}, confidence=True)
    for _, (_, ranked, confidences) in found:
        expected = math.prod(item[0][1] for item in ranked["task"])
        assert math.exp(confidences["task"].log_probability) == pytest.approx(expected, rel=1e-4)


def test_spans_are_those_that_are_predicted_and_no_less_probable_than_their_sentence(
    make: Callable[..., Setting],
) -> None:
    setting = shaken(make(next(case for case in CASES if case.task_type == "seq_bio")))
    numbers = []
    for _, (labels, _, confidences) in rank_labels(
        setting.model, setting.data.dev["DATA"], top_n={}, confidence=True
    ):
        found = confidences["task"]
        assert [span for span, _ in found.spans] == BIO.spans(labels["task"])
        assert all(value >= math.exp(found.log_probability) - 1e-6 for _, value in found.spans)
        numbers.append(len(found.spans))
    assert sum(numbers) > 1


def test_parts_of_a_sentence_are_joined() -> None:
    parts = [Confidence(-1.0, 3, (((1, 2, "a"), 0.5),)), Confidence(-2.0, 4, (((0, 1, "b"), 0.25),))]
    assert join_confidences(parts) == Confidence(-3.0, 7, (((1, 2, "a"), 0.5), ((3, 4, "b"), 0.25)))


@every_ranked_case
def test_it_is_written_as_a_comment_that_changes_nothing_else(
    make: Callable[..., Setting], case: Case, tmp_path: Path
) -> None:
    setting = shaken(make(case))
    texts = {}
    if case.dataset != "words":
        options = {"raw_text": False, "pre_tokenized": False, "confidence": True, "decision": Decision()}
        with pytest.raises(ConfigError, match=r"^--confidence: DATA reads .* expected a dataset with word_idx"):
            check_options(setting.model, "DATA", **options)
        return
    for name in (False, True, True):
        predict_file(setting.model, setting.path, tmp_path / "out", confidence=name)
        texts[name] = (tmp_path / "out").read_text().splitlines()
    comments = [line for line in texts[True] if line.startswith(f"# task{CONFIDENCE} = all=")]
    assert len(comments) == len(setting.data.dev["DATA"])
    pattern = r"# \S+ = all=\d\.\d{4}\|mean=\d\.\d{4}(\|\d+-\d+(:\S+?)?=\d\.\d{4})*"
    assert all(re.fullmatch(pattern, line) for line in comments)
    assert [line for line in texts[True] if line not in comments] == texts[False]


def test_doctests_hold() -> None:
    assert doctest.testmod(confidence).failed == 0


def test_flags_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    for flags, line in [
        (["--min_confidence", "2"], "--min_confidence: found 2, expected a number from 0 to 1"),
        (["--min_confidence", "0.5", "--plain"], "--plain: found together with --min_confidence, expected one of them"),
    ]:
        assert cli.predict(["run", "in", "out", *flags]) == 2
        assert line in capsys.readouterr().err.splitlines()
