"""`collapse` in JAX on code that knows nothing of it: values, counts, gradients, loops."""

import sys
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import io_callback
from jax.experimental.jet import jet

from fuzz.collapse.jax import compare
from jax_settings import compiled
from jetbench import operators
from jetbench.collapse.pull import collapse as pull_up
from jetbench.errors import Unsupported
from jetbench.jax import arrays, linear_operator
from jetbench.jax.counting import counted_flops
from jetbench.jax.network import build
from jetbench.jax.rewriting.function import collapse
from jetbench.jax.rewriting.lower import Lowering
from jetbench.networks import NetworkSpec

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
    np.testing.assert_allclose(compiled(collapsed)(weights, x), compiled(function)(weights, x), rtol=1e-11)
    hidden = sum(2 * ROWS * a * b for a, b in pairwise(WIDTHS))
    result = collapsed.explain(weights, x).result
    assert result.after.products <= 1.02 * (DIM + 2) * hidden < result.before.products


FACTORS = np.linspace(-1, 2, DIM)
HESSIANS = {
    "trace": lambda h: jnp.trace(h, axis1=-2, axis2=-1),
    "trace_of_each": jax.vmap(jnp.trace),
    "einsum": lambda h: jnp.einsum("...ii->...", h),
    "diagonal": lambda h: jnp.diagonal(h, axis1=-2, axis2=-1).sum(-1),
    "diag": jax.vmap(lambda h: jnp.diag(h).sum()),
    "entries": lambda h: h[:, jnp.arange(DIM), jnp.arange(DIM)].sum(-1),
    "identity": lambda h: jnp.einsum("ij,...ij->...", jnp.eye(DIM), h),
    "mask": lambda h: jnp.where(jnp.eye(DIM, dtype=bool), h, 0).sum((-1, -2)),
}
WEIGHTED_HESSIANS = {
    "weighted_einsum": lambda h: jnp.einsum("i,...ii->...", FACTORS, h),
    "weighted_diagonal": lambda h: (FACTORS * jnp.diagonal(h, axis1=-2, axis2=-1)).sum(-1),
}


def hessians(f, x):
    return jax.vmap(jax.jacfwd(jax.jacfwd(f)))(x)


def laplacians(f, x):
    """Forward over forward along each axis."""

    def one(x):
        return jax.vmap(lambda v: jax.jvp(lambda y: jax.jvp(f, (y,), (v,))[1], (x,), (v,))[1])(jnp.eye(len(x))).sum(0)

    return jax.vmap(one)(x)


@pytest.mark.parametrize("name", HESSIANS | WEIGHTED_HESSIANS)
def test_trace_of_a_hessian_has_the_count_of_the_forward_laplacian(name):
    weights, x = setup()

    def function(x):
        return (HESSIANS | WEIGHTED_HESSIANS)[name](hessians(lambda z: net(weights, z)[0], x))

    collapsed = collapse(function)
    np.testing.assert_allclose(compiled(collapsed)(x), compiled(function)(x), rtol=1e-11)
    result = collapsed.explain(x).result
    hidden = sum(2 * ROWS * a * b for a, b in pairwise(WIDTHS))
    assert result.after.products <= (DIM + 2) * hidden < result.before.products / 3
    if name in HESSIANS:
        stock = collapse(lambda x: laplacians(lambda z: net(weights, z)[0], x)).explain(x).result
        assert result.after.operations == stock.after.operations


@pytest.mark.parametrize("kind", ["mlp", "residual_mlp", "layernorm_mlp", "attention"])
def test_trace_of_a_hessian_of_networks(kind):
    options = {"tokens": 3} if kind == "attention" else {}
    network = build(NetworkSpec(kind=kind, dim=6, widths=(24, 24, 20), activation="tanh", **options))
    x = jnp.linspace(-1, 1, ROWS * 6).reshape(ROWS, 6)

    def function(network, x):
        return jnp.trace(hessians(lambda z: network(z)[0], x), axis1=-2, axis2=-1)

    def stock(network, x):
        return laplacians(lambda z: network(z)[0], x)

    collapsed = collapse(function)
    np.testing.assert_allclose(compiled(collapsed)(network, x), compiled(stock)(network, x), rtol=1e-9, atol=1e-12)
    found, expected = (f.explain(network, x).result for f in (collapsed, collapse(stock)))
    assert found.after.operations == expected.after.operations
    assert found.after.products == expected.after.products < found.before.products / 3


