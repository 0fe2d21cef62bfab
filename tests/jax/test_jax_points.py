"""Functions of JAX at and near the points where their formulas have a case, and determinants: values and costs."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from jax.scipy import special

import jax_settings
from jetbench import operators
from jetbench.errors import MissingRule
from jetbench.jax import linear_operator
from jetbench.jax.counting import dot_product
from jetbench.operators.symbol import variables

(T,) = variables(1)
PI = math.pi
TINY = (0.0, 1e-8, -1e-6, 1e-4)


def _third_of_spence(u):
    """The second derivative of −log(u)/(u − 1)."""
    q = u - 1
    return 1 / (u**2 * q) + 2 / (u * q**2) - 2 * jnp.log(u) / q**3


def _of_points(u, values):
    return jnp.array(values)[:, None]


# name: function, points, {order: derivatives at the points}, by the power series or the formula
POINTS = {
    "sinc": (jnp.sinc, TINY, {2: lambda u: -(PI**2) / 3 + PI**4 * u**2 / 10, 4: lambda u: PI**4 / 5 + 0 * u}),
    "sinc inside": (lambda x: jnp.sinc(3 * x), TINY, {4: lambda u: 81 * PI**4 / 5 * (1 - 45 * (PI * u) ** 2 / 14)}),
    "numpy's i0": (
        jnp.i0,
        TINY,
        {2: lambda u: 0.5 + 3 * u**2 / 16, 3: lambda u: 3 * u / 8, 4: lambda u: 0.375 + 0 * u},
    ),
    "scipy's i0": (
        special.i0,
        TINY,
        {1: lambda u: u / 2, 2: lambda u: 0.5 + 3 * u**2 / 16, 4: lambda u: 0.375 + 0 * u},
    ),
    "i1": (special.i1, TINY, {2: lambda u: 3 * u / 8, 3: lambda u: 0.375 + 0 * u, 4: lambda u: 5 * u / 16}),
    "i0e, of |u|": (special.i0e, (1e-8,), {2: lambda u: 1.5 + 0 * u, 4: lambda u: 4.375 + 0 * u}),
    "fresnel": (lambda x: special.fresnel(x)[1], (1.0, -1.0), {2: lambda u: -PI * u, 4: lambda u: PI**3 * u**3}),
    "sici": (lambda x: special.sici(x)[0], TINY, {2: lambda u: -u / 3, 3: lambda u: -1 / 3 + 0 * u}),
    "hypot": (lambda x: jnp.hypot(x, 1.0), (1.0, -1.0), {2: lambda u: 8**-0.5 + 0 * u}),
    "hypot of equals": (lambda x: jnp.hypot(x, x + 1), (-0.5,), {2: lambda u: 8**0.5 + 0 * u}),
    "hypot of large": (lambda x: jnp.hypot(x, 2 * x), (1e200, 1e-200), {1: lambda u: 5**0.5 + 0 * u}),
    "atan2 of large": (lambda x: jnp.arctan2(x, 1e200) * 1e200, (1e200,), {1: lambda u: 0.5 + 0 * u}),
    "atan2 of small": (lambda x: jnp.arctan2(x, 1e-200) * 1e-200, (1e-200,), {1: lambda u: 0.5 + 0 * u}),
    "spence": (
        special.spence,
        (1.0, 1 + 1e-6, 0.7, 2.0),
        {
            1: lambda u: jnp.where(u == 1, -1.0, -jnp.log(u) / jnp.where(u == 1, 1, u - 1)),
            3: lambda u: jnp.where(abs(u - 1) < 1e-3, -2 / 3 + 3 * (u - 1) / 2, _third_of_spence(u)),
        },
    ),
    "log_ndtr": (
        special.log_ndtr,
        (-20.0, -31.0, -1000.0, 0.5),
        {3: lambda u: _of_points(u, (2.42726578936e-4, 6.63068128705e-5, 1.9999760003e-9, 0.270990124469))},
    ),
    "log1mexp": (jax.nn.log1mexp, (0.5, 1e3), {2: lambda u: -jnp.exp(-u) / jnp.expm1(-u) ** 2}),
}


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("collapsed", tuple(POINTS)),
        ("nested", ("sinc", "numpy's i0", "i1", "fresnel", "hypot", "atan2 of small", "spence", "log_ndtr")),
        ("nested_reverse", ("sinc inside", "scipy's i0", "sici", "hypot of equals", "atan2 of large")),
    ],
)
def test_single_points(method, names):
    chosen = {name: POINTS[name] for name in names}

    def derivatives():
        return {
            name: linear_operator(function, {str(order): T**order for order in expected}, method)(at(points))
            for name, (function, points, expected) in chosen.items()
        }

    def at(points):
        return jnp.array(points)[:, None]

    found = jax_settings.compiled(derivatives)()
    for name, (_, points, expected) in chosen.items():
        for order, true in expected.items():
            np.testing.assert_allclose(
                found[name][str(order)], true(at(points)), rtol=1e-6, atol=1e-11, err_msg=f"{name}, order {order}"
            )


@pytest.mark.parametrize("method", ["nested", "collapsed"])
def test_bessel_functions_at_all_sizes(method):
    """I_0' = I_1 and I_1' = I_0 − I_1/u give (I_0 + I_1)'' + (I_0 + I_1)'/u = (I_0 + I_1) + I_1/u²."""
    x = jnp.array([[-20.0], [-7.9], [-1.0], [0.3], [5.0], [8.1], [40.0]])
    operator = linear_operator(lambda u: special.i0(u) + special.i1(u), {"1": T, "2": T**2}, method)
    found = jax_settings.compiled(operator.evaluate)(x)
    true = special.i0(x) + special.i1(x) * (1 + 1 / x**2)
    np.testing.assert_allclose(found["2"] + found["1"] / x, true, rtol=1e-12)


