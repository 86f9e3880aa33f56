"""Task weights: the factors of the tasks' losses in the loss of a training step."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn


class TaskWeights(nn.Module, ABC):
    """Base of all schemes. ``loss_weights`` are those of the config; tasks with a loss weight of 0 are left out.

    K is the number of the remaining tasks. The whole state of a scheme is in its state dict. There, tasks have numbers,
    because their names may contain characters that are not allowed in names of parameters.
    """

    # Whether the weights follow the losses before and after each update: see ``start_update`` and ``end_update``.
    uses_updates: ClassVar[bool] = False

    def __init__(self, loss_weights: Mapping[str, float]) -> None:
        super().__init__()
        self.loss_weights = dict(loss_weights)
        used = [task for task, weight in loss_weights.items() if weight > 0]
        self.numbers = {task: number for number, task in enumerate(used)}

    def total(self, losses: Mapping[str, Tensor]) -> Tensor | None:
        """The loss of a training step, from the losses of the tasks in its batch; None if all of them are left out.

        Raises ``KeyError`` for a task that has no loss weight. *Shape:* () each -> ().
        """
        terms = [
            self.loss_weights[task] * self._term(self.numbers[task], loss)
            for task, loss in losses.items()
            if self.loss_weights[task] > 0
        ]
        return torch.stack(terms).sum() if terms else None

    def weights(self) -> dict[str, float]:
        """The current factor of each task's loss, including its loss weight."""
        factors = self._factors()
        return {
            task: weight * factors[self.numbers[task]] if weight > 0 else 0.0
            for task, weight in self.loss_weights.items()
        }

    def start_update(self, losses: Mapping[str, Tensor]) -> None:
        """Sets the weights of an update of the model, from the losses of all its batches. *Shape:* () each."""

    def end_update(self, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
        """Learns from the losses of the same batches before and after an update of the model. *Shape:* () each."""

    def end_epoch(self, mean_losses: Mapping[str, float]) -> None:
        """Updates the weights after an epoch. ``mean_losses`` are the tasks' mean unweighted losses in it."""

    @abstractmethod
    def _term(self, number: int, loss: Tensor) -> Tensor:
        """The term of a task in the total, without its loss weight. *Shape:* () -> ()."""

    @abstractmethod
    def _factors(self) -> list[float]:
        """The factor of the loss of each of the K tasks, without its loss weight."""


class StaticWeights(TaskWeights):
    """The loss weights of the config."""

    def _term(self, number: int, loss: Tensor) -> Tensor:
        return loss

    def _factors(self) -> list[float]:
        return [1.0] * len(self.numbers)


class UncertaintyWeights(TaskWeights):
    """Weights from learnt uncertainties of the tasks (Kendall et al. 2018).

    Each task has a parameter s, the logarithm of its variance, which is 0 at first. The total is the sum of
    loss_weight * (exp(-s) * loss + s / 2) over the tasks of the batch. Its minimum is at exp(s) = 2 * loss; it can be
    negative.
    """

    def __init__(self, loss_weights: Mapping[str, float]) -> None:
        super().__init__(loss_weights)
        # One parameter per task, so that tasks that are not in a batch get no gradient and no update.
        self.log_variances = nn.ParameterList(nn.Parameter(torch.zeros(())) for _ in self.numbers)

    def _term(self, number: int, loss: Tensor) -> Tensor:
        log_variance = self.log_variances[number]
        return torch.exp(-log_variance) * loss + log_variance / 2

    def _factors(self) -> list[float]:
        return [torch.exp(-log_variance).item() for log_variance in self.log_variances]


class _Multiplied(TaskWeights):
    """Base of schemes with one multiplier per task. Multipliers are 1 at first, and their mean is always 1."""

    multipliers: Tensor

    def __init__(self, loss_weights: Mapping[str, float]) -> None:
        super().__init__(loss_weights)
        self.register_buffer("multipliers", torch.ones(len(self.numbers)))

    def _set(self, values: Tensor) -> None:
        """Sets the multipliers to K * softmax(values), which is exactly 1 if all values are equal."""
        if len(values):
            shares = (values - values.max()).exp()
            # A new tensor: a backward pass may still need the old one.
            self.multipliers = (shares / shares.mean()).to(self.multipliers.device, non_blocking=True)

    def _term(self, number: int, loss: Tensor) -> Tensor:
        return self.multipliers[number] * loss

    def _factors(self) -> list[float]:
        return self.multipliers.tolist()


class DynamicWeightAverage(_Multiplied):
    """Dynamic weight average: tasks whose losses decrease more slowly get larger weights (DWA, Liu et al. 2019).

    The multipliers of an epoch are K * softmax(r / 2), where r is the ratio of a task's mean losses in the last two
    epochs. In the first two epochs of a task, r is 1. An epoch in which a task had no loss does not change its r.
    """

    TEMPERATURE = 2
    mean_losses: Tensor

    def __init__(self, loss_weights: Mapping[str, float]) -> None:
        super().__init__(loss_weights)
        # In the second to last and in the last epoch. *Shape:* (2, K).
        self.register_buffer("mean_losses", torch.full((2, len(self.numbers)), float("nan")))

    def end_epoch(self, mean_losses: Mapping[str, float]) -> None:
        """Sets the multipliers of the next epoch; raises ``KeyError`` for a task that has no loss weight."""
        for task, loss in mean_losses.items():
            if self.loss_weights[task] > 0:
                number = self.numbers[task]
                self.mean_losses[0, number] = self.mean_losses[1, number]
                self.mean_losses[1, number] = loss
        older, newer = self.mean_losses
        # There is no ratio if the older loss was 0, or is not known yet (NaN).
        self._set(torch.where(older > 0, newer / older, 1.0) / self.TEMPERATURE)


class RandomWeights(_Multiplied):
    """New random multipliers in each step: K * softmax(z) for a standard normal z (RLW, Lin et al. 2022).

    They come from torch's global generator on the CPU, so that they do not depend on the device.
    """

    def total(self, losses: Mapping[str, Tensor]) -> Tensor | None:
        """As in other schemes, with new multipliers for all tasks, even those that are not in the batch."""
        self._set(torch.randn(len(self.numbers)))
        return super().total(losses)


class FastAdaptiveWeights(_Multiplied):
    """Weights with which the losses of all tasks decrease at the same rate (FAMO, Liu et al. 2023, algorithms 1 and 2).

    With a logit per task, z = softmax(logits) and losses l, the multipliers are z / l, scaled to a mean of 1 (in the
    paper, to a sum of 1). After an update of the model, Adam minimises the sum of z * (log l before - log l after),
    where both losses are those of the same batches. A batch with a part of the tasks uses and changes their logits
    only; with one task, the multiplier is 1 and nothing is learnt.
    """

    uses_updates = True
    # Of Adam for the logits, and the lowest loss, as in the paper.
    LEARNING_RATE, DECAY, BETAS, EPS = 0.025, 0.001, (0.9, 0.999), 1e-8
    MIN_LOSS = 1e-8
    logits: Tensor
    # The first and second moments, and the numbers of steps. *Shape:* (3, K).
    moments: Tensor

    def __init__(self, loss_weights: Mapping[str, float]) -> None:
        super().__init__(loss_weights)
        self.register_buffer("logits", torch.zeros(len(self.numbers)))
        self.register_buffer("moments", torch.zeros(3, len(self.numbers)))
        self._is_started = False

    def total(self, losses: Mapping[str, Tensor]) -> Tensor | None:
        """As in other schemes. Without an earlier ``start_update``, the losses are those of the whole update."""
        if not self._is_started:
            self.start_update(losses)
        return super().total(losses)

    def start_update(self, losses: Mapping[str, Tensor]) -> None:
        self._is_started = True
        values = self._vector(losses)
        present = values > 0
        shares = self._softmax(self.logits, present) / (values + self.MIN_LOSS)
        # A new tensor: a backward pass may still need the old one.
        self.multipliers = torch.where(present, present.sum() * shares / shares.sum(), self.multipliers)

    @torch.no_grad()
    def end_update(self, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
        self._is_started = False
        old, new = self._vector(before), self._vector(after)
        present = old > 0
        changes = ((old + self.MIN_LOSS).log() - (new + self.MIN_LOSS).log()).masked_fill(~present, 0.0)
        z = self._softmax(self.logits, present)
        gradient = z * (changes - (z * changes).sum()) + self.DECAY * self.logits
        first, second, steps = self.moments
        (beta1, beta2), steps = self.BETAS, steps + 1
        first, second = torch.lerp(gradient, first, beta1), torch.lerp(gradient**2, second, beta2)
        rates = (first / (1 - beta1**steps)) / ((second / (1 - beta2**steps)).sqrt() + self.EPS)
        is_learnt = present & (present.sum() > 1)
        self.logits = torch.where(is_learnt, self.logits - self.LEARNING_RATE * rates, self.logits)
        self.moments = torch.where(is_learnt, torch.stack([first, second, steps]), self.moments)

    def _vector(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The losses by number of the task; 0 for tasks without a loss. *Shape:* () each -> (K,)."""
        vector = torch.zeros_like(self.logits)
        for task, loss in losses.items():
            if self.loss_weights[task] > 0:
                vector[self.numbers[task]] = loss.detach()
        return vector

    @staticmethod
    def _softmax(logits: Tensor, present: Tensor) -> Tensor:
        """The softmax over the tasks that are present; 0 for the others. *Shape:* (K,), (K,) -> (K,)."""
        return torch.where(present, logits, -torch.inf).softmax(0).masked_fill(~present, 0.0)


SCHEMES: dict[str, type[TaskWeights]] = {
    "static": StaticWeights,
    "uncertainty": UncertaintyWeights,
    "dwa": DynamicWeightAverage,
    "random": RandomWeights,
    "famo": FastAdaptiveWeights,
}


def make_task_weights(name: str, tasks: Mapping[str, float]) -> TaskWeights:
    """The scheme of this name; ``tasks`` maps tasks to loss weights. Raises ``ValueError`` for an unknown name."""
    if name not in SCHEMES:
        raise ValueError(f"found the scheme '{name}', expected one of {', '.join(SCHEMES)}")
    return SCHEMES[name](tasks)
