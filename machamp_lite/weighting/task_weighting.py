"""Weights of tasks: what the losses of a step are multiplied by before they are summed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class TaskWeights(nn.Module, ABC):
    """Base of all schemes. ``loss_weights`` says what each task counts; a task of 0 takes no part in any scheme.

    K is the number of tasks that take part. All that is learnt or remembered is in the state dict, by the number of a
    task among them, since a task's name may hold what a parameter's may not.
    """

    def __init__(self, loss_weights: Mapping[str, float]) -> None:
        super().__init__()
        self.loss_weights = dict(loss_weights)
        taking_part = [task for task, weight in loss_weights.items() if weight > 0]
        self.numbers = {task: number for number, task in enumerate(taking_part)}

    def total(self, losses: Mapping[str, Tensor]) -> Tensor | None:
        """The loss of a step, from those of the tasks in its batch; None if none of them takes part.

        Raises ``KeyError`` for a task that has no loss weight. *Shape:* () each -> ().
        """
        terms = [
            self.loss_weights[task] * self._term(self.numbers[task], loss)
            for task, loss in losses.items()
            if self.loss_weights[task] > 0
        ]
        return torch.stack(terms).sum() if terms else None

    def weights(self) -> dict[str, float]:
        """What the loss of each task is multiplied by at present, its loss weight included."""
        factors = self._factors()
        return {
            task: weight * factors[self.numbers[task]] if weight > 0 else 0.0
            for task, weight in self.loss_weights.items()
        }

    def end_epoch(self, mean_losses: Mapping[str, float]) -> None:
        """Told after each epoch: the means over its steps of the tasks' losses, not weighted."""

    @abstractmethod
    def _term(self, number: int, loss: Tensor) -> Tensor:
        """What a task adds to the total, its loss weight aside. *Shape:* () -> ()."""

    @abstractmethod
    def _factors(self) -> list[float]:
        """What the loss of each of the K tasks is multiplied by, its loss weight aside."""


class StaticWeights(TaskWeights):
    """The loss weights as they are."""

    def _term(self, number: int, loss: Tensor) -> Tensor:
        return loss

    def _factors(self) -> list[float]:
        return [1.0] * len(self.numbers)


class UncertaintyWeights(TaskWeights):
    """Weights learnt as the tasks' uncertainties (Kendall et al. 2018).

    Each task has a learnt s, the log of its variance, 0 at first. The total is the sum over the tasks of the batch of
    loss_weight * (exp(-s) * loss + s / 2); it is lowest where exp(s) is twice the loss, and can be negative.
    """

    def __init__(self, loss_weights: Mapping[str, float]) -> None:
        super().__init__(loss_weights)
        # One parameter a task: those of tasks that a batch does not have get no gradient, and no step.
        self.log_variances = nn.ParameterList(nn.Parameter(torch.zeros(())) for _ in self.numbers)

    def _term(self, number: int, loss: Tensor) -> Tensor:
        log_variance = self.log_variances[number]
        return torch.exp(-log_variance) * loss + log_variance / 2

    def _factors(self) -> list[float]:
        return [torch.exp(-log_variance).item() for log_variance in self.log_variances]


class _Multiplied(TaskWeights):
    """Schemes that hold a multiplier a task, 1 at first and with a mean of 1."""

    multipliers: Tensor

    def __init__(self, loss_weights: Mapping[str, float]) -> None:
        super().__init__(loss_weights)
        self.register_buffer("multipliers", torch.ones(len(self.numbers)))

    def _set(self, values: Tensor) -> None:
        """Sets the multipliers to the softmax of values times K, which is exactly 1 where they are alike."""
        if len(values):
            shares = (values - values.max()).exp()
            # A new tensor: a backward pass may still need the old one.
            self.multipliers = (shares / shares.mean()).to(self.multipliers.device, non_blocking=True)

    def _term(self, number: int, loss: Tensor) -> Tensor:
        return self.multipliers[number] * loss

    def _factors(self) -> list[float]:
        return self.multipliers.tolist()


class DynamicWeightAverage(_Multiplied):
    """Tasks whose losses fall more slowly count more (DWA, Liu et al. 2019).

    The multipliers of an epoch are K * softmax(r / 2), r being a task's mean loss of the last epoch divided by that of
    the one before. Until a task has had two epochs its r is 1, so the first two epochs have multipliers of 1;
    an epoch in which a task had no loss leaves its r as it was.
    """

    TEMPERATURE = 2
    mean_losses: Tensor

    def __init__(self, loss_weights: Mapping[str, float]) -> None:
        super().__init__(loss_weights)
        # *Shape:* (2, K), the last epoch but one and the last.
        self.register_buffer("mean_losses", torch.full((2, len(self.numbers)), float("nan")))

    def end_epoch(self, mean_losses: Mapping[str, float]) -> None:
        """Sets the multipliers of the next epoch; raises ``KeyError`` for a task that has no loss weight."""
        for task, loss in mean_losses.items():
            if self.loss_weights[task] > 0:
                number = self.numbers[task]
                self.mean_losses[0, number] = self.mean_losses[1, number]
                self.mean_losses[1, number] = loss
        older, newer = self.mean_losses
        # A loss that was 0, like one that is not known yet, says nothing of how fast it falls.
        self._set(torch.where(older > 0, newer / older, 1.0) / self.TEMPERATURE)


class RandomWeights(_Multiplied):
    """Multipliers drawn anew for each step: K * softmax of K normal draws (RLW, Lin et al. 2022).

    They are drawn on the CPU from torch's global generator, so that its seed and state decide them on every device.
    """

    def total(self, losses: Mapping[str, Tensor]) -> Tensor | None:
        """As of all schemes, with fresh multipliers for all tasks, whichever the batch has."""
        self._set(torch.randn(len(self.numbers)))
        return super().total(losses)


SCHEMES: dict[str, type[TaskWeights]] = {
    "static": StaticWeights,
    "uncertainty": UncertaintyWeights,
    "dwa": DynamicWeightAverage,
    "random": RandomWeights,
}


def make_task_weights(name: str, tasks: Mapping[str, float]) -> TaskWeights:
    """The scheme of this name for tasks with these loss weights; raises ``ValueError`` for an unknown name."""
    if name not in SCHEMES:
        raise ValueError(f"found the scheme '{name}', expected one of {', '.join(SCHEMES)}")
    return SCHEMES[name](tasks)
