"""Parameter groups and the learning-rate schedule."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from machamp_lite.acceleration.reduced_vocabulary import ReducedVocabularyEmbedding, find_reduced_embedding
from machamp_lite.config.schema import SchedulerParams, TrainingParams
from machamp_lite.model.multitask_model import Model

# The lowest rate is this part of the highest (Howard and Ruder 2018).
RATE_RATIO = 32
# What torch adds to a norm before it divides by it.
CLIP_MARGIN = 1e-6


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
    optimizer = torch.optim.AdamW(
        [
            # Decay would pull the weights of tasks towards 1.
            {"params": parameters, "lr": peak, "peak": peak, "weight_decay": decay if decays else 0.0}
            for (peak, decays), parameters in groups.items()
        ],
        lr=rate,
        betas=(beta1, beta2),
        fused=True,
    )
    unseen = find_reduced_embedding(model.modules())
    if unseen is not None:
        optimizer.register_step_post_hook(lambda stepped, *_: _decay_unseen(unseen, stepped))
    return optimizer


def _decay_unseen(embedding: ReducedVocabularyEmbedding, optimizer: Any) -> None:
    """Weight decay of the rows that are no parameters, in updates in which it touches the others."""
    if embedding.rows.grad is None:
        return
    for group in optimizer.param_groups:
        if any(parameter is embedding.rows for parameter in group["params"]):
            embedding.decay *= 1 - group["lr"] * group["weight_decay"]


def clip_in_step(optimizer: torch.optim.Optimizer, limit: float) -> None:
    """Has the next step scale all gradients down to a norm, if it is above, as ``clip_grad_norm_`` would before it."""
    every = (parameter.grad for group in optimizer.param_groups for parameter in group["params"])
    gradients = [gradient for gradient in every if gradient is not None]
    if not gradients:
        return
    # Norms are summed by one thread, products by all.
    on_cpu = gradients[0].device.type == "cpu"
    norm = _norm_by_products(gradients) if on_cpu else nn.utils.get_total_norm(gradients)
    # What gradient scalers set: fused steps divide by it on their way, and nobody has to look at it. What is no number
    # goes on, to be found in the weights.
    step: Any = optimizer
    step.grad_scale = ((norm + CLIP_MARGIN) / limit).clamp(min=1)


def _norm_by_products(tensors: Iterable[Tensor]) -> Tensor:
    flat = (tensor.flatten() for tensor in tensors)
    return torch.stack([torch.dot(values, values) for values in flat]).sum().sqrt()


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
