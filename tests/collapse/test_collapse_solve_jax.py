"""`collapse` in JAX pulls sums through solutions of linear systems: columns solved, values, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jetbench.collapse.graph import live
from jetbench.jax import collapse
from jetbench.jax.rewriting.precision import Precisions

DIM, SIZE = 5, 4
random = np.random.default_rng(0)
WEIGHTS = random.standard_normal((SIZE, SIZE, DIM)) / SIZE
POINTS = random.standard_normal((3, DIM))


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def matrix(w, x):
    return jnp.tanh(w @ x) + 3 * jnp.eye(SIZE)


def right(x):
    return jnp.sin(x[:SIZE])


FUNCTIONS = {
    "slogdet": (lambda w, x: jnp.linalg.slogdet(matrix(w, x))[1], (DIM + 1) * SIZE),
    "inv": (lambda w, x: jnp.linalg.inv(matrix(w, x)).sum(), DIM + 2),
    "solve": (lambda w, x: jnp.linalg.solve(matrix(w, x), right(x)).sum(), DIM + 2),
    "solve of a transpose": (lambda w, x: jnp.linalg.solve(matrix(w, x).T, right(x)).sum(), DIM + 2),
    "solve with columns": (
        lambda w, x: jnp.linalg.solve(matrix(w, x), jnp.outer(right(x), jnp.cos(x))).sum(),
        DIM + 2,
    ),
    "solve_triangular": (lambda w, x: jax.scipy.linalg.solve_triangular(matrix(w, x), right(x)).sum(), None),
    "solve_triangular, transposed": (
        lambda w, x: jax.scipy.linalg.solve_triangular(matrix(w, x), right(x), trans=1, lower=True).sum(),
        None,
    ),
    "matrix of parameters": (lambda w, x: jnp.linalg.solve(matrix(w, jnp.ones(DIM)), right(x)).sum(), 1),
    "complex": (lambda w, x: jnp.linalg.solve(matrix(w, x) + 1j * jnp.eye(SIZE), right(x)).sum().imag, None),
}
HESSIANS = {
    "trace": lambda f, x: jnp.trace(jax.jacfwd(jax.jacfwd(f))(x)),
    "directions": lambda f, x: jax.vmap(lambda v: jax.jvp(lambda y: jax.jvp(f, (y,), (v,))[1], (x,), (v,))[1])(
        jnp.eye(DIM)
    ).sum(0),
}


def laplacian(name, hessian):
    function = FUNCTIONS[name][0]
    return lambda w, points: jax.vmap(lambda x: HESSIANS[hessian](lambda y: function(w, y), x))(points)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "complex"])
def test_right_hand_sides_of_second_derivatives_are_summed_before_they_are_solved(name):
    function, expected = laplacian(name, "trace"), FUNCTIONS[name][1]
    collapsed = collapse(function)
    result = collapsed.explain(WEIGHTS, POINTS).result
    solved = [node for node in live(result.outputs) if node.op == "solve"]
    assert result.after.operations < result.before.operations / 2
    assert expected is None or sum(node.size for node in solved) == expected * SIZE * len(POINTS)
    np.testing.assert_allclose(jax.jit(collapsed)(WEIGHTS, POINTS), jax.jit(function)(WEIGHTS, POINTS), rtol=1e-11)


@pytest.mark.parametrize("name", ("slogdet", "solve with columns"))
def test_sums_over_directions(name):
    function = laplacian(name, "directions")
    result = collapse(function).explain(WEIGHTS, POINTS).result
    solved = [node for node in live(result.outputs) if node.op == "solve"]
    assert sum(node.size for node in solved) == FUNCTIONS[name][1] * SIZE * len(POINTS)


@pytest.mark.parametrize("name", ("slogdet", "solve_triangular, transposed", "complex"))
def test_one_point_and_derivatives_by_parameters(name):
    function, point = laplacian(name, "directions"), POINTS[:1]
    wanted = jax.jit(jax.grad(lambda w: function(w, point).sum()))(WEIGHTS)
    found = jax.jit(jax.grad(lambda w: collapse(function)(w, point).sum()))(WEIGHTS)
    again = jax.jit(collapse(jax.grad(lambda w: function(w, point).sum())))(WEIGHTS)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(again, wanted, rtol=1e-9, atol=1e-11)


def test_a_solver_that_is_not_known_stays():
    def function(x):
        def one(x, v):
            given = matrix(WEIGHTS, x)
            return lax.custom_linear_solve(
                lambda y: given @ y, v, lambda _, b: jax.scipy.sparse.linalg.gmres(lambda y: given @ y, b)[0],
                lambda _, b: jax.scipy.sparse.linalg.gmres(lambda y: given.T @ y, b)[0],
            )  # fmt: skip

        return jax.vmap(lambda v: one(x, v))(jnp.eye(SIZE)).sum(0)

    x = POINTS[0]
    np.testing.assert_allclose(collapse(function)(x), jnp.linalg.solve(matrix(WEIGHTS, x), jnp.ones(SIZE)), rtol=1e-4)


def test_products_keep_the_precision_that_they_are_asked_for():
    def function(x, y):
        return jnp.matmul(x, y, precision="highest") + jnp.tanh(jnp.matmul(x, x)) + jnp.matmul(y, y, precision="high")

    square = jnp.asarray(WEIGHTS[..., 0], "float32")
    kept = [e.params["precision"] for e in jax.make_jaxpr(collapse(function))(square, square.T).eqns
            if e.primitive is lax.dot_general_p]  # fmt: skip
    assert sorted(map(str, kept)) == sorted(map(str, [(lax.Precision.HIGHEST,) * 2, None, (lax.Precision.HIGH,) * 2]))


def test_new_products_have_the_highest_precision():
    precisions = Precisions()
    high, highest = (lax.Precision.HIGH,) * 2, (lax.Precision.HIGHEST,) * 2
    assert all(precisions.accepts(p) for p in (None, highest, high))
    assert not precisions.accepts(lax.DotAlgorithmPreset.BF16_BF16_F32)
    assert precisions.of(object()) == highest
