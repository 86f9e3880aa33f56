"""Parameter groups and the learning-rate schedule."""

import torch
from torch import nn

from machamp_lite.config.schema import SchedulerParams, TrainingParams
from machamp_lite.model import Model

# The lowest rate is this part of the highest (Howard and Ruder 2018).
RATE_RATIO = 32


def make_optimizer(model: Model, training: TrainingParams) -> torch.optim.Optimizer:
    """AdamW: decoders and learnt weights of tasks at ``lr``, the encoder at ``lr`` times ``decay_factor``."""
    rate, scheduler = training.optimizer.lr, training.learning_rate_scheduler
    encoder = list(model.encoder.parameters())
    task_weights = list(model.task_weights.parameters())
    inside = {id(parameter) for parameter in [*encoder, *task_weights]}
    decoders = [parameter for parameter in model.parameters() if id(parameter) not in inside]
    encoder_rate = rate * scheduler.decay_factor if scheduler.discriminative_fine_tuning else rate
    groups = [{"params": decoders, "lr": rate, "peak": rate}]
    if model.config.params.encoder.update_weights_encoder:
        groups.append({"params": encoder, "lr": encoder_rate, "peak": encoder_rate})
    if task_weights:
        # Decay would pull the weights of tasks towards 1.
        groups.append({"params": task_weights, "lr": rate, "peak": rate, "weight_decay": 0.0})
    beta1, beta2 = training.optimizer.betas
    return torch.optim.AdamW(
        groups, lr=rate, betas=(beta1, beta2), weight_decay=training.optimizer.weight_decay, fused=True
    )


def slanted_triangle(step: int, *, steps: int, cut_frac: float) -> float:
    """The share of the highest rate at a step: up over ``cut_frac`` of the steps, then down (Howard and Ruder 2018)."""
    cut = max(1, int(steps * cut_frac))
    height = step / cut if step < cut else 1 - (step - cut) / max(1, steps - cut)
    return (1 + max(0.0, height) * (RATE_RATIO - 1)) / RATE_RATIO


def set_rates(optimizer: torch.optim.Optimizer, *, step: int, steps: int, scheduler: SchedulerParams) -> None:
    """Sets the rate of each group for a step, counted from 0."""
    factor = slanted_triangle(step, steps=steps, cut_frac=scheduler.cut_frac)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def set_encoder_trainable(model: Model, *, epoch: int) -> None:
    """Freezes the encoder where params say so: always, or with gradual unfreezing in the first of several epochs."""
    params = model.config.params
    waits = params.training.learning_rate_scheduler.gradual_unfreezing and params.training.num_epochs > 1
    trainable = params.encoder.update_weights_encoder and not (waits and epoch == 1)
    encoder: nn.Module = model.encoder
    encoder.requires_grad_(trainable)
