"""How much of the bare encoder's speed is left in training and prediction."""

import dataclasses
import statistics
import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from transformers import BertConfig

from benchmarks.figures import Figure, at_least
from benchmarks.rounds import ratios, timed
from benchmarks.subject import (
    Material,
    Subject,
    bare_prediction,
    bare_training,
    equal_length_groups,
    read,
    subwords_of,
    take_steps,
    train_epochs_of,
)
from machamp_lite.batching.instances import Instance
from machamp_lite.evaluation import predict_labels
from machamp_lite.pretrained import load_tokenizer, load_transformer
from machamp_lite.training.optimization import make_optimizer

# What transformers says of a BERT is the shape of BERT-base; such an encoder is measured on so much fewer sentences.
BASE_SHAPE: dict[str, Any] = {}
FEWER = 4
# For which a model is trained before it predicts.
EPOCHS = 3
# Prediction takes so many times the limits of a training batch (see evaluation.score_batches).
IN_PREDICTION = 4


def training(subject: Subject) -> list[Figure]:
    """Training steps over the encoder's forward and backward."""
    material = read(subject.config(), sentences=subject.sentences)
    figure = _training(material, repeats=subject.repeats)
    return [dataclasses.replace(figure, name="training", what="training step", target=at_least(0.80))]


def base_shape(subject: Subject) -> list[Figure]:
    """The same with random weights in the shape of BERT-base, and the tokenizer of the config."""
    name = subject.config().params.transformer_model
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = load_tokenizer(name)
        tokenizer.save_pretrained(folder)
        rows = load_transformer(name).encoder.get_input_embeddings().num_embeddings
        pad = tokenizer.pad_token_id or 0
        BertConfig(**BASE_SHAPE, vocab_size=rows, pad_token_id=pad).save_pretrained(folder)
        config = subject.config(f"transformer_model={folder}", "reset_transformer_model=true")
        material = read(config, sentences=max(1, subject.sentences // FEWER))
        figure = _training(material, repeats=subject.repeats)
    what = "training step, encoder of BERT-base's shape"
    return [dataclasses.replace(figure, name="base", what=what, target=at_least(0.92))]


def _training(material: Material, *, repeats: int) -> Figure:
    batches = material.batches()
    groups = equal_length_groups(batches, material.config.params.batching)
    encoder = material.encoder()
    model, optimizer = material.trainee()
    times = timed(
        {
            "bare": lambda: bare_training(encoder, groups, material.config),
            "whole": lambda: take_steps(model, batches, optimizer),
        },
        repeats=repeats,
    )
    return _speed(times, batches, groups)


def prediction(subject: Subject) -> list[Figure]:
    """Prediction of a model that was trained a little, from instances to labels, over the encoder's forward."""
    material = read(subject.config(f"training.num_epochs={EPOCHS}"), sentences=subject.sentences)
    batches = material.batches()
    instances = [instance for batch in batches for instance in batch]
    groups = equal_length_groups(batches, material.config.params.batching, times=IN_PREDICTION)
    encoder, model = material.encoder(), material.model()
    # A parser that has learnt nothing gives no trees, and mending them takes longer than all the rest.
    train_epochs_of(model, make_optimizer(model, material.config.params.training), material.streams)

    def predict() -> None:
        for _ in predict_labels(model, instances):
            pass

    times = timed(
        {"bare": lambda: bare_prediction(encoder, groups, material.config), "whole": predict},
        repeats=subject.repeats,
    )
    figure = _speed(times, batches, groups)
    return [dataclasses.replace(figure, name="prediction", what="prediction", target=at_least(0.85))]


def _speed(
    times: dict[str, tuple[float, ...]], batches: Sequence[list[Instance]], groups: Sequence[torch.Tensor]
) -> Figure:
    """The speed of the whole over that of the bare encoder, each in subwords of its own a second."""
    whole, bare = subwords_of(batches), sum(ids.numel() for ids in groups)
    values = tuple(whole / bare * ratio for ratio in ratios(times["bare"], times["whole"]))
    speeds = {
        f"{side}, subwords/s": subwords / statistics.median(times[side])
        for side, subwords in (("bare", bare), ("whole", whole))
    }
    return Figure("", "", "ratio", values, sources=speeds)
