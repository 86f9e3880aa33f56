"""``ignore_label`` for every task type: marked labels change neither loss nor scores."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from task_type_cases import Case, Setting, every_case

from machamp_lite.data.records import Record
from machamp_lite.dataloading.dataset_reader import DatasetReader
from machamp_lite.dataloading.issues import IssueCounter
from machamp_lite.decoders import DECODERS
from machamp_lite.errors import ConfigError
from machamp_lite.inference.evaluation import MetricTracker
from machamp_lite.inference.predictor import predict_records
from machamp_lite.model.multitask_model import Model

MARK = "--"


def _mark(record: Record, case: Case, config: Any, rows: Callable[[int], bool] = lambda row: True) -> None:
    """Marks the labels of some words, or the label of a sentence, as not annotated."""
    for column in config.columns():
        labels = record.column(column)
        record.set_column(column, [MARK if rows(row) else label for row, label in enumerate(labels)])
    if not config.columns():
        record.set_comment(case.task, MARK)


def _examples(setting: Setting, records: list[Record]) -> list[Any]:
    model, records = setting.model, [record for record in records if record.rows]
    reader = DatasetReader(
        name="DATA",
        config=model.config.datasets["DATA"],
        tokenizer=model.tokenizer,
        vocabularies=model.vocabularies,
    )
    by_record = reader.examples(records, reader.read_labels(records, IssueCounter()))
    return [example for own in by_record for example in own]


@every_case
def test_ignored_labels_change_neither_loss_nor_gradient(make: Callable[..., Setting], case: Case) -> None:
    override = f'DATA.tasks.{case.task}.ignore_label="{MARK}"'
    if "ignore_label" in DECODERS[case.task_type].Options.unsupported_options:
        with pytest.raises(ConfigError, match="does not have this option"):
            make(case, override)
        return
    setting, plain = make(case, override), make(case)
    config = setting.model.config.tasks()[case.task]
    marked = setting.records()
    for record in marked[:2]:
        _mark(record, case, config)
    examples = _examples(setting, marked)
    assert [case.task in example.gold for example in examples] == [False, False, True, True]

    def gradients(model: Model, chosen: list[Any]) -> tuple[float, list[torch.Tensor]]:
        model.eval().zero_grad()
        batch = model.batch(chosen, only_annotated=True)
        loss = model.losses(batch, model(batch))[case.task]
        loss.backward()
        return loss.item(), [parameter.grad.clone() for parameter in model.decoders.parameters()]

    for chosen, unmarked in (
        # Without marks, the option changes nothing.
        (_examples(setting, setting.records()), _examples(plain, plain.records())),
        (examples, _examples(plain, plain.records())[2:]),
    ):
        loss, grads = gradients(setting.model, chosen)
        expected_loss, expected_grads = gradients(plain.model, unmarked)
        assert loss == pytest.approx(expected_loss, rel=1e-5)
        for grad, expected in zip(grads, expected_grads, strict=True):
            torch.testing.assert_close(grad, expected, rtol=1e-4, atol=1e-5)


@every_case
def test_the_loss_is_the_sum_over_annotated_words(make: Callable[..., Setting], case: Case) -> None:
    decoder = DECODERS[case.task_type]
    if not decoder.Options.labels_words() or "ignore_label" in decoder.Options.unsupported_options:
        pytest.skip("no labels of words")
    setting = make(case, f'DATA.tasks.{case.task}.ignore_label="{MARK}"')
    model, config = setting.model.eval(), setting.model.config.tasks()[case.task]
    words = len(setting.records()[0].rows)

    def losses(*annotated: int) -> list[float]:
        """The sums of the terms of the loss if only some words of the first sentence have labels."""
        record = setting.records()[0]
        _mark(record, case, config, lambda row: row not in annotated)
        examples = _examples(setting, [record])
        assert [len(example.gold[case.task]) for example in examples] == [len(annotated)]
        batch = model.batch(examples, only_annotated=True)
        loss_sums = model.decoder(case.task).loss_sums(model(batch)[case.task], batch.tasks[case.task].gold)
        return [loss.item() for loss in loss_sums]

    every, single = losses(*range(words)), [losses(word) for word in range(words)]
    if case.task_type == "seq_bio":
        # Not independent: p(all labels) is at most p(one label).
        assert max(single) <= every
        return
    assert every == pytest.approx([sum(terms) for terms in zip(*single, strict=True)], rel=1e-4)


@every_case
def test_ignored_labels_are_not_scored_and_get_a_prediction(make: Callable[..., Setting], case: Case) -> None:
    decoder = DECODERS[case.task_type]
    if "ignore_label" in decoder.Options.unsupported_options:
        pytest.skip("no such option")
    setting = make(case, f'DATA.tasks.{case.task}.ignore_label="{MARK}"')
    model, config = setting.model, setting.model.config.tasks()[case.task]
    is_marked = (lambda row: row % 2 == 0) if config.labels_words() else (lambda row: True)
    records = setting.records()
    for record in records[1:]:
        _mark(record, case, config, is_marked)
    tracker = MetricTracker({case.task: config})
    written = list(predict_records(model, "DATA", records, tracker=tracker))
    assert MARK not in [cell for record in written for column in config.columns() for cell in record.column(column)]
    assert f"# {case.task} = {MARK}" not in "".join(record.text() for record in written)
    counts = tracker.counts()[case.task]
    if config.labels_words():
        lengths = [len(record.rows) for record in records]
        assert counts["scored_words"] == lengths[0] + sum(length // 2 for length in lengths[1:])
    else:
        assert counts["scored"] == 1
