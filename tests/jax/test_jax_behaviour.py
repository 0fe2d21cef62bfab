"""How operators in JAX behave beyond single values: shapes, types, errors, gradients, transformations, kinks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import primitives
from jax.sharding import AxisType, PartitionSpec

from jax_settings import compiled
from jetbench import operators
from jetbench.errors import JetbenchError, MissingRule, MixedRows, Unsupported
from jetbench.jax import linear_operator, reference, rule
from jetbench.jax.independence import are_independent
from jetbench.jax.jet import elementwise
from jetbench.jax.network import build
from jetbench.jax.rules import RULES
from jetbench.networks import NetworkSpec
from jetbench.operators import estimators
from jetbench.operators.problem import as_operator
from jetbench.operators.symbol import variables

OWN = ("nested", "nested_reverse", "taylor", "collapsed", "forward_laplacian", "apolar")
JETS = ("taylor", "collapsed", "forward_laplacian", "apolar")
X = np.array([[0.3, -0.2], [0.7, 0.1], [-0.4, 0.5]])
LAPLACIAN, BIHARMONIC = operators.laplacian(dim=2), operators.biharmonic(dim=2)


def network(dim=2, outputs=1, widths=(4, 3), dtype="float64", **options):
    return build(NetworkSpec(dim=dim, widths=widths, outputs=outputs, **options), dtype)


def expected(net, operator, x):
    return reference.evaluate(net, operator, jnp.asarray(x))[""]


def evaluated(net, operator, x, method="collapsed", fuses=False, **options):
    return compiled(linear_operator(net, operator, method, **options).evaluate, fuses)(x)


def close(found, wanted, tolerance=1e-11):
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


# ---- shapes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3), (0,)])
@pytest.mark.parametrize("method", OWN)
def test_any_leading_axes(method, shape):
    net = network(outputs=2)
    x = np.random.default_rng(0).random((*shape, 2))
    found = evaluated(net, LAPLACIAN, x, method)
    assert found.shape == (*shape, 2)
    rows = evaluated(net, LAPLACIAN, x.reshape(-1, 2))
    close(found, rows.reshape(found.shape))


@pytest.mark.parametrize("outputs", [(), (2,), (2, 3)])
@pytest.mark.parametrize("method", ["nested", "nested_reverse", "collapsed"])
def test_outputs_of_any_shape(method, outputs):
    weight = np.random.default_rng(0).standard_normal((2, *outputs))

    def net(x):
        return jnp.tanh(jnp.tensordot(x, weight, 1))

    close(evaluated(net, LAPLACIAN, X, method), expected(net, LAPLACIAN, X))


@pytest.mark.parametrize("method", OWN)
def test_functions_of_one_point(method):
    """As Equinox writes them: W x + b for one x, and vmap around the network or the operator."""
    weight = np.random.default_rng(0).standard_normal((3, 2))

    def of_one_point(x):
        return jnp.tanh(weight @ x)

    wanted = expected(jax.vmap(of_one_point), LAPLACIAN, X)
    close(evaluated(jax.vmap(of_one_point), LAPLACIAN, X, method), wanted)
    operator = linear_operator(of_one_point, LAPLACIAN, method)
    close(compiled(jax.vmap(operator))(X), wanted)
    close(operator(X[0]), wanted[0])


@pytest.mark.parametrize("method", ["nested", "collapsed", "apolar"])
def test_a_system_returns_a_dictionary(method):
    t, x = variables(2)
    net = network()
    found = linear_operator(net, {"u_t": t, "u_xx": x**2}, method)(X)
    assert list(found) == ["u_t", "u_xx"]
    close(found["u_xx"], expected(net, operators.mixed_partial(dim=2, exponents=(0, 2)), X))


def test_a_network_that_does_not_depend_on_x_has_no_derivatives():
    close(evaluated(lambda x: jnp.ones(x.shape[:-1]), LAPLACIAN, X), jnp.zeros(3))


# ---- types ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("bfloat16", 0.2)])
@pytest.mark.parametrize("method", OWN)
def test_precisions(method, dtype, tolerance):
    """Every method keeps the type of x, also where JAX computes in 64 bits by default."""
    for operator in (LAPLACIAN, BIHARMONIC) if method in JETS else (LAPLACIAN,):
        exact = np.asarray(evaluated(network(), operator, X))
        found = evaluated(network(dtype=dtype), operator, jnp.asarray(X, dtype), method)
        assert found.dtype == dtype
        assert (np.abs(np.asarray(found, float) - exact) <= tolerance * np.abs(exact).max()).all()


@pytest.mark.parametrize("kind", ["normal", "rademacher", "coordinate"])
def test_directions_have_the_type_of_x(kind):
    op = linear_operator(network(dtype="float32"), LAPLACIAN, estimator=getattr(estimators, kind)(2))
    x = jnp.asarray(X, "float32")
    assert all(draw.dtype == "float32" for draw in op.draw(x, 1))
    assert op(x, 1).dtype == "float32"


@pytest.mark.parametrize("method", OWN)
def test_wrong_inputs_are_refused(method):
    op = linear_operator(network(), LAPLACIAN, method)
    with pytest.raises(ValueError, match=r"2 coordinates .* shape \(3, 5\)"):
        op(jnp.zeros((3, 5)))
    with pytest.raises(ValueError, match="shape"):
        op(jnp.array(1.0))
    with pytest.raises(TypeError, match="int64"):
        op(jnp.zeros((3, 2), int))
    with pytest.raises(TypeError, match="complex128"):
        op(X.astype(complex))
    with pytest.raises(TypeError, match="list"):
        op([[1.0, 2.0]])


def test_seeds_belong_to_random_estimators():
    with pytest.raises(ValueError, match="exact"):
        linear_operator(network(), LAPLACIAN)(X, seed=1)
    op = linear_operator(network(), LAPLACIAN, estimator=estimators.rademacher(2))
    for seed in (None, 1.5, True, jnp.array([1.0])):
        with pytest.raises(ValueError, match="seed"):
            op(X, seed)
    value = op(X, 3)
    close(compiled(op)(X, 3), value)
    close(op(X, jax.random.key(3)), value)
    close(op(X, jax.random.PRNGKey(3)), value)
    assert not jnp.array_equal(value, op(X, 5))


# ---- what a network must not do -------------------------------------------------------------------------------------

MIXING = {
    "batch_mean": lambda x: jnp.sin(x) - jnp.sin(x).mean(0),
    "cumulative_sum": lambda x: jnp.sin(x).cumsum(0),
    "roll": lambda x: jnp.sin(x) * jnp.roll(x, 1, 0),
    "attention_over_rows": lambda x: jax.nn.softmax(x @ x.T, -1) @ x,
    "sort": lambda x: jnp.sort(x, 0) ** 2,
    "other_row": lambda x: jnp.concatenate([x[:2], x[1:2] ** 2]),
    "gather": lambda x: x[jnp.array([1, 0, 2])] ** 2,
    "scan": lambda x: lax.scan(lambda c, row: (c + row, c * row), jnp.zeros(2), x)[1],
    "loop": lambda x: lax.while_loop(lambda s: (abs(s) > 1).any(), lambda s: s / 4 + s.mean(0) / 4, 5 * x),
}


@pytest.mark.parametrize("net", MIXING.values(), ids=MIXING)
def test_rows_that_influence_each_other_are_refused(net):
    for call in (linear_operator(net, LAPLACIAN), jax.jit(linear_operator(net, LAPLACIAN))):
        with pytest.raises(MixedRows, match="rows"):
            call(X)


@pytest.mark.parametrize("method", OWN)
def test_every_method_refuses_mixed_rows(method):
    with pytest.raises(MixedRows, match="rows"):
        linear_operator(MIXING["batch_mean"], LAPLACIAN, method)(X)
    with pytest.raises(JetbenchError, match="leading axes"):
        linear_operator(lambda x: (x**2).sum(), LAPLACIAN, method)(X)


def test_rows_are_checked_with_parameters_that_are_traced():
    def value(weight, x, net):
        return linear_operator(lambda x: net(weight, x), LAPLACIAN)(x)

    index = jnp.array([1, 0])
    jax.make_jaxpr(partial(value, net=lambda w, x: x[:, index] @ w))(jnp.ones((2, 2)), X)
    with pytest.raises(MixedRows):
        jax.make_jaxpr(partial(value, net=lambda w, x: x[jnp.array([1, 0, 2])] @ w))(jnp.ones((2, 2)), X)


SEPARATE = {
    "attention": network(dim=4, kind="attention", tokens=2, widths=(3, 2)),
    "layernorm": network(dim=4, kind="layernorm_mlp"),
    "of_one_point": jax.vmap(lambda x: jnp.tanh(jnp.ones((3, 4)) @ x)),
    "softmax": jax.nn.softmax,
    "custom_derivative": jax.nn.softplus,
    "checkpoint": jax.checkpoint(jnp.sin),
    "slices": lambda x: jnp.concatenate([x[..., 2:], jnp.pad(x, [(0, 0), (1, 1)]).sum(-1, keepdims=True)], -1),
    "pairs": lambda x: jnp.einsum("ni,nj->nij", x, x).reshape(len(x), -1)[:, ::-1],
}


@pytest.mark.parametrize("net", SEPARATE.values(), ids=SEPARATE)
def test_common_networks_are_proved_to_keep_rows_apart_without_running_them(net):
    assert are_independent(jax.make_jaxpr(net)(np.ones((3, 4))).jaxpr, 1)


@pytest.mark.parametrize(
    "net",
    [
        lambda x: jnp.sin(x) if x.sum() > 0 else jnp.cos(x),
        lambda x: x * float(x.max()),
        lambda x: x[x > 0],
        lambda x: sum([jnp.sin(x) for _ in range(int(abs(x).sum()))], x),
    ],
    ids=["if", "float", "mask", "loop"],
)
@pytest.mark.parametrize("method", ["nested", "collapsed"])
def test_decisions_by_value_are_refused(method, net):
    with pytest.raises(JetbenchError, match=r"jnp\.where"):
        linear_operator(net, LAPLACIAN, method)(X)


def test_an_output_that_is_no_array_is_refused():
    with pytest.raises(JetbenchError, match="one array; it returned tuple"):
        linear_operator(lambda x: (x, x), LAPLACIAN)(X)


def test_a_network_of_another_width_is_refused():
    with pytest.raises(JetbenchError, match=r"\(3, 2\)"):
        linear_operator(network(dim=5), LAPLACIAN)(X)


def test_a_missing_rule_names_the_primitive_and_can_be_added(monkeypatch):
    monkeypatch.delitem(RULES, primitives.bessel_i0e_p)
    op = linear_operator(lax.bessel_i0e, operators.mixed_partial(dim=2, exponents=(1,)))
    with pytest.raises(MissingRule, match=r"bessel_i0e.*@jetbench\.jax\.rule\(bessel_i0e_p\).*registry\.py"):
        op(X)

    @rule(primitives.bessel_i0e_p)
    def bessel(x):
        return elementwise(
            lambda u, order: [lax.bessel_i0e(u), lax.bessel_i1e(u) - jnp.sign(u) * lax.bessel_i0e(u)][: order + 1], x
        )

    close(op(X)[:, 0], lax.bessel_i1e(X[:, 0]) - jnp.sign(X[:, 0]) * lax.bessel_i0e(X[:, 0]))
    with pytest.raises(TypeError, match="primitive"):
        rule(jnp.tanh)


# ---- gradients and transformations ----------------------------------------------------------------------------------


def losses(net, x, method, operator):
    """A loss as JAX users write it: the operator is made inside, from parameters that are being differentiated."""

    def loss(net, x):
        return jnp.mean(linear_operator(net, operator, method)(x) ** 2)

    return compiled(jax.value_and_grad(loss, argnums=(0, 1)))(net, x)


def reference_losses(net, x, operator):
    return compiled(jax.value_and_grad(lambda n, x: jnp.mean(expected(n, operator, x) ** 2), argnums=(0, 1)))(net, x)


@pytest.mark.parametrize("kind", ["mlp", "layernorm_mlp"])
@pytest.mark.parametrize("method", OWN)
def test_gradients_in_parameters_and_x(method, kind):
    net = network(kind=kind)
    found, wanted = losses(net, X, method, LAPLACIAN), reference_losses(net, X, LAPLACIAN)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11), found, wanted)


@pytest.mark.parametrize("method", ["collapsed", "apolar"])
def test_gradients_of_the_biharmonic(method):
    net = network(widths=(3,))
    found, wanted = losses(net, X, method, BIHARMONIC), reference_losses(net, X, BIHARMONIC)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11), found, wanted)


def of_matrix(function):
    """A network that applies a function to a matrix which depends on its parameter and on x."""

    def net(scale, x):
        matrix = jnp.sin(scale * x[..., :, None] * x[..., None, :] + jnp.array([[0.1, 0.5], [-0.3, 0.2]]))
        return function(matrix + 2 * jnp.eye(2), scale * x)

    return net


OF_MATRICES = {
    "solve": lambda a, b: jnp.linalg.solve(a, b[..., None])[..., 0],
    "inverse": lambda a, b: jnp.linalg.inv(a).sum((-2, -1)),
    "logdet": lambda a, b: jnp.linalg.slogdet(a)[1],
    "complex_logdet": lambda a, b: jnp.linalg.slogdet(a + 1j * b[..., None])[1],
    "exponential": lambda a, b: jax.vmap(jax.scipy.linalg.expm)(a).sum((-2, -1)),
    "cholesky": lambda a, b: jnp.linalg.cholesky(a @ a.mT).sum((-2, -1)),
    "qr": lambda a, b: jnp.linalg.qr(a)[1].sum((-2, -1)) ** 2,
    "any_solver": lambda a, b: lax.custom_linear_solve(
        lambda t: (a @ t[..., None])[..., 0],
        b,
        lambda _, t: jnp.linalg.solve(lax.stop_gradient(a), t[..., None])[..., 0],
        lambda _, t: jnp.linalg.solve(lax.stop_gradient(a).mT, t[..., None])[..., 0],
    ),
}


@pytest.mark.parametrize("name", OF_MATRICES)
def test_gradients_of_linear_algebra_in_parameters(name):
    """JAX's solvers hide their matrix from AD, so that right values alone say nothing about gradients."""
    net = of_matrix(OF_MATRICES[name])

    def loss(scale, operator):
        return jnp.mean(operator(partial(net, scale)) ** 2)

    found = compiled(jax.grad(lambda s: loss(s, lambda f: linear_operator(f, LAPLACIAN)(X))))(1.1)
    wanted = compiled(jax.grad(lambda s: loss(s, lambda f: expected(f, LAPLACIAN, X))))(1.1)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_a_closure_is_read_anew_in_every_call():
    parameters = {"factor": 2.0}
    op = linear_operator(lambda x: parameters["factor"] * x**3, LAPLACIAN)
    close(op(X), 12 * X)
    parameters["factor"] = 3.0
    close(op(X), 18 * X)


