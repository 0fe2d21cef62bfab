"""What is measured in JAX: the floor, operations, memory and correctness, against what is known of them."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Literal

from jetbench import operators
from jetbench.errors import BackendUnavailable, JetbenchError, Unsupported
from jetbench.jax import METHODS, counting, linear_operator, network
from jetbench.jax.floor import network_products, replay
from jetbench.measure import config, floor, plan, point
from jetbench.measure.backends import jax as measuring
from jetbench.measure.case import Case, Point
from jetbench.networks import NetworkSpec
from jetbench.operators import estimators
from jetbench.operators.problem import Problem
from jetbench.operators.symbol import variables

CASE = Case(
    operator="laplacian",
    dim=4,
    method="collapsed",
    backend="jax",
    widths=(16, 8),
    mode="compiled",
    batch=6,
    method_version=1,
)
BUDGET = config.budget({"budget": {"point_s": 0.05, "samples_max": 8}})
TIME_ONLY = {**BUDGET, "gradient": False, "memory": False}
FORWARD = 2 * 6 * (4 * 16 + 16 * 8 + 8)


@pytest.fixture(scope="module")
def session():
    return measuring.open_session("cpu")


def measure(session, budget=BUDGET, **changes) -> dict:
    stages = []
    case = replace(CASE, **changes)
    record = point.measure(
        session, Point(case, axis_value=case.batch), budget, lambda name, so_far: stages.append(name)
    )
    return {**record, "stages": stages}


def mlp(kind="mlp", outputs=1):
    jax.config.update("jax_enable_x64", True)
    return network.build(NetworkSpec(kind=kind, dim=4, widths=(16, 8), outputs=outputs))


def apply(net, x):
    return net(x)


@pytest.mark.parametrize("kind", ["mlp", "residual_mlp", "layernorm_mlp", "attention"])
@pytest.mark.parametrize("vectors", [1, 7])
def test_the_floor_costs_exactly_its_vectors_times_the_network(kind, vectors):
    net, x = mlp(kind), jnp.ones((6, 4))
    products = network_products(apply, net, x)
    plain = counting.counted_flops(apply, net, x)
    assert plain == floor.flops(p for p, _ in products) > 0
    run = replay(products, net, vectors, "float64")
    assert counting.counted_flops(run) == vectors * plain
    assert sum(out.size for out in run()) > 0


def test_the_floor_of_an_mlp_is_its_layers_with_their_own_weights():
    net, x = mlp(outputs=3), jnp.ones((6, 4))
    found = network_products(apply, net, x)
    assert [p for p, _ in found] == [floor.Product(1, 6, 4, 16), floor.Product(1, 6, 16, 8), floor.Product(1, 6, 8, 3)]
    leaves = jax.tree.leaves(net)
    for index, (product, factor) in enumerate(found):
        assert leaves[factor.parameter] is net.parameters[f"layers.{index}.weight"]
        assert factor.transposed and leaves[factor.parameter].T.shape == (product.inner, product.columns)


def test_the_compiler_cannot_leave_out_a_product_of_the_floor():
    net, x = mlp("attention"), jnp.ones((6, 4))
    run = replay(network_products(apply, net, x), net, 3, "float64")
    (jitted,) = jax.make_jaxpr(run)().eqns
    inner = jitted.params["jaxpr"].jaxpr
    read = {v for equation in inner.eqns for v in equation.invars if not isinstance(v, Literal)} | set(inner.outvars)
    assert all(out in read for equation in inner.eqns for out in equation.outvars)


@pytest.mark.parametrize(
    ("function", "shapes", "expected"),
    [
        (lambda a, b: a @ b, [(3, 4), (4, 5)], 2 * 3 * 4 * 5),
        (lambda a, b: jnp.einsum("bij,bjk->bik", a, b), [(7, 3, 4), (7, 4, 5)], 7 * 2 * 3 * 4 * 5),
        (lambda a, b: jax.lax.scan(lambda c, _: (c @ b, None), a, None, length=6)[0], [(3, 4), (4, 4)], 6 * 96),
        (lambda a, b: jax.lax.cond(a.sum() > 0, lambda: a @ b, lambda: a[:, :1] @ b[:1]), [(3, 4), (4, 5)], 120),
        (jax.jit(lambda a, b: jax.checkpoint(jnp.matmul)(a, b)), [(3, 4), (4, 5)], 120),
        (lambda a, b: (a @ b, a)[1], [(3, 4), (4, 5)], 0),
        (
            lambda a, k: jax.lax.conv_general_dilated(a, k, (1,), "VALID", feature_group_count=2),
            [(2, 6, 9), (8, 3, 4)],
            2 * (2 * 8 * 6) * (3 * 4),
        ),
        (jax.grad(lambda a, b: jnp.square(a @ b).sum()), [(3, 4), (4, 5)], 2 * 120),
    ],
    ids=["product", "batched", "scan", "cond", "calls", "unused", "convolution", "gradient"],
)
def test_operations_of_known_functions(function, shapes, expected):
    assert counting.counted_flops(function, *(jnp.ones(shape) for shape in shapes)) == expected


def test_a_loop_that_may_run_any_number_of_times_is_not_counted():
    def loop(a):
        return jax.lax.while_loop(lambda c: c.sum() < 3, lambda c: c @ c, a)

    with pytest.raises(ValueError, match="while loop"):
        counting.counted_flops(loop, jnp.ones((2, 2)))


@pytest.mark.parametrize("method", list(METHODS))
def test_a_point_of_each_method(session, method):
    record = measure(session, method=method)
    assert (record["status"], record["reason"]) == ("ok", None)
    assert record["relative_error"] < 1e-12
    assert record["vectors"] == METHODS[method].vectors(Problem(operators.laplacian(dim=4)))
    assert record["floor_vectors"] == 6 and record["order"] == 2
    assert record["network_flops"] == FORWARD
    assert 0 < record["time_min_s"] <= record["time_s"] and record["time_over_floor"] > 0
    assert record["first_call_s"] > record["time_s"], "the first call traces and compiles"
    assert (record["own_floor_s"] is None) == method.startswith("nested")
    memory = record["peak_memory_bytes"]
    assert memory["differentiable"] > memory["nondifferentiable"] > 0
    assert "memory_analysis" in memory["source"]
    assert record["gradient_time_s"] > 0 and record["compiler_flops"] > record["network_flops"]
    assert record["stages"].index("value") < record["stages"].index("time"), "right before fast"


def test_the_forward_methods_need_the_operations_of_their_vectors(session):
    found = measure(session, TIME_ONLY, method="collapsed")
    first, rest = 2 * 6 * 4 * 16, 2 * 6 * (16 * 8 + 8)
    assert first + 6 * rest <= found["flops"] <= 6 * (first + rest)


@pytest.mark.parametrize(
    "changes",
    [
        {"estimator": "normal", "samples": 3},
        {"estimator": "coordinate", "samples": 2, "method": "folx"},
        {"operator": "biharmonic", "dim": 2, "directions": "griewank", "method": "jax_jet"},
        {"operator": "heat", "method": "apolar"},
        {"operator": "linear_elasticity", "dim": 3, "outputs": 3},
        {"dtype": "float32", "method": "jax_jet"},
        {"dtype": "bfloat16"},
        {"network": "attention", "batch": 2},
        {"operator": "weighted_laplacian", "operator_options": {"rank": 2}, "batch": 1},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_points_of_many_kinds(session, changes):
    record = measure(session, TIME_ONLY, **changes)
    assert (record["status"], record["reason"]) == ("ok", None)
    assert record["relative_error"] <= measuring.TOLERANCE[record["dtype"]]


def test_parameters_and_points_are_inputs_of_what_is_compiled(session):
    """As constants, XLA might compute with them while it compiles."""
    subject = session.prepare(CASE)
    lowered, _ = subject._program("value")
    shapes = {leaf.shape for leaf in jax.tree.leaves(lowered.args_info)}
    assert {(16, 4), (8, 16), (1, 8), (6, 4)} <= shapes


def test_memory_is_of_a_program_that_hides_no_buffers(session):
    subject = session.prepare(replace(CASE, dtype="float32", widths=(64, 64), batch=64))
    subject.value()
    assert measuring.HIDING_FUSION in subject._program("value")[1].as_text(), "this XLA hides no buffers any more"
    visible, _ = subject._memory_program("value")
    assert measuring.HIDING_FUSION not in visible.as_text()
    layer = 64 * 6 * 64 * 4
    assert subject.peak_memory(differentiable=False) >= 2 * layer, "the jets going into a layer, and coming out of it"
    assert "xla_cpu_experimental_ynn_fusion_type" in subject.memory_source


def test_the_sampling_error_is_that_of_the_estimators_variance(session):
    """Rademacher directions: the variance of vᵀHv is 2 Σ_(i≠j) H_ij²; 192 draws know its root to about 5%."""
    subject = session.prepare(replace(CASE, estimator="rademacher", samples=2))
    net, x = subject._exact_network, subject._checked_rows()
    entries = linear_operator(net, {f"{i}{j}": variables(4)[i] * variables(4)[j] for i in range(4) for j in range(4)})(
        x
    )
    hessians = {name: np.asarray(entry) for name, entry in entries.items()}
    variance = sum(2 * h**2 for name, h in hessians.items() if name[0] != name[1]) / 2
    trace = sum(h for name, h in hessians.items() if name[0] == name[1])
    expected = np.sqrt(variance.mean() / (trace**2).mean())
    assert measure(session, TIME_ONLY, estimator="rademacher", samples=2)["sampling_error"] == pytest.approx(
        expected, rel=0.2
    )
    assert measure(session, TIME_ONLY, estimator="coordinate", samples=4)["sampling_error"] < 1e-12, "all coordinates"
    assert measure(session, TIME_ONLY)["sampling_error"] is None, "exact"


def test_a_wrong_value_is_a_mismatch_and_not_timed(session, monkeypatch):
    subject = measuring.Subject
    value = subject.value
    monkeypatch.setattr(subject, "value", lambda self: value(self) * (1 + 1e-7))
    record = measure(session, TIME_ONLY)
    assert record["status"] == "mismatch" and record["time_s"] is None
    assert record["relative_error"] == pytest.approx(1e-7, rel=1e-3)
    monkeypatch.setattr(subject, "value", lambda self: jnp.full((6, 1), jnp.nan))
    assert measure(session)["status"] == "mismatch"
    monkeypatch.setattr(subject, "value", lambda self: jnp.zeros(6))
    assert measure(session)["status"] == "mismatch"
    monkeypatch.setattr(subject, "value", lambda self: value(self).astype("float32"))
    record = measure(session)
    assert record["status"] == "error" and "returned float32 for float64" in record["reason"]


def test_eager_mode_is_unsupported_with_a_sentence(session):
    record = measure(session, mode="eager")
    assert (record["status"], record["reason"]) == ("unsupported", measuring.EAGER)
    (estimate,) = plan.estimates([type("Curve", (), {"points": (Point(replace(CASE, mode="eager")),)})()], {})
    assert "no mode eager" in estimate.reason


def test_unsupported_is_a_status_with_the_methods_sentence(session):
    record = measure(session, method="forward_laplacian", estimator="normal", samples=2)
    problem = Problem(operators.laplacian(dim=4), estimators.normal(2))
    assert (record["status"], record["reason"]) == ("unsupported", METHODS["forward_laplacian"].unsupported(problem))


def test_an_allocation_that_is_too_large_is_out_of_memory(session):
    assert session.is_out_of_memory(MemoryError()) and not session.is_out_of_memory(RuntimeError("shapes"))
    told = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
    assert session.is_out_of_memory(told)
    with pytest.raises(jax.errors.JaxRuntimeError) as error:
        jax.block_until_ready(jnp.ones(2**47, "float64"))
    assert session.is_out_of_memory(error.value)


def test_what_is_asked_for_must_be_there(session):
    with pytest.raises(JetbenchError, match="method 'brilliant'; allowed: nested"):
        session.prepare(replace(CASE, method="brilliant"))
    with pytest.raises(Unsupported):
        session.prepare(replace(CASE, operator="kdv", dim=2, method="forward_laplacian"))
    if jax.default_backend() == "cpu":
        precision = jax.config.jax_default_matmul_precision
        with pytest.raises(BackendUnavailable, match="JAX sees no CUDA device"):
            measuring.open_session("cuda")
        jax.config.update("jax_default_matmul_precision", precision)


def test_tensorfloat32_is_a_way_to_multiply_and_of_gpus_only(session):
    record = measure(session, dtype="tf32")
    assert record["status"] == "unsupported" and "NVIDIA GPUs" in record["reason"]
    precision = jax.config.jax_default_matmul_precision
    for dtype, expected in (("tf32", "tensorfloat32"), ("float32", "highest")):
        measuring._set_products(replace(CASE, dtype=dtype, device="cuda"))
        assert jax.config.jax_default_matmul_precision == expected
    jax.config.update("jax_default_matmul_precision", precision)


def test_both_backends_measure_at_the_same_points_with_the_same_weights():
    from jetbench.measure.backends import torch as of_torch

    ours, theirs = measuring._inputs(3, 5, "float64"), of_torch._inputs(3, 5)
    assert np.array_equal(ours, theirs.numpy())
    assert np.array_equal(measuring._inputs(100, 5, "float64")[:3], ours)


def test_the_backend_describes_its_settings():
    assert measuring.methods() == {name: method.version for name, method in METHODS.items()}
    described = measuring.description("cpu")
    assert described["threads"] >= 1 and described["enable_x64"] and described["platform"] == "cpu"
    assert described["memory_compiler_options"] == measuring.VISIBLE_BUFFERS
