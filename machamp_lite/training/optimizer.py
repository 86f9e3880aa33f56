"""Parameter groups and the learning-rate schedule."""

import torch
from torch import nn

from machamp_lite.config.schema import SchedulerParams, TrainingParams
from machamp_lite.model.multitask_model import Model

# The lowest rate is this part of the highest (Howard and Ruder 2018).
RATE_RATIO = 32


def make_optimizer(model: Model, training: TrainingParams) -> torch.optim.Optimizer:
    """AdamW with one group for each rate.

    What is pretrained learns at ``lr`` times ``decay_factor``, a task's decoder and its mix of layers at its
    ``learning_rate``, if it has one, and all else at ``lr``.
    """
    rate, scheduler = training.optimizer.lr, training.learning_rate_scheduler
    pretrained_rate = rate * scheduler.decay_factor if scheduler.discriminative_fine_tuning else rate
    pretrained, task_weights = pretrained_parameters(model), list(model.task_weights.parameters())
    trainable = model.config.params.encoder.update_weights_encoder
    # A parameter has the first rate that it is given; those that do not learn have none.
    peaks = {id(parameter): pretrained_rate if trainable else None for parameter in pretrained}
    tasks = model.config.tasks()
    for task, *modules in zip(model.tasks, model.decoders, model.mixes, strict=True):
        own_rate = tasks[task].learning_rate or rate
        for module in modules:
            for parameter in module.parameters():
                peaks.setdefault(id(parameter), own_rate)
    decayless = {id(parameter) for parameter in task_weights}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in [*_without(model, pretrained, task_weights), *pretrained, *task_weights]:
        peak = peaks.get(id(parameter), rate)
        if peak is not None and parameter.requires_grad:
            groups.setdefault((peak, id(parameter) not in decayless), []).append(parameter)
    beta1, beta2 = training.optimizer.betas
    decay = training.optimizer.weight_decay
    return torch.optim.AdamW(
        [
            # Decay would pull the weights of tasks towards 1.
            {"params": parameters, "lr": peak, "peak": peak, "weight_decay": decay if decays else 0.0}
            for (peak, decays), parameters in groups.items()
        ],
        lr=rate,
        betas=(beta1, beta2),
        fused=True,
    )


def pretrained_parameters(model: Model) -> list[nn.Parameter]:
    """The parameters of the encoder and of what decoders have taken over from pretraining, each once."""
    parameters = list(model.encoder.parameters())
    for task in model.tasks:
        parameters += model.decoder(task).pretrained_parameters()
    return list({id(parameter): parameter for parameter in parameters}.values())


def _without(model: Model, *left_out: list[nn.Parameter]) -> list[nn.Parameter]:
    """The parameters of a model but for those in some lists."""
    known = {id(parameter) for parameters in left_out for parameter in parameters}
    return [parameter for parameter in model.parameters() if id(parameter) not in known]


def slanted_triangle(step: int, *, steps: int, cut_frac: float) -> float:
    """The share of the highest rate at a step: up over ``cut_frac`` of the steps, then down (Howard and Ruder 2018)."""
    cut = max(1, int(steps * cut_frac))
    height = step / cut if step < cut else 1 - (step - cut) / max(1, steps - cut)
    return (1 + max(0.0, height) * (RATE_RATIO - 1)) / RATE_RATIO


def set_rates(optimizer: torch.optim.Optimizer, *, step: int, steps: int, scheduler: SchedulerParams) -> None:
    """Sets the rate of each group for an update, counted from 0."""
    factor = slanted_triangle(step, steps=steps, cut_frac=scheduler.cut_frac)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def set_encoder_trainable(model: Model, *, epoch: int) -> None:
    """Freezes what is pretrained where params say so: always, or with gradual unfreezing in the first epoch."""
    params = model.config.params
    waits = params.training.learning_rate_scheduler.gradual_unfreezing and params.training.num_epochs > 1
    trainable = params.encoder.update_weights_encoder and not (waits and epoch == 1)
    never = {id(parameter) for parameter in model.encoder.frozen_parameters()}
    for parameter in pretrained_parameters(model):
        parameter.requires_grad_(trainable and id(parameter) not in never)
