"""How much of the bare encoder's speed is left in training and prediction."""

import statistics
import tempfile
from collections.abc import Sequence
from typing import Any

from transformers import BertConfig

from benchmarks.figures import Figure, at_least
from benchmarks.rounds import ratios, timed
from benchmarks.subject import (
    Inputs,
    Subject,
    bare_prediction,
    bare_training,
    equal_length_groups,
    padded_groups,
    read,
    subwords_of,
    take_steps,
    train_epochs_of,
)
from machamp_lite.config import Config
from machamp_lite.dataloading.example import Example
from machamp_lite.inference.evaluation import predict_labels, prediction_batches
from machamp_lite.model.pretrained import load_tokenizer, load_transformer
from machamp_lite.training.optimizer import make_optimizer

# What transformers says of a BERT is the shape of BERT-base; such an encoder is measured on so much fewer batches.
BASE_SHAPE: dict[str, Any] = {}
FEWER = 4
# The subwords of a batch that MaChAmp trains such an encoder with (configs/params-machamp.json).
BASE_TOKENS = 1024
# For which a model is trained before it predicts.
EPOCHS = 10


def training(subject: Subject) -> list[Figure]:
    """Training steps over the encoder's forward and backward."""
    return _training(subject, subject.config(), name="training", what="training step", target=0.80)


def base_shape(subject: Subject) -> list[Figure]:
    """The same with random weights in the shape of BERT-base, in batches of the config's size and of MaChAmp's."""
    params = subject.config().params
    name, own_tokens = params.transformer_model, params.batching.max_tokens
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = load_tokenizer(name)
        tokenizer.save_pretrained(folder)
        rows = load_transformer(name).encoder.get_input_embeddings().num_embeddings
        pad = tokenizer.pad_token_id or 0
        BertConfig(**BASE_SHAPE, vocab_size=rows, pad_token_id=pad).save_pretrained(folder)
        overrides = (f"transformer_model={folder}", "reset_transformer_model=true")
        return [
            figure
            for tokens in sorted({BASE_TOKENS, own_tokens})
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
    # Of an epoch of all sentences: fewer of them would differ more in length.
    material = read(config, sentences=None)
    batches = material.batches(sentences=subject.sentences // fewer)
    groups = equal_length_groups(batches)
    encoder = material.encoder()
    model, optimizer = material.trainee()
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
    """Prediction of a model that was trained a little, from instances to labels, over the encoder's forward."""
    material = read(subject.config(f"training.num_epochs={EPOCHS}"), sentences=subject.sentences)
    examples = [example for batch in material.batches() for example in batch]
    places = prediction_batches(examples, material.config.params.batching)
    batches = [[examples[place] for place in batch] for batch in places]
    groups = equal_length_groups(batches)
    encoder, model = material.encoder(), material.model()
    padded = padded_groups(batches, pad_id=model.encoder.pad_id)
    # A parser that has learnt nothing gives no trees, and mending them takes longer than all the rest.
    train_epochs_of(model, make_optimizer(model, material.config.params.training), material.streams)

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


def _speed(
    times: dict[str, tuple[float, ...]],
    batches: Sequence[list[Example]],
    groups: Sequence[Inputs],
    *,
    name: str,
    what: str,
    target: float,
) -> list[Figure]:
    """The speed of the whole over the bare encoder's with either input, all in their own subwords a second."""
    subwords = {"bare": sum(inputs["input_ids"].numel() for inputs in groups)}
    subwords |= dict.fromkeys(("padded", "whole"), subwords_of(batches))
    speeds = {side: subwords[side] / statistics.median(times[side]) for side in times}
    figures = []
    for side, against, aim in (("bare", "", at_least(target)), ("padded", " / the same batches, padded", None)):
        share = subwords["whole"] / subwords[side]
        values = tuple(share * ratio for ratio in ratios(times[side], times["whole"]))
        sources = {f"{other}, subwords/s": speeds[other] for other in (side, "whole")}
        own = name if side == "bare" else f"{name}_padded"
        figures.append(Figure(own, f"{what}{against}", "ratio", values, target=aim, sources=sources))
    return figures
