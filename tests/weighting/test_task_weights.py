"""Task weights follow their papers, leave out tasks without a loss weight, and can be resumed."""

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from machamp_lite.weighting.task_weighting import SCHEMES, TaskWeights, make_task_weights

# Names that are not allowed for parameters, and one task without a loss weight.
TASKS = {"ud.upos": 1.0, "off": 0.0, "名/dep parse": 0.5, "": 2.0}
WITH_WEIGHT = [task for task, weight in TASKS.items() if weight]


def losses_of(values: Mapping[str, float]) -> dict[str, Tensor]:
    return {task: torch.tensor(value, requires_grad=True) for task, value in values.items()}


def step(weights: TaskWeights, losses: Mapping[str, Tensor]) -> float:
    total = weights.total(losses)
    assert total is not None
    total.backward()
    return total.item()


def total_of(weights: TaskWeights, values: Mapping[str, float]) -> float:
    return step(weights, losses_of(values))


def trained(name: str, *, seed: int = 0) -> TaskWeights:
    """Weights after two epochs of one step each."""
    torch.manual_seed(seed)
    weights = make_task_weights(name, TASKS)
    for epoch in range(2):
        total_of(weights, dict.fromkeys(TASKS, 3.0))
        for parameter in weights.parameters():
            parameter.data -= 0.1 * parameter.grad
        weights.end_update(
            {task: torch.tensor(3.0) for task in TASKS},
            {task: torch.tensor(3.0 / (2 + place)) for place, task in enumerate(TASKS)},
        )
        weights.end_epoch({task: 1.0 / (1 + epoch * place) for place, task in enumerate(TASKS)})
    return weights


def test_static_is_exactly_the_weighted_sum() -> None:
    weights = make_task_weights("static", TASKS)
    assert total_of(weights, {"ud.upos": 0.3, "": 0.7, "off": 9.0}) == torch.tensor([0.3, 1.4]).sum().item()
    assert weights.weights() == TASKS
    weights.end_epoch({"ud.upos": 1.0})
    assert weights.weights() == TASKS and not weights.state_dict()


def test_uncertainty_worked_by_hand() -> None:
    weights = make_task_weights("uncertainty", {"a.b": 2.0, "c": 1.0})
    assert total_of(weights, {"a.b": 0.5, "c": 4.0}) == pytest.approx(5.0)
    first, second = weights.parameters()
    first.data.fill_(math.log(2))
    second.data.fill_(-1.0)
    expected = 2 * (0.5 * 0.5 + math.log(2) / 2) + (math.e * 4.0 - 0.5)
    assert total_of(weights, {"a.b": 0.5, "c": 4.0}) == pytest.approx(expected)
    assert weights.weights() == pytest.approx({"a.b": 1.0, "c": math.e})


def test_uncertainty_settles_at_half_the_inverse_of_each_loss() -> None:
    weights = make_task_weights("uncertainty", TASKS)
    values = {"ud.upos": 0.2, "名/dep parse": 1.0, "": 5.0}
    optimizer = torch.optim.SGD(weights.parameters(), lr=0.2)
    for _ in range(400):
        optimizer.zero_grad()
        total_of(weights, values)
        optimizer.step()
    expected = {task: TASKS[task] / (2 * value) for task, value in values.items()}
    assert weights.weights() == pytest.approx({"off": 0.0, **expected}, rel=1e-3)


def test_uncertainty_of_tasks_that_a_batch_does_not_have_gets_no_gradient() -> None:
    weights = make_task_weights("uncertainty", TASKS)
    total_of(weights, {"名/dep parse": 1.0, "off": 1.0})
    assert [parameter.grad is not None for parameter in weights.parameters()] == [False, True, False]


