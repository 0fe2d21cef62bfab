"""Derivatives from apolar jets against independent values: plane waves, chains, and multivariate Taylor polynomials."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import combinations_with_replacement, pairwise
from math import factorial, prod

import numpy as np
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jetbench.algebra.apolar.algebra import Apolar
from jetbench.operators.problem import Problem, as_operator
from jetbench.operators.symbol import Symbol, variables

ELEMENTWISE = ["unrolled", "blockwise"]
FUNCTIONS = {"tanh": sympy.tanh, "exp": sympy.exp, "sin": sympy.sin}


@cache
def tower(name: str, order: int) -> tuple[Callable[[np.ndarray], np.ndarray], ...]:
    """φ, φ', …, φ^(order) as functions of arrays, differentiated symbolically."""
    z = sympy.Symbol("z")
    derivatives = [FUNCTIONS[name](z)]
    for _ in range(order):
        derivatives.append(sympy.diff(derivatives[-1], z))
    return tuple(sympy.lambdify(z, d, "numpy") for d in derivatives)


def apolar(symbols: Symbol | dict[str, Symbol], elementwise: str) -> Apolar:
    return Apolar(Problem(as_operator(symbols)), elementwise)


def layer(jet: tuple, weight: np.ndarray, bias: np.ndarray | float = 0.0) -> tuple:
    u, blocks = jet
    return u @ weight.T + bias, [None if block is None else block @ weight.T for block in blocks]


def activate(algebra: Apolar, jet: tuple, name: str) -> tuple:
    u, blocks = jet
    value, *derivatives = (np.asarray(d(u)) for d in tower(name, algebra.order))
    return value, algebra.compose(derivatives, blocks)


def at(algebra: Apolar, x: np.ndarray) -> tuple:
    """The jet of the coordinates at a point."""
    return x, algebra.seeds()


def read(algebra: Apolar, jet: tuple) -> dict[str, np.ndarray]:
    return {name: np.zeros_like(jet[0]) if v is None else v for name, v in algebra.read(*jet).items()}


def size_of(symbol: Symbol, point: np.ndarray) -> float:
    """Σ |c_α k^α|, to which rounding errors are proportional."""
    return sum(abs(float(c)) * abs(float(np.prod(point ** np.array(e)))) for e, c in symbol.terms.items())


OPERATORS = {
    "Laplacian": variables(3) @ variables(3),
    "biharmonic": (variables(3) @ variables(3)) ** 2,
    "biharmonic in 6 dimensions": (variables(6) @ variables(6)) ** 2,
    "triharmonic": (variables(3) @ variables(3)) ** 3,
    "tetraharmonic": (variables(2) @ variables(2)) ** 4,
    "mixed": variables(3)[0] ** 2 * variables(3)[1] * variables(3)[2],
    "full quadratic form": variables(3) @ np.array([[2, 1, 0], [1, 3, -1], [0, -1, 1]]) @ variables(3)
    + variables(3)[2],
    "heat": variables(4)[0] - variables(4)[1:] @ variables(4)[1:],
    "Kuramoto-Sivashinsky": variables(2)[0] + variables(2)[1] ** 2 + variables(2)[1] ** 4,
    "Helmholtz": variables(2) @ variables(2) + 7,
    "inhomogeneous": (variables(3)[0] + 2 * variables(3)[1]) ** 4 - 0.3 * variables(3)[2] ** 3 + variables(3)[0] - 5,
    "transport": variables(2)[0] + 3 * variables(2)[1],
}