@pytest.mark.parametrize("method", OWN)
def test_ensembles_by_vmap_over_parameters(method):
    nets = [network(), jax.tree.map(lambda parameter: 1.5 * parameter, network())]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *nets)
    found = compiled(jax.vmap(lambda net: linear_operator(net, LAPLACIAN, method)(X)))(stacked)
    close(found, jnp.stack([evaluated(net, LAPLACIAN, X) for net in nets]))


def test_an_operator_of_an_operator():
    """Jets of one operator run through the jets of another one."""
    net = network()
    twice = linear_operator(linear_operator(net, LAPLACIAN), LAPLACIAN)
    close(twice(X), expected(net, BIHARMONIC, X))


def test_forward_mode_through_an_operator():
    net, v = network(), jnp.array([1.0, -2.0])
    op = linear_operator(net, LAPLACIAN)
    _, found = jax.jvp(op, (jnp.asarray(X),), (jnp.broadcast_to(v, X.shape),))
    _, wanted = jax.jvp(partial(expected, net, LAPLACIAN), (jnp.asarray(X),), (jnp.broadcast_to(v, X.shape),))
    close(found, wanted)


@pytest.mark.parametrize("kind", ["exact", "rademacher"])
@pytest.mark.parametrize("method", ["nested", "taylor", "collapsed", "apolar"])
def test_rows_spread_over_devices(method, kind):
    estimator = None if kind == "exact" else estimators.rademacher(2)
    if method == "apolar" and estimator is not None:
        with pytest.raises(JetbenchError, match="draw"):
            linear_operator(network(), LAPLACIAN, method, estimator)
        return
    op = linear_operator(network(), LAPLACIAN, method, estimator)
    draws = op.draw(X, None if kind == "exact" else 1)
    mesh = jax.make_mesh((1,), ("rows",), axis_types=(AxisType.Auto,))
    of_rows, of_draws = PartitionSpec("rows"), PartitionSpec(None, "rows")
    spread = jax.shard_map(op.evaluate, mesh=mesh, in_specs=(of_rows, of_draws), out_specs=of_rows)
    close(jax.jit(spread)(X, draws), op.evaluate(X, draws))


