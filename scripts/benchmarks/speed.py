"""The speed of training and prediction relative to the encoder alone."""

import statistics
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.figures import Figure, ratios, timed
from benchmarks.subject import (
    Inputs,
    Subject,
    bare_prediction,
    bare_training,
    base_shape_encoder,
    equal_length_groups,
    padded_groups,
    read,
    segment_lengths,
    subwords_of,
    take_steps,
    train_epochs_of,
)
from machamp_lite.acceleration import accelerate
from machamp_lite.acceleration.packing import PackedLayout
from machamp_lite.api.predictor import Predictor
from machamp_lite.config import Config
from machamp_lite.dataloading.example import Example
from machamp_lite.inference.engine import predict_labels, prediction_batches
from machamp_lite.training.optimizer import make_optimizer

# The defaults of BertConfig are the shape of BERT-base; such an encoder is measured on a quarter of the sentences.
BASE_SHAPE: dict[str, Any] = {}
FEWER = 4
# Subwords of a batch with which MaChAmp trains such an encoder (configs/params-machamp.json).
BASE_TOKENS = 1024
# Epochs of training before prediction is measured.
EPOCHS = 10
# Sentences that are predicted alone.
SINGLE_SENTENCES = 50


def training(subject: Subject) -> list[Figure]:
    """Training steps over the encoder's forward and backward."""
    return _training(subject, subject.config(), name="training", what="training step", target=0.80)


def base_shape(subject: Subject) -> list[Figure]:
    """As ``training``, for an encoder in the shape of BERT-base, with the config's and MaChAmp's batch size."""
    params = subject.config().params
    with tempfile.TemporaryDirectory() as folder:
        base_shape_encoder(params.transformer_model, folder, BASE_SHAPE)
        overrides = (f"transformer_model={folder}", "reset_transformer_model=true")
        return [
            figure
            for tokens in sorted({BASE_TOKENS, params.batching.max_tokens})
            for figure in _training(
                subject,
                subject.config(*overrides, f"batching.max_tokens={tokens}"),
                name=f"base_{tokens}",
                what=f"training step, encoder of BERT-base's shape, up to {tokens} subwords",
                target=0.92,
                fewer=FEWER,
            )
        ]


def _training(
    subject: Subject, config: Config, *, name: str, what: str, target: float, fewer: int = 1
) -> list[Figure]:
    # The batches of an epoch of all sentences: batches of a few sentences would differ more in length.
    material = read(config, sentences=None)
    batches = material.batches(sentences=subject.sentences // fewer)
    groups = equal_length_groups(batches)
    encoder = material.encoder()
    model, optimizer = material.model_and_optimizer()
    padded = padded_groups(batches, pad_id=model.encoder.pad_id)
    times = timed(
        {
            "bare": lambda: bare_training(encoder, groups, material.config),
            "padded": lambda: bare_training(encoder, padded, material.config),
            "whole": lambda: take_steps(model, batches, optimizer),
        },
        repeats=subject.repeats,
    )
    return _speed(times, batches, groups, name=name, what=what, target=target)


def prediction(subject: Subject) -> list[Figure]:
    """Prediction of a model that was trained a little, from examples to labels, over the encoder's forward."""
    material = read(subject.config(f"training.num_epochs={EPOCHS}"), sentences=subject.sentences)
    examples = [example for batch in material.batches() for example in batch]
    indices = prediction_batches(examples, material.config.params.batching)
    batches = [[examples[index] for index in batch] for batch in indices]
    groups = equal_length_groups(batches)
    encoder, model = material.encoder(), accelerate(material.model())
    padded = padded_groups(batches, pad_id=model.encoder.pad_id)
    # The best heads of an untrained parser are rarely trees, and finding the best tree would take most of the time.
    train_epochs_of(model, make_optimizer(model), material.streams)

    def predict() -> None:
        for _ in predict_labels(model, examples):
            pass

    times = timed(
        {
            "bare": lambda: bare_prediction(encoder, groups, material.config),
            "padded": lambda: bare_prediction(encoder, padded, material.config),
            "whole": predict,
        },
        repeats=subject.repeats,
    )
    return _speed(times, batches, groups, name="prediction", what="prediction", target=0.85)


def latency(subject: Subject) -> list[Figure]:
    """One sentence after the other, from words to labels in Python, over the encoder's forward."""
    material = read(subject.config(f"training.num_epochs={EPOCHS}"), sentences=subject.sentences)
    every = [example for batch in material.batches() for example in batch]
    examples = [example for example in every if example.input_type == "words"][:SINGLE_SENTENCES]
    groups = equal_length_groups([[example] for example in examples])
    encoder, model = material.encoder(), accelerate(material.model())
    train_epochs_of(model, make_optimizer(model), material.streams)
    predictor = Predictor(model)

    def predict() -> None:
        for example in examples:
            predictor.predict(tuple(example.words), dataset=example.dataset)

    times = timed(
        {"bare": lambda: bare_prediction(encoder, groups, material.config), "whole": predict},
        repeats=subject.repeats,
    )
    what = "one sentence in Python / the encoder's forward"
    return [Figure("latency", what, "ratio", ratios(times["whole"], times["bare"]), at_most=1.5)]


def _speed(
    times: dict[str, tuple[float, ...]],
    batches: Sequence[list[Example]],
    groups: Sequence[Inputs],
    *,
    name: str,
    what: str,
    target: float,
) -> list[Figure]:
    """The speed of the whole, in subwords per second, over that of the encoder with either input."""
    subwords = {"bare": sum(inputs["input_ids"].numel() for inputs in groups)}
    subwords |= dict.fromkeys(("padded", "whole"), subwords_of(batches))
    speeds = {side: subwords[side] / statistics.median(times[side]) for side in times}

    def figure(side: str, name: str, what: str, at_least: float | None = None) -> Figure:
        share = subwords["whole"] / subwords[side]
        values = tuple(share * ratio for ratio in ratios(times[side], times["whole"]))
        sources = {f"{other}, subwords/s": speeds[other] for other in (side, "whole")}
        return Figure(name, what, "ratio", values, at_least=at_least, sources=sources)

    return [
        figure("bare", name, what, at_least=target),
        figure("padded", f"{name}_padded", f"{what} / the same batches, padded"),
    ]


def share(subject: Subject) -> list[Figure]:
    """The share of subwords in the rows of all training batches; packed rows contain no padding."""
    material = read(subject.config(), sentences=None)
    batches = material.batches()
    lengths = [np.concatenate([segment_lengths(example) for example in batch]) for batch in batches]
    what, sources = "share of real subwords, batches", {"batches": float(len(lengths))}
    figures = [Figure("share_padded", f"{what} padded", "ratio", (filled(lengths),), at_least=0.95, sources=sources)]
    if isinstance(accelerate(material.model()).encoder.layout, PackedLayout):
        figures.append(Figure("share_packed", f"{what} packed", "ratio", (1.0,), at_least=0.99, sources=sources))
    return figures


def filled(batches: Iterable[np.ndarray]) -> float:
    """The share of subwords in rows as long as the longest of each batch. *Shape:* (P,) for each batch."""
    real, computed = 0, 0
    for lengths in batches:
        real += int(lengths.sum())
        computed += len(lengths) * int(lengths.max())
    return real / computed
