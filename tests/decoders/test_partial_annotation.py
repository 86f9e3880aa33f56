"""Labels that are marked by ``ignore_label`` are in no count, no loss and no score; other tasks still train."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from seqeval.metrics import f1_score as span_f1
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score, f1_score

from machamp_lite.config import load_config
from machamp_lite.data.span_schemes import SCHEMES
from machamp_lite.data_checks.statistics import describe_data
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.errors import DataError
from machamp_lite.inference.evaluation import MetricTracker
from machamp_lite.inference.known_labels import find_known_labels
from machamp_lite.inference.predictor import predict_file
from machamp_lite.metrics.span_f1 import SpanF1
from machamp_lite.training import run as runs
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.train_step import train_step

TASKS: dict[str, dict[str, Any]] = {
    "upos": {"task_type": "seq", "column_idx": 3},
    "lemma": {"task_type": "string2string", "column_idx": 2},
    "feats": {"task_type": "multiseq", "column_idx": 5},
    "tree": {"task_type": "dependency", "column_idx": 6},
    "slots": {"task_type": "seq_bio", "column_idx": 8},
    "mood": {"task_type": "classification", "column_idx": -1},
}
# Two sentences; "--" says that a word has no label. The second one has no label in any task.
MARKED = """\
# mood = --
1\tThe\tthe\tDET\t_\t--\t2\tdet\tB-animal\t_
2\tdogs\t--\tNOUN\t_\tNumber=Plur\t--\t--\tI-animal\t_
3\told\told\t--\t_\t_\t2\tamod\t--\t_
4\tran\t--\t--\t_\tTense=Past\t_\t_\tO\t_

# mood = --
1\tWho\t--\t--\t_\t--\t--\t--\t--\t_
2\tran\t--\t--\t_\t--\t_\t--\t--\t_

