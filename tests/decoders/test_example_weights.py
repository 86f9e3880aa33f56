"""The weights of items in ``weight_column``, for every task type: they count in training and nowhere else."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from task_type_cases import Case, every_case

from machamp_lite.config import load_config
from machamp_lite.data.records import FileFormat, Record, read_records
from machamp_lite.dataloading.example import Example
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import DECODERS
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.distributed import SINGLE_PROCESS
from machamp_lite.training.run import RunData, build_model, read_data, seed_everything
from machamp_lite.training.train_step import WeightedLoss, micro_batches

# The column behind all others of both files.
COLUMNS = {"words": 10, "texts": 8}
Load = Callable[..., tuple[Model, RunData]]


@pytest.fixture
def load(
    tmp_path: Path,
    tiny_params: str,
    encoders: dict[str, str],
    treebank: Path,
    pairs: Path,
    write_config: Callable[..., str],
) -> Load:
    """An untrained model of a case and its data, in which each sentence or word has a weight."""

    def load(
        case: Case, weights: Sequence[Any], *, column: int | None, copies: Sequence[int] = (1, 1, 1, 1)
    ) -> tuple[Model, RunData]:
        has_words = case.dataset == "words"
        source = treebank if has_words else pairs
        file_format = FileFormat(word_idx=1) if has_words else FileFormat(sent_idxs=(0, 1))
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.txt"
        records = [record for record in read_records(source, file_format) if record.rows]
        for record, weight in zip(records, weights, strict=True):
            _write(record, weight, column=column, has_words=has_words)
        path.write_text("".join(record.text() * copy for record, copy in zip(records, copies, strict=True)))
        task = {"task_type": case.task_type, **case.options}
        reading = {"word_idx": 1} if has_words else {"sent_idxs": [0, 1]}
        dataset = {
            "train_data_path": str(path),
            "dev_data_path": str(source),
            "tasks": {case.task: task if column is None else {**task, "weight_column": column}},
            **reading,
        }
        config = load_config(
            [write_config(DATA=dataset)],
            parameters_config=tiny_params,
            overrides=(f"transformer_model={encoders[case.encoder]}",),
        )
        data = read_data(config)
        seed_everything(1)
        return build_model(config, data).eval(), data

    return load


def _write(record: Record, weight: Any, *, column: int | None, has_words: bool) -> None:
    if weight is None or column is None:
        return
    if column == -1:
        record.set_comment("weight", str(weight))
    else:
        cells = weight if isinstance(weight, list) else [weight] * len(record.rows)
        record.set_column(column, [str(cell) for cell in cells[: len(record.rows)]])


def column_of(case: Case) -> int:
    """The comment, or in a TSV a column."""
    return -1 if case.dataset == "words" else COLUMNS["texts"]


def gradients(model: Model, task: str, examples: Sequence[Example]) -> tuple[float, list[torch.Tensor | None]]:
    model.zero_grad()
    # The loss of a masked text depends on its random masks, which are those of the examples.
    batch = model.batch(list(examples), only_annotated=True)
    loss = model.losses(batch, model(batch))[task]
    loss.backward()
    return loss.item(), [parameter.grad for parameter in model.parameters()]


def assert_equal(one: tuple[float, Any], other: tuple[float, Any]) -> None:
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    for grad, expected in zip(one[1], other[1], strict=True):
        if grad is not None or expected is not None:
            torch.testing.assert_close(grad, expected, rtol=1e-3, atol=1e-6)


@every_case
def test_a_weight_of_2_counts_as_the_sentence_twice(load: Load, case: Case) -> None:
    model, data = load(case, [1, 2, 1, 1], column=column_of(case))
    weighted = list(data.train["DATA"])
    plain = [Example(**{**_fields(example), "weights": {}}) for example in weighted]
    assert [list(example.weights) for example in weighted] == [[case.task]] * 4
    assert_equal(gradients(model, case.task, weighted), gradients(model, case.task, [*plain, plain[1]]))
    assert gradients(model, case.task, weighted)[0] != pytest.approx(gradients(model, case.task, plain)[0], rel=1e-4)


def _fields(example: Example) -> dict[str, Any]:
    return {name: getattr(example, name) for name in Example.__dataclass_fields__}


@every_case
def test_a_weight_of_0_removes_the_sentence(load: Load, case: Case) -> None:
    model, data = load(case, [1, 0, 1, 1], column=column_of(case))
    weighted = list(data.train["DATA"])
    removed, without = load(case, [1] * 4, column=None, copies=(1, 0, 1, 1))
    vocabulary, expected = data.vocabularies[case.task], without.vocabularies[case.task]
    assert (vocabulary.labels, vocabulary.counts) == (expected.labels, expected.counts)
    assert [case.task in example.gold for example in weighted].count(True) == 3
    annotated = [example for example in weighted if case.task in example.gold]
    assert_equal(gradients(model, case.task, weighted), gradients(model, case.task, annotated))
    if case.task_type != "mlm":
        # Masks are random.
        assert_equal(gradients(model, case.task, weighted), gradients(removed, case.task, without.train["DATA"]))


@every_case
def test_constant_weights_change_nothing(load: Load, case: Case) -> None:
    model, data = load(case, [0.3] * 4, column=column_of(case))
    plain = [Example(**{**_fields(example), "weights": {}}) for example in data.train["DATA"]]
    assert_equal(gradients(model, case.task, list(data.train["DATA"])), gradients(model, case.task, plain))


@every_case
def test_the_loss_and_gradient_are_the_weighted_means_of_those_of_sentences(load: Load, case: Case) -> None:
    weights = [0.5, 3.0, 1e-3, 7.0]
    model, data = load(case, weights, column=column_of(case))
    examples = list(data.train["DATA"])
    counts = [model.loss_counts([example])[case.task] for example in examples]
    losses = [gradients(model, case.task, [example])[0] for example in examples]
    if len(counts[0]) == 1:
        totals = [count for (count,) in counts]
        mean = sum(loss * total for loss, total in zip(losses, totals, strict=True)) / sum(totals)
        assert gradients(model, case.task, examples)[0] == pytest.approx(mean, rel=1e-5)
    plain = [model.loss_counts([Example(**{**_fields(example), "weights": {}})])[case.task] for example in examples]
    for count, of_plain, weight in zip(counts, plain, weights, strict=True):
        assert count == pytest.approx([weight * number for number in of_plain], rel=1e-5)


@every_case
def test_micro_batches_have_the_gradients_of_the_batch(load: Load, case: Case) -> None:
    model, data = load(case, [0.5, 3, 0, 7], column=column_of(case))
    examples, loss = list(data.train["DATA"]), WeightedLoss(model)

    def grads(parts: int) -> tuple[float, list[torch.Tensor | None]]:
        model.zero_grad()
        work = micro_batches(model, [examples], num_micro_batches=parts, step=0, processes=SINGLE_PROCESS)
        totals = [loss(part)[0] / parts for part in work]
        for total in totals:
            total.backward()
        return sum(total.item() for total in totals), [parameter.grad for parameter in model.decoders.parameters()]

    assert_equal(grads(3), grads(1))


WORD_CASES = [
    pytest.param(case, id=case.task_type)
    for case in (
        Case("seq", "words", {"column_idx": 3}),
        Case("string2string", "words", {"column_idx": 2}),
        Case("multiseq", "words", {"column_idx": 5}),
        Case("dependency", "words", {"column_idx": 6}),
        Case("seq_bio", "words", {"column_idx": 8}),
    )
]


@pytest.mark.parametrize("case", WORD_CASES)
def test_words_have_weights_of_their_own(load: Load, case: Case) -> None:
    weights = [[2, 0, 1, 1, 1, 1], [1] * 6, ["_"] * 6, [3, 1, "_", 2, 1, 1]]
    model, data = load(case, weights, column=COLUMNS["words"])
    examples = list(data.train["DATA"])
    decoder, single = model.decoder(case.task), [gradients(model, case.task, [example])[0] for example in examples]
    assert "task" not in examples[2].weights
    if case.task_type == "seq_bio":
        words = len(examples[0].words)
        assert examples[0].weights["task"].tolist() == pytest.approx([sum(weights[0][:words]) / words])
        return
    assert examples[0].gold_items["task"].tolist() == [index for index in range(len(examples[0].words)) if index != 1]
    assert examples[0].weights["task"].tolist()[0] == 2
    # Each term is the weighted mean of the losses of the words.
    batch = model.batch(examples[:1], only_annotated=True)
    items = batch.tasks["task"]
    losses = decoder.item_losses(model(batch)["task"], items.gold)
    assert all(len(loss) == len(items.weights) for loss in losses)
    mean = sum((loss * items.weights).sum() / items.weights.sum() for loss in losses)
    if case.task_type == "multiseq":
        mean = mean / len(model.vocabularies["task"])
    assert single[0] == pytest.approx(mean.item(), rel=1e-5)


@pytest.mark.parametrize("case", WORD_CASES[:1])
def test_a_store_keeps_weights_and_counts_their_items(load: Load, case: Case) -> None:
    _, data = load(case, [[2, 0, 1, 1, 1, 1], [1] * 6, [0.5] * 6, ["_"] * 6], column=COLUMNS["words"])
    store = data.train["DATA"]
    loaded = ExampleStore.load(store.document(), store.arrays(), dataset="DATA", path=store.path, tasks=store.tasks)
    for one, other in zip(store, loaded, strict=True):
        assert one.weights.keys() == other.weights.keys()
        assert all((one.weights[task] == other.weights[task]).all() for task in one.weights)
    values, numbers = store.item_weights("task")
    assert numbers.sum() == sum(len(example.gold["task"]) for example in store)
    expected = sum(
        len(example.gold["task"]) if (own := example.item_weights("task")) is None else own.sum() for example in store
    )
    assert (values * numbers).sum() == pytest.approx(expected)
    # Development data has no weights.
    assert not any(example.weights for example in data.dev["DATA"])


@pytest.mark.parametrize("weight", ["-1", "nan", "inf", "x", "1e31", "1,5", ""])
@pytest.mark.parametrize(
    "case", [Case("seq", "words", {"column_idx": 3}), Case("regression", "texts", {"column_idx": 4})]
)
def test_a_weight_that_is_no_number_is_reported_with_its_line(load: Load, case: Case, weight: str) -> None:
    with pytest.raises(DataError, match=r"\.txt:\d+: found .* 'task'\), expected a number from 0 to 1e\+30") as caught:
        load(case, [1, weight, 1, 1], column=COLUMNS[case.dataset])
    assert f"found the weight '{weight}' in column {COLUMNS[case.dataset]}" in caught.value.faults[0]


def test_a_comment_that_is_no_number_is_reported(load: Load) -> None:
    case = Case("seq", "words", {"column_idx": 3})
    with pytest.raises(DataError, match="found the weight 'half' in the comment '# weight ='"):
        load(case, [1, "half", None, None], column=-1)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([None] * 4, "found no weight in column 8|found no comment '# weight = NUMBER'"),
        ([0] * 4, "with a weight above 0"),
    ],
)
@every_case
def test_a_file_without_weights_or_with_zeros_only_is_an_error(
    load: Load, case: Case, weights: list[Any], message: str
) -> None:
    if case.dataset == "texts" and weights[0] is None:
        weights = ["_"] * 4
    with pytest.raises(DataError, match=message):
        load(case, weights, column=column_of(case))


@pytest.mark.parametrize(
    ("case", "column", "message"),
    [
        (Case("seq", "words", {"column_idx": 3}), 3, "where the labels of the task are"),
        (Case("dependency", "words", {"column_idx": 6}), 7, "where the labels of the task are"),
        (Case("classification", "words", {"column_idx": -1}, task="weight"), -1, "where the labels of the task are"),
        (Case("classification", "words", {"column_idx": -1}, task="mood"), 9, "has no weights of words, expected -1"),
        (Case("tok", "words", {}), 9, "has no weights of words, expected -1"),
        (Case("classification", "texts", {"column_idx": 2}), -1, "expected a column"),
        (Case("seq", "words", {"column_idx": 3}), -2, "weight_column"),
    ],
)
def test_a_column_that_cannot_have_weights_is_an_error(load: Load, case: Case, column: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(case, [1] * 4, column=column)


@pytest.mark.parametrize(
    ("tasks", "found"),
    [
        ({"upos": {"task_type": "seq", "column_idx": 3, "weight_column": 6}, "tree": "dependency 6"}, "6.*'tree'"),
        ({"upos": {"task_type": "seq", "column_idx": 3, "weight_column": 7}, "tree": "dependency 6"}, "7.*'tree'"),
        ({"mood": {"task_type": "classification", "weight_column": -1}, "weight": "regression -1"}, "-1.*'weight'"),
    ],
)
def test_the_labels_of_another_task_are_no_weights(
    treebank: Path, write_config: Callable[..., str], tiny_params: str, tasks: dict[str, Any], found: str
) -> None:
    for name, options in tasks.items():
        if isinstance(options, str):
            task_type, column = options.split()
            tasks = {**tasks, name: {"task_type": task_type, "column_idx": int(column)}}
    tasks = {name: {"column_idx": -1, **options} for name, options in tasks.items()}
    config = write_config(D={"train_data_path": str(treebank), "word_idx": 1, "tasks": tasks})
    with pytest.raises(ConfigError, match=rf"weight_column: found {found} are; expected another column"):
        load_config([config], parameters_config=tiny_params)


def test_every_task_type_has_the_option() -> None:
    assert all("weight_column" in decoder.Options.model_fields for decoder in DECODERS.values())


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        ("csv", "text,label,trust\ngood,a,0.5\nbad,b,\nfine,a,_\n"),
        ("jsonl", '{"text": "good", "label": "a", "trust": 0.5}\n{"text": "bad", "label": "b", "trust": null}\n'),
    ],
)
def test_a_named_column_has_weights_and_only_training_requires_it(
    tmp_path: Path, tiny_params: str, write_config: Callable[..., str], suffix: str, text: str
) -> None:
    train, dev = tmp_path / f"train.{suffix}", tmp_path / f"dev.{suffix}"
    train.write_text(text.replace("b,\n", "b,2\n"))
    dev.write_text("text,label\ngood,a\n" if suffix == "csv" else '{"text": "good", "label": "a"}\n')
    task = {"task_type": "classification", "column_idx": "label", "weight_column": "trust"}
    dataset = {
        "train_data_path": str(train),
        "dev_data_path": str(dev),
        "sent_idxs": ["text"],
        "tasks": {"t": task},
    }
    data = read_data(load_config([write_config(D=dataset)], parameters_config=tiny_params))
    weights = [example.weights["t"].tolist() if example.weights else None for example in data.train["D"]]
    assert weights == ([[0.5], [2.0], None] if suffix == "csv" else [[0.5], None])
