"""Linear layers with padded rows: torch's outputs, from matrix multiplications of few shapes."""

import pytest
import torch
from matmul_shapes import MatmulShapes
from torch import nn

from machamp_lite.acceleration.padded_linear import ROWS, PaddedLinear, pad_rows, replace_linear_layers


def autocast(*, enabled: bool = True) -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled)


@pytest.mark.parametrize("shape", [(1, 6), (ROWS, 6), (ROWS + 1, 6), (3, 7, 6), (0, 6)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_values_and_gradients_in_bf16_are_those_of_torch(shape: tuple[int, ...], has_bias: bool) -> None:
    torch.manual_seed(3)
    results = []
    map_ = nn.Linear(6, 5, bias=has_bias)
    values = torch.randn(shape)
    for weight_map in (map_, PaddedLinear(6, 5, bias=has_bias)):
        weight_map.load_state_dict(map_.state_dict())
        inputs = values.clone().requires_grad_()
        with autocast():
            output = weight_map(inputs)
        (output.float() * torch.arange(output.numel()).view(output.shape)).sum().backward()
        results.append([output, inputs.grad, *(parameter.grad for parameter in weight_map.parameters())])
    for expected, found in zip(*results, strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)


def test_without_bf16_nothing_is_padded() -> None:
    layer = PaddedLinear(6, 5)
    with MatmulShapes() as matmuls, autocast(enabled=False):
        layer(torch.randn(7, 6))
    assert matmuls.shapes[0] == (7, 6)


@pytest.mark.parametrize("count", [0, 1, ROWS - 1, ROWS, ROWS + 1])
def test_padded_rows_are_zeros(count: int) -> None:
    padded = pad_rows(torch.ones(count, 3))
    assert len(padded) % ROWS == 0 and len(padded) - count < ROWS
    assert torch.equal(padded.sum(1), 3.0 * (torch.arange(len(padded)) < count))


def test_multiplications_forward_and_backward_have_padded_rows() -> None:
    map_ = PaddedLinear(2 * ROWS, 3 * ROWS)
    for count in (1, 2, ROWS - 1, ROWS, 2 * ROWS + 3):
        with MatmulShapes() as matmuls, autocast():
            map_(torch.randn(count, 2 * ROWS, requires_grad=True)).float().sum().backward()
        assert len(matmuls.shapes) == 6
        assert all(size % ROWS == 0 for shape in matmuls.shapes for size in shape), matmuls.shapes


def test_it_replaces_torchs_layers_with_the_same_parameters() -> None:
    class Other(nn.Linear):
        pass

    module = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4, bias=False)), Other(4, 3))
    parameters = list(module.parameters())
    replace_linear_layers(module)
    assert type(module[0]) is type(module[1][0]) is PaddedLinear and type(module[2]) is Other
    assert all(one is other for one, other in zip(parameters, module.parameters(), strict=True))
