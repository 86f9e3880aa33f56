"""The copy of a module with weights in bfloat16: its content, and when it is made again."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from machamp_lite.acceleration.bf16_copy import BF16InferenceCopy


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(4, 3)
        self.out = nn.Linear(3, 4)
        self.out.weight = self.table.weight
        self.norm = nn.LayerNorm(3)
        self.register_buffer("angles", torch.rand(3))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.table(ids)))


def scoring(copies: BF16InferenceCopy, module: nn.Module) -> nn.Module:
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        return copies.choose(module.eval())


def test_weights_are_in_bf16_and_tied_as_before_and_all_else_is_shared() -> None:
    module = Tied()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    copied = scoring(BF16InferenceCopy(), module)
    assert isinstance(copied, Tied) and copied is not module
    assert copied.out.weight is copied.table.weight and copied.angles is module.angles
    assert copied.norm.weight is module.norm.weight and copied.norm.bias is module.norm.bias
    for name in ("table.weight", "out.bias"):
        value = copied.get_parameter(name)
        assert torch.equal(value, before[name].to(torch.bfloat16)) and not value.requires_grad
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(value.requires_grad for value in module.parameters())
    assert copied(torch.tensor([1, 2])).dtype == torch.bfloat16
    # Parameters of other modules may stay in fp32.
    assert copied.norm(torch.ones(2, 3)).dtype == torch.float32


@pytest.mark.parametrize(
    ("trains", "has_gradients", "in_bf16"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_training_and_fp32_use_the_module_itself(
    trains: bool, has_gradients: bool, in_bf16: bool
) -> None:
    module = Tied().train(trains)
    with torch.set_grad_enabled(has_gradients), torch.autocast("cpu", enabled=in_bf16):
        assert BF16InferenceCopy().choose(module) is module


def load(module: Tied, copies: BF16InferenceCopy) -> None:
    module.load_state_dict(Tied().state_dict())


def replace(module: Tied, copies: BF16InferenceCopy) -> None:
    module.out.bias.data = torch.ones(4)


def update(module: Tied, copies: BF16InferenceCopy) -> None:
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, fused=True)
    copies.choose(module.train())(torch.tensor([1, 2])).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("change", [load, replace, update])
def test_it_is_made_again_when_weights_change(
    change: Callable[[Tied, BF16InferenceCopy], None],
) -> None:
    module, copies = Tied(), BF16InferenceCopy()
    first = scoring(copies, module)
    assert scoring(copies, module) is first
    change(module, copies)
    second = scoring(copies, module)
    assert second is not first and scoring(copies, module) is second
    for name, value in second.named_parameters():
        assert torch.equal(value, module.get_parameter(name).to(value.dtype))


def test_weights_without_versions_are_copied_too() -> None:
    with torch.inference_mode():
        module = nn.Linear(2, 2)
        assert (
            scoring(BF16InferenceCopy(), module)(torch.ones(1, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16
        )


class Stubborn(nn.Linear):
    """Fails with weights in bf16."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if self.weight.dtype != torch.float32:
            raise RuntimeError("expected Float\nand more")
        return super().forward(values)


def test_without_a_working_copy_the_encoder_is_used_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    module, copies = Stubborn(2, 3).eval(), BF16InferenceCopy()
    values = torch.ones(1, 2)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(2):
            assert torch.equal(copies(module, values=values), module(values))
    assert [record.getMessage() for record in caplog.records] == [
        "the encoder cannot predict with bf16 weights, autocast is used (RuntimeError: expected Float)"
    ]