@pytest.mark.parametrize("kind", ["mlp", "layernorm_mlp", "attention"])
@pytest.mark.parametrize("code", ["stock", "jet", "taylor"])
def test_networks_have_the_count_of_the_hand_derived_scheme(kind, code):
    options = {"tokens": 3} if kind == "attention" else {}
    network = build(NetworkSpec(kind=kind, dim=6, widths=(24, 24, 20), activation="tanh", **options))
    x, axes = jnp.linspace(-1, 1, ROWS * 6).reshape(ROWS, 6), jnp.eye(6)

    def by_jets(x):
        return jax.vmap(lambda v: jet(network, (x,), ((v, jnp.zeros_like(v)),))[1][1])(axes).sum(0)

    by_hand, standard = (linear_operator(network, operators.laplacian(dim=6), m) for m in ("collapsed", "taylor"))
    function = {"stock": lambda x: laplacians(network, x), "jet": jax.vmap(by_jets), "taylor": standard}[code]
    found, expected = counted_flops(collapse(function), x), counted_flops(by_hand, x)
    assert found <= 1.02 * expected < counted_flops(function, x)


def test_trace_of_a_hessian_in_training_and_at_one_point():
    weights, x = setup()

    def function(weights, x):
        return jnp.trace(jax.jacfwd(jax.jacfwd(lambda z: net(weights, z)[0]))(x))

    expected, found = (compiled(jax.grad(f))(weights, x[0]) for f in (function, collapse(function)))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)
    text = str(collapse(function).explain(weights, x[0]))
    assert "diagonal %" in text and "it is a renaming" in text


MATRIX = np.sin(np.linspace(-1, 2, DIM * DIM)).reshape(DIM, DIM)
MATRICES = {
    "einsum": lambda x, h: jnp.einsum("ij,...ij->...", MATRIX, h),
    "product": lambda x, h: (MATRIX * h).sum((-1, -2)),
    "trace of a product": lambda x, h: jnp.trace(MATRIX @ h, axis1=-2, axis2=-1),
    "factors": lambda x, h: jnp.einsum("nij,ik,jk->n", h, MATRIX, MATRIX),
    "of each point": lambda x, h: jnp.einsum("nij,nij->n", x[:, :, None] * jnp.cos(x)[:, None], h),
}


@pytest.mark.parametrize("name", MATRICES)
def test_a_hessian_weighted_with_a_matrix(name):
    """Σ_ij A_ij ∂_i ∂_j: the vectors of the forward Laplacian, and A times the derivatives before each function."""
    weights, x = setup()

    def function(x):
        return MATRICES[name](x, hessians(lambda z: net(weights, z)[0], x))

    collapsed = collapse(function)
    np.testing.assert_allclose(jax.jit(collapsed)(x), jax.jit(function)(x), rtol=1e-11)
    layers = sum(2 * ROWS * a * b for a, b in pairwise(WIDTHS))
    weighting = 2 * ROWS * DIM * DIM * sum(WIDTHS[1:-1]) + 2 * DIM**3
    result = collapsed.explain(x).result
    assert counted_flops(collapsed, x) == result.after.products
    assert result.after.products <= (DIM + 2) * layers + weighting < 0.4 * result.before.products


def test_weights_of_each_point():
    """Σ_r w_r(x) ∂_r²: each point has weights of its own; the vectors are those of the forward Laplacian."""
    weights, x = setup()

    def function(x):
        seconds = jax.vmap(lambda v: second(weights, x, v))(eye())
        return jnp.einsum("r,rc->c", jnp.sin(x), seconds)

    collapsed = collapse(jax.vmap(function))
    np.testing.assert_allclose(jax.jit(collapsed)(x), jax.jit(jax.vmap(function))(x), rtol=1e-11)
    plain = collapse(jax.vmap(lambda x: CODES["jvp"](weights, x)))
    assert collapsed.explain(x).result.after.products == plain.explain(x).result.after.products


def test_what_lies_beside_a_diagonal_does_not_matter():
    def function(x):
        return jnp.where(jnp.eye(2, dtype=bool), 1 / x, 0)

    x = jnp.asarray([[2.0, 0.0], [0.0, 4.0]])
    np.testing.assert_array_equal(collapse(function)(x), [[0.5, 0.0], [0.0, 0.25]])


@pytest.mark.parametrize("axes", [(0, 2), (1, 3), (3, 1)])
def test_a_diagonal_of_what_is_unknown_stays(axes):
    x = jnp.linspace(-1, 1, 144).reshape(4, 3, 4, 3)

    def function(x):
        return jnp.diagonal(jnp.cumprod(x, 1), axis1=axes[0], axis2=axes[1])

    collapsed = collapse(function)
    np.testing.assert_array_equal(collapsed(x), function(x))
    assert "stays: nothing is known of how this operation" in str(collapsed.explain(x))
    np.testing.assert_array_equal(
        collapse(lambda x: jnp.einsum("abab->ba", jnp.cumprod(x, 1)))(x), jnp.einsum("abab->ba", jnp.cumprod(x, 1))
    )


