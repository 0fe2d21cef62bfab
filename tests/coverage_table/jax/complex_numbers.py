"""Real functions with complex values in between."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from coverage_table.jax.inputs import features, matrix, positive, table
from coverage_table.parameters import MIXED


def wave(x):
    """(N, 6), complex"""
    return lax.complex(features(x), jnp.flip(features(x), -1) + 0.5)


def squared_modulus(z):
    return z.real**2 + z.imag**2


def complex_matrix(x):
    return lax.complex(matrix(x), matrix(x).mT)


MIXED_COMPLEX = MIXED + 1j * MIXED.T

FUNCTIONS = {
    "phase": lambda x: jnp.exp(1j * features(x)).real,
    "plane_waves": lambda x: squared_modulus(jnp.exp(1j * (features(x) @ MIXED)).sum(-1) * (1 + 0.5j)),
    "complex_product": lambda x: (wave(x) * jnp.flip(wave(x).conj(), -1)).imag,
    "complex_layer": lambda x: jnp.sin(wave(x) @ MIXED_COMPLEX).real,
    "complex_division": lambda x: (wave(x) / (wave(x) + 3)).real,
    "complex_power": lambda x: (wave(x) ** 3).imag,
    "complex_logarithm": lambda x: jnp.log(wave(x) + 2).imag,
    "complex_root": lambda x: jnp.sqrt(wave(x) + 2).real,
    "complex_tanh": lambda x: jnp.tanh(wave(x) / 2).imag,
    "modulus": lambda x: jnp.abs(wave(x)),
    "angle": lambda x: jnp.angle(wave(x) + 2),
    "polar": lambda x: (positive(x) * jnp.exp(1j * features(x))).imag,
    "complex_determinant": lambda x: jnp.linalg.det(complex_matrix(x)).real,
    "complex_slogdet": lambda x: jnp.linalg.slogdet(complex_matrix(x))[1],
    "complex_solve": lambda x: jnp.linalg.solve(complex_matrix(x), jnp.exp(1j * x)[..., None]).imag,
    "fft": lambda x: squared_modulus(jnp.fft.fft(features(x))),
    "rfft": lambda x: jnp.fft.rfft(features(x)).real ** 2,
    "spectral_convolution": lambda x: jnp.fft.irfft(jnp.fft.rfft(features(x)) * (1 + 2j), n=6) ** 2,
    "fft2": lambda x: jnp.fft.fft2(table(x)).imag ** 2,
    "view_as_real": lambda x: jnp.stack([(wave(x) ** 2).real, (wave(x) ** 2).imag], -1),
}
