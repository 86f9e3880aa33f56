"""Temperatures minimise the negative log-likelihood; calibration scores equal those of independent references."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss
from torch import Tensor
from torch.nn import functional

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.decoders.gold_likelihood import LabelLikelihood
from machamp_lite.inference import calibration
from machamp_lite.inference.calibration import BINS, CalibrationScores
from machamp_lite.inference.predictor import predict_file
from machamp_lite.model.serialization import load_model
from machamp_lite.training.run import train


def fit_temperature(scores: Tensor, targets: Tensor, *, exclusive: bool) -> float:
    return calibration.fit_temperature([LabelLikelihood(scores, targets, exclusive=exclusive)])


def negative_log_likelihood(scores: Tensor, targets: Tensor, *, exclusive: bool) -> float:
    return calibration.negative_log_likelihood([LabelLikelihood(scores, targets, exclusive=exclusive)], 1.0)


def drawn(*, exclusive: bool, scale: float, number: int = 400, labels: int = 4) -> tuple[Tensor, Tensor]:
    """Scores, and targets that are drawn from their probabilities; the scores are then multiplied by ``scale``."""
    torch.manual_seed(int(100 * scale))
    scores = torch.randn(number, labels) * 2
    if exclusive:
        ids = torch.multinomial(scores.softmax(-1), 1).squeeze(1)
        return scale * scores, functional.one_hot(ids, labels).float()
    return scale * scores, torch.bernoulli(scores.sigmoid())


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_gradient_of_the_likelihood_is_zero_at_the_temperature(exclusive: bool, scale: float) -> None:
    scores, targets = drawn(exclusive=exclusive, scale=scale)
    temperature = fit_temperature(scores, targets, exclusive=exclusive)
    assert temperature == pytest.approx(scale, rel=0.15)
    variable = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
    if exclusive:
        loss = functional.cross_entropy(scores.double() / variable, targets.argmax(-1))
    else:
        loss = functional.binary_cross_entropy_with_logits(scores.double() / variable, targets.double())
    loss.backward()
    assert variable.grad is not None and abs(float(variable.grad)) < 1e-5
    own = negative_log_likelihood(scores / temperature, targets, exclusive=exclusive)
    assert float(own) == pytest.approx(float(loss.detach()), abs=1e-5)
    for other in (1.0, 0.9 * temperature, 1.1 * temperature):
        assert own <= negative_log_likelihood(scores / other, targets, exclusive=exclusive) + 1e-6


def test_items_of_unknown_labels_do_not_change_the_temperature() -> None:
    scores, targets = drawn(exclusive=True, scale=2.0)
    more = torch.cat([scores, torch.randn(50, 4)]), torch.cat([targets, torch.zeros(50, 4)])
    assert fit_temperature(*more, exclusive=True) == pytest.approx(fit_temperature(scores, targets, exclusive=True))


@pytest.mark.parametrize("right", [True, False])
def test_a_temperature_is_limited_if_all_items_are_right_or_wrong(right: bool) -> None:
    scores = torch.tensor([[1.0, 0.0]] * 60)
    targets = torch.tensor([[1.0, 0.0] if right else [0.0, 1.0]] * 60)
    assert fit_temperature(scores, targets, exclusive=True) == pytest.approx(0.1 if right else 10, rel=1e-3)


@pytest.mark.parametrize("exclusive", [True, False])
def test_calibration_scores_equal_references(exclusive: bool) -> None:
    scores, targets = drawn(exclusive=exclusive, scale=2.0)
    probabilities = scores.softmax(-1) if exclusive else scores.sigmoid()
    kept = CalibrationScores(exclusive=exclusive)
    for part in range(0, 400, 100):
        kept.add(probabilities[part : part + 100], targets[part : part + 100])
    values = kept.values()
    p, y = probabilities.double().numpy(), targets.numpy()
    if exclusive:
        brier = sum(brier_score_loss(y[:, label], p[:, label]) for label in range(4))
        confidence, right = p.max(1), (p.argmax(1) == y.argmax(1)).astype(float)
    else:
        brier = brier_score_loss(y.ravel(), p.ravel())
        confidence, right = p.ravel(), y.ravel()
    bins = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    ece = 0.0
    for number in range(BINS):
        inside = bins == number
        if inside.any():
            ece += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert values == {"ece": pytest.approx(ece, abs=1e-4), "brier": pytest.approx(brier, abs=1e-4)}


def test_an_unknown_gold_label_counts_as_wrong() -> None:
    kept = CalibrationScores(exclusive=True)
    assert kept.values() == {}
    kept.add(torch.tensor([[0.75, 0.25]]), torch.tensor([[0.0, 0.0]]))
    # The probability of the gold label is 0: 1 + 0.75 ** 2 + 0.25 ** 2.
    assert kept.values() == {"ece": 0.75, "brier": 1.625}


@pytest.fixture
def config(
    tiny_params: str, treebank: Path, pairs: Path, write_config: Callable[..., str], tmp_path: Path
) -> Callable[..., Any]:
    longer = {path: tmp_path / f"longer-{path.name}" for path in (treebank, pairs)}
    for path, copy in longer.items():
        copy.write_text(path.read_text() * 15)
    words = {
        "upos": {"task_type": "seq", "column_idx": 3},
        "feats": {"task_type": "multiseq", "column_idx": 5},
        "lemma": {"task_type": "string2string", "column_idx": 2},
    }
    texts = {
        "same": {"task_type": "classification", "column_idx": 2},
        "topics": {"task_type": "multiclas", "column_idx": 3, "threshold": 0.7},
    }
    ud, texts_path = str(longer[treebank]), str(longer[pairs])
    datasets: dict[str, Any] = {
        "UD": {"train_data_path": ud, "dev_data_path": ud, "word_idx": 1, "tasks": words},
        "PAIRS": {"train_data_path": texts_path, "dev_data_path": texts_path, "sent_idxs": [0, 1], "tasks": texts},
    }
    path = write_config(**datasets)
    return lambda *overrides: load_config([path], parameters_config=tiny_params, overrides=overrides)


def test_bins_give_the_calibration_error() -> None:
    kept = CalibrationScores(exclusive=True)
    probabilities = torch.rand(200, 4, generator=torch.Generator().manual_seed(1)).softmax(-1)
    kept.add(probabilities, torch.eye(4)[torch.arange(200) % 4])
    bins = kept.bins()
    assert len(bins) == 15 and sum(row["count"] for row in bins) == 200
    error = sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / 200
    assert error == pytest.approx(kept.values()["ece"], abs=2e-4)


def test_training_calibrates_and_changes_no_label(config: Callable[..., Any], tmp_path: Path) -> None:
    for name, overrides in {"with": [], "without": ["training.calibrate=false"]}.items():
        train(config(*overrides), tmp_path / name, progress=False)
    temperatures = {
        name: {
            task: getattr(options, "temperature", None)
            for task, options in load_model(tmp_path / name).config.tasks().items()
        }
        for name in ("with", "without")
    }
    assert set(temperatures["without"].values()) == {None}
    # A threshold of 0.7 is compared with probabilities that a temperature changes; lemmas have no temperature.
    assert {task for task, value in temperatures["with"].items() if value} == {"upos", "feats", "same"}
    for dataset in ("UD", "PAIRS"):
        first, second = (tmp_path / name / f"{dataset}.out" for name in ("with", "without"))
        assert first.read_bytes() == second.read_bytes()
        scores = [json.loads(Path(f"{path}.eval").read_text()) for path in (first, second)]
        for task in scores[0]:
            own, other = (document[task].pop("calibration", None) for document in scores)
            assert (own is None) == (task == "lemma")
            if task == "topics":
                assert own == other
            elif own is not None:
                assert own.keys() == {"ece", "brier", "bins"}
                assert own != other
        assert scores[0] == scores[1]
    log = (tmp_path / "with" / "history.json").read_text()
    assert "calibration" not in log


def test_written_probabilities_are_calibrated_and_batches_agree_with_single_sentences(
    config: Callable[..., Any], tmp_path: Path, treebank: Path
) -> None:
    train(config(), tmp_path / "run", progress=False)
    model = load_model(tmp_path / "run")
    texts = {}
    for size in (1, 32):
        for temperature in (0.5, 5.0):
            for task in ("upos", "feats"):
                options = model.decoder(task).config.model_copy(update={"temperature": temperature})
                model.decoder(task).config = options
            predict_file(model, treebank, tmp_path / "out", dataset="UD", top_n=2, batch_size=size)
            texts[size, temperature] = (tmp_path / "out").read_text()
            scores = json.loads((tmp_path / "out.eval").read_text())
            texts[f"eval{size}", temperature] = {task: scores[task]["calibration"] for task in ("upos", "feats")}
    for temperature in (0.5, 5.0):
        assert texts[1, temperature] == texts[32, temperature]
        for task, values in texts["eval1", temperature].items():
            others = texts["eval32", temperature][task]
            # A decision at the limit of two bins may be in either.
            sizes = [sum(row["count"] for row in document.pop("bins")) for document in (values, others)]
            assert sizes[0] == sizes[1]
            assert values == pytest.approx(others, abs=2e-4)
    assert texts[1, 0.5] != texts[1, 5.0]
    labels = [
        [[part.split("=")[0] for part in line.split("\t")[3].split("|")] for line in text.splitlines() if "\t" in line]
        for text in (texts[1, 0.5], texts[1, 5.0])
    ]
    assert labels[0] == labels[1]


def test_a_saved_temperature_is_used_by_the_command(
    config: Callable[..., Any], tmp_path: Path, treebank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config("UD.tasks.upos.tau=1.0"), tmp_path / "run", progress=False)
    flags = [str(tmp_path / "run"), str(treebank), str(tmp_path / "out"), "--device", "-1", "--dataset", "UD"]
    assert cli.predict(flags) == 0
    assert "task 'upos' decides by tau 1" in capsys.readouterr().err
    assert cli.predict([*flags, "--plain"]) == 0
    assert "decides by" not in capsys.readouterr().err