def test_transformations_compose():
    weights, x = setup()

    def loss(function):
        return lambda w: (jax.vmap(lambda x: function(w, x))(x) ** 2).sum()

    expected = compiled(jax.grad(loss(CODES["jvp"])))(weights)
    found = compiled(jax.grad(loss(collapse(CODES["jvp"]))))(weights)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_a_loop_that_cannot_be_a_batch_is_left_and_explained():
    def function(x):
        return jax.lax.scan(lambda c, v: (jnp.sin(c) * v, None), x, jnp.arange(4.0))[0]

    collapsed = collapse(function)
    x = jnp.ones(3)
    np.testing.assert_allclose(collapsed(x), function(x))
    assert "A loop of 4 steps is left as it is" in str(collapsed.explain(x))


def test_loops_of_unknown_length_and_choices_are_left_and_explained():
    weights, x = setup()

    def function(x, n):
        total = jax.lax.fori_loop(0, n, lambda i, c: c + second(weights, x[0], eye()[i]), jnp.zeros(1))
        return jax.lax.cond(n > 2, lambda c: c.sum(), lambda c: -c.sum(), total)

    collapsed = collapse(function)
    np.testing.assert_array_equal(collapsed(x, DIM), function(x, DIM))
    text = str(collapsed.explain(x, DIM))
    assert "A loop whose number of steps is only known as it runs" in text and "A choice between computations" in text


@pytest.mark.parametrize("outer", ["jacfwd", "jacrev"])
def test_reverse_mode_saves_no_more_than_the_entries_beside_the_diagonal(outer):
    weights, x = setup()

    def hessian(x):
        return getattr(jax, outer)(jax.jacrev(lambda z: net(weights, z)[0]))(x)

    assert (
        collapse(hessian).explain(x[0]).result.after.products == collapse(hessian).explain(x[0]).result.before.products
    )
    explained = collapse(lambda x: jnp.trace(hessian(x))).explain(x[0])
    first = 2 * DIM * DIM * WIDTHS[1]
    assert explained.result.before.products - explained.result.after.products == first
    assert "it is a renaming" in str(explained) and "rests at" in str(explained)
    assert "weights, as in reverse mode" in str(collapse(jax.vmap(lambda x: jnp.trace(hessian(x)))).explain(x))


def test_work_is_linear_in_the_size_of_the_graph():
    """Calls of the pass's own functions, which do not depend on the machine, for a network four times as deep."""

    def calls(depth):
        network = build(NetworkSpec(dim=3, widths=(4,) * depth, activation="tanh"))
        closed = jax.make_jaxpr(lambda x: laplacians(network, x))(jnp.ones((2, 3)))
        found = 0

        def count(frame, event, _):
            nonlocal found
            found += event == "call" and "jetbench" in frame.f_code.co_filename

        sys.setprofile(count)
        try:
            lowered = Lowering(closed)
            result = pull_up(lowered.builder, lowered.outputs)
        finally:
            sys.setprofile(None)
        assert result.has_changed
        return found

    assert calls(96) < 4.1 * calls(24)


def in_reference(x):
    cell = jax.new_ref(jnp.zeros_like(x))
    cell[...] = x**2
    return cell[...]


def added_in_reference(x):
    cell = jax.new_ref(x)
    jax.ref.addupdate(cell, ..., x**2)
    return jax.ref.freeze(cell)


def reference_in_scan(x):
    def step(total, _):
        return total + in_reference(x), None

    return jax.lax.scan(step, jnp.zeros_like(x), None, length=2)[0]


def reference_around_scan(x):
    cell = jax.new_ref(jnp.zeros_like(x))

    def step(count, _):
        cell[...] += count * x**2
        return count + 1, None

    jax.lax.scan(step, 1, None, length=2)
    return cell[...]


def reference_in_branch(x):
    cell = jax.new_ref(x)

    def write(y):
        cell[...] = y**2
        return y

    jax.lax.cond(jnp.asarray(True), write, jnp.sin, x)
    return cell[...]