def test_dwa_worked_by_hand() -> None:
    weights = make_task_weights("dwa", {"a.b": 1.0, "c": 0.5, "off": 0.0})
    at_first = {"a.b": 1.0, "c": 0.5, "off": 0.0}
    assert weights.weights() == at_first
    weights.end_epoch({"a.b": 4.0, "c": 2.0, "off": 1.0})
    assert weights.weights() == at_first
    weights.end_epoch({"a.b": 2.0, "c": 3.0, "off": 9.0})
    shares = [math.exp(0.5 / 2), math.exp(1.5 / 2)]
    expected = [2 * share / sum(shares) for share in shares]
    assert weights.weights() == pytest.approx({"a.b": expected[0], "c": 0.5 * expected[1], "off": 0.0})
    total = total_of(weights, {"a.b": 1.0, "c": 2.0, "off": 5.0})
    assert total == pytest.approx(expected[0] + expected[1])
    weights.end_epoch({"a.b": 3.0, "c": 4.5})
    assert weights.weights() == pytest.approx(at_first)


def test_dwa_keeps_the_ratio_of_a_task_without_a_loss_and_stays_finite() -> None:
    weights = make_task_weights("dwa", {"a": 1.0, "b": 1.0})
    for losses in ({"a": 4.0, "b": 1.0}, {"a": 2.0}, {}):
        weights.end_epoch(losses)
    assert weights.weights()["a"] < 1 < weights.weights()["b"]
    weights.end_epoch({"a": 0.0, "b": 1.0})
    weights.end_epoch({"a": 0.0, "b": 1.0})
    assert weights.weights() == {"a": 1.0, "b": 1.0}
    weights.end_epoch({"b": 1e9})
    assert weights.weights() == {"a": 0.0, "b": 2.0}


def test_random_draws_new_multipliers_in_each_step_from_the_global_generator() -> None:
    weights = make_task_weights("random", TASKS)
    assert weights.weights() == TASKS
    torch.manual_seed(1)
    expected = [(3 * torch.randn(3).softmax(0)).tolist() for _ in range(2)]
    torch.manual_seed(1)
    for step in expected:
        # The multipliers do not depend on the tasks of the batch.
        total = total_of(weights, {"": 1.0, "off": 7.0})
        drawn = [TASKS[task] * factor for task, factor in zip(WITH_WEIGHT, step, strict=True)]
        assert [weights.weights()[task] for task in WITH_WEIGHT] == pytest.approx(drawn)
        assert total == pytest.approx(drawn[-1])
    assert expected[0] != expected[1]


def losses_of_steps(tasks: int, *, steps: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(tasks, generator=generator) * 4 + 0.1 for _ in range(steps + 1)]


def test_famo_is_the_algorithm_of_the_paper() -> None:
    """Algorithm 2 of Liu et al. 2023, with its gradient by autograd and its step by torch's Adam."""
    names = ["a", "b", "c"]
    weights = make_task_weights("famo", dict.fromkeys(names, 1.0))
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.025, weight_decay=0.001)
    before, *rest = losses_of_steps(3, steps=40)
    for after in rest:
        scaled = logits.softmax(0) / (before + 1e-8)
        expected = 3 * scaled / scaled.sum()
        total = weights.total(dict(zip(names, before, strict=True)))
        assert total is not None
        assert total.item() == pytest.approx((expected * before).sum().item(), rel=1e-5)
        assert list(weights.weights().values()) == pytest.approx(expected.tolist(), rel=1e-5)
        changes = (before + 1e-8).log() - (after + 1e-8).log()
        (logits.grad,) = torch.autograd.grad(logits.softmax(0), logits, grad_outputs=changes)
        optimizer.step()
        weights.end_update(*(dict(zip(names, values, strict=True)) for values in (before, after)))
        before = after
    assert weights.state_dict()["logits"].tolist() == pytest.approx(logits.tolist(), rel=1e-4)
    assert max(logits.tolist()) > 0.05


def test_famo_raises_the_weight_of_the_task_whose_loss_falls_more_slowly() -> None:
    weights = make_task_weights("famo", {"slow": 1.0, "fast": 1.0})
    for _ in range(50):
        before = losses_of({"slow": 1.0, "fast": 1.0})
        weights.total(before)
        weights.end_update(before, losses_of({"slow": 0.99, "fast": 0.8}))
    weights.total(losses_of({"slow": 1.0, "fast": 1.0}))
    assert weights.weights()["slow"] > 1.5 > 0.5 > weights.weights()["fast"]


