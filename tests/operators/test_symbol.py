"""Symbols are polynomials: a ring, with evaluation as a homomorphism, derivatives and homogeneous parts."""

from fractions import Fraction

import jax
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jetbench.operators.symbol import Symbol, variables

DIM = 3
numbers = st.fractions(min_value=-4, max_value=4, max_denominator=6)
symbols = st.dictionaries(st.tuples(*[st.integers(0, 3)] * DIM), numbers, max_size=5).map(lambda t: Symbol(DIM, t))
points = st.tuples(*[numbers] * DIM)


@given(symbols, symbols, points)
def test_evaluation_is_a_ring_homomorphism(p, q, z):
    assert (p + q)(z) == p(z) + q(z)
    assert (p - q)(z) == p(z) - q(z)
    assert (p * q)(z) == p(z) * q(z)
    assert (-p)(z) == -p(z)


@given(symbols, st.integers(0, 3), points)
def test_powers_are_repeated_products(p, power, z):
    assert (p**power)(z) == p(z) ** power


@given(symbols, numbers, points)
def test_numbers_act_as_constants(p, number, z):
    assert (number * p)(z) == (p * number)(z) == number * p(z)
    assert (p + number)(z) == (number + p)(z) == p(z) + number
    assert (number - p)(z) == number - p(z)


@given(symbols, symbols, st.integers(0, DIM - 1))
def test_derivatives_obey_leibniz(p, q, i):
    assert (p * q).derivative(i) == p.derivative(i) * q + p * q.derivative(i)


@given(symbols, symbols)
def test_mixed_derivatives_commute_and_products_remember_their_factors(p, q):
    assert p.derivative(0).derivative(1) == p.derivative(1).derivative(0)
    product = p * q
    expanded = Symbol(DIM, {(0,) * DIM: 1})
    for factor in product.factors:
        expanded = expanded * factor
    assert expanded == product


@given(symbols)
def test_parts_are_homogeneous_and_add_up(p):
    total = Symbol(DIM, {})
    for degree, part in p.parts.items():
        assert {sum(e) for e in part.terms} == {degree}
        total = total + part
    assert total == p
    assert p.is_homogeneous == (len(p.parts) <= 1)
    assert p.degree == max(p.parts, default=0)


@given(symbols, points)
def test_extension_ignores_the_added_variables(p, z):
    assert p.extended(DIM + 2)((*z, 7, -3)) == p(z)


def test_evaluation_of_large_whole_numbers_is_exact():
    x = variables(1)[0]
    assert (x**9)([10**6]) == 10**54


def test_terms_that_cancel_are_dropped():
    x, y = variables(2)
    assert (x + y) * (x - y) == x**2 - y**2
    assert dict((x - x).terms) == {}
    assert (x - x).degree == 0


def test_known_factors_survive_scaling_but_not_sums():
    xi = variables(3)
    laplacian = xi @ xi
    assert (laplacian**3).factors == (laplacian,) * 3
    assert (2 * laplacian**2).factors == (2 * laplacian, laplacian)
    assert (laplacian**2 + xi[0]).factors == (laplacian**2 + xi[0],)


def test_whole_number_division_stays_exact():
    x = variables(1)[0]
    assert (x / 3).terms[(1,)] == Fraction(1, 3)
    assert (x / 0.5).terms[(1,)] == 2.0
    with pytest.raises(ZeroDivisionError):
        x / 0


def test_inner_products_of_variables():
    xi = variables(3)
    matrix = np.array([[1.0, 2.0, 0.0], [2.0, -1.0, 0.5], [0.0, 0.5, 3.0]])
    assert xi @ xi == sum((x**2 for x in xi), start=0 * xi[0])
    assert xi[1:] @ xi[1:] == xi[1] ** 2 + xi[2] ** 2
    assert np.array([1.0, 2.0, 3.0]) @ xi == xi[0] + 2 * xi[1] + 3 * xi[2]
    form = xi @ matrix @ xi
    assert np.array_equal(form.quadratic_form(), matrix)
    assert xi @ (matrix @ xi) == form


def test_quadratic_form_is_symmetric_and_only_for_degree_two():
    x, y = variables(2)
    assert np.array_equal((3 * x * y + y**2).quadratic_form(), [[0, 1.5], [1.5, 1]])
    for symbol in (x, x**2 + y, x**4, 0 * x):
        with pytest.raises(ValueError, match="degree 2"):
            symbol.quadratic_form()


@pytest.mark.parametrize("dim", [0, -1, 2.0, True, "3"])
def test_dim_must_be_a_positive_whole_number(dim):
    with pytest.raises(ValueError, match="whole number"):
        variables(dim)
    with pytest.raises(ValueError, match="whole number"):
        Symbol(dim, {})


@pytest.mark.parametrize("terms", [{(1,): 1}, {(1, -1): 1}, {(0.5, 1): 1}])
def test_wrong_exponents_are_refused(terms):
    with pytest.raises(ValueError, match="Exponents"):
        Symbol(2, terms)


@pytest.mark.parametrize("coefficient", [float("nan"), float("inf"), 1j, "1"])
def test_wrong_coefficients_are_refused(coefficient):
    with pytest.raises(ValueError, match="coefficient"):
        Symbol(1, {(1,): coefficient})


def test_mixing_numbers_of_variables_is_refused():
    with pytest.raises(ValueError, match="cannot be combined"):
        variables(2)[0] + variables(3)[0]
    with pytest.raises(ValueError, match="coordinates"):
        variables(2)[0]([1.0])
    with pytest.raises(ValueError, match="Shapes"):
        variables(2) @ [1.0]
    with pytest.raises(ValueError, match="powers"):
        variables(2)[0] ** -1


LEARNED = {
    "parameter": torch.nn.Parameter(torch.tensor(2.0)),
    "tensor": torch.ones(()),
    "jax array": jax.numpy.ones(()),
}


@pytest.mark.parametrize("coefficient", LEARNED.values(), ids=LEARNED)
def test_arrays_of_a_framework_as_coefficients_are_told_what_to_do(coefficient):
    xi = variables(2)
    x = xi[0]
    for make in (
        lambda c: c * x**2,
        lambda c: x * c,
        lambda c: c + x,
        lambda c: x - c,
        lambda c: c - x,
        lambda c: x / c,
        lambda c: sum(c * z for z in xi),
        lambda c: xi @ [c, c],
    ):
        with pytest.raises(TypeError, match=r"numbers that are fixed .* dictionary, .* multiply its outputs"):
            make(coefficient)


def test_traced_coefficients_are_told_what_to_do():
    x = variables(1)[0]
    for make in (lambda c: c * x, lambda c: x + c):
        with pytest.raises(TypeError, match="learned or traced"):
            jax.make_jaxpr(lambda c, make=make: (make(c), 0)[1])(2.0)


def test_numbers_of_numpy_are_coefficients():
    x = variables(1)[0]
    for number in (np.float32(2), np.int64(2), np.array(2.0)):
        assert number * x == x * number == 2 * x


def test_public_names():
    import jetbench
    from jetbench.symbol import variables as earlier

    assert jetbench.variables is earlier is variables
    assert jetbench.operators.laplacian(dim=2).symbols[""] == jetbench.variables(2) @ jetbench.variables(2)
    assert jetbench.estimators.exact().is_exact
    assert set(jetbench.__all__) <= set(dir(jetbench))
    assert all(getattr(jetbench, name) is not None for name in jetbench.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'laplacian'"):
        _ = jetbench.laplacian
