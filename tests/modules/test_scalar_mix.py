"""The mix of layers."""

import torch

from machamp_lite.modules.scalar_mix import ScalarMix


def test_a_new_mix_is_the_mean_of_its_layers() -> None:
    layers = torch.randn(3, 5, 4)
    assert torch.allclose(ScalarMix(3)(layers), layers.mean(0), atol=1e-6)


def test_one_layer_passes_through_without_parameters() -> None:
    layers = torch.randn(1, 5, 4)
    mix = ScalarMix(1)
    assert torch.equal(mix(layers), layers[0])
    assert not list(mix.parameters())


def test_weights_are_softmaxed_and_scaled() -> None:
    mix = ScalarMix(2)
    mix.weights.data = torch.tensor([0.0, torch.log(torch.tensor(3.0)).item()])
    mix.scale.data = torch.tensor(2.0)
    layers = torch.stack([torch.ones(1, 1), torch.full((1, 1), 5.0)])
    assert torch.allclose(mix(layers), torch.tensor([[2 * (0.25 * 1 + 0.75 * 5)]]))