# ---- control flow and functions with their own derivatives ----------------------------------------------------------


def features(x):
    return jnp.tanh(x @ np.array([[0.3, -0.7, 0.5], [0.2, 0.4, -0.6]])) + 0.3 * x.sum(-1, keepdims=True)


def scanned(x):
    """Results and state depend on x, the counter does not."""
    items = jnp.moveaxis(features(x), -1, 0)
    start = (jnp.zeros(x.shape[:-1]), 0.0)
    (total, _), seen = lax.scan(lambda s, h: ((jnp.sin(s[0] + h * s[1]), s[1] + 1), s[0] * h), start, items)
    return jnp.concatenate([total[..., None], jnp.moveaxis(seen, 0, -1)], -1)


def looped(x):
    """The third entry depends on x only after three passes."""
    h = features(x)
    start = (0, h, jnp.ones_like(h), jnp.ones_like(h))
    return lax.while_loop(lambda s: s[0] < 4, lambda s: (s[0] + 1, s[1], s[1] * s[2], jnp.sin(s[2]) + s[3]), start)[3]


@jax.custom_jvp
def guarded(u):
    """sin(u)/u, with a guard that hides its derivatives at 0."""
    return jnp.where(u == 0, 1.0, jnp.sin(u) / jnp.where(u == 0, 1.0, u))


