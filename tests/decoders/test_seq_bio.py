"""Properties of ``seq_bio`` alone: its spans are those of seqeval, and class weights do not change the loss scale."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError
from machamp_lite.nn.ragged import pad
from machamp_lite.training import run as runs

DATA = Path(__file__).resolve().parents[2] / "data" / "xsid"


@pytest.fixture
def load(write_config: Callable[..., str], tiny_params: str) -> Callable[..., Any]:
    def load(*overrides: str, **task: Any) -> Any:
        dataset = {
            "train_data_path": str(DATA / "train.conll"),
            "dev_data_path": str(DATA / "dev.conll"),
            "word_idx": 1,
            "max_sents": 100,
            "tasks": {"slots": {"task_type": "seq_bio", "column_idx": 3, **task}},
        }
        path = write_config(D=dataset)
        return load_config([path], parameters_config=tiny_params, overrides=overrides)

    return load


def column(path: Path) -> list[list[str]]:
    """The labels of each sentence."""
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    return [
        [line.split("\t")[3] for line in block.split("\n") if not line.startswith("#")] for block in blocks
    ]


def test_span_f1_of_a_written_file_is_that_of_seqeval(load: Callable[..., Any], tmp_path: Path) -> None:
    runs.train(load("training.num_epochs=5"), tmp_path / "run", progress=False)
    gold, predicted = column(DATA / "dev.conll"), column(tmp_path / "run" / "D.out")
    found = json.loads((tmp_path / "run" / "D.out.eval").read_text())["slots"]["span_f1"]
    assert found == pytest.approx(f1_score(gold, predicted, mode="strict", scheme=IOB2))
    assert 0 < found < 1
    # The lenient mode agrees, because all spans are well formed.
    assert f1_score(gold, predicted) == pytest.approx(found)


def loss_of(config: Any) -> tuple[float, Any, Any]:
    """The loss on all training data, with its batch and model."""
    runs.seed_everything(1)
    data = runs.read_data(config)
    model = runs.build_model(config, data).eval()
    batch = model.batch(data.train["D"], only_annotated=True)
    with torch.no_grad():
        return model.losses(batch, model(batch))["slots"].item(), batch, model


@pytest.mark.parametrize("weight", [1, 0.25, 3])
def test_equal_weights_change_nothing(load: Callable[..., Any], weight: float) -> None:
    assert loss_of(load(class_weights={"*": weight}))[0] == pytest.approx(loss_of(load())[0], rel=1e-6)


def test_only_ratios_of_weights_matter(load: Callable[..., Any]) -> None:
    balanced, *others = (
        loss_of(load(class_weights=scheme))[0] for scheme in ("balanced", "inverse", "max_ratio")
    )
    assert others == pytest.approx([balanced] * 2, rel=1e-5)


def test_the_loss_is_a_mean_over_words(load: Callable[..., Any]) -> None:
    loss, batch, model = loss_of(load())
    # Untrained scores are near 0, so that all labels are about equally probable.
    assert 0.5 < loss / torch.tensor(float(len(model.vocabularies["slots"]))).log().item() < 1.5
    assert len(batch.tasks["slots"].gold) == batch.words


def test_reported_weights_are_those_of_the_loss(load: Callable[..., Any]) -> None:
    model = loss_of(load(class_weights={"O": 0, "*": 2}))[2]
    vocabulary, weights = model.vocabularies["slots"], model.decoder("slots").label_weights()
    assert weights[vocabulary.labels.index("O")] == 0
    mean = (
        sum(weight * count for weight, count in zip(weights, vocabulary.counts, strict=True))
        / vocabulary.items
    )
    assert mean == pytest.approx(1.0)


def sentence_losses(config: Any) -> tuple[torch.Tensor, Any]:
    """The loss of each sentence, and the decoder with its scores and gold labels."""
    _, batch, model = loss_of(config)
    decoder, gold = model.decoder("slots"), batch.tasks["slots"].gold
    with torch.no_grad():
        scores = model(batch)["slots"]
        losses = decoder.item_losses(scores, gold)[0].split(scores.lengths.tolist())
    return torch.stack([loss.sum() for loss in losses]), (decoder, scores, pad(gold, scores.lengths))


def test_logit_adjustment_adds_log_priors_within_the_loss(load: Callable[..., Any]) -> None:
    found, (decoder, scores, gold) = sentence_losses(load(logit_adjustment=1.5))
    counts = torch.tensor(decoder.vocabulary.counts, dtype=torch.float32)
    emissions = scores.emissions + 1.5 * (counts / counts.sum()).log()
    expected = decoder.crf.negative_log_likelihood(emissions, gold, scores.lengths)
    torch.testing.assert_close(found, expected)


def test_focal_factors_are_those_of_the_probability_of_a_sentence(load: Callable[..., Any]) -> None:
    found, (decoder, scores, gold) = sentence_losses(load(focal_gamma=2))
    losses = decoder.crf.negative_log_likelihood(scores.emissions, gold, scores.lengths)
    torch.testing.assert_close(found, (1 - (-losses).exp()) ** 2 * losses)


def test_smoothing_mixes_in_the_mean_loss_of_all_sequences(load: Callable[..., Any]) -> None:
    found, (decoder, scores, gold) = sentence_losses(load(label_smoothing=0.2))
    losses = decoder.crf.negative_log_likelihood(scores.emissions, gold, scores.lengths)
    others = decoder.crf.mean_negative_log_likelihood(*scores)
    torch.testing.assert_close(found, 0.8 * losses + 0.2 * others)


def test_margins_and_focal_factors_cannot_be_combined(load: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(focal_gamma=1.0, class_weights="balanced")
    (line,) = caught.value.faults
    assert "D -> tasks -> slots -> focal_gamma: found 1.0 together with class_weights" in line and "margins" in line
