"""Inverse systems and the algebra dual to them: dimensions, closure, structure constants, changes of coordinates."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement
from math import comb, prod

import numpy as np
import pytest

from jetbench.algebra.apolar.algebra import Apolar
from jetbench.algebra.apolar.closed_forms import of_monomials, of_power, of_quadratic_form
from jetbench.algebra.apolar.elimination import by_elimination
from jetbench.algebra.apolar.inverse_system import dimension, inverse_system
from jetbench.algebra.apolar.space import InverseSystem, derivatives, polynomial
from jetbench.algebra.apolar.tables import coproduct_tables, product_tables
from jetbench.operators.estimators import normal
from jetbench.operators.problem import Problem, as_operator
from jetbench.operators.symbol import Symbol, variables


def laplacian(dim: int) -> Symbol:
    xi = variables(dim)
    return xi @ xi


def generic(dim: int, order: int, seed: int = 0, is_exact: bool = True, lower: bool = False) -> Symbol:
    """A polynomial with random coefficients at all monomials of a degree, or of all degrees up to it."""
    rng = np.random.default_rng(seed)
    terms = {}
    for k in range(0 if lower else order, order + 1):
        for chosen in combinations_with_replacement(range(dim), k):
            exponents = tuple(chosen.count(i) for i in range(dim))
            terms[exponents] = int(rng.integers(1, 30)) if is_exact else float(rng.standard_normal())
    return Symbol(dim, terms)


def product_of_first(dim: int, *powers: int) -> Symbol:
    return Symbol(dim, {tuple(powers) + (0,) * (dim - len(powers)): 1})


def apolar(*symbols: Symbol, elementwise: str = "auto") -> Apolar:
    named = {"": symbols[0]} if len(symbols) == 1 else {f"output{i}": s for i, s in enumerate(symbols)}
    return Apolar(Problem(as_operator(named)), elementwise)


def heat(dim: int) -> Symbol:
    xi = variables(dim + 1)
    return xi[0] - xi[1:] @ xi[1:]


def kuramoto_sivashinsky() -> Symbol:
    t, x = variables(2)
    return t + x**2 + x**4


EXAMPLES = {
    "laplacian 3": (laplacian(3),),
    "biharmonic 3": (laplacian(3) ** 2,),
    "triharmonic 2": (laplacian(2) ** 3,),
    "tetraharmonic 2": (laplacian(2) ** 4,),
    "mixed monomial": (product_of_first(3, 2, 1, 2),),
    "generic cubic 4": (generic(4, 3),),
    "generic quartic 3": (generic(3, 4),),
    "generic quartic 3, rounded": (generic(3, 4, is_exact=False),),
    "generic quintic 2 with lower terms": (generic(2, 5, lower=True),),
    "generic quartic 3 with lower terms, rounded": (generic(3, 4, is_exact=False, lower=True),),
    "full quadratic form 4": (generic(4, 2),),
    "full quadratic form 4 with drift": (generic(4, 2, lower=True),),
    "cubic in one linear form": (sum(variables(3)[1:], variables(3)[0]) ** 3,),
    "heat 3": (heat(3),),
    "Kuramoto-Sivashinsky": (kuramoto_sivashinsky(),),
    "derivatives for KdV": tuple(Symbol(2, {e: 1}) for e in ((1, 0), (0, 1), (0, 3))),
    "biharmonic 3 and a third derivative": (laplacian(3) ** 2, variables(3)[0] ** 3 - 2),
    "gradient of the Laplacian": tuple(laplacian(3) * x for x in variables(3)),
}


@pytest.fixture(params=EXAMPLES, ids=lambda name: name.replace(" ", "_"))
def symbols(request: pytest.FixtureRequest) -> tuple[Symbol, ...]:
    return EXAMPLES[request.param]


HILBERT = {
    "Laplacian, D=7": (laplacian(7), (1, 7, 1)),
    "biharmonic, D=3": (laplacian(3) ** 2, (1, 3, 6, 3, 1)),
    "biharmonic, D=5": (laplacian(5) ** 2, (1, 5, 15, 5, 1)),
    "biharmonic, D=50": (laplacian(50) ** 2, (1, 50, 1275, 50, 1)),
    "triharmonic, D=3": (laplacian(3) ** 3, (1, 3, 6, 10, 6, 3, 1)),
    "third derivative": (product_of_first(2, 3), (1, 1, 1, 1)),
    "0 0 1": (product_of_first(2, 2, 1), (1, 2, 2, 1)),
    "0 0 1 1": (product_of_first(2, 2, 2), (1, 2, 3, 2, 1)),
    "0 1 2 3": (product_of_first(4, 1, 1, 1, 1), (1, 4, 6, 4, 1)),
    "generic cubic, D=4": (generic(4, 3), (1, 4, 4, 1)),
    "generic quartic, D=3": (generic(3, 4), (1, 3, 6, 3, 1)),
    "heat, D=5": (heat(5), (1, 5, 1)),
    "Kuramoto-Sivashinsky": (kuramoto_sivashinsky(), (1, 1, 1, 1, 1)),
}


@pytest.mark.parametrize(("symbol", "expected"), HILBERT.values(), ids=HILBERT)
def test_hilbert_functions_of_known_operators(symbol: Symbol, expected: tuple[int, ...]) -> None:
    assert inverse_system((symbol,)).hilbert == expected
    assert dimension(symbol) == sum(expected)
    assert by_elimination([symbol]).hilbert == expected


def test_one_pass_for_a_system_shares_what_its_outputs_share() -> None:
    t, x = variables(2)
    assert inverse_system((t, x, x**3)).hilbert == (1, 2, 1, 1)
    xi = variables(4)
    hessian = [xi[i] * xi[j] for i in range(4) for j in range(i, 4)]
    assert dimension(hessian) == 1 + 4 + 10
    assert dimension([laplacian(4), laplacian(4) ** 2]) == dimension(laplacian(4) ** 2)


def test_constants_need_the_primal_only_and_first_derivatives_one_vector_more() -> None:
    assert dimension(Symbol(3, {(0, 0, 0): 2})) == 1
    assert dimension(Symbol(3, {})) == 1
    xi = variables(3)
    assert dimension(2 * xi[0] - xi[2]) == 2


@pytest.mark.parametrize(
    "symbol",
    [laplacian(4) ** 2, laplacian(3) ** 3, generic(3, 4), generic(4, 3), generic(2, 6), product_of_first(3, 3, 1, 2)],
    ids=str,
)
def test_the_hilbert_function_of_a_homogeneous_symbol_is_symmetric(symbol: Symbol) -> None:
    hilbert = inverse_system((symbol,)).hilbert
    assert hilbert == hilbert[::-1]


def test_the_space_contains_the_symbols_and_is_closed_under_derivatives(symbols: tuple[Symbol, ...]) -> None:
    system = by_elimination(symbols)
    for symbol in symbols:
        assert system.contains(polynomial(symbol), 1e-10)
    for block in system.blocks:
        for element in block:
            for derivative in derivatives(element).values():
                assert system.contains(derivative, 1e-10)


def test_membership_is_not_granted_to_everything() -> None:
    system = inverse_system((laplacian(3) ** 2,))
    assert not system.contains({(0, 0, 0): 1})
    assert not system.contains({(0, 1, 2): 1, (0,): 1})


def test_pivots_separate_the_basis(symbols: tuple[Symbol, ...]) -> None:
    system = inverse_system(symbols)
    everything = [
        (pivot, element)
        for pivots, block in zip(system.pivots, system.blocks, strict=True)
        for pivot, element in zip(pivots, block, strict=True)
    ]
    for own, element in everything:
        assert element[own] == 1
        assert () not in element
        assert all(other == own or other not in element for other, _ in everything)


def test_the_basis_consists_of_monomials_where_a_degree_has_them_all() -> None:
    for symbol in (laplacian(4) ** 2, generic(3, 4), laplacian(3) ** 3, generic(3, 4, is_exact=False)):
        system = by_elimination([symbol])
        for k in range(1, symbol.degree // 2 + 1):
            assert all(len(element) == 1 for element in system.blocks[k - 1])
        np.testing.assert_array_equal(system.seeds[0], np.eye(symbol.dim))


def same_space(left: InverseSystem, right: InverseSystem) -> bool:
    return left.hilbert == right.hilbert and all(
        right.contains(element, 1e-12) for block in left.blocks for element in block
    )


@pytest.mark.parametrize("power", [1, 2, 3, 4])
@pytest.mark.parametrize("dim", [1, 2, 4])
def test_powers_of_a_sum_of_squares_against_elimination(dim: int, power: int) -> None:
    xi = variables(dim + 1)
    for symbol in (3 * laplacian(dim) ** power, (0.1 * (xi[1:] @ xi[1:])) ** power):
        direct = of_power([symbol])
        assert direct is not None
        assert same_space(direct, by_elimination([symbol]))


def test_powers_are_recognized_by_their_coefficients() -> None:
    xi = variables(2)
    assert of_power([xi[0] ** 4 + xi[1] ** 4 + xi[0] ** 2 * xi[1] ** 2]) is None
    assert of_power([xi[0] ** 2 + 2 * xi[1] ** 2]) is None
    assert of_power([xi[0] ** 2 + xi[1] ** 2 + xi[0]]) is None


@pytest.mark.parametrize(
    "symbols",
    [
        (product_of_first(3, 2, 3, 1),),
        (product_of_first(2, 5),),
        (variables(2)[1] ** 4 + 3 * variables(2)[1] ** 2 - 1,),
        (product_of_first(3, 2, 1), product_of_first(3, 0, 1, 3), product_of_first(3)),
    ],
    ids=["mixed", "univariate", "inhomogeneous univariate", "several"],
)
def test_monomials_against_elimination(symbols: tuple[Symbol, ...]) -> None:
    direct = of_monomials(symbols)
    assert direct is not None
    assert same_space(direct, by_elimination(symbols))


def test_monomials_have_as_many_elements_as_divisors() -> None:
    assert dimension(product_of_first(4, 3, 1, 2, 4)) == 4 * 2 * 3 * 5


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_quadratic_forms_have_one_vector_for_each_eigenvalue_that_is_not_zero(rank: int) -> None:
    factor = np.random.default_rng(rank).standard_normal((4, rank))
    rounded = variables(4) @ (factor @ factor.T) @ variables(4)
    whole = np.round(3 * factor).astype(int)
    exact = variables(4) @ (whole @ whole.T) @ variables(4)
    for symbol in (rounded, exact):
        assert of_quadratic_form([symbol]) is not None
        assert dimension(symbol) == by_elimination([symbol]).dimension == 1 + rank + 1


def test_quadratic_forms_are_diagonal_in_the_variables_of_the_algebra() -> None:
    algebra = apolar(generic(6, 2, lower=True))
    assert algebra.powers.products == 6


def test_rational_coefficients_are_decided_exactly() -> None:
    """A perturbation of a coefficient below rounding error changes the rank when it is given exactly, and only then; a
    term of its own counts, however small."""
    tiny = Fraction(1, 10**40)
    xi = variables(3)
    powers = xi[0] ** 3 + xi[1] ** 3
    assert by_elimination([powers]).hilbert == (1, 2, 2, 1)
    for small in (tiny, 1e-17):
        assert by_elimination([powers + small * xi[2] ** 3]).hilbert == (1, 3, 3, 1)
        assert by_elimination([powers + small * xi[2] ** 3 + 0.1 * xi[0] ** 2 * xi[1]]).hilbert == (1, 3, 3, 1)
    cube = (xi[0] + xi[1]) ** 3
    assert by_elimination([cube + tiny * xi[0] ** 3]).hilbert == (1, 2, 2, 1)
    third = (xi[0] / 3.0 + xi[1] / 3.0) ** 3
    assert by_elimination([third]).hilbert == by_elimination([third + 1e-17 * xi[0] ** 3]).hilbert == (1, 1, 1, 1)


@pytest.mark.parametrize("symbol", [laplacian(4) ** 2, generic(3, 4), generic(4, 3)], ids=str)
def test_rounding_does_not_change_the_dimension(symbol: Symbol) -> None:
    """Coordinates turned by a rounded rotation: coefficients are no longer exact, the dimensions stay."""
    rotation, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((symbol.dim, symbol.dim)))
    turned = substituted(symbol, rotation)
    assert by_elimination([turned]).hilbert == inverse_system((symbol,)).hilbert


def substituted(symbol: Symbol, matrix: np.ndarray) -> Symbol:
    """p(Mᵀξ)."""
    forms = variables(symbol.dim) @ matrix
    total = Symbol(symbol.dim, {})
    for exponents, coefficient in symbol.terms.items():
        term = Symbol(symbol.dim, {(0,) * symbol.dim: coefficient})
        for form, exponent in zip(forms, exponents, strict=True):
            term = term * form**exponent
        total = total + term
    return total


def test_dimensions_agree_under_a_change_of_coordinates(symbols: tuple[Symbol, ...]) -> None:
    dim = symbols[0].dim
    matrix = np.eye(dim, dtype=int) + np.triu(np.random.default_rng(5).integers(-2, 3, (dim, dim)), 1)
    changed = tuple(substituted(symbol, matrix) for symbol in symbols)
    assert by_elimination(changed).hilbert == inverse_system(symbols).hilbert


def values_at(system: InverseSystem, point: np.ndarray) -> list[np.ndarray]:
    return [
        np.array([sum(float(c) * prod(point[i] for i in m) for m, c in element.items()) for element in block])
        for block in system.blocks
    ]


def test_the_coproduct_adds_points(symbols: tuple[Symbol, ...]) -> None:
    """q(ξ + η) = q(ξ) + q(η) + Σ T_ab b_a(ξ) b_b(η) for every element q."""
    system = inverse_system(symbols)
    rng = np.random.default_rng(1)
    count = max(m for block in system.blocks for element in block for monomial in element for m in monomial) + 1
    xi, eta = rng.uniform(-1, 1, (2, count))
    left, right, both = values_at(system, xi), values_at(system, eta), values_at(system, xi + eta)
    total = [a + b for a, b in zip(left, right, strict=True)]
    for (k, i, j), entries in coproduct_tables(system).items():
        for q, terms in entries.items():
            total[k - 1][q] += sum(c * left[i - 1][a] * right[j - 1][b] for a, b, c in terms)
    for expected, found in zip(both, total, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_tables_with_shared_forms_are_the_plain_ones(symbols: tuple[Symbol, ...]) -> None:
    system = inverse_system(symbols)
    plain = coproduct_tables(system)
    for key, table in product_tables(system).items():
        dense = np.zeros((table.size, table.left_size, table.right_size))
        for q, a, b, c in table.terms:
            left = table.left_forms.terms[a - table.left_size] if a >= table.left_size else ((a, 1),)
            right = table.right_forms.terms[b - table.right_size] if b >= table.right_size else ((b, 1),)
            for i, x in left:
                for j, y in right:
                    dense[q, i, j] += c * x * y
        expected = np.zeros_like(dense)
        for q, terms in plain[key].items():
            for a, b, c in terms:
                expected[q, a, b] += c
        np.testing.assert_allclose(dense, expected, atol=1e-12)


def random_jet(algebra: Apolar, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    return rng.standard_normal(2), [rng.standard_normal((size, 2)) for size in algebra.sizes]


def times(algebra: Apolar, a: tuple, b: tuple) -> tuple:
    return a[0] * b[0], algebra.multiply(*a, *b, np.multiply)


def assert_same_jet(left: tuple, right: tuple) -> None:
    np.testing.assert_allclose(left[0], right[0], rtol=1e-9)
    for a, b in zip(left[1], right[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())


def test_products_are_commutative_and_associative(symbols: tuple[Symbol, ...]) -> None:
    algebra = apolar(*symbols)
    rng = np.random.default_rng(2)
    a, b, c = (random_jet(algebra, rng) for _ in range(3))
    assert_same_jet(times(algebra, a, b), times(algebra, b, a))
    assert_same_jet(times(algebra, times(algebra, a, b), c), times(algebra, a, times(algebra, b, c)))


@pytest.mark.parametrize("elementwise", ["unrolled", "blockwise"])
def test_elementwise_functions_are_powers(symbols: tuple[Symbol, ...], elementwise: str) -> None:
    """u ↦ u^m by its derivatives is the m-fold product."""
    algebra = apolar(*symbols, elementwise=elementwise)
    u, blocks = random_jet(algebra, np.random.default_rng(3))
    product = (u, blocks)
    for m in range(2, algebra.order + 2):
        product = times(algebra, product, (u, blocks))
        towers = [
            None if k > m else np.prod(range(m - k + 1, m + 1)) * u ** (m - k) for k in range(1, algebra.order + 1)
        ]
        assert_same_jet((u**m, algebra.compose(towers, blocks)), product)


@pytest.mark.parametrize("elementwise", ["unrolled", "blockwise"])
def test_zero_blocks_stay_symbolic(elementwise: str) -> None:
    """Only even powers of a jet that starts in block 2 reach block 4; odd blocks stay zero."""
    algebra = apolar(laplacian(3) ** 2, elementwise=elementwise)
    hessian = np.random.default_rng(4).standard_normal((6, 2))
    ones = [np.ones(2)] * 4
    result = algebra.compose(ones, [None, hessian, None, None])
    assert [block is None for block in result] == [True, False, True, False]
    linear = algebra.compose([np.full(2, 3.0), None, None, None], [None, hessian, None, None])
    np.testing.assert_array_equal(linear[1], 3 * hessian)
    assert linear[3] is None
    assert algebra.compose(ones, [None] * 4) == [None] * 4


@pytest.mark.parametrize("elementwise", ["unrolled", "blockwise"])
def test_a_jet_in_one_array_is_the_value_and_its_blocks(symbols: tuple[Symbol, ...], elementwise: str) -> None:
    algebra = apolar(*symbols, elementwise=elementwise)
    u, blocks = random_jet(algebra, np.random.default_rng(6))
    towers = [np.cos(u + k) for k in range(algebra.order)]
    whole = algebra.compose_whole(np.sin(u), towers, blocks)
    np.testing.assert_array_equal(whole, np.concatenate([np.sin(u)[None], *algebra.compose(towers, blocks)]))
    assert whole.shape[0] == algebra.vectors


def test_the_biharmonic_takes_few_products_in_high_dimension() -> None:
    """Without forms shared between terms, (Δu)² alone would take D² products and uᵢΔu in ∂ᵢΔ another D²."""
    dim = 50
    system = inverse_system((laplacian(dim) ** 2,))
    assert sum(len(table.terms) for table in product_tables(system).values()) < 8 * dim**2
    algebra = apolar(laplacian(dim) ** 2)
    hessian = comb(dim + 1, 2)  # pairs u_i u_j; squares of second derivatives
    matrix_vector = dim**2 + dim  # Σ_j u_ij u_j, and u_i Δu
    assert algebra.powers.products <= 2 * hessian + matrix_vector + 4 * dim + 1


def test_univariate_taylor_mode_and_hyper_dual_numbers_are_special_cases() -> None:
    assert apolar(product_of_first(1, 6)).sizes == (1,) * 6
    assert apolar(product_of_first(5, *[1] * 5)).sizes == tuple(comb(5, k) for k in range(1, 6))
    assert apolar(laplacian(9)).vectors == 9 + 2


def test_random_directions_are_refused() -> None:
    with pytest.raises(ValueError, match="'normal'"):
        Apolar(Problem(as_operator(laplacian(2)), normal(3)))
    with pytest.raises(ValueError, match="elementwise"):
        Apolar(Problem(as_operator(laplacian(2))), "fast")


def test_symbols_must_share_their_variables() -> None:
    with pytest.raises(ValueError, match="same variables"):
        inverse_system((laplacian(2), laplacian(3)))
    with pytest.raises(ValueError, match="at least one"):
        inverse_system(())
