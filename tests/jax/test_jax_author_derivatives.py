"""Derivatives that an author gave (custom_vjp, custom_gradient, custom_jvp) count, whatever the formula's would be.

Expected values are written out: for f = sin with the rule f' = cos/2, the chain rule with this f' everywhere.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jax_settings
from jetbench import operators
from jetbench.errors import Unsupported
from jetbench.jax import collapse, linear_operator
from jetbench.operators.symbol import variables

XI = variables(2)
LAPLACIAN = operators.laplacian(dim=2)
X = jnp.array([[0.3, -0.4], [-0.6, 0.2]])
JETS = ("taylor", "collapsed", "apolar")
OURS = ("nested", "nested_reverse", *JETS, "forward_laplacian", "collapsed_rewrite", "stock_rewrite")
W = jnp.array([[0.2, -0.5, 0.3], [0.7, 0.1, -0.4]])


@jax.custom_vjp
def half_sine(u):
    return jnp.sin(u)


# the forward pass calls the function itself, as is common
half_sine.defvjp(lambda u: (half_sine(u), u), lambda u, g: (g * jnp.cos(u) / 2,))


def twice(u):
    """(f ∘ f)'' with f = sin and f' = cos/2: −¼(½ sin(f) cos² u + cos(f) sin u)."""
    f = jnp.sin(u)
    return -(jnp.sin(f) * jnp.cos(u) ** 2 / 2 + jnp.cos(f) * f) / 4


def looped(x):
    return lax.scan(lambda h, _: (half_sine(h), None), x, None, length=2)[0]


def chosen(x):
    return jax.vmap(lambda row: lax.cond(row[0] > -9, half_sine, jnp.cos, row))(x)


by_formula = jax.custom_vjp(jnp.sin)
by_formula.defvjp(lambda u: (jnp.sin(u), u), lambda u, g: (g * jnp.cos(u) / 2,))
forward_by_formula = jax.custom_jvp(jnp.sin)
forward_by_formula.defjvp(lambda p, t: (jnp.sin(p[0]), jnp.cos(p[0]) * t[0] / 2))

PLACES = {
    "plain": (half_sine, lambda u: -jnp.sin(u) / 2),
    "jit": (jax.jit(lambda x: 2 * half_sine(x)), lambda u: -jnp.sin(u)),
    "vmap": (jax.vmap(jax.vmap(half_sine)), lambda u: -jnp.sin(u) / 2),
    "scan": (looped, twice),
    "cond": (chosen, lambda u: -jnp.sin(u) / 2),
    "rule with a formula": (lambda x: by_formula(by_formula(x)), twice),
    "custom_jvp with a formula": (lambda x: forward_by_formula(forward_by_formula(x)), twice),
    "checkpoint": (jax.checkpoint(lambda x: half_sine(half_sine(x))), twice),
}


@pytest.mark.parametrize("method", OURS)
def test_a_rule_for_reverse_mode_counts_everywhere(method):
    def net(x):
        return jnp.stack([function(x) for function, _ in PLACES.values()], 1)

    found = jax_settings.compiled(linear_operator(net, LAPLACIAN, method).evaluate)(X)
    for at, (place, (_, true)) in enumerate(PLACES.items()):
        np.testing.assert_allclose(found[:, at], true(X), rtol=1e-12, atol=1e-13, err_msg=place)


@pytest.mark.parametrize("method", ["nested", "nested_reverse", *JETS])
def test_every_order_follows_the_rule(method):
    symbols = {"1": XI[0], "3": XI[0] ** 3, "4": XI[0] ** 4}
    found = jax_settings.compiled(linear_operator(lambda x: half_sine(2 * x), symbols, method).evaluate)(X)
    u = 2 * X[:, 0]
    for order, true in {"1": jnp.cos(u), "3": -4 * jnp.cos(u), "4": 8 * jnp.sin(u)}.items():
        np.testing.assert_allclose(found[order][:, 0], true, rtol=1e-12)