REFERENCES = {
    "swap": in_reference,
    "jit": jax.jit(in_reference),
    "vmap": jax.vmap(in_reference),
    "checkpoint": jax.checkpoint(in_reference),
    "addupdate": added_in_reference,
    "in_scan": reference_in_scan,
    "around_scan": reference_around_scan,
    "in_branch": reference_in_branch,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_references_within_a_function_are_values(name):
    function, x = REFERENCES[name], jnp.array([[0.3, -0.4], [0.2, 0.1]])
    np.testing.assert_allclose(collapse(function)(x), function(x), rtol=1e-15)
    factor = 4.0 if name == "in_scan" else 6.0 if name == "around_scan" else 2.0
    for method in ("collapsed", "apolar", "collapsed_rewrite"):
        found = linear_operator(function, operators.laplacian(dim=2), method)(x)
        np.testing.assert_allclose(found, jnp.full_like(x, factor), rtol=1e-14)
    if name not in ("in_branch", "checkpoint"):  # which JAX itself does not map over directions or differentiate
        for method in ("nested", "stock_rewrite"):
            found = linear_operator(function, operators.laplacian(dim=2), method)(x)
            np.testing.assert_allclose(found, jnp.full_like(x, factor), rtol=1e-14)


OUTSIDE = jax.new_ref(jnp.zeros(2))


def writes_outside(x):
    OUTSIDE[...] = x
    return OUTSIDE[...] ** 2


def prints(x):
    jax.debug.print("{x}", x=x)
    return x**2


def calls_back(x):
    return x**2 * io_callback(lambda: np.ones(()), jax.ShapeDtypeStruct((), "float64"))


@jax.custom_vjp
def prints_and_has_a_derivative(x):
    return prints(x)


prints_and_has_a_derivative.defvjp(lambda x: (x**2, x), lambda x, g: (2 * g * x,))

EFFECTS = {
    "outside": (writes_outside, "swap"),
    "print": (prints, "debug_print"),
    "callback": (lambda x: [jax.debug.callback(lambda _: None, x), x][1], "debug_callback"),
    "io_callback": (calls_back, "io_callback"),
    "jit": (jax.jit(prints), "debug_print"),
    "checkpoint": (jax.checkpoint(prints), "debug_print"),
    "scan": (lambda x: jax.lax.scan(lambda c, _: (c + prints(x), None), x, None, length=2)[0], "debug_print"),
    "branch": (lambda x: jax.lax.cond(x.sum() > 0, prints, jnp.sin, x), "debug_print"),
    "while": (lambda x: jax.lax.while_loop(lambda y: (y > 1).any(), prints, x), "debug_print"),
    "custom_vjp": (prints_and_has_a_derivative, "debug_print"),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_are_refused_by_name(name, capsys):
    function, primitive = EFFECTS[name]
    for call in (collapse(function), collapse(function).explain, jax.jit(collapse(function))):
        with pytest.raises(Unsupported, match=f"{primitive}' has an effect"):
            call(jnp.ones(2))
    jax.effects_barrier()
    assert capsys.readouterr().out == ""


def test_what_a_callback_without_effects_returns_is_kept():
    def function(x):
        return x**2 + jax.pure_callback(lambda: np.full(2, 3.0), jax.ShapeDtypeStruct((2,), "float64"))

    np.testing.assert_allclose(collapse(function)(jnp.ones(2)), [4.0, 4.0])


@pytest.mark.parametrize("method", ["taylor", "collapsed", "forward_laplacian", "apolar"])
def test_a_network_under_jets_prints_once(method, capsys):
    found = linear_operator(prints, operators.laplacian(dim=2), method)(jnp.ones((1, 2)))
    jax.effects_barrier()
    assert capsys.readouterr().out == "[[1. 1.]]\n"
    np.testing.assert_allclose(found, [[2.0, 2.0]])


def test_a_function_is_traced_anew_in_another_context():
    """The length of a named axis, and what the settings say, are part of what a computation depends on."""

    def function(x):
        return jax.lax.all_gather(x, "members").sum(0)

    collapsed = collapse(function)
    for length in (2, 3):
        x = jnp.arange(1.0, length + 1)
        np.testing.assert_allclose(jax.vmap(collapsed, axis_name="members")(x), jnp.full(length, x.sum()))


@pytest.mark.parametrize("seed", range(8))
def test_random_functions(seed):
    assert compare(seed) is None


@pytest.mark.parametrize("seed", range(100, 104))
def test_random_functions_with_sums_as_loops(monkeypatch, seed):
    """As large arrays have them."""
    monkeypatch.setattr(arrays, "LOOP_SIZE", 0)
    assert compare(seed) is None


BARRIERS = {
    "of one value": lambda y: jax.lax.optimization_barrier(jnp.sin(y)) ** 2,
    "of several": lambda y: jnp.prod(jnp.stack(jax.lax.optimization_barrier((jnp.sin(y), jnp.cos(y), y))), 0),
    "of a dictionary": lambda y: jax.lax.optimization_barrier({"a": y, "b": jnp.exp(y)})["b"] * y,
}


@pytest.mark.parametrize("name", BARRIERS)
def test_barriers_of_the_compiler_are_left_out(name):
    x = jnp.linspace(-1, 1, 6).reshape(2, 3)

    def function(x):
        return laplacians(BARRIERS[name], x)

    np.testing.assert_allclose(collapse(function)(x), function(x), rtol=1e-11, atol=1e-11)