@pytest.mark.parametrize("method", ["nested", "collapsed"])
def test_the_type_of_the_function_is_kept(method):
    def net(x):
        return jnp.hypot(x, 1.0) + jnp.arctan2(x, 1.0) + jnp.sinc(x) + jnp.i0(x)

    assert linear_operator(net, T**2, method)(jnp.ones((1, 1), "float32")).dtype == "float32"


@pytest.mark.parametrize("power", [2, 4])
def test_even_powers_of_a_norm_that_vanishes(power):
    def function(x):
        return jnp.linalg.norm(jnp.concatenate([x, 2 * x], -1), axis=-1, keepdims=True) ** power

    points = jnp.array([[0.0], [1e-9], [0.5]])
    found = linear_operator(function, {"two": T**2, "four": T**4}, "collapsed")(points)
    np.testing.assert_allclose(found["two"], 10 * jnp.ones_like(points) if power == 2 else 300 * points**2, atol=1e-12)
    np.testing.assert_allclose(found["four"], (0 if power == 2 else 600) * jnp.ones_like(points), atol=1e-12)


@pytest.mark.parametrize("method", ["nested", "collapsed"])
def test_bessel_functions_that_jax_loses_near_zero_are_refused_unless_their_derivative_is_given(method):
    @jax.custom_jvp
    def bessel(x):
        return special.bessel_jn(x[:, 0], v=2).T[:, :1]

    with pytest.raises(MissingRule, match="custom_jvp"):
        linear_operator(lambda x: special.bessel_jn(x[:, 0], v=2).T, T**2, method)(jnp.array([[1e-3]]))
    bessel.defjvp(lambda p, t: (bessel(*p), -special.bessel_jn(p[0][:, 0], v=2).T[:, 1:2] * t[0]))
    found = linear_operator(bessel, T, method)(jnp.array([[0.5]]))
    np.testing.assert_allclose(found, -0.242268457675, rtol=1e-9)


