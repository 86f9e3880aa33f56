"""The best labels of each item: the decoded label is the first, the others follow by probability."""

import doctest
import json
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from task_type_cases import CASES, IDS, Case, Setting
from torch.nn import functional

from machamp_lite.data.edit_script import apply_script
from machamp_lite.decoders import DECODERS
from machamp_lite.decoders import top_k as ranking
from machamp_lite.decoders.dependency import Dependency
from machamp_lite.decoders.top_k import Ranked, best_labels
from machamp_lite.inference.engine import rank_labels, score_batches
from machamp_lite.inference.predictor import predict_file

SETS = ("multiseq", "multiclas")
every_ranked_case = pytest.mark.parametrize(
    "case",
    [case for case in CASES if DECODERS[case.task_type].Options.supports_top_k],
    ids=[name for case, name in zip(CASES, IDS, strict=True) if DECODERS[case.task_type].Options.supports_top_k],
)


def shaken(setting: Setting) -> Setting:
    """Replaces the parameters of decoders, so that scores differ between labels."""
    torch.manual_seed(3)
    for number, case in enumerate(setting.model.tasks):
        if not DECODERS[setting.model.config.tasks()[case].task_type].language_model:
            for parameter in setting.model.decoders[number].parameters():
                torch.nn.init.normal_(parameter, std=0.3)
    return setting


def lists_of(item: Any, labels: Any, task_type: str) -> list[tuple[Ranked, Any]]:
    """The ranked lists of one item, each with its decoded label."""
    return list(zip(item, labels, strict=True)) if task_type == "dependency" else [(item, labels)]


def ranked_of(setting: Setting, top_n: int) -> list[tuple[Ranked, Any]]:
    """All ranked lists of the dev data, each with its decoded label."""
    task, examples = setting.case.task, setting.data.dev["DATA"]
    found = []
    for _, (labels, ranked, _) in rank_labels(setting.model, examples, top_n={task: top_n}):
        for item, label in zip(ranked[task], labels[task], strict=True):
            found += lists_of(item, label, setting.case.task_type)
    return found


@every_ranked_case
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_decoded_label_is_first_and_the_others_follow_by_probability(
    make: Callable[..., Setting], case: Case, precision: str
) -> None:
    setting = shaken(make(case, f"training.precision={precision}"))
    found = ranked_of(setting, 3)
    assert max(len(ranked) for ranked, _ in found) > 1
    for ranked, decoded in found:
        labels, probabilities = zip(*ranked, strict=True)
        assert len(ranked) <= 3
        assert len(set(labels)) == len(labels)
        assert all(0 <= value <= 1 + 1e-5 for value in probabilities)
        rest = probabilities if case.task_type in SETS else probabilities[1:]
        assert all(one >= other for one, other in pairwise(rest))
        if case.task_type not in SETS:
            assert labels[0] == decoded
            assert sum(probabilities) <= 1 + 1e-4
        else:
            threshold = setting.model.config.tasks()[case.task].threshold
            above = {label for label, value in ranked if value > threshold}
            assert above <= set(decoded.split("|"))
            assert len(above) == min(3, 0 if decoded == "_" else len(decoded.split("|")))


@every_ranked_case
def test_the_probabilities_of_all_labels_sum_to_one(make: Callable[..., Setting], case: Case) -> None:
    if case.task_type in (*SETS, "seq2seq"):
        pytest.skip("its labels do not exclude each other, or there is no end of them")
    for ranked, _ in ranked_of(shaken(make(case)), 1000):
        assert sum(value for _, value in ranked) == pytest.approx(1.0, abs=2e-4)


def test_labels_without_classes_have_no_alternatives() -> None:
    assert {name for name, decoder in DECODERS.items() if not decoder.Options.supports_top_k} == {
        "regression",
        "probdistr",
        "mlm",
        "tok",
    }


def test_the_decoded_label_is_first_if_others_are_more_probable_and_impossible_labels_are_left_out() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.2, 0.0], [0.25, 0.25, 0.5, 0.0]]).log()
    first, second = best_labels(scores, torch.tensor([2, 1]), labels="abcd", top_n=4)
    assert [label for label, _ in first] == ["c", "a", "b"]
    assert [label for label, _ in second] == ["b", "c", "a"]
    assert [value for _, value in first] == pytest.approx([0.2, 0.5, 0.3])
    tiny = torch.tensor([[-200.0, -300.0, -250.0, 0.0]])
    assert [label for label, _ in best_labels(tiny, torch.tensor([3]), labels="abcd", top_n=3)[0]] == list(
        "dac"
    )


