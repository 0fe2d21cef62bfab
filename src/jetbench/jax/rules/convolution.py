"""Convolutions and Fourier transforms."""

from __future__ import annotations

from jax.extend.core import primitives

from jetbench.jax.jet import Jet, Value, linear, multiply
from jetbench.jax.registry import rule


@rule(primitives.conv_general_dilated_p)
def convolution(x: Value, weight: Value, **params: object) -> Value:
    return multiply(lambda s, t: primitives.conv_general_dilated_p.bind(s, t, **params), x, weight)


@rule(primitives.fft_p)
def fourier_transform(x: Jet, **params: object) -> Jet:
    return linear(lambda t: primitives.fft_p.bind(t, **params), x)