@pytest.mark.parametrize("axis", [0, 1])
def test_spence_under_moved_axes(axis):
    points = jnp.array([[1.0, 0.7], [1.2, 1.4]])

    def function(x):
        return jax.vmap(special.spence, axis, axis)(x)

    found = jax_settings.compiled(linear_operator(function, operators.laplacian(dim=2), "collapsed"))(points)
    away = points + (points == 1)
    second = jnp.where(points == 1, 0.5, jnp.log(away) / (away - 1) ** 2 - 1 / (away * (away - 1)))
    np.testing.assert_allclose(found, second, rtol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("method", ["nested", "nested_reverse", "collapsed", "collapsed_rewrite", "apolar"])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_exponential_integrals(n, method):
    """∂E_n = −E_(n−1), which JAX differentiates once only: its rule leaks a tracer."""
    u = jnp.array([[0.4], [2.5]])

    def negative(m):
        return jnp.exp(-u) / u if m == 0 else (jnp.exp(-u) + m * negative(m - 1)) / u

    expected = special.expn(n - 2, u) if n > 2 else negative(2 - n)
    function = special.exp1 if n == 1 else lambda x: special.expn(n, x)
    found = jax.jit(linear_operator(function, T**2, method))(u)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_gradients_of_exponential_integrals():
    def second(scale):
        return jax.jit(linear_operator(lambda x: special.exp1(scale * x), T**2))(jnp.array([[0.8]]))[0, 0]

    u = 0.4 * 0.8
    first = jax.grad(second)(0.4)  # ∂_s s² E_1''(0.8 s) = 2 s E_1'' + 0.8 s² E_1'''
    value = jnp.exp(-u) * (u + 1) / u**2
    third = -jnp.exp(-u) * (u**2 + 2 * u + 2) / u**3
    np.testing.assert_allclose(first, 0.8 * value + 0.16 * 0.8 * third, rtol=1e-9)
    assert np.isfinite(jax.grad(jax.grad(second))(0.4))


def _of_array(x):
    return special.expn(jnp.arange(1, 2), x)


@pytest.mark.parametrize("function", [_of_array, lambda x: special.gammainc(x, 2.0)])
def test_what_jax_cannot_differentiate_twice_is_refused(function):
    with pytest.raises(MissingRule, match=r"as often as.*custom_jvp"):
        linear_operator(function, T**2, "collapsed")(jnp.ones((1, 1)))


def test_a_function_of_the_user_s_with_the_name_of_one_of_jax_is_its_own():
    @jax.jit
    def sinc(u):
        return u**4

    np.testing.assert_allclose(linear_operator(sinc, T**4, "collapsed")(jnp.ones((1, 1))), [[24.0]])


@pytest.mark.parametrize("axis", [0, 1])
def test_moved_axes(axis):
    """Under `vmap` the axes of one argument may be others than those of the other."""
    x = jnp.array([[0.3, 1.0], [-0.6, 2.0]])

    def net(x):
        return jax.vmap(jnp.hypot, (0, axis), 0)(x, x.T if axis else x) ** 2

    found = linear_operator(net, operators.laplacian(dim=2), "collapsed")(x)
    np.testing.assert_allclose(found, jnp.full((2, 2), 4.0), rtol=1e-12)


D, N = 5, 6
WEIGHTS = np.random.default_rng(0).normal(size=(2, D, N * N))
X = jnp.asarray(np.random.default_rng(1).normal(size=(3, D)) / 4)


def matrix(x):
    return jnp.tanh(x @ WEIGHTS[0]).reshape(*x.shape[:-1], N, N) + 2 * jnp.eye(N)


def complex_matrix(x):
    return matrix(x) + 1j * jnp.sin(x @ WEIGHTS[1]).reshape(*x.shape[:-1], N, N)


def with_last_axis_first(x):
    return jax.vmap(lambda m: jnp.linalg.slogdet(m)[1], in_axes=2)(jnp.moveaxis(matrix(x), 0, 2))


DETERMINANTS = {
    "logarithm": lambda x: jnp.linalg.slogdet(matrix(x))[1],
    "of complex": lambda x: jnp.linalg.slogdet(complex_matrix(x))[1],
    "sign of complex": lambda x: jnp.linalg.slogdet(complex_matrix(x))[0].imag,
    "batch axis last": with_last_axis_first,
}


@pytest.mark.parametrize("name", DETERMINANTS)
def test_determinants(name):
    xi = variables(D)
    symbols = {"2": xi @ xi, "4": xi[0] ** 4 + xi[1] ** 2 * xi[2] ** 2}
    expected = jax_settings.compiled(linear_operator(DETERMINANTS[name], symbols, "nested").evaluate)(X)
    for method in ("collapsed", "apolar"):
        found = jax_settings.compiled(linear_operator(DETERMINANTS[name], symbols, method).evaluate)(X)
        for order in symbols:
            np.testing.assert_allclose(found[order], expected[order], rtol=1e-10)


def flops(jaxpr):
    """Operations of matrix products, and of triangular solves, n² for each column; a linear solve runs its solver."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            total += dot_product(equation).flops
        elif equation.primitive.name == "triangular_solve":
            total += equation.outvars[0].aval.size * N
        elif equation.primitive.name == "custom_linear_solve":
            total += flops(equation.params["jaxprs"].solve.jaxpr)
        else:
            total += sum(map(flops, jaxprs_in_params(equation.params)))
    return total


def test_the_laplacian_of_a_determinant_costs_one_solve_for_each_direction():
    """2N³ for each of D + 1 matrices and point, beside the products of the layer: D + 2 vectors for each point."""

    def net(x):
        return jnp.linalg.slogdet(matrix(x))[1]

    jaxpr = jax.make_jaxpr(linear_operator(net, operators.laplacian(dim=D), "collapsed").evaluate)(X).jaxpr
    layer = 2 * D * N * N * (D + 2) * len(X)
    assert 0 < flops(jaxpr) - 2 * N**3 * (D + 1) * len(X) <= layer
