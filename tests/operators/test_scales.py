"""Values, ranks and numbers of vectors do not depend on the units of coordinates, x_i → s_i x_i from 1e-12 to 1e12.

With f_s(x) = f(x/s) and p_s(ξ) = p(s ξ), p_s(∂)f_s = (p(∂)f)(x/s); for f = exp(k·x) with k near 1 all terms have about
the same size in their own units, so that values are well conditioned.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

import jax
import numpy as np
import pytest
import torch

import jax_settings  # noqa: F401  64 bits
from jetbench import estimators, operators
from jetbench.algebra.apolar.elimination import by_elimination
from jetbench.algebra.apolar.inverse_system import inverse_system
from jetbench.algebra.directional import directional_plan
from jetbench.errors import Unsupported
from jetbench.jax import linear_operator as jax_operator
from jetbench.operators.directions import decompose, randomize
from jetbench.operators.problem import Operator, Problem, as_operator
from jetbench.operators.symbol import Symbol, variables
from jetbench.operators.units import rounded, units
from jetbench.torch import linear_operator

METHODS = ("nested", "nested_reverse", "taylor", "collapsed", "apolar")
LIGHT = 299792458.0
XI = variables(3)


def in_units(symbol: Symbol, scales: Sequence[float]) -> Symbol:
    """p(s ξ), with the factors of p; coefficients are rounded once."""
    if len(symbol.factors) > 1:
        return prod(
            (in_units(factor, scales) for factor in symbol.factors[1:]), start=in_units(symbol.factors[0], scales)
        )
    exact = {
        alpha: Fraction(c) * prod(Fraction(s) ** e for s, e in zip(scales, alpha, strict=True))
        for alpha, c in symbol.terms.items()
    }
    return Symbol(symbol.dim, {alpha: float(c) for alpha, c in exact.items()})


def scaled(operator: Operator, scales: np.ndarray, of_variables: np.ndarray) -> Operator:
    """The operator in coordinates x·s, and, where it has a factor σ, in other units of the symbols' variables, too."""
    factor = operator.factor
    if factor is None:
        symbols = {name: in_units(p, scales.tolist()) for name, p in operator.symbols.items()}
        return Operator(operator.name, operator.dim, symbols)
    s, z = torch.tensor(scales), torch.tensor(of_variables)
    symbols = {name: in_units(p, of_variables.tolist()) for name, p in operator.symbols.items()}
    return Operator(operator.name, operator.dim, symbols, lambda x: s[:, None] * factor(x / s) / z)


def magnitudes(symbol: Symbol) -> Symbol:
    return Symbol(symbol.dim, {alpha: abs(c) for alpha, c in symbol.terms.items()})


def assert_scales(operator: Operator, seed: int, methods: Sequence[str] = METHODS, ratio: float = 1e12) -> None:
    """Values of exp(k·x) against p(k) and numbers of vectors against those in the operator's own units."""
    rng = np.random.default_rng(seed)
    scales, of_variables = (ratio ** rng.uniform(-1, 1, n) for n in (operator.dim, operator.variables))
    k = rng.uniform(0.5, 1.5, operator.dim) * rng.choice([-1, 1], operator.dim)
    x = rng.uniform(-1, 1, operator.dim)
    factor = np.eye(operator.dim) if operator.factor is None else operator.factor(torch.tensor(x)).numpy()
    slopes = factor.T @ k
    other = scaled(operator, scales, of_variables)
    s, direction = torch.tensor(scales), torch.tensor(k)
    for method in methods:
        found = linear_operator(lambda y: torch.exp((y / s) @ direction), other, method)
        assert found.vectors == linear_operator(torch.sin, operator, method).vectors, method
        values = found(torch.tensor(x * scales))
        for name, p in operator.symbols.items():
            value = float(values[name] if isinstance(values, dict) else values) / np.exp(x @ k)
            assert abs(value - p(slopes)) <= 1e-9 * magnitudes(p)(np.abs(slopes)), (method, name)


@pytest.mark.parametrize("name", [name for name in operators.REGISTRY if name != "mixed_partial"])
def test_the_zoo_in_any_units(name: str) -> None:
    found = operators.make(name, dim=4)
    assert_scales(Operator(name, 4, found.symbols, found.factor), sum(map(ord, name)))


@pytest.mark.parametrize("exponents", [(2, 2), (1, 1, 2)])
def test_one_mixed_derivative_in_any_units(exponents: tuple[int, ...]) -> None:
    """One monomial tells the product of its units only; directions between its axes must assume that they are equal."""
    found = as_operator(operators.mixed_partial(dim=3, exponents=exponents))
    assert_scales(found, 1, ("nested", "nested_reverse", "apolar"))
    assert_scales(found, 1, ("taylor", "collapsed"), ratio=1.5)


