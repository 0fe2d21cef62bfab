"""Complex numbers as pairs of real ones, and Fourier transforms.

x is real, so that the derivatives of a complex value by x are complex numbers and whatever is linear over the real
numbers, such as conjugation, acts on them as on the value. Holomorphic functions need no rules of their own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jetbench.errors import Unsupported
from jetbench.torch.jet import Jet, Value, jointly_linear, linear
from jetbench.torch.registry import rule
from jetbench.torch.rules.arithmetic import atan2, div, mul
from jetbench.torch.rules.elementwise import cosine, sine
from jetbench.torch.rules.piecewise import absolute

aten = torch.ops.aten


def _entrywise(operation: Callable, function: Callable[[Tensor], Tensor]) -> None:
    @rule(operation)
    def apply(x: Jet) -> Jet:
        return linear(function, x, function)


for _operation, _function in (
    (aten.view_as_real.default, lambda t: torch.view_as_real(t.resolve_conj())),
    (aten.view_as_complex.default, lambda t: torch.complex(t[..., 0], t[..., 1])),
    (aten._conj.default, torch.conj_physical),
    (aten._conj_physical.default, torch.conj_physical),
    (aten.conj_physical.default, torch.conj_physical),
    (aten._neg_view.default, torch.neg),
    (aten.resolve_conj.default, torch.clone),
    (aten.resolve_neg.default, torch.clone),
    (aten.real.default, torch.real),
    (aten.imag.default, torch.imag),
):
    _entrywise(_operation, _function)


def _linear(operation: Callable) -> None:
    @rule(operation)
    def apply(x: Jet, *args: object, **kwargs: object) -> Jet:
        return linear(lambda t: operation(t, *args, **kwargs), x)


for _operation in (aten._fft_r2c.default, aten._fft_c2c.default, aten._fft_c2r.default):
    _linear(_operation)


@rule(aten.view.dtype)
def view_as_type(x: Jet, dtype: torch.dtype) -> Jet:
    """PyTorch detaches what it returns."""
    if dtype == x.dtype:
        return x
    raise Unsupported(
        f"The network takes the bits of {x.dtype} for {dtype} by Tensor.view, which has no derivatives in PyTorch. Use "
        "torch.view_as_complex and torch.view_as_real, or Tensor.to to convert numbers."
    )


@rule(aten.complex.default)
def complex_of_parts(real: Value, imaginary: Value) -> Jet:
    return jointly_linear(lambda parts: torch.complex(*torch.broadcast_tensors(*parts)), [real, imaginary])


@rule(aten.polar.default)
def polar(length: Value, angle: Value) -> Jet:
    """r·(cos φ + i sin φ)."""
    if isinstance(angle, Jet):
        return complex_of_parts(mul(length, cosine(angle)), mul(length, sine(angle)))
    return complex_of_parts(mul(length, angle.cos()), mul(length, angle.sin()))


@rule(aten.angle.default)
def angle(x: Jet) -> Value:
    """The angle of (Re z, Im z); 0 or π for real numbers."""
    if not x.dtype.is_complex:
        return torch.angle(x.primal)
    return atan2(linear(torch.imag, x, torch.imag), linear(torch.real, x, torch.real))


@rule(aten.sgn.default)
def sgn(x: Jet) -> Value:
    """z/|z|; the sign of a real number."""
    return div(x, absolute(x)) if x.dtype.is_complex else torch.sgn(x.primal)
