"""Weighted means of layers."""

import torch

from machamp_lite.nn.scalar_mix import ScalarMix, mix


def test_a_new_mix_is_the_mean_of_its_layers() -> None:
    layers = torch.randn(3, 5, 4)
    torch.testing.assert_close(mix([ScalarMix(3)], layers), layers.mean(0, keepdim=True))


def test_one_layer_passes_through_without_parameters() -> None:
    layers = torch.randn(1, 5, 4)
    weights = ScalarMix(1)
    assert torch.equal(mix([weights, weights], layers), layers.expand(2, -1, -1))
    assert not list(weights.parameters())


def test_weights_are_softmaxed_and_scaled() -> None:
    weights = ScalarMix(2)
    weights.weights.data = torch.tensor([0.0, torch.log(torch.tensor(3.0)).item()])
    weights.scale.data = torch.tensor(2.0)
    layers = torch.stack([torch.ones(1, 1), torch.full((1, 1), 5.0)])
    torch.testing.assert_close(mix([weights], layers), torch.tensor([[[2 * (0.25 * 1 + 0.75 * 5)]]]))


def test_several_mixes_equal_the_single_ones() -> None:
    layers, mixes = torch.randn(3, 5, 4, requires_grad=True), [ScalarMix(3) for _ in range(4)]
    for weights in mixes:
        torch.nn.init.normal_(weights.weights)
    together, upstream = mix(mixes, layers), torch.randn(4, 5, 4)
    alone = torch.cat([mix([weights], layers) for weights in mixes])
    torch.testing.assert_close(together, alone)
    asked = [layers, *(weights.weights for weights in mixes)]
    grads, expected_grads = (torch.autograd.grad(mixed, asked, upstream) for mixed in (together, alone))
    for grad, expected in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected)