def random_symbol(seed: int, dim: int, degree: int, terms: int) -> Symbol:
    """All pure powers, so that each variable has a unit, and as many other terms of the same or a lower degree."""
    rng = np.random.default_rng(seed)
    found = {
        tuple(degree * (i == j) for j in range(dim)): rng.uniform(0.5, 2) * rng.choice([-1, 1]) for i in range(dim)
    }
    for _ in range(terms):
        alpha = rng.multinomial(rng.integers(1, degree + 1), np.ones(dim) / dim)
        found[tuple(alpha.tolist())] = float(rng.uniform(0.5, 2) * rng.choice([-1, 1]))
    return Symbol(dim, found)


@pytest.mark.parametrize("seed", range(12))
def test_random_symbols_in_any_units(seed: int) -> None:
    symbol = random_symbol(seed, 2 + seed % 3, 2 + seed % 4, 1 + seed % 5)
    assert_scales(as_operator(symbol), seed)
    assert_scales(as_operator({"a": symbol, "b": random_symbol(seed + 100, symbol.dim, 3, 2)}), seed)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("symbol", "net", "expected"),
    [
        (operators.wave(dim=2, speed=LIGHT), lambda y: y[..., 0] ** 2, 2.0),
        (operators.wave(dim=2, speed=LIGHT), lambda y: y[..., 1] ** 2, -2 * LIGHT**2),
        (XI[0] * XI[1] + 1.7e-19 * XI[2] ** 4, lambda y: (1e6 * y[..., 2]) ** 4, 1.7e-19 * 24e24),
        (XI[0] * XI[1] + 1.7e-19 * XI[2] ** 4, lambda y: y[..., 0] * y[..., 1], 1.0),
        (XI[0] - 1e-19 * (XI[1:] @ XI[1:]), lambda y: (1e9 * y[..., 2]) ** 2, -0.2),
        ((XI[0] ** 2 - LIGHT**2 * (XI[1:] @ XI[1:])) ** 2, lambda y: y[..., 0] ** 4, 24.0),
        (XI[0] ** 3 + 1e-20 * XI[1] ** 2 * XI[2] + 0.1 * XI[0] ** 2, lambda y: 1e20 * y[..., 1] ** 2 * y[..., 2], 2.0),
        (1e-30 * XI[0] * XI[1] + XI[2] ** 2, lambda y: 1e30 * y[..., 0] * y[..., 1], 1.0),
        (1.1 * XI[0] ** 2 + 6e-9 * XI[0] * XI[1] + 1.3e-16 * XI[1] ** 2, lambda y: (1e8 * y[..., 1]) ** 2, 2.6),
        (1.1 * XI[0] ** 2 + 6e-9 * XI[0] * XI[1] + 1.3e-16 * XI[1] ** 2, lambda y: 1e9 * y[..., 0] * y[..., 1], 6.0),
    ],
)
def test_small_coefficients_are_kept(method: str, symbol: Operator | Symbol, net: object, expected: float) -> None:
    x = torch.tensor([0.3, -0.4, 0.7], dtype=torch.float64)[: as_operator(symbol).dim]
    assert float(linear_operator(net, symbol, method)(x)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("method", ["collapsed", "apolar"])
def test_small_coefficients_are_kept_in_jax(method: str) -> None:
    x = jax.numpy.array([0.3, -0.4, 0.7])
    wave = jax_operator(lambda y: y[..., 0] ** 2, operators.wave(dim=2, speed=LIGHT), method)
    assert float(wave(x[:2])) == pytest.approx(2.0)
    form = XI[0] ** 2 + 6e-9 * XI[0] * XI[1] + 1.3e-16 * XI[1] ** 2 + XI[2] ** 4
    correlated = jax_operator(lambda y: (1e8 * y[..., 1]) ** 2, form, method)
    assert float(correlated(x)) == pytest.approx(2.6)


def covariance(seed: int, dim: int, rank: int, scales: np.ndarray) -> np.ndarray:
    columns = scales[:, None] * np.random.default_rng(seed).standard_normal((dim, rank))
    return columns @ columns.T


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("dim", "rank"), [(2, 1), (5, 2), (5, 5), (12, 7)])
def test_a_computed_covariance_has_its_rank_in_any_units(dim: int, rank: int, seed: int) -> None:
    scales = 10 ** np.random.default_rng(seed).uniform(-12, 12, dim)
    matrix = covariance(seed, dim, rank, scales)
    symbol = variables(dim) @ matrix @ variables(dim)
    found = decompose(symbol)
    assert len(found) == rank
    rebuilt = found.vectors.T * found.weights @ found.vectors
    assert np.abs((rebuilt - matrix) / np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))).max() < 1e-12
    assert inverse_system((symbol,)).dimension == by_elimination([symbol]).dimension == rank + 2


def test_what_only_rounding_made_does_not_set_units() -> None:
    """Entries of 1e-18 beside 1 say that variables do not interact; a direction of correlation 0 keeps its unit."""
    matrix = np.diag([1.0, 2.0, 3.0, 4.0])
    matrix[0, 1:] = matrix[1:, 0] = 1e-18
    form = variables(4) @ matrix @ variables(4)
    assert np.ptp(np.log2(units([form]))) <= 2
    assert len(decompose(form)) == 4


