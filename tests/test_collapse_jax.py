"""`collapse` in JAX on code that knows nothing of it: values, counts, gradients, loops."""

from itertools import pairwise

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy
from jax.experimental.jet import jet  # noqa: E402

from jetbench.jax.rewriting.function import collapse  # noqa: E402
from jetbench.jax.rewriting.fuzz import compare  # noqa: E402

DIM, ROWS, WIDTHS = 5, 3, (5, 30, 20, 1)


@pytest.fixture(autouse=True)
def double():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def setup():
    random = np.random.default_rng(0)
    shapes = zip(WIDTHS[1:], WIDTHS[:-1], strict=True)
    weights = [jnp.asarray(random.standard_normal(s) / s[1] ** 0.5) for s in shapes]
    return weights, jnp.asarray(random.standard_normal((ROWS, DIM)))


def net(weights, x):
    for matrix in weights[:-1]:
        x = jnp.tanh(matrix @ x)
    return weights[-1] @ x


def second(weights, x, v):
    return jax.jvp(lambda y: jax.jvp(lambda z: net(weights, z), (y,), (v,))[1], (x,), (v,))[1]


def eye():
    return jnp.eye(DIM)


CODES = {
    "jvp": lambda w, x: jax.vmap(lambda v: second(w, x, v))(eye()).sum(0),
    "jet": lambda w, x: jax.vmap(lambda v: jet(lambda z: net(w, z), (x,), ((v, jnp.zeros_like(v)),))[1][1])(eye()).sum(
        0
    ),
    "scan": lambda w, x: jax.lax.scan(lambda c, v: (c + second(w, x, v), None), jnp.zeros(1), eye())[0],
    "map": lambda w, x: jax.lax.map(lambda v: second(w, x, v), eye()).sum(0),
    "fori": lambda w, x: jax.lax.fori_loop(0, DIM, lambda i, c: c + second(w, x, eye()[i]), jnp.zeros(1)),
    "einsum": lambda w, x: jnp.einsum("r,rc->c", jnp.ones(DIM), jax.vmap(lambda v: second(w, x, v))(eye())),
}


@pytest.mark.parametrize("name", CODES)
def test_laplacian_has_the_count_of_the_forward_laplacian(name):
    weights, x = setup()

    def function(weights, points):
        return jax.vmap(lambda x: CODES[name](weights, x))(points)

    collapsed = collapse(function)
    np.testing.assert_allclose(jax.jit(collapsed)(weights, x), jax.jit(function)(weights, x), rtol=1e-11)
    hidden = sum(2 * ROWS * a * b for a, b in pairwise(WIDTHS))
    result = collapsed.explain(weights, x).result
    assert result.after.products <= 1.02 * (DIM + 2) * hidden < result.before.products


def test_transformations_compose():
    weights, x = setup()

    def loss(function):
        return lambda w: (jax.vmap(lambda x: function(w, x))(x) ** 2).sum()

    expected = jax.jit(jax.grad(loss(CODES["jvp"])))(weights)
    found = jax.jit(jax.grad(loss(collapse(CODES["jvp"]))))(weights)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_a_loop_that_cannot_be_a_batch_is_left_and_explained():
    def function(x):
        return jax.lax.scan(lambda c, v: (jnp.sin(c) * v, None), x, jnp.arange(4.0))[0]

    collapsed = collapse(function)
    x = jnp.ones(3)
    np.testing.assert_allclose(collapsed(x), function(x))
    assert "A loop of 4 steps is left as it is" in str(collapsed.explain(x))


def test_reverse_over_reverse_is_left_unchanged():
    weights, x = setup()

    def function(x):
        return jnp.trace(jax.jacrev(jax.jacrev(lambda z: net(weights, z)[0]))(x))

    assert not collapse(function).explain(x[0]).result.has_changed


@pytest.mark.parametrize("seed", range(8))
def test_random_functions(seed):
    assert compare(seed) is None