def test_probabilities_of_scripts_that_give_the_same_string_are_summed(make: Callable[..., Setting]) -> None:
    setting = shaken(make(next(case for case in CASES if case.task_type == "string2string")))
    examples, model = setting.data.dev["DATA"], setting.model
    scripts = model.vocabularies["task"].labels
    merged = 0
    for places, _, scores in score_batches(model, examples):
        rows = iter(scores["task"].softmax(-1).tolist())
        ranked = model.decoder("task").rank(
            scores["task"], [examples[place].words for place in places], top_n=1000
        )
        for place, items in zip(places, ranked, strict=True):
            for word, item in zip(examples[place].words, items, strict=True):
                sums: dict[str, float] = defaultdict(float)
                for script, value in zip(scripts, next(rows), strict=True):
                    sums[apply_script(word, script) or word] += value
                merged += len(scripts) - len(sums)
                assert dict(item) == pytest.approx(sums, abs=1e-4)
    assert merged


@pytest.mark.parametrize("beams", [1, 4])
def test_the_probability_of_a_text_is_that_of_all_its_subwords(
    make: Callable[..., Setting], beams: int
) -> None:
    case = next(case for case in CASES if case.task_type == "seq2seq")
    setting = make(case, f"DATA.tasks.task.num_beams={beams}", "DATA.tasks.task.max_output_length=6")
    decoder: Any = setting.model.decoder("task")
    # Some outputs end before the others.
    torch.manual_seed(0)
    torch.nn.init.normal_(decoder.model.get_input_embeddings().weight, std=0.5)
    for places, _, memory in score_batches(setting.model, setting.data.dev["DATA"]):
        found = decoder._search(memory["task"], outputs=beams)
        states = memory["task"].states.repeat_interleave(beams, 0)
        mask = memory["task"].mask.repeat_interleave(beams, 0)
        logits = decoder.model(
            encoder_outputs=(states,),
            attention_mask=mask,
            decoder_input_ids=found.sequences[:, :-1],
            use_cache=False,
        ).logits
        gold = found.sequences[:, 1:]
        losses = functional.cross_entropy(
            logits.flatten(0, 1),
            gold.flatten(),
            reduction="none",
            ignore_index=decoder.model.config.pad_token_id,
        )
        expected = -losses.view(gold.shape).sum(1)
        torch.testing.assert_close(decoder._log_probabilities(found), expected, rtol=1e-4, atol=1e-4)
        ranked = decoder.rank(memory["task"], [[]] * len(places), top_n=9)
        assert all(1 <= len(item) <= beams for (item,) in ranked)


@every_ranked_case
def test_ranked_labels_are_written_where_labels_are_and_change_no_score(
    make: Callable[..., Setting], case: Case, tmp_path: Path
) -> None:
    setting = shaken(make(case, f"DATA.tasks.{case.task}.topn=2"))
    options = {"dataset": "DATA"}
    plain = predict_file(setting.model, setting.path, tmp_path / "plain", **options, top_n=1)
    ranked = predict_file(setting.model, setting.path, tmp_path / "ranked", **options, sep=" / ", conn=":")
    assert plain == ranked
    evals = [json.loads((tmp_path / f"{name}.eval").read_text()) for name in ("plain", "ranked")]
    for scores in evals:
        # Official scores need one label per word.
        for task in scores.values():
            task.pop("ud", None)
    assert evals[0] == evals[1]
    lines = [(tmp_path / name).read_text().splitlines() for name in ("plain", "ranked")]
    changed = [(one, other) for one, other in zip(*lines, strict=True) if one != other]
    assert changed
    for one, other in changed:
        columns = zip(one.split("\t"), other.split("\t"), strict=True)
        for plain_cell, cell in ((left, right) for left, right in columns if left != right):
            first, *others = cell.split(" / ")
            label, _, probability = first.rpartition(":")
            assert len(others) <= 1
            assert len(probability) == len("0.1234") and 0 <= float(probability) <= 1
            if case.task_type not in SETS:
                assert label == plain_cell


def test_heads_are_ranked_by_their_ids_together_with_their_relations(make: Callable[..., Setting]) -> None:
    setting = make(next(case for case in CASES if case.task_type == "dependency"))
    record = setting.records()[2]
    config = setting.model.config.tasks()["task"]
    Dependency.write_ranked(
        record,
        [([(0, 0.75), (1, 0.25)], [("root", 0.5), ("obj", 0.125)])],
        task="task",
        config=config,
        conn="=",
        sep="|",
    )
    assert record.rows[0][6:8] == ["0=0.7500|1=0.2500", "root=0.5000|obj=0.1250"]


def test_doctests_pass() -> None:
    assert doctest.testmod(ranking).failed == 0
