"""One set of weights: a specification is the same function in PyTorch and in JAX."""

import jax
import numpy as np
import pytest
import torch

from jetbench.jax import network as in_jax
from jetbench.networks import ACTIVATIONS, KINDS, NetworkSpec, weights
from jetbench.torch import network as in_torch

jax.config.update("jax_enable_x64", True)


def both(spec, x):
    with torch.no_grad():
        expected = in_torch.build(spec)(torch.tensor(x)).numpy()
    return np.asarray(in_jax.build(spec)(x)), expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_both_backends_give_the_same_function_to_rounding(kind, activation):
    spec = NetworkSpec(kind, dim=6, widths=(7, 7, 5), outputs=3, activation=activation, seed=4)
    x = np.random.default_rng(0).standard_normal((2, 5, 6))
    found, expected = both(spec, x)
    assert found.shape == expected.shape == (2, 5, 3)
    assert np.abs(found - expected).max() <= 4e-15 * np.abs(expected).max()


@pytest.mark.parametrize("kind", KINDS)
def test_one_point_without_a_batch(kind):
    found, expected = both(NetworkSpec(kind, dim=4, widths=(5,)), np.linspace(-1, 1, 4))
    assert found.shape == (1,) and found == pytest.approx(expected, rel=1e-14)


def test_the_parameters_are_the_shared_weights_and_a_pytree():
    spec = NetworkSpec("attention", dim=4, widths=(5, 3))
    net = in_jax.build(spec)
    assert {name: value.shape for name, value in net.parameters.items()} == {
        name: value.shape for name, value in weights(spec).items()
    }
    gradient = jax.grad(lambda net, x: net(x).sum())(net, np.ones((2, 4)))
    assert isinstance(gradient, in_jax.Network) and gradient.spec == spec
    assert all(value.shape == net.parameters[name].shape for name, value in gradient.parameters.items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_are_rounded_once(dtype):
    spec = NetworkSpec(dim=3, widths=(4,))
    net = in_jax.build(spec, dtype)
    for name, value in weights(spec).items():
        assert np.array_equal(np.asarray(net.parameters[name], np.float64), value.astype(dtype).astype(np.float64))


def test_float64_without_64_bits_is_refused():
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
        in_jax.build(NetworkSpec(dim=3, widths=(4,)))
