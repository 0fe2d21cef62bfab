"""A symbol is the weighted sum of powers of its directions, with the counts that theory predicts."""

import warnings
from fractions import Fraction
from itertools import product
from math import factorial, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetbench.algebra import directional
from jetbench.algebra.collapsed import Collapsed
from jetbench.algebra.taylor import Taylor
from jetbench.operators.directions import decompose
from jetbench.operators.problem import SCHEMES, Problem, as_operator
from jetbench.operators.symbol import Symbol, variables

XI = variables(4)


def assert_is_decomposition(found, symbol, tolerance=1e-12):
    """Σ_r w_r (v_r·ξ)^K has the coefficients of the symbol, K!/α! Σ_r w_r v_r^α for each α."""
    order = symbol.degree
    for alpha in product(range(order + 1), repeat=symbol.dim):
        if sum(alpha) == order:
            summands = found.weights * np.prod(found.vectors**alpha, axis=1)
            summands = summands * (factorial(order) / prod(map(factorial, alpha)))
            size = max(np.abs(summands).sum(), max(abs(float(c)) for c in symbol.terms.values()))
            assert abs(summands.sum() - float(symbol.terms.get(alpha, 0))) <= tolerance * size


@st.composite
def homogeneous(draw):
    dim, order = draw(st.sampled_from([(1, 6), (2, 6), (3, 5), (4, 4), (2, 1), (3, 3), (5, 2)]))
    exponents = [e for e in product(range(order + 1), repeat=dim) if sum(e) == order]
    coefficient = st.one_of(st.integers(-5, 5), st.floats(-5, 5, allow_subnormal=False))
    terms = draw(st.dictionaries(st.sampled_from(exponents), coefficient.filter(lambda c: abs(c) > 1e-6), min_size=1))
    return Symbol(dim, terms)


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(deadline=None, max_examples=60)
@given(symbol=homogeneous())
def test_directions_recover_random_symbols(scheme, symbol):
    found = decompose(symbol, scheme)
    assert found.vectors.shape == (len(found), symbol.dim)
    assert np.all(found.weights != 0)
    assert_is_decomposition(found, symbol)


