"""Powers, reciprocals and logarithms; roots remember what they are roots of.

Derivatives of u^p and log u are multiples of u^(p−m) and u^(−m), which leave the range of floating-point numbers long
before the coefficients of the result do. Coefficients are therefore divided by u first: with ν = (u − u₀)/u₀ the
derivatives of u₀^p (1 + ν)^p by ν are whole multiples of u₀^p.

A norm is not smooth at 0 and has coefficients NaN there, but its square is. Roots are therefore kept with their
radicand (`jet.Root`), of which even powers and even functions are then taken.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from numbers import Number

import torch
from torch import Tensor

from jetbench.algebra.derivatives import Tower, TowerFunction, real_power
from jetbench.torch.jet import Jet, Root, elementwise, jointly_linear, linear, times
from jetbench.torch.registry import rule
from jetbench.torch.rules.precision import accumulated

aten = torch.ops.aten


def is_whole(number: Number) -> bool:
    return not isinstance(number, complex) and math.isfinite(number) and float(number).is_integer()


def rooted(x: Jet, radicand: Callable[[], Jet], degree: float) -> Jet:
    """x, known to be r^(1/degree)."""
    x.root = Root(functools.cache(radicand), degree)
    return x


def moved(fn: Callable[[Tensor], Tensor], x: Jet, lifted: Callable[[Tensor], Tensor] | None = None) -> Jet:
    """`linear` for maps that only move, repeat or leave out entries, or add zeros: a root remains one."""
    result = linear(fn, x, lifted)
    if x.root is not None:
        root = x.root
        factor = fn(root.factor.expand(x.shape)) if isinstance(root.factor, Tensor) else root.factor
        result.root = Root(functools.cache(lambda: linear(fn, root.radicand(), lifted)), root.degree, factor)
    return result


def scaled(x: Jet, factor: Number | Tensor, result: Jet) -> Jet:
    """`result`, which is x times a constant factor: a root remains one."""
    if x.root is not None:
        root, shape = x.root, result.shape
        factor = factor.to(result.dtype) if isinstance(factor, Tensor) else factor
        expanded = functools.cache(lambda: linear(lambda t: t.expand(shape), root.radicand()))
        radicand = root.radicand if shape == x.shape else expanded
        result.root = Root(radicand, root.degree, root.factor * factor)
    return result


def power(x: Jet, exponent: Number) -> Jet:
    """x^p for a number p."""
    if x.root is not None and is_whole(exponent) and is_whole(exponent / x.root.degree):
        return _power_of_root(x, x.root, exponent)
    if is_whole(exponent) and exponent >= 0:
        return elementwise(lambda u, order: real_power(u, order, exponent), x)
    result = _relatively(x, lambda u, order: _relative_power(u, order, exponent))
    if not is_whole(exponent) and not isinstance(exponent, complex):
        return rooted(result, lambda: x, 1 / exponent)
    return result


def _power_of_root(x: Jet, root: Root, exponent: Number) -> Jet:
    """(factor · r^(1/degree))^p as a whole power of r; NaN where x is."""
    found = power(root.radicand(), exponent / root.degree)
    if isinstance(root.factor, Tensor) or root.factor != 1:
        found = times(found, root.factor**exponent)
    undefined = x.primal.isnan()
    return linear(lambda t: t.masked_fill(undefined, torch.nan), found)


def even(tower: TowerFunction, x: Jet) -> Jet:
    """φ(x) for an even φ, smooth also where x = c√r is 0: φ(c√r) = Σ_m φ^(2m)(0)/(2m)!·(c²r)^m."""
    found = elementwise(tower, x)
    if x.root is None or x.root.degree != 2 or not x.present:
        return found

    def of_radicand(u: Tensor, order: int) -> Tower:
        at_zero = tower(u.new_zeros(()), 2 * order)[::2]
        factors = [math.factorial(m) / math.factorial(2 * m) for m in range(order + 1)]
        return [
            torch.zeros_like(u) if f is None else f * c * torch.ones_like(u)
            for f, c in zip(at_zero, factors, strict=True)
        ]

    is_zero = x.primal == 0
    near = elementwise(of_radicand, times(x.root.radicand(), x.root.factor**2))
    result = jointly_linear(lambda parts: torch.where(is_zero, *parts), [near, found])
    return Jet(x.algebra, found.primal, rest=result.rest, present=result.present)


def inverse(x: Jet) -> Jet:
    """1/x."""
    return power(x, -1)


def logarithm(x: Jet, function: Callable[[Tensor], Tensor] = torch.log, scale: float = 1.0, shift: float = 0.0) -> Jet:
    """log_b(x + shift), with derivatives scale · (−1)^(m−1) (m − 1)! (x + shift)^(−m)."""

    def tower(u: Tensor, order: int) -> Tower:
        result: Tower = [function(u)]
        edge = _edge(u + shift if shift else u).reciprocal()
        for m in range(1, order + 1):
            result.append((-1) ** (m - 1) * math.factorial(m - 1) * scale * (edge if m % 2 else edge * edge))
        return result

    return _relatively(x, tower, shift)


@accumulated
def _relatively(x: Jet, tower: TowerFunction, shift: float = 0.0) -> Jet:
    """φ(x) from the derivatives of φ by ν."""
    return elementwise(tower, relative(x, shift))


def relative(x: Jet, shift: float = 0.0) -> Jet:
    """x with its coefficients divided by its primal (plus a shift), where that is neither zero nor infinite."""
    if not x.present:
        return x
    base = _regular(x.primal + shift if shift else x.primal)
    return Jet(x.algebra, x.primal, [None if block is None else block / base for block in x.blocks])


def _is_regular(u: Tensor) -> Tensor:
    return (u != 0) & u.isfinite()


def _regular(u: Tensor) -> Tensor:
    """u, and 1 in place of zeros, infinities and NaN."""
    return torch.where(_is_regular(u), u, 1)


def _edge(u: Tensor) -> Tensor:
    """Zeros, infinities and NaN as they are, and 1 in place of other numbers."""
    return torch.where(_is_regular(u), 1, u.detach())


def _relative_power(u: Tensor, order: int, exponent: Number) -> Tower:
    """The derivatives by ν of (u(1 + ν))^p, p(p − 1)…(p − m + 1)·u^p; by u itself at zero and infinity."""
    result: Tower = [u**exponent]
    size, edge = _regular(u) ** exponent, _edge(u)
    factor = 1.0
    for m in range(1, order + 1):
        factor *= exponent - m + 1
        rest = exponent - m
        if isinstance(rest, complex) or rest < 0:
            at_edge = edge.reciprocal()
            at_edge = at_edge * at_edge if is_whole(rest) and rest % 2 == 0 else at_edge
        else:
            at_edge = edge
        result.append(factor * size * at_edge)
    return result


@rule(aten.pow.Tensor_Scalar)
def pow_scalar(x: Jet, exponent: Number) -> Jet:
    return power(x, exponent)


def _power_rule(operation: object, exponent: float) -> None:
    @rule(operation)
    def apply(x: Jet) -> Jet:
        return power(x, exponent)


for _operation, _exponent in (
    (aten.sqrt.default, 0.5),
    (aten.rsqrt.default, -0.5),
    (aten.reciprocal.default, -1),
    (aten.square.default, 2),
):
    _power_rule(_operation, _exponent)


@rule(aten.log.default)
def log(x: Jet) -> Jet:
    return logarithm(x)


@rule(aten.log2.default)
def log2(x: Jet) -> Jet:
    return logarithm(x, torch.log2, 1 / math.log(2))


@rule(aten.log10.default)
def log10(x: Jet) -> Jet:
    return logarithm(x, torch.log10, 1 / math.log(10))


@rule(aten.log1p.default)
def log1p(x: Jet) -> Jet:
    return logarithm(x, torch.log1p, shift=1.0)