@jax.custom_vjp
def layer(x, w):
    return jnp.tanh(x @ w)


def _layer_backward(saved, g):
    x, w, y = saved
    slope = g * (1 - y**2)
    return slope @ w.T, 3 * x.T @ slope  # three times the parameter's gradient


layer.defvjp(lambda x, w: (layer(x, w), (x, w, jnp.tanh(x @ w))), _layer_backward)


def right_layer(x, w):
    """The same derivatives in x, and those of 3·w where the rule scales the gradient: the value of w is kept."""
    return jnp.tanh(x @ w)


@pytest.mark.parametrize("method", OURS)
def test_a_rule_that_mixes_entries(method):
    found = jax_settings.compiled(linear_operator(lambda x: layer(x, W), LAPLACIAN, method).evaluate)(X)
    true = linear_operator(lambda x: right_layer(x, W), LAPLACIAN, "nested")(X)
    np.testing.assert_allclose(found, true, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("method", OURS)
def test_rules_for_parameters_count_where_the_derivative_in_x_is_the_formula_s(method):
    """c·u + Δ(c·u) with c = scaled(w), whose rule triples the gradient: it is 3·(u + Δu)."""

    @jax.custom_vjp
    def scaled(w):
        return w

    scaled.defvjp(lambda w: (w, None), lambda _, g: (3 * g,))

    def total(w):
        return linear_operator(lambda x: scaled(w) * x**3, 1 + XI @ XI, method)(X).sum()

    np.testing.assert_allclose(jax.jit(jax.grad(total))(0.7), 3 * (X**3 + 6 * X).sum(), rtol=1e-12)


@pytest.mark.parametrize("method", ["nested", "nested_reverse", "collapsed", "collapsed_rewrite"])
def test_gradients_of_parameters_that_the_rule_itself_takes(method):
    """y = tanh(s·x) with the rule 2 y' in x and 5 in s: the gradient of the value in s is 5, that of the Laplacian
    −4 s² y (1 − y²) is by the formulas of the rule in x."""

    @jax.custom_gradient
    def doubled(x, s):
        y = jnp.tanh(s * x)
        return y, lambda g: (2 * g * (1 - jnp.tanh(s * x) ** 2) * s, 5.0 * g.sum())

    def total(s):
        found = linear_operator(lambda x: doubled(x, s), {"value": 1 + 0 * XI[0], "laplacian": XI @ XI}, method)(X)
        return jnp.stack([found["value"].sum(), found["laplacian"].sum()])

    def laplacian(s):
        y = jnp.tanh(s * X)
        return (-4 * s**2 * y * (1 - y**2)).sum()

    np.testing.assert_allclose(total(0.9)[1], laplacian(0.9), rtol=1e-12)
    found = jax_settings.compiled(jax.jacrev(total))(0.9)
    np.testing.assert_allclose(found, [5.0 * X.size, jax.grad(laplacian)(0.9)], rtol=1e-12)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def safe_norm(x, axis):
    return jnp.sqrt((x**2).sum(axis, keepdims=True))


def _norm_backward(axis, saved, g):
    x, norm = saved
    return (g * x / jnp.where(norm == 0, 1, norm),)


safe_norm.defvjp(lambda x, axis: (safe_norm(x, axis), (x, safe_norm(x, axis))), _norm_backward)


@pytest.mark.parametrize("method", OURS)
def test_rules_that_agree_with_the_formula(method):
    """Δ|x| = 1/|x| in the plane."""
    found = linear_operator(lambda x: safe_norm(x, -1), LAPLACIAN, method)(X)
    np.testing.assert_allclose(found, 1 / jnp.linalg.norm(X, axis=-1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("method", ["nested", "nested_reverse", "collapsed"])
def test_whole_numbers_among_arguments_and_results(method):
    @jax.custom_vjp
    def power(x, n):
        return x**n, n + 1

    power.defvjp(lambda x, n: (power(x, n), (x, n)), lambda s, g: (7 * g[0] * s[0], None))

    def net(x):
        y, n = power(x, jnp.array(2))
        return y * n

    np.testing.assert_allclose(linear_operator(net, LAPLACIAN, method)(X), jnp.full(X.shape, 21.0))


def _with_backward(backward):
    function = jax.custom_vjp(lambda u: u**2)
    function.defvjp(lambda u: (u**2, u), backward)
    return function


BEYOND = {
    "clipped": lambda u, g: (jnp.clip(g, -0.1, 0.1),),
    "normalized": lambda u, g: (g / (1e-3 + jnp.abs(g).max()),),
    "shifted": lambda u, g: (g * u + 1,),
    "constant": lambda u, g: (jnp.ones_like(u),),
    "data-dependent loop": lambda u, g: (
        lax.while_loop(lambda s: s[0] < u[0, 0], lambda s: (s[0] + 1, 2 * s[1]), (0.0, g))[1],
    ),
}


@pytest.mark.parametrize("method", ["nested", "collapsed", "stock_rewrite", "jax_jet"])
@pytest.mark.parametrize("kind", BEYOND)
def test_rules_that_cannot_be_followed_are_refused_with_advice(kind, method):
    with pytest.raises(Unsupported, match=r"nested_reverse|taylor"):
        linear_operator(_with_backward(BEYOND[kind]), LAPLACIAN, method)(X)


def test_reverse_mode_takes_rules_that_are_not_linear():
    """The gradient is −0.1 or 0.1 everywhere, so that its derivative vanishes."""
    net = _with_backward(BEYOND["clipped"])
    np.testing.assert_array_equal(linear_operator(net, XI[0], "nested_reverse")(X)[:, 0], [0.1, 0.1])
    np.testing.assert_array_equal(linear_operator(net, LAPLACIAN, "nested_reverse")(X), 0 * X)


def test_a_rule_that_refers_to_x_from_outside_is_refused():
    def net(x):
        inner = jax.custom_vjp(lambda u: jnp.sin(u) * x)
        inner.defvjp(lambda u: (jnp.sin(u) * x, u), lambda u, g: (g * jnp.cos(u) * x,))
        return inner(x**2)

    for method in ("nested", "collapsed"):
        with pytest.raises(Unsupported, match="from outside"):
            linear_operator(net, LAPLACIAN, method)(X)


@pytest.mark.parametrize("method", OURS)
def test_custom_jvp_in_a_loop(method):
    """JAX forgets it there in the second derivative in reverse mode."""
    sine = jax.custom_jvp(jnp.sin)
    sine.defjvp(lambda p, t: (sine(*p), jnp.cos(p[0]) * t[0] / 2))
    net = jax_settings.compiled(
        linear_operator(
            lambda x: lax.scan(lambda h, _: (sine(h), None), x, None, length=2)[0], LAPLACIAN, method
        ).evaluate
    )
    np.testing.assert_allclose(net(X), twice(X), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("method", ["collapsed", "nested"])
def test_a_rule_of_custom_jvp_that_mixes_entries_of_an_entrywise_function(method):
    """f = u² entry by entry, but J t = 2u·Σt: Δ_x f = Σ_k ∂_k(2u) = 2 for each entry."""
    square = jax.custom_jvp(lambda u: u**2)
    square.defjvp(lambda p, t: (square(*p), 2 * p[0] * t[0].sum(-1, keepdims=True)))
    found = linear_operator(square, LAPLACIAN, method)(X)
    np.testing.assert_allclose(found, jnp.full(X.shape, 2.0), rtol=1e-12)


def test_the_compiler_pass_keeps_rules():
    """`collapse` of a function whose gradient is taken afterwards, and of code that differentiates it."""
    np.testing.assert_allclose(jax.grad(lambda x: collapse(half_sine)(x).sum())(X), jnp.cos(X) / 2, rtol=1e-14)
    pulled = collapse(lambda x: jax.vjp(half_sine, x)[1](jnp.ones_like(x))[0])
    np.testing.assert_allclose(pulled(X), jnp.cos(X) / 2, rtol=1e-14)
