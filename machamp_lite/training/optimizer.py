"""Parameter groups and the learning-rate schedule."""

import torch
from torch import nn

from machamp_lite.config.schema import SchedulerParams, TrainingParams
from machamp_lite.model.multitask_model import Model

# The highest learning rate divided by the lowest (Howard and Ruder 2018).
RATE_RATIO = 32


def make_optimizer(model: Model, training: TrainingParams) -> torch.optim.Optimizer:
    """AdamW with one group per learning rate.

    With ``discriminative_fine_tuning``, pretrained parameters have the rate ``lr`` times ``decay_factor``. A decoder,
    its layer mix and its attention have the task's ``learning_rate``, if it has one. All others have the rate ``lr``.
    """
    lr, scheduler = training.optimizer.lr, training.learning_rate_scheduler
    pretrained_lr = lr * scheduler.decay_factor if scheduler.discriminative_fine_tuning else lr
    pretrained, task_weights = pretrained_parameters(model), list(model.task_weights.parameters())
    trains_encoder = model.config.params.encoder.update_weights_encoder
    # The first rate of a shared parameter is used; parameters that are never trained have none.
    rates = {id(parameter): pretrained_lr if trains_encoder else None for parameter in pretrained}
    tasks = model.config.tasks()
    for task, *modules in zip(model.tasks, model.decoders, model.mixes, model.attention, strict=True):
        for module in modules:
            for parameter in module.parameters():
                rates.setdefault(id(parameter), tasks[task].learning_rate or lr)
    # Weight decay would pull task weights towards 1.
    not_decayed = {id(parameter) for parameter in task_weights}
    listed = {id(parameter) for parameter in (*pretrained, *task_weights)}
    others = [parameter for parameter in model.parameters() if id(parameter) not in listed]
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in (*others, *pretrained, *task_weights):
        rate = rates.get(id(parameter), lr)
        if rate is not None and parameter.requires_grad:
            decay = 0.0 if id(parameter) in not_decayed else training.optimizer.weight_decay
            groups.setdefault((rate, decay), []).append(parameter)
    beta1, beta2 = training.optimizer.betas
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": rate, "initial_lr": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ],
        lr=lr,
        betas=(beta1, beta2),
        eps=training.optimizer.eps,
        amsgrad=training.optimizer.amsgrad,
        fused=True,
    )


def pretrained_parameters(model: Model) -> list[nn.Parameter]:
    """The parameters of the encoder and of the pretrained parts of decoders, each once."""
    parameters = list(model.encoder.parameters())
    for task in model.tasks:
        parameters += model.decoder(task).pretrained_parameters()
    return list({id(parameter): parameter for parameter in parameters}.values())


def slanted_triangle(step: int, *, steps: int, cut_frac: float) -> float:
    """The factor of the learning rate: it rises for ``cut_frac`` of the steps, then falls (Howard and Ruder 2018)."""
    cut = max(1, int(steps * cut_frac))
    height = step / cut if step < cut else 1 - (step - cut) / max(1, steps - cut)
    return (1 + max(0.0, height) * (RATE_RATIO - 1)) / RATE_RATIO


def set_rates(optimizer: torch.optim.Optimizer, *, step: int, steps: int, scheduler: SchedulerParams) -> None:
    """Sets the learning rate of each group for update number ``step``, counted from 0."""
    factor = slanted_triangle(step, steps=steps, cut_frac=scheduler.cut_frac)
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor


def set_encoder_trainable(model: Model, *, epoch: int) -> None:
    """Freezes pretrained parameters without ``update_weights_encoder`` or in the first epoch of gradual unfreezing."""
    params = model.config.params
    is_gradual = params.training.learning_rate_scheduler.gradual_unfreezing and params.training.num_epochs > 1
    is_trainable = params.encoder.update_weights_encoder and not (is_gradual and epoch == 1)
    frozen = {id(parameter) for parameter in model.encoder.frozen_parameters()}
    for parameter in pretrained_parameters(model):
        parameter.requires_grad_(is_trainable and id(parameter) not in frozen)
