"""Rules of JAX with the arguments that the functions of the coverage table leave out, and networks of odd shapes.

Expected values are nested forward mode, compiled as the jets are.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jax_settings
from coverage_table import jax as jax_functions
from coverage_table import torch as torch_functions
from coverage_table.jax import evaluation as of_jax
from coverage_table.judging import SYSTEM, compare
from coverage_table.parameters import POINTS
from jetbench.errors import JetbenchError, MissingRule
from jetbench.jax import linear_operator
from jetbench.jax.compiling import OLD_FUSION
from jetbench.operators.problem import as_operator
from jetbench.operators.symbol import variables

XI = variables(3)
FOURTH = as_operator({"": (XI[0] ** 2 + XI[1] ** 2) ** 2 + XI[0] * XI[2]})
INFINITY = float("inf")
TWINS = (jax_functions, torch_functions)


def square(x):
    """(N, 3, 3), not symmetric"""
    return jnp.stack([jnp.sin(x + k) for k in range(3)], -2) + 3 * jnp.eye(3)


def tall(x):
    """(N, 4, 3)"""
    return jnp.concatenate([square(x), jnp.cos(x)[..., None, :]], -2)


def hermitian(x):
    m = square(x)
    return lax.complex(m + m.mT, m - m.mT)


def complex_square(x):
    return lax.complex(square(x), jnp.sin(square(x)))


def nine(x):
    """(N, 9)"""
    return jnp.concatenate([x, jnp.sin(x), x**2], -1)


def flat(*arrays):
    return jnp.concatenate([array.reshape(len(array), -1) for array in arrays], -1)


def singular_vectors(x):
    u, s, vh = jnp.linalg.svd(tall(x) * jnp.array([1.0, 2.0, 4.0]), full_matrices=False)
    return flat(u**2, s, vh**2)


def polar_factor(x):
    u, s, vh = jnp.linalg.svd(tall(x).mT * jnp.array([1.0, 2.0, 4.0])[:, None], full_matrices=False)
    return flat(u @ vh, s)


def complex_cholesky(x):
    factor = jnp.linalg.cholesky(complex_square(x) @ complex_square(x).mT.conj() + jnp.eye(3))
    return factor.real * factor.imag


def complex_qr(x):
    q, r = jnp.linalg.qr(complex_square(x))
    return (q.real + q.imag) * (r.real - r.imag)


def right_triangular(x):
    return lax.linalg.triangular_solve(
        square(x), tall(x), left_side=False, lower=True, transpose_a=True, unit_diagonal=True
    )


def conjugate_gradient(x):
    def solution(u):
        matrix = square(u) @ square(u).T
        return jax.scipy.sparse.linalg.cg(lambda v: matrix @ v, jnp.sin(u), tol=1e-15)[0]

    return jax.vmap(solution)(x)


def tridiagonal(x):
    below, above = jnp.array([0.0, 1.0, 2.0]), jnp.array([1.0, 1.0, 0.0])
    return jax.vmap(lambda u: lax.linalg.tridiagonal_solve(below * u, 4 + u, above * u, jnp.sin(u)[:, None]))(x)


def windows(operation, start):
    return lambda x: lax.reduce_window(
        nine(x) ** 2, start, operation, (1, 2), (1, 2), ((0, 0), (1, 2)), window_dilation=(1, 3), base_dilation=(1, 2)
    )


def extreme_windows(x):
    return windows(lax.max, -INFINITY)(x)[:, 1:4] + windows(lax.min, INFINITY)(x)[:, 1:4] ** 2


def partner_of_largest(x):
    def larger(a, b):
        return tuple(jnp.where(a[0] >= b[0], one, other) for one, other in zip(a, b, strict=True))

    return lax.reduce((x, jnp.sin(x) ** 2), (-INFINITY, 0.0), larger, (1,))[1]


def sort_by_two_keys(x):
    whole, squares, sines = lax.sort((jnp.floor(x * 2), x**2, jnp.sin(x)), num_keys=2)
    return squares * sines + whole


def jit_and_cond_in_scan(x):
    @jax.jit
    def step(state, number):
        state = lax.cond(number > 0.2, lambda h: jnp.sin(h) * number, lambda h: jax.jit(jnp.exp)(-h), state)
        return state, state**2

    return jnp.moveaxis(lax.scan(step, x, jnp.array([0.1, 0.3, -0.2]))[1], 0, 1)


def whole_numbers_in_scan(x):
    def step(carry, _):
        count, h, odd = carry
        return (count + 1, jnp.where(odd, h * x, h + jnp.sin(x)), ~odd), (count, h)

    (count, h, _), (counts, states) = lax.scan(step, (0, x, True), jnp.arange(4))
    return h * count + states.sum(0) * counts.sum()


def while_in_scan(x):
    def step(state, number):
        found = lax.while_loop(lambda s: s[1] < 3, lambda s: (jnp.sin(s[0]) + number, s[1] + 1), (state, 0))
        return found[0], None

    return lax.scan(step, x, jnp.arange(3.0))[0]


def straight_through(x):
    """The derivative says something else than the formula."""

    @jax.custom_jvp
    def function(u):
        return jnp.sin(u)

    function.defjvp(lambda p, t: (function(*p), 3 * jnp.cos(p[0]) ** 2 * t[0]))
    return function(x)


def derivative_of_two(x):
    @jax.custom_jvp
    def function(a, b):
        return jnp.maximum(a, 0) * b

    function.defjvp(lambda p, t: (function(*p), jnp.where(p[0] > 0, t[0] * p[1], 0) + jnp.maximum(p[0], 0) * t[1]))
    return function(x, jnp.sin(x[:, ::-1]))


def derivative_with_static_argument(x):
    @partial(jax.custom_jvp, nondiff_argnums=(1,))
    def function(u, n):
        return jnp.abs(u) ** n

    function.defjvp(lambda n, p, t: (function(p[0], n), n * jnp.abs(p[0]) ** (n - 1) * jnp.sign(p[0]) * t[0]))
    return function(x, 3)


def closure_in_vmap_in_jit(x):
    weights = jnp.arange(3.0)
    inner = jax.jit(lambda y: jax.vmap(lambda row: row * weights * jnp.sin(row))(y))
    return inner(inner(x))


def gradient_of_pooling(x):
    def pooled(row):
        return (lax.reduce_window(jnp.sin(row) * row, -INFINITY, lax.max, (2,), (1,), "VALID") ** 2).sum()

    return jax.vmap(jax.grad(pooled))(x)


def checkpoint_with_names(x):
    from jax.ad_checkpoint import checkpoint_name

    policy = jax.checkpoint_policies.save_only_these_names("sine")
    return jax.checkpoint(lambda h: checkpoint_name(jnp.sin(h), "sine") * h, policy=policy)(x)


CASES = {
    "lu_tall": lambda x: lax.linalg.lu(tall(x))[0],
    "lu_wide": lambda x: lax.linalg.lu(tall(x).mT)[0],
    "lu_with_exchanges": lambda x: lax.linalg.lu(square(x)[:, jnp.array([2, 0, 1])])[0],
    "qr_tall": lambda x: flat(*jnp.linalg.qr(tall(x))),
    "singular_vectors": singular_vectors,
    "polar_factor": polar_factor,
    "hermitian_eigenvalues": lambda x: jnp.linalg.eigvalsh(hermitian(x)),
    "complex_cholesky": complex_cholesky,
    "complex_qr": complex_qr,
    "complex_sign_of_determinant": lambda x: jnp.linalg.slogdet(complex_square(x))[0].real,
    "complex_norm": lambda x: jnp.linalg.norm(lax.complex(jnp.sin(x), jnp.cos(x) * x), axis=-1),
    "right_triangular": right_triangular,
    "conjugate_gradient": conjugate_gradient,
    "tridiagonal": tridiagonal,
    "extreme_windows": extreme_windows,
    "window_sums": windows(lax.add, 0.0),
    "window_products": windows(lax.mul, 1.0),
    "reduction_by_any_operation": lambda x: lax.reduce(nine(x), np.float64(0), lambda a, b: a + b + a * b, (1,)),
    "partner_of_largest": partner_of_largest,
    "approximate_largest": lambda x: lax.approx_max_k(jnp.sin(x), 2)[0] ** 2,
    "sort_by_two_keys": sort_by_two_keys,
    "scatter_twice_to_one_place": lambda x: jnp.zeros((len(x), 4)).at[:, jnp.array([1, 1, 3])].set(x**3) * x[:, :1],
    "scatter_beyond_bounds": lambda x: jnp.ones((len(x), 4)).at[:, jnp.array([1, 7, -1])].set(x**3) * x[:, :1],
    "scatter_maximum_twice": lambda x: jnp.zeros((len(x), 4)).at[:, jnp.array([1, 1, 3])].max(x**3),
    "cumulative_product_of_zeros": lambda x: lax.cumprod(flat(x, -x, x * 0), axis=1, reverse=True),
    "cumulative_logarithm_of_equals": lambda x: lax.cumlogsumexp(flat(x, x), axis=1),
    "hermitian_transform": lambda x: jnp.fft.hfft(lax.complex(x, jnp.sin(x)), n=4),
    "jit_and_cond_in_scan": jit_and_cond_in_scan,
    "whole_numbers_in_scan": whole_numbers_in_scan,
    "while_in_scan": while_in_scan,
    "scan_of_nothing": lambda x: lax.scan(lambda c, _: (jnp.sin(c), None), x, None, length=3)[0],
    "scan_of_length_0": lambda x: lax.scan(lambda c, _: (jnp.sin(c), c), x, None, length=0)[0] ** 2,
    "straight_through": straight_through,
    "derivative_of_two": derivative_of_two,
    "derivative_with_static_argument": derivative_with_static_argument,
    "closure_in_vmap_in_jit": closure_in_vmap_in_jit,
    "donated_argument": lambda x: jax.jit(lambda y: jnp.sin(y) * y, donate_argnums=0)(x + 0),
    "gradient_of_pooling": gradient_of_pooling,
    "gradient_of_determinant": lambda x: jax.vmap(jax.grad(lambda row: jnp.linalg.slogdet(square(row))[1]))(x),
    "checkpoint_with_names": checkpoint_with_names,
    "guarded_logarithm": lambda x: jnp.where(x > 0, jnp.log(x), 0.0),
    "guarded_root": lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0),
    "zeta": lambda x: jax.scipy.special.polygamma(1, x**2 + 1),
    "incomplete_beta": lambda x: jax.scipy.special.betainc(2.0, 3.0, jax.nn.sigmoid(x)),
}


@pytest.mark.parametrize("method", ["collapsed", "nested", "nested_reverse"])
def test_sign_of_complex_numbers(method):
    """JAX itself gives it no derivative before version 0.12."""
    found, true = (
        of_jax.applied(lambda x, sign=sign: sign(lax.complex(x, x**2 + 1)).real, SYSTEM, method)
        for sign in (jnp.sign, lambda u: u / jnp.abs(u))
    )
    error, reason = compare(found, true, 1e-9)
    assert not reason, (error, reason)


@pytest.mark.parametrize("name", CASES)
def test_rule(name):
    function = CASES[name]
    found = of_jax.applied(function, SYSTEM, "collapsed")
    error, reason = compare(found, of_jax.reference(function, SYSTEM), 1e-9)
    assert not reason, (error, reason)


@pytest.mark.parametrize("method", ["taylor", "collapsed", "apolar"])
@pytest.mark.parametrize("name", ["slogdet", "cholesky", "solve", "sort", "cumprod", "logcumsumexp", "conv2d"])
def test_fourth_order(name, method):
    """Against nested forward mode in PyTorch."""
    by_name = [{n: f for inner in held.FUNCTIONS.values() for n, f in inner.items()}[name] for held in TWINS]
    found = of_jax.applied(by_name[0], FOURTH, method)
    np.testing.assert_allclose(found[""], torch_functions.reference(by_name[1], FOURTH)[""], rtol=1e-9, atol=1e-9)


def test_the_largest_entry_has_a_derivative_when_compiled():
    """XLA computes it twice with different rounding here, so that no entry equals the maximum: 0/0 in JAX's own AD."""
    function = jax_functions.FUNCTIONS["reductions"]["max"]
    (true,) = [inner["max"] for kind, inner in torch_functions.FUNCTIONS.items() if kind == "reductions"]
    x = jnp.asarray(POINTS)
    for options in ({}, OLD_FUSION):
        found = jax.jit(linear_operator(function, FOURTH, "collapsed").evaluate, compiler_options=options)(x)
        np.testing.assert_allclose(found, torch_functions.reference(true, FOURTH)[""], rtol=1e-9)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: jnp.ones((len(x), 4)).at[:, jnp.array([1, 1, 3])].multiply(x), "unique_indices=True"),
        (lambda x: jnp.linalg.qr(tall(x), mode="complete")[0], "full_matrices=False"),
        (lambda x: jnp.linalg.svd(tall(x))[0], "full_matrices=False"),
    ],
)
def test_what_has_no_derivative_is_refused_with_advice(function, said):
    with pytest.raises(MissingRule, match=said):
        linear_operator(function, XI @ XI, "collapsed")(jnp.asarray(POINTS))


@pytest.mark.parametrize("function", [lambda x: jnp.flip(jnp.cumsum(x, 0), 0), lambda x: jnp.sort(x, 0) * x])
def test_sorting_and_summing_over_rows_is_refused(function):
    with pytest.raises(JetbenchError, match="row"):
        linear_operator(function, XI @ XI, "collapsed")(jnp.asarray(POINTS))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["sort", "scatter_maximum", "cumprod", "max_pool", "logcumsumexp"])
def test_lower_precision(name, dtype):
    function = next(inner[name] for inner in jax_functions.FUNCTIONS.values() if name in inner)

    def rounded(x):
        return function(x).astype(dtype)

    laplacian = jax_settings.compiled(linear_operator(rounded, XI @ XI, "collapsed").evaluate)
    found = laplacian(jnp.asarray(POINTS, dtype))
    assert found.dtype == dtype
    assert bool(jnp.isfinite(found.astype(float)).all())
