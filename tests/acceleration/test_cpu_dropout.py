"""The faster dropout does what torch's does."""

import pytest
import torch
from torch import nn

from machamp_lite.acceleration.cpu_dropout import Dropout, dropout, replace_dropout


@pytest.mark.parametrize("probability", [0.1, 0.33, 0.5, 0.9])
def test_the_given_share_is_dropped_and_the_mean_stays(probability: float) -> None:
    torch.manual_seed(3)
    values = dropout(torch.ones(1000, 1001), probability)
    share = float((values == 0).float().mean())
    assert share == pytest.approx(probability, abs=0.003)
    assert float(values.max()) == pytest.approx(1 / (1 - probability), rel=1e-3)
    assert float(values.mean()) == pytest.approx(1, abs=0.03)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(3)
    is_dropped = (dropout(torch.ones(400_000), 0.5) == 0).float() - 0.5
    for distance in (1, 2, 3, 4, 8):
        assert float((is_dropped[:-distance] * is_dropped[distance:]).mean()) == pytest.approx(0, abs=0.003)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_pass_where_values_do(dtype: torch.dtype) -> None:
    values = torch.ones(7, 11, dtype=dtype, requires_grad=True)
    dropped = dropout(values, 0.4)
    dropped.backward(torch.ones_like(dropped))
    assert dropped.dtype == dtype
    assert torch.equal(values.grad, dropped)


def test_the_same_seed_gives_the_same_values() -> None:
    def draw(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return dropout(torch.ones(50), 0.5)

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize(("probability", "kept"), [(0.0, 100), (1e-9, 100), (1 - 1e-9, 0)])
def test_the_ends_of_the_range_are_all_and_nothing(probability: float, kept: int) -> None:
    torch.manual_seed(3)
    assert int((dropout(torch.ones(100), probability) != 0).sum()) == kept


def test_it_replaces_torchs_dropout_and_does_nothing_in_evaluation() -> None:
    class Other(nn.Dropout):
        pass

    module = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Dropout(0.3)), Other(0.2)).eval()
    replace_dropout(module)
    assert type(module[1][0]) is Dropout and module[1][0].p == 0.3 and not module[1][0].training
    assert type(module[2]) is Other
    values = torch.randn(5, 3)
    assert torch.equal(module[1](values), values)
    assert not torch.equal(module.train()[1](values), values)
