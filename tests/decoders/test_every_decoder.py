"""Properties of every task type, for the rows of ``task_type_cases``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from matmul_shapes import MatmulShapes
from task_type_cases import CASES, Case, Setting, blank_columns, every_case

from machamp_lite.acceleration import load_accelerated
from machamp_lite.acceleration.padded_linear import ROWS
from machamp_lite.data.records import Record
from machamp_lite.dataloading.dataset_reader import DatasetReader
from machamp_lite.dataloading.issues import IssueCounter
from machamp_lite.decoders import DECODERS
from machamp_lite.decoders.base import LabelDecoder
from machamp_lite.decoders.dependency import Dependency
from machamp_lite.decoders.regression import Regression
from machamp_lite.decoders.seq_bio import SeqBio
from machamp_lite.errors import ConfigError
from machamp_lite.inference.engine import predict_labels
from machamp_lite.inference.evaluation import evaluate
from machamp_lite.metrics import METRICS
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import save_model
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.train_step import train_step
from machamp_lite.training.warm_start import copy_decoders, describe

# Metrics of numbers, which are approximated.
NUMBERS = ("avg_dist", "kl", "perplexity")

def test_the_table_has_every_task_type() -> None:
    assert {case.task_type for case in CASES} == set(DECODERS)


def assert_same(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> None:
    """Compares predicted labels; numbers may differ in the last digits."""
    assert one.keys() == other.keys()
    for task, labels in one.items():
        for left, right in zip(labels, other[task], strict=True):
            if isinstance(left, str) or (isinstance(left, tuple) and isinstance(left[-1], str)):
                assert left == right
            else:
                torch.testing.assert_close(
                    torch.as_tensor(left), torch.as_tensor(right), rtol=1e-4, atol=1e-5
                )


@every_case
def test_gold_labels_written_back_give_the_record_they_came_from(
    make: Callable[..., Setting], case: Case
) -> None:
    setting = make(case)
    config = setting.model.config.tasks()[case.task]
    decoder = DECODERS[case.task_type]
    for record, original in zip(setting.records(), setting.records(), strict=True):
        labels = decoder.read_labels(record, task=case.task, config=config)
        assert labels is not None
        if case.unannotated and decoder.Options.input_type != "raw":
            case.unannotated(record)
            if config.columns():
                assert record.text() != original.text()
        else:
            blank_columns(*config.columns())(record)
        decoder.write_labels(record, labels, task=case.task, config=config)
        assert record.text().replace("# other = 1\n", "") == _moved(original, case)


def _moved(record: Record, case: Case) -> str:
    """The text of a record with the comment of the task above the first word, where new comments are added."""
    if case.task == "task":
        return record.text()
    comment = next(line for line in record.lines if line.startswith(f"# {case.task} "))
    record.lines.insert(record.row_lines[0], comment)
    record.lines.remove(comment)
    return record.text()


@every_case
def test_a_batch_gives_what_its_sentences_give_alone(make: Callable[..., Setting], case: Case) -> None:
    setting = make(case)
    examples = setting.data.train["DATA"]
    model = setting.model.eval()

    def summed_loss(batches: list[list[Any]]) -> float:
        total = 0.0
        for chosen in batches:
            batch = model.batch(chosen, only_annotated=True)
            task_items = batch.tasks[case.task]
            # The loss of an output text is the mean over its subwords.
            items = int(
                (task_items.gold >= 0).sum() if case.task_type == "seq2seq" else task_items.lengths.sum()
            )
            total += model.losses(batch, model(batch))[case.task].item() * items
        return total

    together = summed_loss([examples])
    assert together == pytest.approx(summed_loss([[example] for example in examples]), rel=1e-5)
    labels = dict(predict_labels(model, examples))
    for place, example in enumerate(examples):
        assert_same(dict(predict_labels(model, [example]))[0], labels[place])


@every_case
def test_sentences_without_labels_change_neither_loss_nor_gradient(
    make: Callable[..., Setting], case: Case
) -> None:
    setting = make(case)
    if case.unannotated is None:
        pytest.skip("every sentence with this column is annotated")
    reader = DatasetReader(
        name="DATA",
        config=setting.model.config.datasets["DATA"],
        tokenizer=setting.model.tokenizer,
        vocabularies=setting.model.vocabularies,
    )
    records = setting.records()
    case.unannotated(records[0])
    by_record = reader.examples(records, reader.read_labels(records, IssueCounter()))
    examples = [example for own in by_record for example in own]
    model = setting.model.eval()

    def gradients(chosen: list[Any]) -> tuple[float, list[torch.Tensor]]:
        model.zero_grad()
        batch = model.batch(chosen, only_annotated=True)
        loss = model.losses(batch, model(batch))[case.task]
        loss.backward()
        return loss.item(), [parameter.grad.clone() for parameter in model.decoders.parameters()]

    if case.task_type == "tok":
        # There is no example without raw text.
        assert len(examples) == len(records) - 1
        return
    assert case.task not in examples[0].gold
    loss, grads = gradients(examples)
    expected_loss, expected_grads = gradients(examples[1:])
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    for grad, expected in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected, rtol=1e-4, atol=1e-6)


@every_case
def test_every_parameter_gets_a_gradient(make: Callable[..., Setting], case: Case) -> None:
    setting = make(case)
    model = setting.model.train()
    # PairLabelScores is 0 at first, and passes gradients on after one step.
    batch = model.batch(setting.data.train["DATA"], only_annotated=True)
    train_step(model, [batch.examples], make_optimizer(model))
    model.zero_grad()
    total = model.total_loss(model.losses(batch, model(batch)))
    total.backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not without


@pytest.mark.slow
@every_case
def test_four_sentences_are_learnt_perfectly(make: Callable[..., Setting], case: Case) -> None:
    # Pretrained parts of a decoder have the learning rate of the encoder.
    rates = ["training.optimizer.lr=0.01", "training.learning_rate_scheduler.decay_factor=0.5"]
    setting = make(
        case, *(rates if DECODERS[case.task_type].language_model else rates[:1]), "encoder.dropout=0.0"
    )
    model, examples = setting.model.train(), setting.data.train["DATA"]
    for module in model.encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    optimizer = make_optimizer(model)
    # The same subwords are masked in each step.
    model.masker = None
    for _ in range(150):
        (losses,) = train_step(model, [examples], optimizer)
    assert losses.tasks[case.task] < 0.05
    metric = model.config.tasks()[case.task].metric
    value = evaluate(model, "DATA", setting.data.dev["DATA"]).scores()[case.task][metric]
    # Because of dropout in attention, numbers are not closer.
    assert METRICS[metric]().selection_score(value) == pytest.approx(1.0, abs=0.2 if metric in NUMBERS else 0)


@every_case
@pytest.mark.parametrize("packing", ['"auto"', "true"])
def test_a_step_never_waits_for_the_device(make: Callable[..., Setting], case: Case, packing: str) -> None:
    # Tensors on the device "meta" have no values: code that waits for one raises an error.
    try:
        setting = make(case, f"encoder.packing={packing}")
    except ConfigError:
        pytest.skip("cannot be packed")
    model = setting.model.train().to("meta")
    batch = model.batch(setting.data.train["DATA"], only_annotated=True)
    total = model.total_loss(model.losses(batch, model(batch)))
    total.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert total.is_meta and norm.is_meta
    assert any(parameter.grad is not None for parameter in model.decoder(case.task).parameters())


@every_case
def test_batches_of_any_size_have_matrix_multiplications_of_few_sizes_in_bf16(
    make: Callable[..., Setting], case: Case
) -> None:
    setting = make(case, "training.precision=bf16")
    model, sizes = setting.model.train(), []
    optimizer = make_optimizer(model)
    for count in (1, 3, 4):
        with MatmulShapes() as matmuls:
            train_step(model, [setting.data.train["DATA"][:count]], optimizer)
        sizes.append({size for shape in matmuls.shapes for size in shape})
    of_all = set.intersection(*sizes)
    assert [size for size in set.union(*sizes) - of_all if size % ROWS] == []


@every_case
def test_a_saved_model_predicts_the_same(make: Callable[..., Setting], case: Case, tmp_path: Path) -> None:
    setting = make(case)
    save_model(setting.model, tmp_path / "model")
    loaded = load_accelerated(tmp_path / "model")
    examples = setting.data.dev["DATA"]
    batches = [model.eval().batch(examples, only_annotated=False) for model in (setting.model, loaded)]
    with torch.inference_mode():
        one, other = setting.model(batches[0])[case.task], loaded(batches[1])[case.task]
    for left, right in zip(
        *([scores] if torch.is_tensor(scores) else scores for scores in (one, other)), strict=True
    ):
        assert torch.equal(left, right)
    predicted = [dict(predict_labels(model, examples)) for model in (setting.model, loaded)]
    for place in range(len(examples)):
        assert_same(predicted[0][place], predicted[1][place])


@every_case
def test_long_sentences_are_predicted_whole(make: Callable[..., Setting], case: Case) -> None:
    setting = make(case, "encoder.max_input_length=5")
    labels = dict(predict_labels(setting.model, setting.data.dev["DATA"]))
    for place, example in enumerate(setting.data.dev["DATA"]):
        decoder = DECODERS[case.task_type]
        expected = 1
        if decoder.Options.level == "word":
            expected = {
                "words": len(example.words),
                "raw": len("".join(example.words)),
                "masked": len(example.segments.word_ends),
                "subwords": 1,
            }[decoder.Options.input_type]
        assert len(labels[place][case.task]) == expected


def _scores(model: Model, task: str, hidden: torch.Tensor, lengths: torch.Tensor, ids: list[int]) -> list[Any]:
    """All scores of a decoder, and for scores of labels those of the labels with these ids."""
    decoder = model.decoder(task).eval()
    scores = decoder(hidden, lengths)
    if isinstance(decoder, Dependency):
        return [scores.arcs, decoder._relation_scores(scores, torch.zeros(len(hidden), dtype=torch.long))[:, ids]]
    if isinstance(decoder, SeqBio):
        crf = decoder.crf
        transitions = crf.transitions[[*ids, len(crf.ends)]][:, ids]
        return [scores.emissions[..., ids], transitions, crf.ends[ids]]
    if isinstance(decoder, LabelDecoder) and decoder.label_dimensions:
        return [scores[:, ids]]
    if isinstance(decoder, Regression):
        # Its scores have the scale of the training data.
        return [torch.tensor(decoder.decode(scores, [["x"]] * len(lengths)))]
    return [part for part in (scores if isinstance(scores, tuple) else [scores]) if part.is_floating_point()]


@every_case
@pytest.mark.parametrize("grows", [False, True])
def test_a_warm_start_keeps_the_scores_of_shared_labels(
    make: Callable[..., Setting], case: Case, grows: bool
) -> None:
    # Two of the four sentences, in another order: some labels are missing, the others have other ids.
    setting = make(case)
    few = "".join(setting.records()[index].text() for index in (3, 1))
    if grows:
        text = setting.path.read_text()
        setting.path.write_text(few)
        setting = make(case)
        setting.path.write_text(text)
    else:
        setting.path.write_text(few)
    old, new = setting.model, make(case).model
    with torch.no_grad():
        for parameter in old.decoders.parameters():
            parameter.add_(torch.randn_like(parameter))
    copy_decoders(new, old)
    labels, others = (model.vocabularies[case.task].labels for model in (old, new))
    shared = [label for label in labels if label in others]
    assert describe(new, old)[0].startswith(f"task {case.task}: keeps its decoder")
    if old.decoder(case.task).label_dimensions:
        for name, dimensions in old.decoder(case.task).label_dimensions.items():
            shape = dict(old.decoder(case.task).named_parameters())[name].shape
            assert {shape[dimension] - len(labels) for dimension in dimensions} <= {0, 1}
        counts = f"{len(shared)} kept, {len(others) - len(shared)} new, {len(labels) - len(shared)} dropped"
        if set(labels) != set(others):
            assert describe(new, old)[0].endswith(f"; labels: {counts}")
    lengths = torch.tensor([3, 1] if old.decoder(case.task).Options.level == "word" else [1] * 4)
    hidden = torch.randn(4, old.decoder(case.task).width)
    for found, expected in zip(
        _scores(new, case.task, hidden, lengths, [others.index(label) for label in shared]),
        _scores(old, case.task, hidden, lengths, [labels.index(label) for label in shared]),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
