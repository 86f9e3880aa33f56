"""Optimisations that change no result beyond rounding and the random numbers of dropout, applied from outside.

The rest of the package is complete without this folder. ``accelerate`` applies to a model:

dropout             draws random bits for four values at a time (CPU)
linear              pads the rows of matrix multiplications to a multiple of 16 (CPU, bf16)
packing             computes no padding: the segments of a batch are packed into one row (CPU, or with encoder.packing)
bf16_copy           predicts with a copy of the encoder whose weights are in bf16 (CPU, bf16)
mask_sync           builds attention masks without waiting for the GPU
vocabulary          trains only the embeddings of subwords that the training data has

and the commands, to their process, before they import torch (``allocator.py``):

primitives          sets how many primitives oneDNN caches (CPU, bf16)
allocator           keeps freed memory for the next step (CPU, glibc)
garbage_collection  skips objects that stay anyway (``garbage_collection.py``)

The environment variable MACHAMP_LITE_WITHOUT names optimisations to leave out, such as "dropout,packing".
"""

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from machamp_lite.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from machamp_lite.model.multitask_model import Model

NAMES = (
    "dropout",
    "linear",
    "packing",
    "bf16_copy",
    "mask_sync",
    "vocabulary",
    "primitives",
    "allocator",
    "garbage_collection",
)
WITHOUT = "MACHAMP_LITE_WITHOUT"


def accelerate(
    model: "Model",
    *,
    seen_subwords: "Iterable[np.ndarray] | None" = None,
    without: Collection[str] = (),
) -> "Model":
    """Applies all optimisations except those named in ``without`` or in the environment; returns the same model.

    ``seen_subwords`` are the ids of the training data's subwords, for a model that will be trained. Call this when the
    model is on its device, before its optimizer is created. Raises ``ConfigError`` for an encoder that cannot be
    packed although ``encoder.packing`` is true.
    """
    # Not at the top: the commands import this module before torch, to configure their process.
    from machamp_lite.acceleration.attention_masks import skip_mask_sync
    from machamp_lite.acceleration.bf16_copy import BF16InferenceCopy
    from machamp_lite.acceleration.cpu_dropout import replace_dropout
    from machamp_lite.acceleration.packing import pack_segments
    from machamp_lite.acceleration.padded_linear import replace_linear_layers
    from machamp_lite.acceleration.reduced_vocabulary import reduce_vocabulary

    left_out = {*without, *disabled()}
    if "dropout" not in left_out:
        replace_dropout(model)
    if "linear" not in left_out:
        replace_linear_layers(model)
    if "packing" not in left_out:
        pack_segments(model.encoder, fast_dropout="dropout" not in left_out)
    if "bf16_copy" not in left_out:
        model.encoder.call = BF16InferenceCopy()
    if "mask_sync" not in left_out:
        skip_mask_sync()
    if "vocabulary" not in left_out and seen_subwords is not None:
        reduce_vocabulary(model, seen_subwords)
    return model


def load_accelerated(path: str | Path, *, device: str = "cpu") -> "Model":
    """Loads a model from its folder or run folder for fast prediction; raises ``ConfigError`` naming a bad file."""
    from machamp_lite.model.serialization import load_model

    return accelerate(load_model(path, device=device))


def disabled() -> frozenset[str]:
    """The optimisations that the environment leaves out; raises ``ConfigError`` for an unknown name."""
    names = [name.strip() for name in os.environ.get(WITHOUT, "").split(",") if name.strip()]
    faults = [
        f"{WITHOUT}: unknown optimisation '{name}'{did_you_mean(name, NAMES)}"
        for name in names
        if name not in NAMES
    ]
    if faults:
        raise ConfigError(faults)
    return frozenset(names)
