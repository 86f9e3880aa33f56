"""Decisions are changed for a prediction, stored in a model folder, and tuned on data with one look at it."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from predicted_words import predict_words

from machamp_lite.cli import commands
from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.config.task_types import ClassificationOptions, MultiClasOptions
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.dataloading.dataset_reader import DatasetReader
from machamp_lite.decoders.classification import Classification
from machamp_lite.decoders.multiclas import MultiClas
from machamp_lite.decoders.multiseq import MultiSeq
from machamp_lite.errors import ConfigError
from machamp_lite.inference.decision_tuning import (
    OFFSETS,
    TAUS,
    THRESHOLDS,
    LabelOffsets,
    LabelThresholds,
    TunedDecision,
    make_rule,
    tunable_tasks,
    tune_decision,
)
from machamp_lite.inference.decisions import Decision, describe_decision, store_options, with_decision
from machamp_lite.inference.dev_scores import FOLDS, DevScores, DevSentence, dev_scores
from machamp_lite.inference.predictor import predict_file
from machamp_lite.inference.target_tuning import Target, tune_target
from machamp_lite.metrics import METRICS
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model, save_model
from machamp_lite.training.run import train

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(
    tiny_params: str, treebank: Path, pairs: Path, write_config: Callable[..., str], tmp_path: Path
) -> Path:
    """A barely trained run with tasks of any number of labels per word and per pair, and of a single label."""
    words = {"feats": {"task_type": "multiseq", "column_idx": 5}, "upos": {"task_type": "seq", "column_idx": 3}}
    texts = {"topics": {"task_type": "multiclas", "column_idx": 3}}
    same = {"same": {"task_type": "classification", "column_idx": 2}}
    lemmas = {"lemma": {"task_type": "string2string", "column_idx": 2}}
    slots = {"slots": {"task_type": "seq_bio", "column_idx": 8}}
    datasets = {
        "UD": {"train_data_path": str(treebank), "word_idx": 1, "tasks": words},
        "PAIRS": {"train_data_path": str(pairs), "sent_idxs": [0, 1], "tasks": texts | same},
        "SINGLE": {"train_data_path": str(pairs), "sent_idxs": [1], "tasks": same},
        "LEMMAS": {"train_data_path": str(treebank), "word_idx": 1, "tasks": lemmas},
        "SPANS": {"train_data_path": str(treebank), "word_idx": 1, "tasks": slots},
    }
    config = load_config([write_config(**datasets)], parameters_config=tiny_params)
    train(config, tmp_path / "run", progress=False)
    return tmp_path / "run"


@pytest.fixture
def model(run: Path) -> Model:
    """Its model, with probabilities that differ."""
    model = load_model(run)
    torch.manual_seed(1)
    for task in ("feats", "topics", "upos", "same"):
        torch.nn.init.normal_(model.decoder(task).scores.weight, std=0.3)
    return model


def repeated(path: Path) -> Path:
    """A file with the sentences of another one three times, because there is at least one per fold."""
    longer = path.with_name(f"longer-{path.name}")
    longer.write_text(path.read_text() * 3)
    return longer


def tune(model: Model, examples: Any, *, task: str, metric: str) -> TunedDecision:
    data = dev_scores(model, examples, task=task, metric=metric)
    assert data is not None
    return tune_decision(data, task=task)


def read_examples(model: Model, dataset: str, source: Path) -> Any:
    config = find_dataset(model.config, dataset)
    reader = DatasetReader(
        name=dataset, config=config, tokenizer=model.tokenizer, vocabularies=model.vocabularies
    )
    return reader.read_evaluation(source)


@pytest.mark.parametrize(
    ("dataset", "task", "metric"),
    [
        *(("UD", "feats", metric) for metric in ("multi_acc", "multi_f1_micro", "f1_macro", "fbeta_macro")),
        ("PAIRS", "topics", "multi_f1_macro"),
        ("UD", "upos", "accuracy"),
        ("UD", "upos", "f1_macro"),
        ("UD", "upos", "span_f1"),
        ("PAIRS", "same", "f1_weighted"),
    ],
)
def test_tuning_gives_what_predicting_with_each_rule_gives(
    model: Model, treebank: Path, pairs: Path, tmp_path: Path, dataset: str, task: str, metric: str
) -> None:
    source = repeated(treebank if dataset == "UD" else pairs)
    options = model.decoder(task).config.model_copy(update={"additional_metrics": [metric]})
    model.decoder(task).config = model.config.datasets[dataset].tasks[task] = options
    tuned = tune(model, read_examples(model, dataset, source), task=task, metric=metric)
    assert tuned.rules[0].name == "plain"
    for rule in tuned.rules:
        model.decoder(task).config = options.model_copy(update=rule.options)
        scores = predict_file(model, source, tmp_path / "out", dataset=dataset)
        assert scores[task][metric] == pytest.approx(rule.tuned)
        assert rule.plain == tuned.rules[0].tuned == tuned.rules[0].cross_validated
    assert tuned.best.cross_validated == max(rule.cross_validated for rule in tuned.rules)


@pytest.mark.parametrize(("task", "key", "values"), [("feats", "threshold", THRESHOLDS), ("upos", "tau", TAUS)])
def test_a_single_number_is_the_best_of_all_candidates(
    model: Model, treebank: Path, tmp_path: Path, task: str, key: str, values: tuple[float, ...]
) -> None:
    source = repeated(treebank)
    examples = read_examples(model, "UD", source)
    metric = "f1_macro"
    tuned = tune(model, examples, task=task, metric=metric)
    options = model.decoder(task).config.model_copy(update={"additional_metrics": [metric]})
    model.config.datasets["UD"].tasks[task] = options
    found = [
        predict_file(model, source, tmp_path / "out", dataset="UD", **{key: value})[task][metric]
        for value in values
    ]
    assert tuned.rules[1].tuned == pytest.approx(max(found))


def random_sentences(number: int, labels: str, seed: int) -> list[DevSentence]:
    draw = random.Random(seed)
    torch.manual_seed(seed)
    gold = [["|".join(label for label in labels if draw.random() < 0.4) or "_"] for _ in range(number)]
    # Scores that know something, but are shifted by label.
    shift = torch.tensor([-2.0, 1.0, 0.0][: len(labels)])
    known = [torch.tensor([[2.0 if label in item else 0.0 for label in labels]]) for (item,) in gold]
    return [
        DevSentence(item, ["w"], scores + shift + torch.randn(1, len(labels)))
        for item, scores in zip(gold, known, strict=True)
    ]


def classification(**options: Any) -> Classification:
    defaults = json.loads((ROOT / "configs" / "params.json").read_text())["decoders"]
    values = {**defaults["default_decoder"], **defaults["classification"], "task_type": "classification"}
    config = ClassificationOptions.model_validate({**values, "column_idx": 1, **options})
    return Classification(config=config, vocabulary=Vocabulary("abc", [9, 9, 9], 27), width=2)


def multiclas(**options: Any) -> MultiClas:
    defaults = json.loads((ROOT / "configs" / "params.json").read_text())["decoders"]
    values = {**defaults["default_decoder"], **defaults["multiclas"], "task_type": "multiclas", "column_idx": 1}
    config = MultiClasOptions.model_validate({**values, **options})
    return MultiClas(config=config, vocabulary=Vocabulary("abc", [9, 9, 9], 20), width=2)


@pytest.mark.parametrize("seed", range(3))
def test_thresholds_per_label_have_the_highest_macro_f1_of_all_combinations(seed: int) -> None:
    decoder = multiclas()
    data = DevScores(decoder, random_sentences(60, "abc", seed), metric="multi_f1_macro")
    chosen = LabelThresholds(data, beta=1.0).choose(range(FOLDS))
    assert chosen.keys() == set("abc")
    # The macro F1 is a sum over labels, so the labels can be searched one after the other.
    best = dict.fromkeys("abc", 0.5)
    for label in "abc":
        best[label] = max(THRESHOLDS, key=lambda value: data.value({"threshold": {**best, label: value}}))
    assert data.value({"threshold": chosen}) == pytest.approx(data.value({"threshold": best}))
    assert data.value({"threshold": chosen}) >= max(data.value({"threshold": value}) for value in THRESHOLDS)
    grid = [(a, b, c) for a in THRESHOLDS[::3] for b in THRESHOLDS[::3] for c in THRESHOLDS[::3]]
    values = (data.value({"threshold": dict(zip("abc", point, strict=True))}) for point in grid)
    assert data.value({"threshold": chosen}) >= max(values) - 1e-6


def test_a_rare_label_has_the_threshold_of_all_labels() -> None:
    decoder = multiclas()
    sentences = [
        DevSentence([("c|a" if number % 20 == 0 else "a") if number % 2 else "_"], ["w"], torch.zeros(1, 3))
        for number in range(40)
    ]
    chosen = LabelThresholds(DevScores(decoder, sentences, metric="multi_acc"), beta=1.0).choose(range(FOLDS))
    assert chosen.keys() == {"a"}


@pytest.mark.parametrize("of", ["precision", "recall"])
@pytest.mark.parametrize("minimum", [0.5, 0.8, 1.0])
def test_a_target_is_reached_with_the_most_of_the_other_score(minimum: float, of: Any) -> None:
    sentences = random_sentences(80, "abc", 5)
    data = DevScores(multiclas(), sentences, metric="multi_f1_macro")
    tuned = tune_target(data, task="topics", labels="abc", target=Target(minimum=minimum, of=of))
    probabilities = data.scores.sigmoid()
    assert [row.label for row in tuned.labels] == list("abc") and tuned.rare == []
    assert tuned.options == {"threshold": {"*": 0.5, **{row.label: row.value for row in tuned.labels}}}
    for index, row in enumerate(tuned.labels):
        gold = torch.tensor([row.label in sentence.gold[0] for sentence in sentences])

        def scores(threshold: float, index: int = index, gold: torch.Tensor = gold) -> tuple[float, float]:
            above = probabilities[:, index] > threshold
            right = int((above & gold).sum())
            pair = right / max(int(above.sum()), 1), right / int(gold.sum())
            return pair if of == "precision" else (pair[1], pair[0])

        assert row.tuned == pytest.approx(scores(row.value) if of == "precision" else scores(row.value)[::-1])
        good = [scores(value)[1] for value in THRESHOLDS if scores(value)[0] >= minimum]
        needed, other = scores(row.value)
        if good:
            assert needed >= minimum and other == max(good)
        else:
            assert needed == max(scores(value)[0] for value in THRESHOLDS)


@pytest.mark.parametrize("of", ["precision", "recall"])
@pytest.mark.parametrize("minimum", [0.3, 0.7, 0.95])
def test_the_offset_of_one_label_is_the_best_of_all(minimum: float, of: Any) -> None:
    decoder, sentences = classification(), single_sentences(90, 3)
    data = DevScores(decoder, sentences, metric="accuracy")
    tuned = tune_target(data, task="kind", labels=["b"], target=Target(minimum=minimum, of=of))
    (row,) = tuned.labels
    assert tuned.options["offsets"] == {"b": row.value} and tuned.options["tau"] == 0
    gold = [label for sentence in sentences for label in sentence.gold]

    def scores(offset: float) -> tuple[float, float]:
        decoder.config = decoder.config.model_copy(update={"offsets": {"b": offset}})
        found = [labels[0] for labels in decoder.decode(data.scores, [["w"]] * len(gold))]
        decoder.config = decoder.config.model_copy(update={"offsets": None})
        right = sum(one == other == "b" for one, other in zip(gold, found, strict=True))
        return right / max(found.count("b"), 1), right / gold.count("b")

    assert row.tuned == pytest.approx(scores(row.value))
    pairs = [pair if of == "precision" else pair[::-1] for pair in map(scores, torch.linspace(-9, 9, 1801).tolist())]
    needed, other = row.tuned if of == "precision" else row.tuned[::-1]
    assert needed >= minimum and other == pytest.approx(max(other for needed, other in pairs if needed >= minimum))
    # By hand, for the first fold.
    held_out = [tune_without(fold, minimum=minimum, of=of) for fold in range(FOLDS)]
    counts = torch.tensor(held_out).sum(0).tolist()
    assert row.held_out == pytest.approx((counts[0] / max(counts[1], 1), counts[0] / counts[2]))


def tune_without(fold: int, *, minimum: float, of: Any) -> tuple[int, int, int]:
    """Correct, predicted and gold items of a fold, decided by the offset that is tuned on the others."""
    sentences = single_sentences(90, 3)
    others = [sentence for number, sentence in enumerate(sentences) if number % FOLDS != fold]
    held_out = [sentence for number, sentence in enumerate(sentences) if number % FOLDS == fold]
    apart = DevScores(classification(), others, metric="accuracy")
    tuned = tune_target(apart, task="kind", labels=["b"], target=Target(minimum=minimum, of=of))
    decoder = classification(offsets=tuned.options["offsets"])
    pairs = [(sentence.gold[0], decoder.decode(sentence.scores, [["w"]])[0][0]) for sentence in held_out]
    gold, found = zip(*pairs, strict=True)
    return sum(one == other == "b" for one, other in pairs), found.count("b"), gold.count("b")


def test_labels_with_few_items_keep_their_decision() -> None:
    sentences = [*single_sentences(60, 4), DevSentence(["c"], ["w"], torch.tensor([[0.0, 0.0, -1.0]]))]
    sentences = [one for one in sentences if one.gold != ["c"]] + sentences[-1:]
    data = DevScores(classification(), sentences, metric="f1_macro")
    tuned = tune_target(data, task="kind", labels=["c"], target=Target(minimum=0.5, of="precision"))
    assert tuned.labels == [] and tuned.rare == ["c"] and tuned.options["offsets"] is None
    assert "c" not in LabelOffsets(data).choose(range(FOLDS))


@pytest.mark.parametrize("metric", ["f1_macro", "accuracy"])
@pytest.mark.parametrize("seed", range(3))
def test_no_single_offset_is_better_than_those_of_all_labels(seed: int, metric: str) -> None:
    data = DevScores(classification(), single_sentences(80, seed), metric=metric)
    found = LabelOffsets(data).choose(range(FOLDS))
    best = data.value({"offsets": found or None})
    assert best >= data.value({"offsets": None})
    for label in "abc":
        for offset in OFFSETS:
            assert data.value({"offsets": {**found, label: offset}}) <= best + 1e-6
    # Two labels at a time, from a coarse grid.
    shift = torch.tensor([-2.0, 1.0, 0.0])
    assert data.value({"offsets": dict(zip("abc", (-shift).tolist(), strict=True))}) <= best + 0.08


def single_sentences(number: int, seed: int) -> list[DevSentence]:
    """Sentences of one item and one label, whose scores know something, but are shifted by label."""
    torch.manual_seed(seed)
    gold = torch.randint(3, (number,))
    scores = 1.5 * torch.nn.functional.one_hot(gold, 3) + torch.tensor([-2.0, 1.0, 0.0]) + torch.randn(number, 3)
    return [DevSentence(["abc"[label]], ["w"], row[None]) for label, row in zip(gold.tolist(), scores, strict=True)]


def test_cross_validation_decides_each_fold_by_the_others() -> None:
    sentences = random_sentences(53, "abc", 2)
    data = DevScores(multiclas(), sentences, metric="multi_f1_micro")
    candidates = [{"threshold": value} for value in THRESHOLDS]
    rule = make_rule(data, "one", lambda folds: data.best(candidates, folds))
    expected = METRICS["multi_f1_micro"]()
    for fold in range(FOLDS):
        others = [sentence for number, sentence in enumerate(sentences) if number % FOLDS != fold]
        held_out = [sentence for number, sentence in enumerate(sentences) if number % FOLDS == fold]
        apart = DevScores(multiclas(), others, metric="multi_f1_micro")
        best = max(THRESHOLDS, key=lambda value: apart.value({"threshold": value}))
        decoder = multiclas(threshold=best)
        for sentence in held_out:
            expected.add(sentence.gold, decoder.decode(sentence.scores, [["w"]])[0])
    assert rule.cross_validated == pytest.approx(expected.value())


def test_labels_without_signal_are_decided_as_before() -> None:
    torch.manual_seed(0)
    sentences = [DevSentence(["a" if number % 3 else "_"], ["w"], torch.randn(1, 3) * 0.01 + 9) for number in range(60)]
    data = DevScores(multiclas(), sentences, metric="multi_acc")
    rule = make_rule(data, "same", lambda folds: {"threshold": 0.5})
    assert rule.tuned == rule.cross_validated == rule.plain
    assert not rule.overfits


def test_a_decision_changes_a_copy_that_shares_the_weights(model: Model) -> None:
    decoder = model.decoder("topics")
    assert isinstance(decoder, MultiSeq)
    scores = torch.tensor([[-3.0, 0.1, 3.0]])
    assert decoder.decode(scores, [["a", "b"]])[0][0].count("|") == 1
    changed = with_decision(model, "PAIRS", Decision(threshold=0.01))
    assert changed.decoder("topics").decode(scores, [["a", "b"]])[0][0].count("|") == 2
    assert decoder.decode(scores, [["a", "b"]])[0][0].count("|") == 1
    assert model.decoder("topics").config.threshold == 0.5
    assert [*map(id, changed.parameters())] == [*map(id, model.parameters())]
    assert with_decision(model, "SINGLE", Decision()) is model


def test_the_plain_decision_undoes_tau_costs_and_thresholds(
    run: Path, treebank: Path, pairs: Path, tmp_path: Path
) -> None:
    before = load_model(run)
    first = before.vocabularies["feats"].labels[0]
    store_options(
        run / "model",
        {
            "upos": {"tau": 3.0},
            "same": {"costs": {"yes": {"no": 0.0}}},
            "topics": {"threshold": 0.01},
            "feats": {"threshold": {"*": 0.01, first: 0.99}},
        },
    )
    changed = load_model(run)
    for dataset, source in (("UD", treebank), ("PAIRS", pairs)):
        texts = {}
        for name, model, plain in (("plain", before, False), ("tuned", changed, False), ("undone", changed, True)):
            predict_file(model, source, tmp_path / name, dataset=dataset, plain=plain)
            texts[name] = (tmp_path / name).read_text()
        assert texts["plain"] == texts["undone"] != texts["tuned"]


@pytest.mark.parametrize(
    ("dataset", "flags", "line"),
    [
        ("SINGLE", ["--threshold", "0.3"], "--threshold: found no task of type multiseq or multiclas in SINGLE, "),
        ("LEMMAS", ["--tau", "0.3"], "--tau: found no task of type seq or classification in LEMMAS, expected one"),
        ("SINGLE", ["--tau", "101"], "--tau: found 101, expected a number from -100 to 100"),
        ("SINGLE", ["--tau", "nan"], "--tau: found nan, expected a number from -100 to 100"),
        ("PAIRS", ["--plain", "--tau", "1"], "--plain: found together with --tau, expected one of them"),
    ],
)
def test_a_decision_for_no_task_is_one_line_and_writes_nothing(
    run: Path,
    pairs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    dataset: str,
    flags: list[str],
    line: str,
) -> None:
    flags = ["--dataset", dataset, *flags, "--device", "-1"]
    assert cli.predict([str(run), str(pairs), str(tmp_path / "out"), *flags]) == 2
    (found,) = capsys.readouterr().err.splitlines()
    assert found.startswith(line)
    assert not (tmp_path / "out").exists()


def test_an_unknown_task_or_metric_is_reported(model: Model, pairs: Path) -> None:
    datasets = model.config.datasets
    assert tunable_tasks(datasets["PAIRS"], "PAIRS", None) == ["topics", "same"]
    for dataset, task, line in [
        ("LEMMAS", None, "--dataset: found no task of type seq, classification, multiseq or multiclas in"),
        ("PAIRS", "topic", "--task: found 'topic', expected one of the tasks of PAIRS whose decisions can be"),
    ]:
        with pytest.raises(ConfigError) as caught:
            tunable_tasks(datasets[dataset], dataset, task)
        assert caught.value.faults[0].startswith(line)
    with pytest.raises(ConfigError, match=r"^--metric: found 'accuracy', expected one of the metrics of 'topics'"):
        dev_scores(model, read_examples(model, "PAIRS", pairs), task="topics", metric="accuracy")


def test_stored_options_are_those_of_the_model_and_change_nothing_else(run: Path, tmp_path: Path) -> None:
    path = run / "model" / "config.json"
    before = json.loads(path.read_text())
    label = load_model(run).vocabularies["topics"].labels[0]
    changes = {"topics": {"threshold": {label: 0.25, "*": 0.75}, "temperature": 1.5}, "same": {"tau": 0.5}}
    store_options(run / "model", changes)
    model = load_model(run)
    assert model.decoder("topics").config.threshold == {label: 0.25, "*": 0.75}
    assert describe_decision(model.config.tasks()["topics"]) == "a threshold per label"
    assert describe_decision(model.config.tasks()["same"]) == "tau 0.5"
    assert describe_decision(model.config.tasks()["feats"]) == ""
    # Saved and loaded again, it decides the same.
    save_model(model, tmp_path / "copy")
    words = [["a", "b c"], ["the dogs", "x"]]
    assert predict_words(load_model(tmp_path / "copy"), words, dataset="PAIRS") == predict_words(
        model, words, dataset="PAIRS"
    )
    after = json.loads(path.read_text())
    for name, changed in changes.items():
        for dataset in ("PAIRS", "SINGLE"):
            if name in after["datasets"][dataset]["tasks"]:
                own = after["datasets"][dataset]["tasks"][name]
                assert own.items() >= changed.items()
                own |= {key: before["datasets"][dataset]["tasks"][name][key] for key in changed}
    assert after == before
    assert {item.name for item in path.parent.iterdir()} == {
        "config.json",
        "labels.json",
        "model.safetensors",
        "encoder",
    }


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("topics.threshold", {"nonsense": 0.2}, "topics -> threshold -> nonsense: unknown label 'nonsense'"),
        ("same.costs", {"nonsense": {"1": 2}}, "same -> costs -> nonsense: unknown label 'nonsense'"),
        ("same.costs", {"yes": {"nonsense": 2}}, "same -> costs -> yes -> nonsense: unknown label 'nonsense'"),
        ("same.costs", {"yes": {"no": -1}}, "same -> costs -> yes -> no"),
        ("topics.threshold", {"sport": 1.5}, "topics -> threshold"),
        ("same.temperature", 0, "same -> temperature"),
        ("same.tau", 1e9, "same -> tau"),
    ],
)
def test_options_for_no_label_of_the_training_data_are_reported(
    tiny_params: str,
    pairs: Path,
    write_config: Callable[..., str],
    tmp_path: Path,
    key: str,
    value: Any,
    fault: str,
) -> None:
    tasks: dict[str, Any] = {
        "topics": {"task_type": "multiclas", "column_idx": 3},
        "same": {"task_type": "classification", "column_idx": 2},
    }
    task, option = key.split(".")
    tasks[task][option] = value
    dataset = {"train_data_path": str(pairs), "sent_idxs": [0, 1], "tasks": tasks}
    with pytest.raises(ConfigError) as caught:
        train(load_config([write_config(P=dataset)], parameters_config=tiny_params), tmp_path / "run")
    assert any(fault in line for line in caught.value.faults), caught.value.faults


def test_the_command_prints_a_table_and_stores_the_best(
    run: Path, treebank: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*flags: Any, code: int = 0) -> Any:
        assert commands.main(["tune-decisions", *map(str, flags), "--device", "-1"]) == code
        return capsys.readouterr()

    flags = (run, repeated(treebank), "--dataset", "UD")
    printed = call(*flags, "--task", "feats", "--metric", "multi_f1_micro").out.splitlines()
    assert "| feats | multi_f1_micro, tuned on this file | cross-validated |" in printed
    for name in ("plain", "one threshold", "threshold per label"):
        assert f"| {name}" in "\n".join(printed)
    before = (run / "model" / "config.json").read_text()
    assert "| offset per label |" in call(*flags).out
    assert (run / "model" / "config.json").read_text() == before
    *_, written = call(*flags, "--write").out.splitlines()
    assert written == f"written: {run / 'model' / 'config.json'}"
    load_model(run)
    for more, line in [
        (["--task", "x"], "--task: found 'x', expected one of the tasks of UD"),
        (["--min_precision", "2"], "--min_precision: found 2, expected a number from 0 to 1"),
        (["--min_recall", "0.5", "--min_precision", "0.5"], "--min_recall: found together with --min_precision"),
        (["--min_recall", "0.5", "--metric", "accuracy"], "--metric: has no effect with --min_precision or --min_"),
        (["--label", "a"], "--label: has no effect without --min_precision or --min_recall"),
        (["--task", "upos", "--min_recall", "1"], "--label: found none, expected the label of 'upos' whose"),
        (["--task", "upos", "--min_recall", "1", "--label", "NOUM"], "--label: unknown label 'NOUM' of 'upos'"),
    ]:
        assert call(*flags, *more, code=2).err.splitlines()[-1].startswith(line)


def test_the_command_reaches_a_target(run: Path, treebank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = treebank.with_name("longer")
    source.write_text(treebank.read_text() * 6)
    flags = [str(run), str(source), "--dataset", "UD", "--task", "upos", "--label", "NOUN", "--device", "-1", "--write"]
    assert commands.main(["tune-decisions", *flags, "--min_recall", "1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "| upos | offset | precision, recall on this file | cross-validated |" in printed
    (row,) = [line for line in printed if line.startswith("| NOUN |")]
    assert ", 100.00 |" in row
    labels = predict_file(load_model(run), source, run.with_name("out"), dataset="UD")
    assert labels["upos"]["accuracy"] <= 1
    assert list(load_model(run).config.tasks()["upos"].offsets) == ["NOUN"]


@pytest.mark.parametrize(
    ("dataset", "task", "options"),
    [
        ("UD", "upos", {"offsets": {"NOUN": 50.0}}),
        ("UD", "upos", {"costs": {"NOUN": {"VERB": 0.0}}}),
        ("UD", "feats", {"threshold": {"*": 0.01}}),
        ("SPANS", "slots", {"min_confidence": 0.99}),
    ],
)
def test_decisions_of_one_prediction_are_those_of_a_model_with_these_options(
    run: Path,
    treebank: Path,
    pairs: Path,
    tmp_path: Path,
    dataset: str,
    task: str,
    options: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = pairs if dataset == "PAIRS" else treebank
    flags = [str(run), str(source), str(tmp_path / "out"), "--dataset", dataset, "--device", "-1"]
    for key, value in options.items():
        assert cli.predict([*flags, "--set", f"{task}.{key}={json.dumps(value)}", "--batch_size", "1"]) == 0
        assert f"task '{task}' decides by " in capsys.readouterr().err
    once = (tmp_path / "out").read_text()
    assert cli.predict([*flags, "--plain"]) == 0
    plain = (tmp_path / "out").read_text()
    store_options(run / "model", {task: options})
    assert cli.predict(flags) == 0
    assert (tmp_path / "out").read_text() == once != plain
    save_model(load_model(run), tmp_path / "copy")
    predict_file(load_model(tmp_path / "copy"), source, tmp_path / "out", dataset=dataset)
    assert (tmp_path / "out").read_text() == once


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("upos", "--set upos: expected TASK.KEY=VALUE, for example intent.tau=0.5"),
        ("upos.tau.x=1", "--set upos.tau.x=1: expected TASK.KEY=VALUE"),
        ("opus.tau=1", "--set opus: unknown task"),
        ("upos.tua=1", "--set upos.tua: is no decision of this task; did you mean 'tau'?"),
        ("upos.dropout=1", "--set upos.dropout: is no decision of this task"),
        ("upos.tau=1000", "--set upos.tau: expected "),
        ('upos.offsets={"NOUM": 1}', "--set upos.offsets -> NOUM: unknown label 'NOUM'; did you mean 'NOUN'?"),
        ("feats.threshold=2", "--set feats.threshold: expected "),
    ],
)
def test_an_option_that_decides_nothing_is_one_line(
    run: Path, treebank: Path, text: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.predict([str(run), str(treebank), "out", "--dataset", "UD", "--device", "-1", "--set", text]) == 2
    found = capsys.readouterr().err.splitlines()[-1]
    assert found.startswith(line), found


def test_an_unknown_metric_is_reported_before_the_model_runs(
    run: Path, treebank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--dataset", "UD", "--task", "feats", "--metric", "f1_mikro"]
    assert commands.main(["tune-decisions", str(run), str(treebank), *flags]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("--metric: found 'f1_mikro', expected one of the metrics of 'feats': ")
    assert not output.out and output.err.endswith("; did you mean 'f1_micro'?\n")
