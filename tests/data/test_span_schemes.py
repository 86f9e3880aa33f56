"""Spans are read, learnt, predicted and scored in the scheme of their file, and what breaks it is reported."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from nervaluate.evaluator import Evaluator
from seqeval.metrics import f1_score
from span_schemes import SEQEVAL, labels_of, random_labels, random_spans, seqeval_spans

from machamp_lite.cli import main as cli
from machamp_lite.metrics import METRICS

every_scheme = pytest.mark.parametrize("scheme", SEQEVAL)
WORDS = {"a": ["dog", "cat", "mice"], "b": ["the", "and", "near"], "": ["ran", "they", "."]}


def score(gold: list[list[str]], predicted: list[list[str]], scheme: str) -> float:
    metric = METRICS["span_f1"].for_task(SimpleNamespace(scheme=scheme))
    for one, other in zip(gold, predicted, strict=True):
        metric.add(one, other)
    return metric.value()


def strict(gold: list[list[str]], predicted: list[list[str]], scheme: str) -> float:
    return float(f1_score(gold, predicted, mode="strict", scheme=SEQEVAL[scheme], zero_division=0))


@every_scheme
def test_span_f1_is_that_of_strict_seqeval_on_any_labels(scheme: str) -> None:
    random = Random(scheme)
    for _ in range(200):
        lengths = random.choices(range(1, 12), k=3)
        gold, valid = ([labels_of(random_spans(random, n), n, scheme) for n in lengths] for _ in range(2))
        noisy = [
            [random.choice([own, *random_labels(random, 1, scheme)]) for own in labels] for labels in gold
        ]
        noise = [random_labels(random, n, scheme) for n in lengths]
        for one, other in ((gold, valid), (gold, noisy), (noisy, gold), (noise, noisy)):
            assert score(one, other, scheme) == pytest.approx(strict(one, other, scheme)), (one, other)


@every_scheme
def test_span_f1_is_that_of_strict_nervaluate_on_well_formed_labels(scheme: str) -> None:
    random = Random(scheme)
    # nervaluate reads B and I alone: the spans of the other schemes are written in BIO for it.
    readable = scheme if scheme in ("BIO", "IOB1") else "BIO"
    for _ in range(100):
        length = random.randrange(1, 12)
        spans = [random_spans(random, length) for _ in range(2)]
        if not all(spans):
            continue
        gold, predicted = ([labels_of(own, length, scheme)] for own in spans)
        pair = ([labels_of(own, length, readable)] for own in spans)
        expected = Evaluator(*pair, tags=["a", "b"], loader="list").evaluate()["overall"]["strict"].f1
        assert score(gold, predicted, scheme) == pytest.approx(expected)


def text_of(sentences: int, scheme: str, *, seed: int) -> str:
    """Sentences whose words say of which type they are; one column for each of two tasks."""
    random, lines = Random(seed), []
    for _ in range(sentences):
        length = random.randrange(3, 9)
        spans = random_spans(random, length)
        kinds = [""] * length
        for start, end, kind in spans:
            kinds[start:end] = [kind] * (end - start)
        for kind, label in zip(kinds, labels_of(spans, length, scheme), strict=True):
            lines.append(f"{random.choice(WORDS[kind])}\t{label}\t{label}")
        lines.append("")
    return "\n".join(lines) + "\n"


def column(path: Path, number: int) -> list[list[str]]:
    blocks = path.read_text(encoding="utf-8").strip("\n").split("\n\n")
    return [[line.split("\t")[number] for line in block.split("\n")] for block in blocks]


@pytest.fixture
def command(
    tmp_path: Path, write_config: Callable[..., str], tiny_params: str, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """Trains on tmp_path/train and tmp_path/dev, or only checks them, and returns the warnings."""

    def run(*flags: str, tasks: dict[str, dict[str, Any]]) -> list[str]:
        dataset = {
            "train_data_path": str(tmp_path / "train"),
            "dev_data_path": str(tmp_path / "dev"),
            "word_idx": 0,
            "tasks": tasks,
        }
        given = ["--dataset_configs", write_config(D=dataset), "--parameters_config", tiny_params]
        code = cli.train([*given, "--device", "-1", *flags])
        lines = capsys.readouterr().err.splitlines()
        assert code == 0, lines
        # Without the time, and with paths as in the folder.
        lines = [line[9:] for line in lines if re.match(r"\d\d:\d\d:\d\d ", line)]
        return [line.removeprefix("warning: ").replace(f"{tmp_path}/", "") for line in lines]

    return run


BOTH = {
    "spans": {"task_type": "seq_bio", "column_idx": 1},
    "tags": {"task_type": "seq", "column_idx": 2, "metric": "span_f1"},
}


@pytest.mark.parametrize("scheme", [scheme for scheme in SEQEVAL if scheme != "BIO"])
def test_a_file_is_learnt_predicted_and_scored_in_its_own_scheme(
    command: Callable[..., list[str]], tmp_path: Path, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train").write_text(text_of(120, scheme, seed=1))
    (tmp_path / "dev").write_text(text_of(20, scheme, seed=2))
    steps = ["batching.batch_size=8", "training.num_epochs=4", "training.learning_rate_scheduler.decay_factor=0.08"]
    sets = [f"--set={step}" for step in steps]
    lines = command("--model_dir", str(tmp_path / "run"), *sets, tasks=BOTH)
    assert not [line for line in lines if "break" in line]
    saved = json.loads((tmp_path / "run" / "model" / "config.json").read_text())["datasets"]["D"]["tasks"]
    assert [saved[task]["scheme"] for task in BOTH] == [scheme, scheme]
    scores = json.loads((tmp_path / "run" / "D.out.eval").read_text())
    for task, number in (("spans", 1), ("tags", 2)):
        gold, predicted = column(tmp_path / "dev", number), column(tmp_path / "run" / "D.out", number)
        assert scores[task]["span_f1"] == pytest.approx(strict(gold, predicted, scheme))
        assert scores[task]["span_f1"] > 0.3
    for labels in column(tmp_path / "run" / "D.out", 1):
        assert labels_of(seqeval_spans(labels, scheme), len(labels), scheme) == labels

    # Other gold labels of the same text: wrong types, and another scheme.
    run, source, target = str(tmp_path / "run" / "model"), tmp_path / "other", tmp_path / "out"
    swapped = (tmp_path / "dev").read_text().translate(str.maketrans({"a": "b", "b": "a"}))
    rows = zip((tmp_path / "dev").read_text().split("\n"), swapped.split("\n"), strict=True)
    source.write_text("\n".join("\t".join([*one.split("\t")[:1], *two.split("\t")[1:]]) for one, two in rows))
    assert cli.predict([run, str(source), str(target), "--device", "-1"]) == 0
    assert "gold labels" not in capsys.readouterr().err
    found = json.loads(Path(f"{target}.eval").read_text())["spans"]["span_f1"]
    assert found == pytest.approx(strict(column(source, 1), column(target, 1), scheme))
    assert found < 0.5
    source.write_text(text_of(20, "BIO", seed=2))
    assert cli.predict([run, str(source), str(target), "--device", "-1"]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "task 'spans'" in line]
    assert (
        "gold labels are neither outside nor in a span" in line and f"convert the labels to {scheme}" in line
    )


def written(*sentences: str) -> str:
    """A file of sentences, given as labels with ``|`` between them."""
    return "".join("".join(f"dog\t{label}\n" for label in labels.split("|")) + "\n" for labels in sentences)


BIO = ["B-PER|I-PER|O", "O|B-LOC|O", "B-PER|O|O", "B-LOC|I-LOC|O"]
KEPT = "training keeps these labels, predictions always follow the scheme, and "
COUNTED = "span_f1 counts only spans that are well formed in it"
NO_SPAN = "so that span_f1 can only be 0"
WRONG_COLUMN = "if they are no span labels, set column_idx to their column"
# Training labels, dev labels, options, and what is reported.
REPORTED: dict[str, tuple[Sequence[str], Sequence[str], dict[str, Any], list[str]]] = {
    "BIO": (BIO, BIO[:1], {}, []),
    "other words for outside": (["B-PER|_|_", "_|B-LOC|I-LOC"], ["B-LOC|_"], {}, []),
    "bare marks": (["B|I|O", "O|B|O"], ["B|O"], {}, []),
    "IOB1": (["I-PER|B-PER|O", "I-LOC|O"], ["I-PER"], {}, []),
    "the other name of a scheme": (BIO, BIO, {"scheme": "IOB2"}, []),
    "another type inside a span": (
        [*BIO, "B-PER|I-LOC|I-LOC"],
        BIO[:1],
        {},
        [
            "train:18: task 'spans': 1 of 15 labels break the scheme BIO (recognised from the training data): "
            f"'I-LOC' after 'B-PER' once; {KEPT}{COUNTED}; correct the file"
        ],
    ),
    "spans that do not end": (
        ["B-PER|I-PER|E-PER", "S-LOC|B-PER|E-PER", "O|B-PER|O", "B-LOC"],
        ["S-LOC"],
        {},
        [
            "train:11: task 'spans': 2 of 10 labels break the scheme BIOES (recognised from the training data): "
            "'O' after 'B-PER' once, 'B-LOC' at the end of a sentence once; "
            f"{KEPT}{COUNTED}; correct the file"
        ],
    ),
    "a span that does not start": (
        ["B-PER|L-PER", "U-LOC|O", "L-LOC|O"],
        ["U-LOC"],
        {},
        [
            "train:7: task 'spans': 1 of 6 labels break the scheme BILOU (recognised from the training data): "
            f"'L-LOC' at the start of a sentence once; {KEPT}{COUNTED}; correct the file"
        ],
    ),
    "a scheme of the config": (
        ["B-PER|I-PER|O", "O|B-LOC|O"],
        ["S-LOC"],
        {"scheme": "BIOES"},
        [
            "train:3: task 'spans': 2 of 6 labels break the scheme BIOES (of the config): 'O' after 'I-PER' once, "
            f"'O' after 'B-LOC' once; {KEPT}{COUNTED}; the labels of the file fit BIO: set scheme to BIO"
        ],
    ),
    "dev data in another scheme": (
        BIO,
        ["B-PER|E-PER|O", "O|S-LOC"],
        {},
        [
            "dev:2: task 'spans': 2 of 5 labels break the scheme BIO (recognised from the training data): "
            f"'E-PER' after 'B-PER' once, 'S-LOC' after 'O' once; {COUNTED}; "
            "the labels of the file fit BIOES: convert the file"
        ],
    ),
    "dev data without a span": (
        BIO,
        ["O|O", "O"],
        {},
        [
            f"dev: task 'spans': column 1 has no span in the scheme BIO, {NO_SPAN}; its most frequent labels are 'O'; "
            f"{WRONG_COLUMN}"
        ],
    ),
    "dev data that is not annotated": (BIO, ["_|_"], {}, []),
    "a zero and a small letter": (
        [*BIO, "0|o|B-PER"],
        BIO[:1],
        {},
        [
            "train:17: task 'spans': found '0' once, 'o' once in addition to 'O'; all are read as outside, but "
            "count as different labels; use one spelling"
        ],
    ),
    "case, separator and space": (
        [*BIO, "B_PER|O ", "b-per|O", "I-per"],
        BIO[:1],
        {},
        [
            "train:23: task 'spans': 1 of 17 labels break the scheme BIO (recognised from the training data): "
            f"'I-per' at the start of a sentence once; {KEPT}{COUNTED}; correct the file",
            "train:17: task 'spans': labels that differ only by case, separator, outer space or Unicode form count as "
            "different labels (found 'B-PER' 2 times, 'B_PER' once, 'b-per' once; 'I-PER' once, 'I-per' once; "
            "'O' 7 times, 'O ' once); use one spelling for each",
        ],
    ),
    "tags in the column": (
        ["NOUN|VERB|NOUN", "DET|NOUN"],
        BIO[:1],
        {},
        [
            f"train: task 'spans': column 1 has no span in the scheme BIO, {NO_SPAN}; its most frequent labels are "
            f"'NOUN', 'VERB', 'DET'; {WRONG_COLUMN}"
        ],
    ),
    "another separator throughout": (
        ["B_PER|I_PER|O", "O|B_LOC"],
        ["B_LOC"],
        {},
        [
            f"train: task 'spans': column 1 has no span in the scheme BIO, {NO_SPAN}; its most frequent labels are "
            f"'O', 'B_PER', 'I_PER', 'B_LOC'; {WRONG_COLUMN}",
            "train:1: task 'spans': found 'B_PER' once, 'I_PER' once, 'B_LOC' once, which mark no spans; expected "
            "labels such as 'B-PER'",
            f"dev: task 'spans': column 1 has no span in the scheme BIO, {NO_SPAN}; its most frequent labels are "
            f"'B_LOC'; {WRONG_COLUMN}",
            "dev:1: task 'spans': found 'B_LOC' once, which mark no spans; expected labels such as 'B-LOC'",
        ],
    ),
    "no type": (
        [*BIO, "B-|O"],
        BIO[:1],
        {},
        [
            "train:17: task 'spans': found 'B-' once, without a type after the mark; expected labels such as 'B-PER'"
        ],
    ),
}


# The schemes that are not BIO.
FOUND = {"IOB1": "IOB1", "spans that do not end": "BIOES", "a span that does not start": "BILOU"}
FOUND["a scheme of the config"] = "BIOES"


def of_spans(lines: list[str]) -> list[str]:
    return [line for line in lines if re.match(r"(train|dev)(:\d+)?: task 'spans': ", line)]


@pytest.mark.parametrize("case", REPORTED)
def test_what_breaks_a_scheme_and_likely_slips_are_reported_once_per_file(
    command: Callable[..., list[str]], tmp_path: Path, case: str
) -> None:
    train, dev, options, expected = REPORTED[case]
    (tmp_path / "train").write_text(written(*train))
    (tmp_path / "dev").write_text(written(*dev))
    task = {"task_type": "seq_bio", "column_idx": 1, **options}
    lines = command("--check", tasks={"spans": task})
    assert of_spans(lines) == expected
    assert f"task 'spans': labels in the scheme {FOUND.get(case, 'BIO')}" in lines


@pytest.mark.parametrize("task_type", ["seq", "seq_bio"])
def test_training_reports_the_same_and_goes_on(
    command: Callable[..., list[str]], tmp_path: Path, task_type: str
) -> None:
    (tmp_path / "train").write_text(written(*BIO, "B-PER|I-LOC|0", "E-PER|b-per"))
    (tmp_path / "dev").write_text(written("O|O"))
    task = {"task_type": task_type, "column_idx": 1, "metric": "span_f1"}
    checked = command("--check", tasks={"spans": task})
    trained = command("--model_dir", str(tmp_path / "run"), tasks={"spans": task})
    assert of_spans(checked) == of_spans(trained)
    kinds = ("break the scheme", "in addition to 'O'", "differ only by case", "has no span")
    assert [sum(kind in line for line in of_spans(trained)) for kind in kinds] == [1, 1, 1, 1]


def test_a_model_without_a_scheme_reads_bio(
    command: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train").write_text(written(*BIO))
    (tmp_path / "dev").write_text(written(*BIO))
    command("--model_dir", str(tmp_path / "run"), tasks={"spans": BOTH["spans"]})
    path = tmp_path / "run" / "model" / "config.json"
    saved = json.loads(path.read_text())
    assert saved["datasets"]["D"]["tasks"]["spans"].pop("scheme") == "BIO"
    for entry in saved["params"]["decoders"].values():
        entry.pop("scheme", None)
    path.write_text(json.dumps(saved))
    assert (
        cli.predict([str(path.parent), str(tmp_path / "dev"), str(tmp_path / "out"), "--device", "-1"]) == 0
    )
    gold, predicted = column(tmp_path / "dev", 1), column(tmp_path / "out", 1)
    found = json.loads((tmp_path / "out.eval").read_text())["spans"]["span_f1"]
    assert found == pytest.approx(strict(gold, predicted, "BIO"))