@pytest.mark.parametrize("elementwise", ELEMENTWISE)
@pytest.mark.parametrize("symbol", OPERATORS.values(), ids=OPERATORS)
def test_exponentials_are_eigenfunctions(symbol: Symbol, elementwise: str) -> None:
    """p(∂) e^{k·x} = p(k) e^{k·x}."""
    rng = np.random.default_rng(0)
    k, x = rng.uniform(-1.5, 1.5, (4, symbol.dim)), rng.uniform(-1, 1, symbol.dim)
    algebra = apolar(symbol, elementwise)
    found = read(algebra, activate(algebra, layer(at(algebra, x), k), "exp"))[""]
    np.testing.assert_allclose(found, [symbol(row) * np.exp(row @ x) for row in k], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("elementwise", ELEMENTWISE)
@pytest.mark.parametrize("symbol", OPERATORS.values(), ids=OPERATORS)
def test_sums_of_sines(symbol: Symbol, elementwise: str) -> None:
    """p(∂) Σ_j a_j sin(k_j·x + c_j) = Im Σ_j a_j p(i k_j) e^{i (k_j·x + c_j)}: one hidden layer."""
    rng = np.random.default_rng(1)
    k, c, a = rng.uniform(-1.5, 1.5, (5, symbol.dim)), rng.uniform(-1, 1, 5), rng.uniform(-1, 1, (1, 5))
    x = rng.uniform(-1, 1, symbol.dim)
    algebra = apolar(symbol, elementwise)
    found = read(algebra, layer(activate(algebra, layer(at(algebra, x), k, c), "sin"), a))[""]
    expected = sum(
        weight * coefficient * (1j) ** sum(e) * np.prod(row ** np.array(e)) * np.exp(1j * (row @ x + shift))
        for weight, row, shift in zip(a[0], k, c, strict=True)
        for e, coefficient in symbol.terms.items()
    )
    np.testing.assert_allclose(found, [np.imag(expected)], rtol=1e-11)


@pytest.mark.parametrize("symbol", OPERATORS.values(), ids=OPERATORS)
def test_products_of_exponentials_and_sines(symbol: Symbol) -> None:
    """e^{k·x} sin(m·x) = Im e^{(k + i m)·x}, by the product of two jets."""
    rng = np.random.default_rng(2)
    k, m = rng.uniform(-1, 1, (2, 1, symbol.dim))
    x = rng.uniform(-1, 1, symbol.dim)
    algebra = apolar(symbol, "blockwise")
    left = activate(algebra, layer(at(algebra, x), k), "exp")
    right = activate(algebra, layer(at(algebra, x), m), "sin")
    product = left[0] * right[0], algebra.multiply(*left, *right, np.multiply)
    wave = (k + 1j * m)[0]
    expected = sum(float(c) * np.prod(wave ** np.array(e)) for e, c in symbol.terms.items()) * np.exp(wave @ x)
    np.testing.assert_allclose(read(algebra, product)[""], [expected.imag], rtol=1e-11)


def test_products_may_contract_axes() -> None:
    """Leibniz for a matrix product: F(x) = A e^{k·x} and G(x) = B e^{m·x} give p(∂)(FG) = p(k + m) AB e^{(k+m)·x}."""
    rng = np.random.default_rng(3)
    for symbol in OPERATORS.values():
        algebra = apolar(symbol, "blockwise")
        k, m = rng.uniform(-1, 1, (2, symbol.dim))
        first, second = rng.standard_normal((2, 3)), rng.standard_normal((3, 4))
        left, right = (
            [
                None if seed is None else (seed @ wave)[:, None, None] * np.ones((1, *matrix.shape))
                for seed in algebra.seeds()
            ]
            for wave, matrix in ((k, first), (m, second))
        )
        a = (
            first,
            [None if b is None else first * b for b in algebra.compose([np.ones_like(first)] * algebra.order, left)],
        )
        b = (
            second,
            [None if b is None else second * b for b in algebra.compose([np.ones_like(second)] * algebra.order, right)],
        )
        product = first @ second, algebra.multiply(*a, *b, np.matmul)
        np.testing.assert_allclose(read(algebra, product)[""], symbol(k + m) * (first @ second), rtol=1e-11, atol=1e-11)


class Taylor:
    """A multivariate Taylor polynomial at a point, exponents → coefficient: an independent way to differentiate."""

    def __init__(self, order: int, terms: dict[tuple[int, ...], float]) -> None:
        self.order, self.terms = order, terms

    def __add__(self, other: Taylor) -> Taylor:
        keys = {*self.terms, *other.terms}
        return Taylor(self.order, {e: self.terms.get(e, 0.0) + other.terms.get(e, 0.0) for e in keys})

    def __mul__(self, other: Taylor | float) -> Taylor:
        if not isinstance(other, Taylor):
            return Taylor(self.order, {e: other * c for e, c in self.terms.items()})
        result: dict[tuple[int, ...], float] = {}
        for a, x in self.terms.items():
            for b, y in other.terms.items():
                e = tuple(i + j for i, j in zip(a, b, strict=True))
                if sum(e) <= self.order:
                    result[e] = result.get(e, 0.0) + x * y
        return Taylor(self.order, result)

    def apply(self, name: str) -> Taylor:
        """φ of the polynomial, Σ_m φ^(m)(u₀)/m! (u − u₀)^m."""
        zero = next(e for e in self.terms if not any(e))
        start, rest = self.terms[zero], Taylor(self.order, {e: c for e, c in self.terms.items() if any(e)})
        total, power = Taylor(self.order, {}), Taylor(self.order, {zero: 1.0})
        for m, derivative in enumerate(tower(name, self.order)):
            total = total + power * (float(derivative(np.float64(start))) / factorial(m))
            power = power * rest
        return total

    def derivative(self, symbol: Symbol) -> float:
        """p(∂) at the point: Σ_α c_α α! [h^α]."""
        return sum(float(c) * prod(factorial(i) for i in e) * self.terms.get(e, 0.0) for e, c in symbol.terms.items())


def taylor_network(order: int, x: np.ndarray, layers: list[tuple[np.ndarray, np.ndarray]], name: str) -> Taylor:
    """The Taylor polynomial of a network with one output at x."""
    dim = len(x)
    unit = np.eye(dim, dtype=int)
    units = [Taylor(order, {(0,) * dim: float(x[i]), tuple(unit[i].tolist()): 1.0}) for i in range(dim)]
    for index, (weight, bias) in enumerate(layers):
        after = []
        for row, shift in zip(weight, bias, strict=True):
            total = Taylor(order, {(0,) * dim: float(shift)})
            for value, unit_value in zip(row, units, strict=True):
                total = total + unit_value * float(value)
            after.append(total if index == len(layers) - 1 else total.apply(name))
        units = after
    return units[0]


def random_layers(dim: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    widths = (dim, 4, 3, 1)
    return [
        (rng.standard_normal((after, before)) / np.sqrt(before), rng.standard_normal(after) / 3)
        for before, after in pairwise(widths)
    ]


def network_value(algebra: Apolar, x: np.ndarray, layers: list, name: str) -> dict[str, np.ndarray]:
    jet = at(algebra, x)
    for weight, bias in layers[:-1]:
        jet = activate(algebra, layer(jet, weight, bias), name)
    return read(algebra, layer(jet, *layers[-1]))


@pytest.mark.parametrize("elementwise", ELEMENTWISE)
@pytest.mark.parametrize("name", ["tanh", "sin"])
@pytest.mark.parametrize(
    "operator",
    ["biharmonic", "triharmonic", "mixed", "full quadratic form", "heat", "Kuramoto-Sivashinsky", "inhomogeneous"],
)
def test_networks_against_taylor_polynomials(operator: str, name: str, elementwise: str) -> None:
    symbol = OPERATORS[operator]
    rng = np.random.default_rng(7)
    layers, x = random_layers(symbol.dim, rng), rng.uniform(-1, 1, symbol.dim)
    expected = taylor_network(symbol.degree, x, layers, name).derivative(symbol)
    found = network_value(apolar(symbol, elementwise), x, layers, name)[""]
    np.testing.assert_allclose(found, [expected], rtol=1e-10)


@pytest.mark.parametrize("elementwise", ELEMENTWISE)
def test_all_outputs_of_a_system_come_from_one_pass(elementwise: str) -> None:
    xi = variables(3)
    symbols = {
        "u": Symbol(3, {(0, 0, 0): 1}),
        "u_t": xi[0],
        "laplacian": xi[1:] @ xi[1:],
        "u_xxx - 2 u_x": xi[1] ** 3 - 2 * xi[1],
        "u_xxy": xi[1] ** 2 * xi[2],
        "zero": Symbol(3, {}),
        "biharmonic": (xi[1:] @ xi[1:]) ** 2,
    }
    rng = np.random.default_rng(8)
    layers, x = random_layers(3, rng), rng.uniform(-1, 1, 3)
    reference = taylor_network(4, x, layers, "tanh")
    algebra = apolar(symbols, elementwise)
    assert algebra.sizes == (3, 3, 4, 1)
    found = network_value(algebra, x, layers, "tanh")
    assert list(found) == list(symbols)
    for name, symbol in symbols.items():
        np.testing.assert_allclose(found[name], [reference.derivative(symbol)], rtol=1e-10, atol=1e-14)


def test_an_output_that_vanishes_identically_is_none() -> None:
    algebra = apolar({"zero": Symbol(2, {}), "u_xx": variables(2)[0] ** 2}, "blockwise")
    x = np.ones(2)
    assert algebra.read(x, algebra.seeds()) == {"zero": None, "u_xx": None}


@pytest.mark.parametrize("elementwise", ELEMENTWISE)
def test_values_agree_under_a_change_of_coordinates(elementwise: str) -> None:
    """p(∂)f for f(x) = g(Mx) is q(∂)g with q(ξ) = p(Mᵀξ)."""
    rng = np.random.default_rng(9)
    matrix = rng.integers(-2, 3, (3, 3))
    forms = variables(3) @ matrix  # Σ_i ξ_i M_ij
    p = OPERATORS["inhomogeneous"]
    q = Symbol(3, {})
    for exponents, coefficient in p.terms.items():
        q = q + coefficient * prod(
            (form**e for form, e in zip(forms, exponents, strict=True)), start=Symbol(3, {(0, 0, 0): 1})
        )
    layers, x = random_layers(3, rng), rng.uniform(-1, 1, 3)
    composed = [(layers[0][0] @ matrix, layers[0][1]), *layers[1:]]
    found = network_value(apolar(p, elementwise), x, composed, "tanh")[""]
    np.testing.assert_allclose(found, network_value(apolar(q, elementwise), matrix @ x, layers, "tanh")[""], rtol=1e-9)


@st.composite
def symbols(draw: st.DrawFn, largest_dim: int, largest_order: int) -> Symbol:
    """A symbol with up to five terms of degrees up to `largest_order`, whole or rounded coefficients."""
    dim = draw(st.integers(1, largest_dim))
    monomials = draw(st.lists(st.lists(st.integers(0, dim - 1), max_size=largest_order), min_size=1, max_size=5))
    is_rounded = draw(st.booleans())
    terms = {}
    for chosen in monomials:
        coefficient = draw(st.integers(-6, 6))
        terms[tuple(chosen.count(i) for i in range(dim))] = coefficient / 7 if is_rounded else coefficient
    return Symbol(dim, terms)


vectors = st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=6).map(np.array)


@settings(max_examples=60, deadline=None)
@given(symbol=symbols(6, 6), k=vectors, x=vectors, elementwise=st.sampled_from(ELEMENTWISE))
def test_random_symbols_on_plane_waves(symbol: Symbol, k: np.ndarray, x: np.ndarray, elementwise: str) -> None:
    k, x = k[: symbol.dim], x[: symbol.dim]
    algebra = apolar(symbol, elementwise)
    found = read(algebra, activate(algebra, layer(at(algebra, x), k[None]), "exp"))[""]
    slack = 1e-11 * np.exp(k @ x) * (size_of(symbol, k) + 1)
    np.testing.assert_allclose(found, [symbol(k) * np.exp(k @ x)], rtol=0, atol=slack)


@settings(max_examples=60, deadline=None)
@example(  # products of a block with itself whose factors repeat
    symbol=Symbol(3, {(3, 1, 0): 1.0, (1, 0, 2): 1.0, (1, 2, 0): 1.0}),
    k=np.linspace(-1, 1, 6),
    x=np.linspace(1, 0, 6),
    elementwise="blockwise",
)
@given(symbol=symbols(6, 6), k=vectors, x=vectors, elementwise=st.sampled_from(ELEMENTWISE))
def test_random_symbols_on_chains(symbol: Symbol, k: np.ndarray, x: np.ndarray, elementwise: str) -> None:
    """exp(sin(k·x)) = g(k·x): its derivative by the part of p of degree j is p_j(k) g^(j)(k·x)."""
    k, x = k[: symbol.dim], x[: symbol.dim]
    algebra = apolar(symbol, elementwise)
    found = read(algebra, activate(algebra, activate(algebra, layer(at(algebra, x), k[None]), "sin"), "exp"))[""]
    outer = Taylor(6, {(0,): float(k @ x), (1,): 1.0}).apply("sin").apply("exp")
    derivatives = [factorial(j) * outer.terms.get((j,), 0.0) for j in range(7)]
    expected = sum(part(k) * derivatives[j] for j, part in symbol.parts.items())
    slack = 1e-10 * (1 + sum(size_of(part, k) * 100 for part in symbol.parts.values()))
    np.testing.assert_allclose(found, [expected], rtol=0, atol=slack)


@settings(max_examples=25, deadline=None)
@given(symbol=symbols(3, 4), seed=st.integers(0, 10**6), elementwise=st.sampled_from(ELEMENTWISE))
def test_random_symbols_on_networks(symbol: Symbol, seed: int, elementwise: str) -> None:
    rng = np.random.default_rng(seed)
    layers, x = random_layers(symbol.dim, rng), rng.uniform(-1, 1, symbol.dim)
    reference = taylor_network(symbol.degree, x, layers, "tanh")
    slack = 1e-11 * (
        1 + sum(abs(float(c)) * abs(reference.derivative(Symbol(symbol.dim, {e: 1}))) for e, c in symbol.terms.items())
    )
    found = network_value(apolar(symbol, elementwise), x, layers, "tanh")[""]
    np.testing.assert_allclose(found, [reference.derivative(symbol)], rtol=0, atol=slack * 10)


def test_every_monomial_up_to_degree_four_in_two_variables() -> None:
    rng = np.random.default_rng(10)
    layers, x = random_layers(2, rng), rng.uniform(-1, 1, 2)
    reference = taylor_network(4, x, layers, "tanh")
    for k in range(5):
        for chosen in combinations_with_replacement(range(2), k):
            symbol = Symbol(2, {(chosen.count(0), chosen.count(1)): 1})
            found = network_value(apolar(symbol, "blockwise"), x, layers, "tanh")[""]
            np.testing.assert_allclose(found, [reference.derivative(symbol)], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("elementwise", ELEMENTWISE)
def test_the_worked_example_of_the_documentation(elementwise: str) -> None:
    """∂_x²∂_y e^{xy} = e^{xy} (2y + xy²) by one product and one exponential, with the jets of docs/apolar.md."""
    x, y = np.array([0.3, -1.2]), np.array([0.7, 2.0])
    algebra = apolar(variables(2)[0] ** 2 * variables(2)[1], elementwise)
    assert algebra.system.pivots == (((0,), (1,)), ((0, 0), (0, 1)), ((0, 0, 1),))
    one, zero = np.ones(2), np.zeros(2)
    x_blocks = [np.stack([one, zero]), np.zeros((2, 2)), np.zeros((1, 2))]
    y_blocks = [np.stack([zero, one]), np.zeros((2, 2)), np.zeros((1, 2))]
    blocks = algebra.multiply(x, x_blocks, y, y_blocks, np.multiply)
    np.testing.assert_array_equal(np.concatenate(blocks), [y, x, zero, one, zero])
    value = np.exp(x * y)
    found = algebra.read(value, algebra.compose([value] * 3, blocks))[""]
    np.testing.assert_allclose(found, value * (2 * y + x * y**2), rtol=1e-14)


@pytest.mark.parametrize("elementwise", ELEMENTWISE)
def test_the_biharmonic_rule_in_terms_of_gradient_and_hessian(elementwise: str) -> None:
    """The formulas of docs/apolar.md for ∂_i∂_j, ∇Δ and Δ² of φ(u)."""
    dim = 4
    rng = np.random.default_rng(11)
    algebra = apolar((variables(dim) @ variables(dim)) ** 2, elementwise)
    g, t, top = rng.standard_normal(dim), rng.standard_normal(dim), rng.standard_normal(1)
    matrix = rng.standard_normal((dim, dim))
    hessian, (first, second, third, fourth) = matrix + matrix.T, rng.standard_normal(4)
    pairs = algebra.system.pivots[1]
    blocks = [g, np.array([hessian[pair] for pair in pairs]), t, top]
    towers = [np.array([d]) for d in (first, second, third, fourth)]
    found = algebra.compose(towers, [block[:, None] for block in blocks])
    trace, square = np.trace(hessian), g @ g
    expected = [
        first * g,
        [first * hessian[i, j] + second * g[i] * g[j] for i, j in pairs],
        first * t + second * (trace * g + 2 * hessian @ g) + third * square * g,
        first * top
        + second * (4 * g @ t + trace**2 + 2 * (hessian**2).sum())
        + third * (2 * trace * square + 4 * g @ hessian @ g)
        + fourth * square**2,
    ]
    for block, formula in zip(found, expected, strict=True):
        np.testing.assert_allclose(block[:, 0], formula, rtol=1e-12)