@guarded.defjvp
def _(primals, tangents):
    (u,), (t,) = primals, tangents
    series = -u / 3 + u**3 / 30 - u**5 / 840 + u**7 / 45360 - u**9 / 3991680 + u**11 / 518918400
    return guarded(u), t * series


@jax.custom_vjp
def clipped_gradient(u):
    return u**3


clipped_gradient.defvjp(lambda u: (u**3, u), lambda u, g: (jnp.clip(g, -1, 1) * 3 * u**2,))

FUNCTIONS = {
    "scan": scanned,
    "while": looped,
    "fori": lambda x: lax.fori_loop(0, 3, lambda i, h: jnp.sin(h + i * x[..., :1]), features(x)),
    "cond": lambda x: lax.cond(jnp.asarray(True), lambda h: h**2, jnp.ones_like, features(x)) * x[..., :1],
    "switch": lambda x: lax.switch(2, [jnp.sin, jnp.cos, lambda h: h * features(x)], features(x)),
    "map": lambda x: jnp.moveaxis(lax.map(jnp.sin, jnp.moveaxis(features(x), -1, 0)), 0, -1),
    "checkpoint": jax.checkpoint(lambda x: jnp.sin(features(x)) * x[..., :1]),
    "guarded_at_0": lambda x: guarded(features(x) - features(lax.stop_gradient(x))),
    "several_arguments": lambda x: jnp.logaddexp(features(x), x[..., :1] ** 2),
    "logaddexp_at_equality": lambda x: jnp.logaddexp(features(x), features(lax.stop_gradient(x))),
    "softplus_at_0": lambda x: jax.nn.softplus(features(x) - features(lax.stop_gradient(x))),
    "relu": lambda x: jax.nn.relu(features(x)) ** 3,
    "where_guard": lambda x: jnp.where(features(x) > 0, jnp.sqrt(jnp.where(features(x) > 0, features(x), 1.0)), 0.0),
    "complex": lambda x: jnp.abs(jnp.exp(1j * features(x)) * features(x) + x[..., :1]),
    "logsumexp": lambda x: jax.nn.logsumexp(features(x), -1),
    "prod": lambda x: jnp.prod(features(x), -1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_every_kind(name):
    """Against nested forward mode, to the fourth order."""
    xi = variables(2)
    system = {"second": xi @ xi + xi[0], "third": xi[0] * xi[1] ** 2, "fourth": (xi @ xi) ** 2}
    wanted = {key: compiled(partial(expected, FUNCTIONS[name], as_operator(p)))(X) for key, p in system.items()}
    for method in ("collapsed", "apolar"):
        found = evaluated(FUNCTIONS[name], system, X, method, fuses=True)
        for output, value in wanted.items():
            np.testing.assert_allclose(found[output], value, rtol=1e-9, atol=1e-9 * max(1, abs(value).max()))


def test_a_reverse_mode_that_is_no_derivative_is_refused():
    with pytest.raises(Unsupported, match="must be a linear function of the cotangent"):
        evaluated(clipped_gradient, LAPLACIAN, X)


KINKS = {
    "relu": lambda x: jax.nn.relu(x) * (1 + x),
    "leaky_relu": lambda x: jax.nn.leaky_relu(x, 0.2) * (1 + x),
    "relu6": lambda x: jax.nn.relu6(x + jnp.array([0.0, 6.0])) * (1 + x),
    "clip": lambda x: jnp.clip(x, 0.0, 1.0) * (1 + x),
    "clamp": lambda x: lax.clamp(0.0, x, 1.0) * (1 + x),
    "abs": lambda x: jnp.abs(x) * (1 + x),
    "maximum": lambda x: jnp.maximum(x, 2 * x) * (1 + x),
    "minimum": lambda x: jnp.minimum(x, 3 * x) * (1 + x),
    "max": lambda x: jnp.stack([x, 3 * x, x - 1], -1).max(-1) * (1 + x),
    "elu": lambda x: jax.nn.elu(x, 0.5),
    "hard_swish": lambda x: jax.nn.hard_swish(x + 3),
    "where": lambda x: jnp.where(x > 0, x**2, x**3),
    "whole_power": lambda x: x**2 + x**3 + x**0,
    "power_of_array": lambda x: x ** jnp.array([2.0, 3.0]),
    "prod": lambda x: jnp.stack([x, x, 1 + x], -1).prod(-1),
    "sign": lambda x: jnp.sign(x) * x**2,
    "floor": lambda x: jnp.floor(x) * x**2,
}


@pytest.mark.parametrize("name", KINKS)
def test_kinks_follow_the_conventions_of_nested_ad(name):
    x = jnp.zeros((2, 2))
    wanted = compiled(partial(expected, KINKS[name], LAPLACIAN), fuses=True)(x)
    for method in ("taylor", "collapsed", "apolar"):
        close(evaluated(KINKS[name], LAPLACIAN, x, method, fuses=True), wanted)


def test_singular_points_give_no_finite_number():
    x = jnp.zeros((1, 2))
    for net in (jnp.sqrt, jnp.log, lambda x: 1 / x, lambda x: x**1.5):
        assert not jnp.isfinite(evaluated(net, LAPLACIAN, x)).any()


@pytest.mark.parametrize("method", ["nested", "collapsed", "apolar", "forward_laplacian", "collapsed_rewrite"])
def test_a_setting_against_broadcasting_of_ranks_is_for_the_network_alone(method):
    weights = jnp.ones((2, 4)) / 3
    with jax.numpy_rank_promotion("raise"):
        linear_operator(lambda y: jnp.tanh(y @ weights), LAPLACIAN, method)(jnp.ones((3, 2)))
        with pytest.raises((JetbenchError, ValueError), match="rank_promotion"):
            linear_operator(lambda y: y * jnp.ones(2), LAPLACIAN, method)(jnp.ones((3, 2)))
