"""Learning rates, parameter groups and the schedule."""

import logging
import math
from dataclasses import dataclass

import torch
from torch import nn

from machamp_lite.config import Config
from machamp_lite.config.schema import SchedulerParams
from machamp_lite.model.multitask_model import Model

logger = logging.getLogger(__name__)

# The highest learning rate divided by the lowest (Howard and Ruder 2018).
RATE_RATIO = 32
# The width of all-MiniLM-L6-v2, with which the rates of task types were measured.
MEASURED_WIDTH = 384
# The encoder's rate in a run over the lowest rate of its task types: with 4, treebanks and texts together score lower.
HIGHEST_RATIO = 2


@dataclass(frozen=True, kw_only=True)
class LearningRates:
    """The highest learning rates of a run: those of the encoder, of each task's decoder, and of all else.

    ``reason`` says by which task the encoder's rate was chosen.
    """

    encoder: float
    reason: str
    decoders: dict[str, float]
    other: float

    def __str__(self) -> str:
        tasks_of: dict[float, list[str]] = {}
        for task, rate in self.decoders.items():
            tasks_of.setdefault(rate, []).append(task)
        decoders = ", ".join(f"{rate:.3g} ({', '.join(tasks)})" for rate, tasks in tasks_of.items())
        return f"learning rates: encoder {self.encoder:.3g} ({self.reason}); decoders {decoders}"


def learning_rates(config: Config, *, width: int) -> LearningRates:
    """The learning rates of a config, for an encoder with states of ``width`` numbers.

    A decoder has its task's ``learning_rate``, else ``lr``; if that is "auto", the rate of its task type. The encoder
    has ``lr`` times ``decay_factor``; if one is "auto", the highest rate of all task types, and if both are, at most
    twice the lowest. Wider encoders get lower rates where they are "auto": decoders in proportion to the width,
    encoders to its square.
    """
    training = config.params.training
    lr, factor = training.optimizer.lr, training.learning_rate_scheduler.decay_factor
    narrower = min(1.0, MEASURED_WIDTH / width)
    tasks = config.tasks()
    heads = {name: task.rates.lr * narrower if lr == "auto" else lr for name, task in tasks.items()}
    is_discriminative = training.learning_rate_scheduler.discriminative_fine_tuning
    if is_discriminative:
        factors = {
            name: task.rates.decay_factor * narrower if factor == "auto" else factor
            for name, task in tasks.items()
        }
    else:
        factors = dict.fromkeys(tasks, 1.0)
    rates = {name: heads[name] * factors[name] for name in tasks if tasks[name].is_on}
    highest, lowest = max(rates, key=rates.__getitem__), min(rates, key=rates.__getitem__)
    # Rates that the user sets are used as they are.
    limit = HIGHEST_RATIO * rates[lowest] if is_discriminative and lr == factor == "auto" else math.inf
    encoder, reason = (
        (rates[highest], f"as for '{highest}'")
        if rates[highest] <= limit
        else (limit, f"{HIGHEST_RATIO} times that for '{lowest}'")
    )
    return LearningRates(
        encoder=encoder,
        reason=reason,
        decoders={name: task.learning_rate or heads[name] for name, task in tasks.items()},
        other=max(heads.values()),
    )


def make_optimizer(model: Model) -> torch.optim.Optimizer:
    """AdamW with one group per learning rate; logs the rates.

    The encoder's rate is that of all pretrained parameters, and a decoder's that of its layer mix and attention.
    """
    training = model.config.params.training
    peaks = learning_rates(model.config, width=model.encoder.width)
    logger.info("%s", peaks)
    pretrained, task_weights = pretrained_parameters(model), list(model.task_weights.parameters())
    trains_encoder = model.config.params.encoder.update_weights_encoder
    # The first rate of a shared parameter is used; parameters that are never trained have none.
    rates = {id(parameter): peaks.encoder if trains_encoder else None for parameter in pretrained}
    for task, *modules in zip(model.tasks, model.decoders, model.mixes, model.attention, strict=True):
        for module in modules:
            for parameter in module.parameters():
                rates.setdefault(id(parameter), peaks.decoders[task])
    # Weight decay would pull task weights towards 1.
    not_decayed = {id(parameter) for parameter in task_weights}
    listed = {id(parameter) for parameter in (*pretrained, *task_weights)}
    others = [parameter for parameter in model.parameters() if id(parameter) not in listed]
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in (*others, *pretrained, *task_weights):
        rate = rates.get(id(parameter), peaks.other)
        if rate is not None and parameter.requires_grad:
            decay = 0.0 if id(parameter) in not_decayed else training.optimizer.weight_decay
            groups.setdefault((rate, decay), []).append(parameter)
    beta1, beta2 = training.optimizer.betas
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": rate, "initial_lr": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ],
        lr=peaks.other,
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