"""


@pytest.fixture
def load(tmp_path: Path, treebank: Path, write_config: Callable[..., str], tiny_params: str) -> Callable[..., Any]:
    """A config to train on a text appended to the treebank, with the mark "--" in all tasks or in none."""

    def load(text: str = MARKED, *, mark: str | None = "--", tasks: Sequence[str] = tuple(TASKS), **more: Any) -> Any:
        path = tmp_path / "marked.conllu"
        path.write_text(treebank.read_text() + text)
        options = {name: {**TASKS[name], "ignore_label": mark, **more} for name in tasks}
        dataset = {"train_data_path": str(path), "dev_data_path": str(path), "word_idx": 1, "tasks": options}
        return load_config([write_config(D=dataset)], parameters_config=tiny_params)

    return load


def test_the_mark_is_no_label_and_counts_are_those_of_annotated_words(load: Callable[..., Any]) -> None:
    marked, plain = runs.read_data(load()), runs.read_data(load(""))
    added = {
        "upos": {"DET": 1, "NOUN": 1},
        "feats": {"Number=Plur": 1, "Tense=Past": 1},
        "tree": {"det": 1, "amod": 1},
        "slots": {"B-animal": 1, "I-animal": 1, "O": 1},
        "mood": {},
    }
    for task, labels in added.items():
        counts, before = (
            Counter(dict(zip(data.vocabularies[task].labels, data.vocabularies[task].counts, strict=True)))
            for data in (marked, plain)
        )
        assert counts - before == Counter(labels)
        assert "--" not in counts
        assert marked.train["D"].label_counts[task] == marked.dev["D"].label_counts[task] == counts
    # The empty set of "old" is an annotation.
    assert marked.vocabularies["feats"].items - plain.vocabularies["feats"].items == 3
    assert sum(marked.vocabularies["tree"].root_counts) == sum(plain.vocabularies["tree"].root_counts)
    assert not any("--" in label for label in marked.vocabularies["lemma"].labels)


def test_a_store_keeps_which_words_are_annotated(load: Callable[..., Any]) -> None:
    data = runs.read_data(load())
    for store in (data.train["D"], data.dev["D"]):
        loaded = ExampleStore.load(
            json.loads(json.dumps(store.document())),
            store.arrays(),
            dataset=store.dataset,
            path=store.path,
            tasks=store.tasks,
        )
        example, empty = loaded[4], loaded[5]
        items = {task: positions.tolist() for task, positions in example.gold_items.items()}
        assert items == {"upos": [0, 1], "lemma": [0, 2], "feats": [1, 2, 3], "tree": [0, 2], "slots": [0, 1, 3]}
        assert {task: len(gold) for task, gold in example.gold.items()} == {t: len(i) for t, i in items.items()}
        assert not empty.gold and not empty.gold_items and not empty.labels
        assert loaded.gold_size("upos") == (16, 18)
        names, rows = loaded.label_rows("slots", data.vocabularies["slots"].labels)
        assert [None if i < 0 else names[i] for i in rows[4].tolist()] == ["B-animal", "I-animal", None, "O"]
    assert data.dev["D"][4].labels["tree"] == [(2, "det"), None, (2, "amod"), None]
    assert data.dev["D"][4].labels["upos"] == ["DET", "NOUN", None, None]


def test_the_description_of_the_data_has_the_number_of_annotated_words(load: Callable[..., Any]) -> None:
    config = load()
    data = runs.read_data(config)
    model = runs.build_model(config, data)
    lines = describe_data(config, data, tokenizer=model.tokenizer)
    (line,) = [line for line in lines if "task upos" in line]
    assert line.endswith("5 annotated sentences (16 of their 18 words)")
    (line,) = [line for line in lines if "task mood" in line]
    assert line.endswith("4 annotated sentences")


def gradients(config: Any, tasks: Sequence[str]) -> dict[str, torch.Tensor]:
    """The gradients of the encoder and the decoders after the losses of some tasks on the first marked sentence."""
    runs.seed_everything(1)
    data = runs.read_data(config)
    model = runs.build_model(config, data).eval()
    batch = model.batch([data.train["D"][4]], only_annotated=True)
    losses = model.losses(batch, model(batch))
    torch.stack([losses[task] for task in tasks]).sum().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum()}


def test_a_word_that_is_ignored_in_one_task_trains_the_others(load: Callable[..., Any]) -> None:
    # "old" has a lemma and no part of speech.
    one, both = gradients(load(), ["lemma"]), gradients(load(), ["lemma", "upos"])
    assert one.keys() < both.keys()
    assert any(name.startswith("encoder") for name in one)


def test_sentences_without_any_annotation_train_nothing(load: Callable[..., Any]) -> None:
    config = load()
    data = runs.read_data(config)
    model = runs.build_model(config, data)
    optimizer = make_optimizer(model)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    (losses,) = train_step(model, [[data.train["D"][5]]], optimizer)
    assert losses.total is None and not losses.tasks
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    # Beside other sentences, they change no loss.
    model.eval()
    some, more = ([data.train["D"][index] for index in indices] for indices in ([0, 4], [0, 5, 4]))
    batches = [model.batch(chosen, only_annotated=True) for chosen in (some, more)]
    one, other = (model.losses(batch, model(batch)) for batch in batches)
    assert one.keys() == other.keys()
    for task, loss in one.items():
        assert loss.isfinite() and loss.item() == pytest.approx(other[task].item(), rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"class_weights": "balanced"}])
def test_losses_of_micro_batches_add_up(load: Callable[..., Any], options: dict[str, Any]) -> None:
    config = load(**options)
    data = runs.read_data(config)
    model = runs.build_model(config, data).eval()
    examples = list(data.train["D"])
    counts = model.loss_counts(examples)
    whole = model.batch(examples, only_annotated=True)
    expected = model.losses(whole, model(whole))
    sums: Counter[str] = Counter()
    for part in (examples[:2], examples[2:5], examples[5:]):
        batch = model.batch(part, only_annotated=True)
        for task, loss in model.losses(batch, model(batch), counts).items():
            sums[task] += loss.item()
    assert sums.keys() == expected.keys() == set(TASKS)
    for task, loss in expected.items():
        assert sums[task] == pytest.approx(loss.item(), rel=1e-4)


@pytest.mark.parametrize("option", [{"focal_gamma": 2.0}, {"label_smoothing": 0.2}, {"logit_adjustment": 1.0}])
def test_relations_of_ignored_words_are_in_no_loss(load: Callable[..., Any], option: dict[str, float]) -> None:
    # As the loss is a mean, it is that of the two words that have a head.
    config = load(tasks=["tree"], **option)
    data = runs.read_data(config)
    model = runs.build_model(config, data).eval()
    decoder, batch = model.decoder("tree"), model.batch([data.train["D"][4]], only_annotated=True)
    scores, gold = model(batch)["tree"], batch.tasks["tree"].gold
    assert gold[:, 0].tolist() == [2, -1, 2, -1]
    relations = decoder._relation_scores(scores, gold[:, 0])
    kept = gold[:, 0] >= 0
    assert decoder.loss_sums(scores, gold)[1].item() == pytest.approx(
        decoder.objective(relations[kept], gold[kept, 1]).sum().item(), rel=1e-5
    )


# Gold labels with None for words that are not annotated, and predicted labels.
GOLD = [["DET", None, "NOUN", "VERB"], [None, "ADJ"], ["NOUN", "VERB"]]
PREDICTED = [["DET", "NOUN", "VERB", "VERB"], ["ADJ", "ADJ"], ["NOUN", "NOUN"]]


def test_scores_are_those_of_scikit_learn_on_annotated_words(load: Callable[..., Any]) -> None:
    config = load(tasks=["upos"], additional_metrics=["f1_macro", "f1_micro"])
    tracker = MetricTracker(config.tasks())
    for gold, predicted in zip(GOLD, PREDICTED, strict=True):
        tracker.add({"upos": gold}, {"upos": predicted}, words=["x"] * len(gold))
    pairs = [
        (one, other)
        for pair in zip(GOLD, PREDICTED, strict=True)
        for one, other in zip(*pair, strict=True)
        if one is not None
    ]
    gold, predicted = map(list, zip(*pairs, strict=True))
    scores = tracker.scores()["upos"]
    assert scores["accuracy"] == pytest.approx(accuracy_score(gold, predicted))
    assert scores["f1_micro"] == pytest.approx(f1_score(gold, predicted, average="micro"))
    assert scores["f1_macro"] == pytest.approx(f1_score(gold, predicted, average="macro"))
    assert tracker.counts()["upos"] == {"scored": 3, "skipped": 0, "scored_words": 6, "skipped_words": 0}
    assert sum(row.support for row in tracker.label_scores()["upos"].rows()) == 6


def test_attachment_scores_count_annotated_words(load: Callable[..., Any]) -> None:
    tracker = MetricTracker(load(tasks=["tree"]).tasks())
    gold = [(2, "det"), None, (2, "amod"), None]
    tracker.add({"tree": gold}, {"tree": [(2, "det"), (0, "root"), (4, "amod"), (2, "x")]}, words=list("abcd"))
    assert tracker.scores()["tree"] == {"las": 0.5, "uas": 0.5}


def test_span_f1_between_gaps_is_that_of_seqeval() -> None:
    # Gaps are between words outside of spans: the sentence without them has the same spans.
    gold = [["B-a", "I-a", "O", None, "O", "B-b"], [None, "O", "B-a", "O", None], ["B-a", "B-a"]]
    predicted = [["B-a", "O", "O", "O", "O", "B-b"], ["O", "O", "B-b", "O", "O"], ["B-a", "I-a"]]
    metric = SpanF1()
    for one, other in zip(gold, predicted, strict=True):
        metric.add(one, other)
    rows = [
        [(a, b) for a, b in zip(one, other, strict=True) if a is not None]
        for one, other in zip(gold, predicted, strict=True)
    ]
    expected = span_f1(*([[pair[i] for pair in row] for row in rows] for i in (0, 1)), mode="strict", scheme=IOB2)
    assert metric.value() == pytest.approx(expected)
    assert 0 < metric.value() < 1 and metric.warning() is None


@pytest.mark.parametrize(
    ("gold", "predicted", "counts"),
    [
        # The gold span may go on, so neither it nor the predicted one counts.
        (["B-a", None, "O"], ["B-a", "I-a", "O"], (0, 0, 0)),
        (["O", None, "O"], ["O", "B-a", "O"], (0, 0, 0)),
        (["O", None, "O"], ["B-a", "I-a", "I-a"], (0, 0, 0)),
        ([None, "B-a", "O"], ["O", "B-a", "O"], (0, 0, 0)),
        # This error does not touch the gap.
        (["B-a", "O", None], ["B-b", "O", "O"], (1, 1, 0)),
        (["B-a", "O", None], ["B-a", "O", "B-a"], (1, 1, 1)),
        # Not a span that is interrupted, but two labels whose spans are unknown.
        (["B-a", None, "I-a"], ["B-a", "I-a", "I-a"], (0, 0, 0)),
    ],
)
def test_spans_that_touch_a_gap_are_left_out(
    gold: list[str | None], predicted: list[str], counts: tuple[int, int, int]
) -> None:
    metric = SpanF1(SCHEMES["BIO"])
    metric.add(gold, predicted)
    assert tuple(metric._totals("gold", "predicted", "correct")) == counts
    assert metric.warning() is None


def test_prediction_labels_every_word_and_scores_the_annotated_ones(
    load: Callable[..., Any], tmp_path: Path
) -> None:
    runs.train(load(), tmp_path / "run", progress=False)
    model = runs.load_model(tmp_path / "run" / "model")
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text(MARKED)
    scores = predict_file(model, source, target)
    assert "--" not in target.read_text()
    written = json.loads((tmp_path / "target.eval").read_text())
    assert {task: values["scored_words"] for task, values in written.items()} == {
        "upos": 2, "lemma": 2, "feats": 3, "tree": 2, "slots": 3,
    }
    assert scores.keys() == written.keys()
    # Columns of "_", and of marks, have no gold labels.
    source.write_text("1\tdogs" + "\t_" * 8 + "\n\n1\tdogs" + "\t--" * 8 + "\n\n")
    assert predict_file(model, source, target) == {}


def test_marks_are_no_sign_of_another_dataset(load: Callable[..., Any], tmp_path: Path) -> None:
    config = load()
    data = runs.read_data(config)
    source = tmp_path / "source"
    source.write_text(MARKED)
    found = find_known_labels(source, config.datasets["D"], data.vocabularies, max_sentences=10)
    # "mood" has no label in this file.
    assert (found.known, found.unknown) == (TASKS.keys() - {"mood"}, set())
    source.write_text(MARKED.replace("\tDET\t", "\t--\t").replace("\tNOUN\t", "\t--\t"))
    found = find_known_labels(source, config.datasets["D"], data.vocabularies, max_sentences=10)
    assert "upos" not in found.known | found.unknown


def test_pairs_of_labels_around_a_gap_do_not_break_the_scheme(
    load: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    text = "1\told\t_\t_\t_\t_\t_\t_\tB-a\t_\n2\told\t_\t_\t_\t_\t_\t_\t--\t_\n3\told\t_\t_\t_\t_\t_\t_\tI-a\t_\n\n"
    assert runs.read_data(load(text, tasks=["slots"])).schemes == {"slots": "BIO"}
    assert "break the scheme" not in caplog.text
    runs.read_data(load(text, tasks=["slots"], mark=None))
    assert "break the scheme" in caplog.text


def tree(*heads: str) -> str:
    """A sentence with these heads."""
    relations = ["_" if head in ("_", "--") else "dep" for head in heads]
    arcs = enumerate(zip(heads, relations, strict=True), start=1)
    return "".join(f"{word}\tw\t_\t_\t_\t_\t{head}\t{relation}\t_\t_\n" for word, (head, relation) in arcs) + "\n"


@pytest.mark.parametrize(
    ("heads", "warning"),
    [
        (["2", "--", "2"], None),
        (["2", "_", "0"], None),
        (["2", "3", "1", "--"], "with a cycle"),
        (["2", "1", "--"], "with a cycle"),
        (["0", "--", "0"], "with several roots"),
    ],
)
def test_trees_with_gaps_need_no_root_and_may_have_no_cycle(
    load: Callable[..., Any], heads: list[str], warning: str | None
) -> None:
    data = runs.read_data(load(tree(*heads), tasks=["tree"]))
    assert [count.issue.kind for count in data.train["D"].issues] == [warning] * (warning is not None)
    assert ("tree" in data.train["D"][4].gold) == (warning != "with a cycle")


@pytest.mark.parametrize(
    ("text", "mark", "message"),
    [
        (tree("2", "_"), None, "expected the id of another word of its sentence (2 words) or 0; if only some words"),
        (tree("2", "--"), "_", "found the head '--'"),
        (tree("2", "0").replace("dep", "--", 1), "--", "found no relation ('--') next to the head '2'"),
        (tree("2", "_").replace("dep", "_"), "_", "found no relation ('_') next to the head '2'"),
    ],
)
def test_faults_of_trees_with_gaps_are_reported(
    load: Callable[..., Any], text: str, mark: str | None, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        runs.read_data(load(text, mark=mark, tasks=["tree"]))
    assert message in caught.value.faults[0]


def test_all_sentences_ignored_is_a_fault(load: Callable[..., Any], treebank: Path) -> None:
    lines = [line.split("\t") for line in treebank.read_text().splitlines()]
    treebank.write_text("\n".join("\t".join([*row[:3], "--", *row[4:]]) if len(row) > 1 else row[0] for row in lines))
    with pytest.raises(DataError, match="found no label in column 3"):
        runs.read_data(load("\n\n", tasks=["upos"]))


def test_the_steps_of_adjacent_labels_are_those_of_the_file(load: Callable[..., Any]) -> None:
    data = runs.read_data(load(tasks=["slots"]))
    names, rows = data.dev["D"].label_rows("slots", data.vocabularies["slots"].labels)
    found = [[None if i < 0 else names[i] for i in row.tolist()] for row in rows.rows()]
    expected = [example.labels.get("slots", []) for example in data.dev["D"]]
    assert [list(pairwise(row)) for row in found] == [list(pairwise(row)) for row in expected]
