"""Orthogonal polynomials, which PyTorch counts as constants: by their three-term recurrences."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from jetbench.torch.corrected.formulas import formula

aten = torch.ops.aten
Recurrence = Callable[[int, Tensor, Tensor, Tensor], Tensor]


def _twice(k: int, x: Tensor, last: Tensor, before: Tensor) -> Tensor:
    return 2 * x * last - before


def _legendre(k: int, x: Tensor, last: Tensor, before: Tensor) -> Tensor:
    return ((2 * k + 1) * x * last - k * before) / (k + 1)


def _laguerre(k: int, x: Tensor, last: Tensor, before: Tensor) -> Tensor:
    return ((2 * k + 1 - x) * last - k * before) / (k + 1)


def _hermite(k: int, x: Tensor, last: Tensor, before: Tensor) -> Tensor:
    return 2 * x * last - 2 * k * before


def _hermite_e(k: int, x: Tensor, last: Tensor, before: Tensor) -> Tensor:
    return x * last - k * before


#: name → the polynomial of degree 1, and the one of degree k + 1 from those of degrees k and k − 1
POLYNOMIALS: dict[str, tuple[Callable[[Tensor], Tensor], Recurrence]] = {
    "chebyshev_polynomial_t": (lambda x: x, _twice),
    "chebyshev_polynomial_u": (lambda x: 2 * x, _twice),
    "chebyshev_polynomial_v": (lambda x: 2 * x - 1, _twice),
    "chebyshev_polynomial_w": (lambda x: 2 * x + 1, _twice),
    "legendre_polynomial_p": (lambda x: x, _legendre),
    "laguerre_polynomial_l": (lambda x: 1 - x, _laguerre),
    "hermite_polynomial_h": (lambda x: 2 * x, _hermite),
    "hermite_polynomial_he": (lambda x: x, _hermite_e),
}


def _register(name: str, first: Callable[[Tensor], Tensor], next_one: Recurrence, shifted: bool = False) -> None:
    def ascending(x: Tensor, highest: int) -> Iterator[Tensor]:
        """P_0(x), P_1(x), …"""
        before, last = torch.ones_like(x), first(x)
        yield before
        for k in range(1, highest + 1):
            yield last
            before, last = last, next_one(k, x, last, before)

    def polynomial(x: Tensor | float, n: Tensor | int) -> Tensor:
        """P_n(x), 0 for negative degrees, which may be given for every entry."""
        x = x if isinstance(x, Tensor) else torch.tensor(float(x), device=n.device)
        argument = 2 * x - 1 if shifted else x
        if not isinstance(n, Tensor):
            *_, value = ascending(argument, int(n)) if n >= 0 else (torch.zeros_like(argument),)
            return value
        degrees, value = n.to(torch.int64), 0
        for k, term in enumerate(ascending(argument, int(degrees.max()) if degrees.numel() else 0)):
            value = torch.where(degrees == k, term, value)
        return value

    packet = getattr(aten, f"special_{name}")
    formula(packet.default, packet.n_scalar, packet.x_scalar)(polynomial)


for _name, (_first, _next) in POLYNOMIALS.items():
    _register(_name, _first, _next)
    if _name.startswith("chebyshev"):
        _register(f"shifted_{_name}", _first, _next, shifted=True)
