"""Large sums over directions are loops on CPU: the same numbers under every transformation, and no residuals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_settings  # noqa: F401  (64 bits)
from jetbench import operators
from jetbench.jax import arrays, linear_operator, sums
from jetbench.jax.counting import counted_flops
from jetbench.jax.network import build
from jetbench.jax.rules.control_flow import scan_counts
from jetbench.networks import NetworkSpec

LAPLACIAN = operators.laplacian(dim=4)
X = np.random.default_rng(0).random((2, 4))


def loss(net, x, method="collapsed"):
    return jnp.mean(linear_operator(net, LAPLACIAN, method=method)(x) ** 2)


TRANSFORMATIONS = {
    "gradient": lambda net: jax.grad(loss)(net, jnp.asarray(X)).parameters,
    "ensemble_of_gradients": lambda net: jax.vmap(lambda s: jax.grad(lambda t: loss(net, t * X))(s))(jnp.ones(2)),
    "forward": lambda net: jax.jvp(linear_operator(net, LAPLACIAN), (jnp.asarray(X),), (jnp.ones_like(X),))[1],
    "operator_of_an_operator": lambda net: linear_operator(linear_operator(net, LAPLACIAN), LAPLACIAN)(X),
}


@pytest.mark.long
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_loops_and_plain_sums_agree(monkeypatch, name):
    net = build(NetworkSpec(kind="layernorm_mlp", dim=4, widths=(3, 3)))
    monkeypatch.setattr(arrays, "LOOP_SIZE", 1 << 30)
    wanted = TRANSFORMATIONS[name](net)
    monkeypatch.setattr(arrays, "LOOP_SIZE", 0)
    found = TRANSFORMATIONS[name](net)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), found, wanted)


@pytest.mark.parametrize("method", ["collapsed", "collapsed_rewrite", "stock_rewrite"])
def test_loops_change_no_count(monkeypatch, method):
    """Jets and the compiler pass follow the functions that hold the loops."""
    net = build(NetworkSpec(dim=4, widths=(3, 3)))

    def operations():
        return counted_flops(lambda x: linear_operator(net, LAPLACIAN, method=method)(x), jnp.asarray(X))

    monkeypatch.setattr(arrays, "LOOP_SIZE", 1 << 30)
    wanted = operations()
    monkeypatch.setattr(arrays, "LOOP_SIZE", 0)
    assert operations() == wanted


def test_functions_with_loops_are_told_from_those_of_users():
    @jax.custom_jvp
    def scaled_directions(factor, block):
        return factor * block

    scaled_directions.defjvps(None, None)
    for function, known in ((sums.scaled_directions, True), (scaled_directions, False)):
        (call,) = jax.make_jaxpr(function)(jnp.ones(2), jnp.ones((3, 2))).jaxpr.eqns
        assert sums.is_written_out(call.params["call_jaxpr"].jaxpr) == known


@pytest.mark.parametrize("method", ["collapsed", "collapsed_rewrite", "stock_rewrite"])
def test_the_backward_pass_writes_nothing_down_in_loops(monkeypatch, method):
    """Loops carry one sum; a loop with results would store an entry for each direction."""
    monkeypatch.setattr(arrays, "LOOP_SIZE", 0)
    net = build(NetworkSpec(dim=4, widths=(3, 3)))
    gradient = jax.grad(lambda net, x: loss(net, x, method))
    scans = [e for e in jax.make_jaxpr(gradient)(net, X).jaxpr.eqns if e.primitive.name == "scan"]
    assert scans
    assert all(len(e.outvars) == scan_counts(e.params)[1] for e in scans)