@pytest.mark.parametrize("scheme", ["polarization", "griewank"])
@pytest.mark.parametrize(("dim", "power"), [(4, 2), (3, 3), (4, 3)])
def test_directions_that_cancel_do_so_in_any_units(dim: int, power: int, scheme: str) -> None:
    """In four dimensions the axes cancel in Δ²: the directions are as many in all units, each one in those units."""
    symbol = (variables(dim) @ variables(dim)) ** power
    scales = 10 ** np.random.default_rng(dim).uniform(-12, 12, dim)
    plain, other = decompose(symbol, scheme), decompose(in_units(symbol, scales.tolist()), scheme)
    directions = [
        {tuple(rounded(v / v[np.flatnonzero(v)[0]])) for v in vectors}
        for vectors in (plain.vectors, other.vectors / scales)
    ]
    assert directions[0] == directions[1]


def test_other_outputs_say_little_on_units() -> None:
    """∂₀∂₁ beside 10⁻⁵Δ is taken along the diagonals, as alone: outputs may be small without any unit being so."""
    system = {"mixed": XI[0] * XI[1], "viscous": 1e-5 * (XI[1] ** 2 + XI[2] ** 2)}
    rows = directional_plan(Problem(as_operator(system))).rows
    assert {tuple(np.abs(row.direction / row.direction[0])) for row in rows if "mixed" in row.reads} == {(1, 1, 0)}


def test_units_in_which_coefficients_are_alike() -> None:
    scales = np.array([1e-9, 3.0, 7e11])
    symbol = in_units(5 * (XI @ XI) ** 2, scales.tolist())
    assert units([symbol]) * scales / (units([symbol]) * scales)[0] == pytest.approx(np.ones(3), rel=1e-14)


@pytest.mark.parametrize("seed", range(4))
def test_hilbert_functions_in_turned_coordinates_of_any_units(seed: int) -> None:
    """What cancels in turned coordinates is rounding, what is small in other units is not."""
    rng = np.random.default_rng(seed)
    symbols = ((XI @ XI) ** 2, (XI @ XI) ** 3, XI[0] ** 2 * XI[1] * XI[2] ** 2, XI[0] + XI[1] ** 2 + XI[1] ** 4)
    for symbol in symbols:
        forms = variables(3) @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
        turned = sum(
            (
                c * prod((form**e for form, e in zip(forms, alpha, strict=True)), start=XI[0] ** 0)
                for alpha, c in symbol.terms.items()
            ),
            start=0 * XI[0],
        )
        expected = by_elimination([symbol]).hilbert
        assert by_elimination([turned]).hilbert == expected
        assert by_elimination([in_units(turned, (10 ** rng.uniform(-12, 12, 3)).tolist())]).hilbert == expected


def drawn(symbol: Symbol) -> np.ndarray:
    (group,) = randomize(Problem(as_operator(symbol), estimators.normal(4))).groups
    return group.matrix @ group.matrix.T * group.weight * 12


@pytest.mark.parametrize("is_expanded", [False, True])
def test_squares_are_recognized_in_any_units(is_expanded: bool) -> None:
    matrix = covariance(3, 3, 3, np.array([1e-9, 1.0, 1e8]))
    form = XI @ matrix @ XI
    square = form * form
    if is_expanded:
        square = Symbol(3, dict(square.terms))
    np.testing.assert_allclose(drawn(square), matrix, rtol=1e-12)


def test_what_is_not_a_square_is_refused_in_any_units() -> None:
    square = (XI[0] ** 2 + 1e-20 * XI[1] ** 2) ** 2
    with pytest.raises(Unsupported, match="semidefinite"):
        drawn(square + 1e-41 * XI[1] ** 4)
    with pytest.raises(Unsupported, match="semidefinite"):
        drawn((XI[0] ** 2 + 1e-20 * XI[1] ** 2) * (XI[0] ** 2 + 2e-20 * XI[1] ** 2))


def test_a_covariance_in_place_of_correlations_keeps_its_units() -> None:
    matrix = np.array([[1.1, 3e-9], [3e-9, 1.3e-16]])
    factor = operators.black_scholes(dim=3, volatility=1.0, correlation=matrix).factor(np.ones(3))[1:, :2]
    np.testing.assert_allclose(factor @ factor.T, matrix, rtol=1e-14)
    with pytest.raises(ValueError, match="semidefinite"):
        operators.black_scholes(dim=3, volatility=1.0, correlation=[[1.1, 3e-8], [3e-8, 1.3e-16]])


def test_coefficients_that_floating_point_numbers_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="units"):
        (1e-200 * XI[0]) * (1e-200 * XI[1])
    with pytest.raises(ValueError, match="units"):
        Fraction(1, 10**400) * XI[0]