@pytest.mark.parametrize(
    ("symbol", "polarization", "griewank"),
    [
        (XI[0] * XI[1] ** 2, 3, 4),
        (XI[0] ** 2 * XI[1] ** 2, 4, 5),
        (XI[0] * XI[1] * XI[2] * XI[3], 8, 35),
        (XI[0] ** 3, 1, 1),
        (XI[1] ** 6, 1, 1),
        *[((variables(d) @ variables(d)) ** 2, d**2, (3 * d**2 - d) // 2) for d in (1, 2, 3, 5)],
    ],
)
def test_counts_of_directions(symbol, polarization, griewank):
    assert len(decompose(symbol, "polarization")) == polarization
    assert len(decompose(symbol, "griewank")) == griewank


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_two_directions_are_parallel(scheme):
    vectors = decompose((XI @ XI) ** 3 + XI[0] ** 5 * XI[1], scheme).vectors
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = np.abs(unit @ unit.T) - np.eye(len(unit))
    assert cosines.max() < 1 - 1e-9


def test_griewank_weights_are_those_of_the_literature():
    """γ of ξ₀²ξ₁² at (4, 0), (3, 1), (2, 2): 13/192, −1/3, 5/8 in arXiv 2505.13644, before division by K! = 24."""
    found = decompose(XI[0] ** 2 * XI[1] ** 2, "griewank")
    weights = {tuple(v.astype(int)): w for v, w in zip(found.vectors, found.weights, strict=True)}
    for vector, gamma, length in (
        ((1, 0, 0, 0), Fraction(13, 192), 4),
        ((0, 1, 0, 0), Fraction(13, 192), 4),
        ((3, 1, 0, 0), Fraction(-1, 3), 1),
        ((1, 3, 0, 0), Fraction(-1, 3), 1),
        ((1, 1, 0, 0), Fraction(5, 8), 2),
    ):
        assert weights[vector] == pytest.approx(float(gamma / 24 * length**4), rel=1e-15)


@pytest.mark.parametrize("unit", [1, 0.1, 1 / 3, 1e-9])
def test_directions_that_cancel_are_dropped(unit):
    """6x²y² + x⁴ + y⁴ = ½(x + y)⁴ + ½(x − y)⁴, also where the coefficients are rounded."""
    x, y = variables(2)
    symbol = 6 * unit * x**2 * y**2 + unit * x**4 + unit * y**4
    found = decompose(symbol)
    assert sorted(map(tuple, found.vectors)) == [(1, -1), (1, 1)]
    assert_is_decomposition(found, symbol)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_laplacian_takes_the_axes_exactly(scheme):
    xi = variables(1000)
    found = decompose(xi @ xi, scheme)
    assert np.array_equal(found.vectors, np.eye(1000))
    assert np.array_equal(found.weights, np.ones(1000))


def test_diagonal_forms_keep_their_coefficients():
    found = decompose(2 * XI[3] ** 2 - 1e-13 * XI[1] ** 2 + 1e8 * XI[0] ** 2)
    assert np.array_equal(found.vectors, np.eye(4)[[0, 1, 3]])
    assert np.array_equal(found.weights, [1e8, -1e-13, 2.0])


@pytest.mark.parametrize("rank", [1, 2, 7, 20])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_degree_two_takes_as_many_directions_as_the_rank(rank, seed):
    generator = np.random.default_rng(seed)
    columns = generator.normal(size=(20, rank))
    signs = generator.choice([-1.0, 1.0], size=rank)
    matrix = columns * signs @ columns.T
    found = decompose(variables(20) @ ((matrix + matrix.T) / 2) @ variables(20))
    assert len(found) == rank
    assert sorted(np.sign(found.weights)) == sorted(signs)
    rebuilt = found.vectors.T * found.weights @ found.vectors
    assert np.allclose(rebuilt, matrix, rtol=0, atol=1e-12 * np.abs(matrix).max())


def test_variables_that_do_not_interact_stay_apart():
    found = decompose(XI[0] * XI[2] + 5 * XI[3] ** 2)
    assert len(found) == 3
    assert np.array_equal(np.count_nonzero(found.vectors, axis=1), [2, 2, 1])
    assert np.array_equal(found.vectors[2], [0, 0, 0, 1])


def test_degree_one_is_one_direction():
    found = decompose(3 * XI[1] - 2 * XI[3])
    assert np.array_equal(found.vectors, [[0, 3, 0, -2]])
    assert np.array_equal(found.weights, [1])


@pytest.mark.parametrize(("scheme", "count"), [("polarization", 2500), ("griewank", 3725)])
def test_the_biharmonic_in_fifty_dimensions(scheme, count):
    xi = variables(50)
    found = decompose((xi @ xi) ** 2, scheme)
    assert len(found) == count
    point = np.random.default_rng(0).normal(size=50)
    assert found.weights @ (found.vectors @ point) ** 4 == pytest.approx((point @ point) ** 2, rel=1e-11)


@pytest.mark.parametrize("symbol", [XI[0] + XI[1] ** 2, 0 * XI[0], XI[0] ** 0])
def test_only_homogeneous_symbols_have_directions(symbol):
    with pytest.raises(ValueError, match="homogeneous"):
        decompose(symbol)


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="polarization, griewank"):
        decompose(XI[0], "waring")


@pytest.mark.parametrize("algebra", [Taylor, Collapsed])
def test_a_plan_of_very_many_vectors_says_so(algebra, monkeypatch):
    """∂₀⁴∂₁²∂₂² takes 5·3·3 vectors by the apolar algebra."""
    problem = Problem(as_operator(Symbol(3, {(4, 2, 2): 1})))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        count = algebra(problem).vectors
    monkeypatch.setattr(directional, "MANY_VECTORS", count - 1)
    with pytest.warns(UserWarning, match=f"{count:,} vectors .* method='apolar' takes at most 45") as told:
        algebra(problem)
    assert {warning.filename for warning in told} == {__file__}
