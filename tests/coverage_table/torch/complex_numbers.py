"""Real functions with complex values in between."""

from __future__ import annotations

import torch

from coverage_table.torch.inputs import MIXED, features, matrix, positive, table


def wave(x):
    """(N, 6), complex"""
    return torch.complex(features(x), features(x).flip(-1) + 0.5)


MIXED_COMPLEX = torch.complex(MIXED, MIXED.mT)

FUNCTIONS = {
    "phase": lambda x: torch.exp(1j * features(x)).real,
    "plane_waves": lambda x: (torch.exp(1j * (features(x) @ MIXED)).sum(-1) * (1 + 0.5j)).abs().square(),
    "complex_product": lambda x: (wave(x) * wave(x).conj().flip(-1)).imag,
    "complex_layer": lambda x: (wave(x) @ MIXED_COMPLEX).sin().real,
    "complex_division": lambda x: (wave(x) / (wave(x) + 3)).real,
    "complex_power": lambda x: (wave(x) ** 3).imag,
    "complex_logarithm": lambda x: torch.log(wave(x) + 2).imag,
    "complex_root": lambda x: torch.sqrt(wave(x) + 2).real,
    "complex_tanh": lambda x: torch.tanh(wave(x) / 2).imag,
    "modulus": lambda x: wave(x).abs(),
    "angle": lambda x: (wave(x) + 2).angle(),
    "polar": lambda x: torch.polar(positive(x), features(x)).imag,
    "complex_determinant": lambda x: torch.linalg.det(torch.complex(matrix(x), matrix(x).mT)).real,
    "complex_slogdet": lambda x: torch.linalg.slogdet(torch.complex(matrix(x), matrix(x).mT))[1],
    "fft": lambda x: torch.fft.fft(features(x)).abs().square(),
    "rfft": lambda x: torch.fft.rfft(features(x)).real ** 2,
    "spectral_convolution": lambda x: torch.fft.irfft(torch.fft.rfft(features(x)) * (1 + 2j), n=6) ** 2,
    "fft2": lambda x: torch.fft.fft2(table(x)).imag ** 2,
    "view_as_real": lambda x: torch.view_as_real(wave(x) ** 2),
}