def test_famo_of_a_part_of_the_tasks_changes_only_their_logits() -> None:
    weights = make_task_weights("famo", {"a": 1.0, "b": 2.0, "c": 1.0})
    for after in ({"a": 0.5, "b": 0.9}, {"c": 0.1}):
        before = losses_of(dict.fromkeys(after, 1.0))
        weights.total(before)
        weights.end_update(before, losses_of(after))
    logits = weights.state_dict()["logits"].tolist()
    assert logits[0] < 0 < logits[1] and logits[2] == 0.0
    # One task alone, and a task whose items all have the weight 0.
    assert total_of(weights, {"c": 7.0}) == pytest.approx(7.0)
    weights.end_update({}, {})
    assert total_of(weights, {"b": 3.0, "c": 0.0}) == pytest.approx(6.0)


@pytest.mark.parametrize("name", ["dwa", "random"])
@pytest.mark.parametrize("number", [1, 3, 7, 41])
def test_multipliers_have_a_mean_of_one_and_are_one_for_equal_tasks(name: str, number: int) -> None:
    tasks = {f"task{place}": 1.0 for place in range(number)}
    weights = make_task_weights(name, tasks)
    assert weights.weights() == tasks
    total_of(weights, {"task0": 1.0})
    assert sum(weights.weights().values()) == pytest.approx(number)
    if name == "dwa":
        for _ in range(3):
            weights.end_epoch(dict.fromkeys(tasks, 0.7))
            assert weights.weights() == tasks


@pytest.mark.parametrize("name", SCHEMES)
def test_without_a_task_with_a_loss_weight_there_is_no_total(name: str) -> None:
    for tasks in (TASKS, {"off": 0.0}, {}):
        weights = make_task_weights(name, tasks)
        assert weights.total(losses_of({task: 1.0 for task in tasks if task == "off"})) is None
        weights.end_epoch({})
        assert weights.weights().keys() == tasks.keys()


@pytest.mark.parametrize("name", SCHEMES)
def test_a_task_without_a_loss_weight_is_left_out(name: str) -> None:
    values = dict.fromkeys(WITH_WEIGHT, 1.5)
    losses = losses_of({**values, "off": 100.0})
    torch.manual_seed(0)
    weights = make_task_weights(name, TASKS)
    total = step(weights, losses)
    assert losses["off"].grad is None
    torch.manual_seed(0)
    without = make_task_weights(name, {task: TASKS[task] for task in WITH_WEIGHT})
    assert total == total_of(without, values)
    assert weights.weights() == {**without.weights(), "off": 0.0}


@pytest.mark.parametrize("name", SCHEMES)
def test_weights_are_the_factors_of_losses(name: str) -> None:
    weights = trained(name)
    losses = losses_of(dict.fromkeys(WITH_WEIGHT, 2.0))
    step(weights, losses)
    gradients = {task: float(loss.grad) for task, loss in losses.items() if loss.grad is not None}
    assert {"off": 0.0, **gradients} == pytest.approx(weights.weights())


@pytest.mark.parametrize("name", SCHEMES)
def test_two_totals_can_be_computed_before_one_backward_pass(name: str) -> None:
    weights = make_task_weights(name, TASKS)
    losses = losses_of(dict.fromkeys(WITH_WEIGHT, 2.0))
    first, second = weights.total(losses), weights.total(losses)
    assert first is not None and second is not None
    (first + second).backward()
    assert all(loss.grad is not None for loss in losses.values())


@pytest.mark.parametrize("name", SCHEMES)
def test_a_state_dict_resumes_exactly(name: str) -> None:
    weights, resumed = trained(name), make_task_weights(name, TASKS)
    resumed.load_state_dict(weights.state_dict())
    assert resumed.weights() == weights.weights()
    assert name == "static" or weights.weights() != TASKS
    for either in (weights, resumed):
        torch.manual_seed(5)
        either.end_epoch(dict.fromkeys(TASKS, 0.3))
        either.last = total_of(either, dict.fromkeys(WITH_WEIGHT, 0.9))
    assert resumed.last == weights.last
    assert resumed.weights() == weights.weights()


def test_unknown_tasks_and_schemes_are_refused() -> None:
    with pytest.raises(KeyError):
        make_task_weights("static", TASKS).total(losses_of({"other": 1.0}))
    with pytest.raises(ValueError, match=r"'gradnorm'.*static"):
        make_task_weights("gradnorm", TASKS)
