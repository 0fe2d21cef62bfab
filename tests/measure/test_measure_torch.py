"""What is measured in PyTorch: the floor, operations, memory and correctness, against what is known of them."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from jetbench import operators
from jetbench.errors import JetbenchError, Unsupported
from jetbench.measure import config, floor, memory, point
from jetbench.measure.backends import torch as measuring
from jetbench.measure.case import Case, Point
from jetbench.networks import NetworkSpec
from jetbench.operators import estimators
from jetbench.operators.problem import Problem
from jetbench.operators.symbol import variables
from jetbench.torch import METHODS, linear_operator, network

CASE = Case(operator="laplacian", dim=4, method="collapsed", widths=(16, 8), batch=6, method_version=1)
BUDGET = config.budget({"budget": {"point_s": 0.05, "samples_max": 8}})
MIB = 2**20
LAPLACIAN = Problem(operators.laplacian(dim=4))


@pytest.fixture(scope="module")
def session():
    return measuring.open_session("cpu")


def measure(session, **changes) -> dict:
    stages = []
    case = replace(CASE, **changes)
    record = point.measure(
        session, Point(case, axis_value=case.batch), BUDGET, lambda name, so_far: stages.append(name)
    )
    return {**record, "stages": stages}


def mlp(kind: str = "mlp", dim: int = 4, outputs: int = 1) -> torch.nn.Module:
    spec = NetworkSpec(kind=kind, dim=dim, widths=(16, 8), outputs=outputs)
    return network.build(spec, dtype=torch.float64, device="cpu")


@pytest.mark.parametrize("kind", ["mlp", "residual_mlp", "layernorm_mlp", "attention"])
@pytest.mark.parametrize("vectors", [1, 7])
def test_the_floor_costs_exactly_its_vectors_times_the_network(kind, vectors):
    net, x = mlp(kind), torch.randn(6, 4, dtype=torch.float64)
    products = measuring.recorded_products(net, x)
    run = measuring.replay(products, vectors, torch.float64, torch.device("cpu"))
    with torch.no_grad():
        plain = measuring.counted_flops(lambda: net(x))
    assert plain == floor.flops(p for p, _ in products) > 0
    assert measuring.counted_flops(run) == vectors * plain == floor.flops((p for p, _ in products), vectors)


def test_the_floor_of_an_mlp_is_its_layers():
    x = torch.randn(6, 4, dtype=torch.float64)
    found = [p for p, _ in measuring.recorded_products(mlp(outputs=3), x)]
    assert found == [floor.Product(1, 6, 4, 16), floor.Product(1, 6, 16, 8), floor.Product(1, 6, 8, 3)]
    assert found[0].with_vectors(5) == floor.Product(1, 30, 4, 16)
    assert floor.Product(2, 3, 4, 5, "both").with_vectors(3) == floor.Product(6, 3, 4, 5, "both")
    assert floor.Product(1, 3, 4, 5, "right").with_vectors(3) == floor.Product(1, 3, 4, 15, "right")


def test_the_floor_uses_the_networks_own_weights():
    weight = torch.nn.Parameter(torch.randn(5, 4, dtype=torch.float64))
    net = torch.nn.Linear(4, 5).double()
    net.weight = weight
    (recorded,) = measuring.recorded_products(net, torch.randn(2, 4, dtype=torch.float64))
    assert recorded[1].untyped_storage().data_ptr() == weight.untyped_storage().data_ptr()


def test_the_floor_stays_on_the_device_of_its_network():
    class Devices(TorchDispatchMode):
        seen: ClassVar[set] = set()

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen.update(a.device.type for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor))
            return func(*args, **kwargs)

    net, x = mlp("attention").to("meta"), torch.empty(6, 4, dtype=torch.float64, device="meta")
    products = measuring.recorded_products(net, x)
    here = measuring.recorded_products(mlp("attention"), torch.empty(6, 4, dtype=torch.float64))
    assert [p for p, _ in products] == [p for p, _ in here]
    run = measuring.replay(products, 3, torch.float64, torch.device("meta"))
    with Devices():
        run()
    assert Devices.seen == {"meta"}


def test_flops_are_counted_within_transforms_and_backward_passes():
    a, b = torch.randn(3, 4), torch.randn(4, 5)
    assert measuring.counted_flops(lambda: a @ b) == 2 * 3 * 4 * 5

    def f(x):
        return (x @ b).square().sum()

    assert measuring.counted_flops(lambda: torch.func.grad(f)(a)) == 2 * (2 * 3 * 4 * 5)
    tangents = torch.randn(6, 3, 4)

    def forward():
        return torch.vmap(lambda t: torch.func.jvp(f, (a,), (t,))[1])(tangents)

    with FlopCounterMode(display=False) as counter:
        forward()
    assert measuring.counted_flops(forward) == counter.get_total_flops() >= (1 + 6) * 2 * 3 * 4 * 5


def test_peak_of_events():
    assert memory.peak([]) == 0
    assert memory.peak([5, 3, -5, 4, -7]) == 8
    assert memory.peak([-10, 6, 6]) == 2, "memory of before the call that it gave back makes room"


def test_peak_memory_of_known_allocations():
    def two_at_once():
        a = torch.empty(MIB, dtype=torch.float64)
        b = torch.empty(MIB, dtype=torch.float64)
        del a
        c = torch.empty(MIB // 2, dtype=torch.float64)
        return b, c

    assert measuring.cpu_peak(two_at_once) == 16 * MIB


def test_the_graph_kept_for_parameters_counts():
    net = torch.nn.Sequential(*(torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.Tanh()) for _ in range(6)))
    x = torch.randn(1024, 256)

    def call(differentiable):
        with torch.set_grad_enabled(differentiable):
            return net(x)

    activation = 1024 * 256 * 4
    kept, dropped = measuring.cpu_peak(lambda: call(True)), measuring.cpu_peak(lambda: call(False))
    assert 6 * activation <= kept <= 7.1 * activation
    assert 2 * activation <= dropped <= 3.1 * activation


@pytest.mark.parametrize("method", [m for m in METHODS if METHODS[m].unsupported(LAPLACIAN) is None])
def test_a_point_of_each_method(session, method):
    record = measure(session, method=method)
    assert (record["status"], record["reason"]) == ("ok", None)
    assert record["relative_error"] < 1e-12
    assert record["vectors"] == METHODS[method].vectors(LAPLACIAN)
    assert record["floor_vectors"] == 6 and record["order"] == 2
    assert record["network_flops"] == 2 * 6 * (4 * 16 + 16 * 8 + 8)
    assert 0 < record["time_min_s"] <= record["time_s"] and record["time_over_floor"] > 0
    assert (record["own_floor_s"] is None) == method.startswith("nested")
    assert record["peak_memory_bytes"]["differentiable"] > record["peak_memory_bytes"]["nondifferentiable"] > 0
    assert record["gradient_time_s"] > 0
    assert record["stages"].index("value") < record["stages"].index("time"), "right before fast"


def test_the_forward_methods_need_the_operations_of_their_vectors(session):
    found = measure(session, method="collapsed")
    first, rest = 2 * 6 * 4 * 16, 2 * 6 * (16 * 8 + 8)
    # 6 vectors through the network; of the first layer only the primal, whose derivatives are the constant weights.
    assert first + 6 * rest <= found["flops"] <= 6 * (first + rest)


@pytest.mark.parametrize(
    "changes",
    [
        {"estimator": "normal", "samples": 3},
        {"estimator": "coordinate", "samples": 2, "method": "taylor"},
        {"operator": "biharmonic", "dim": 2, "directions": "griewank"},
        {"operator": "heat", "method": "apolar"},
        {"operator": "kdv", "dim": 2, "method": "apolar"},
        {"operator": "linear_elasticity", "dim": 3, "outputs": 3},
        {"dtype": "float32"},
        {"network": "attention", "batch": 2},
        {"batch": 1},
        {"operator": "weighted_laplacian", "operator_options": {"rank": 2}},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_points_of_many_kinds(session, changes):
    record = measure(session, **changes)
    assert (record["status"], record["reason"]) == ("ok", None)
    assert record["relative_error"] <= measuring.TOLERANCE[record["dtype"]]


def test_the_sampling_error_is_that_of_the_estimators_variance(session):
    """Rademacher directions: the variance of vᵀHv is 2 Σ_(i≠j) H_ij²; 192 draws know its root to about 5%."""
    subject = session.prepare(replace(CASE, estimator="rademacher", samples=2))
    net, x = subject._exact_network, subject._checked_rows()
    entries = linear_operator(net, {f"{i}{j}": variables(4)[i] * variables(4)[j] for i in range(4) for j in range(4)})(
        x
    )
    hessians = {name: np.asarray(entry.detach()) for name, entry in entries.items()}
    variance = sum(2 * h**2 for name, h in hessians.items() if name[0] != name[1]) / 2
    trace = sum(h for name, h in hessians.items() if name[0] == name[1])
    expected = np.sqrt(variance.mean() / (trace**2).mean())
    assert measure(session, estimator="rademacher", samples=2)["sampling_error"] == pytest.approx(expected, rel=0.2)
    assert measure(session, estimator="coordinate", samples=4)["sampling_error"] < 1e-12, "all coordinates"
    assert measure(session)["sampling_error"] is None, "exact"


def test_a_wrong_value_is_a_mismatch_and_not_timed(session, monkeypatch):
    subject = measuring.Subject
    monkeypatch.setattr(subject, "value", lambda self: self.built.evaluate(self.x, self.draws) * (1 + 1e-7))
    record = measure(session)
    assert record["status"] == "mismatch" and record["time_s"] is None
    assert record["relative_error"] == pytest.approx(1e-7, rel=1e-3)
    monkeypatch.setattr(subject, "value", lambda self: torch.full((6, 1), float("nan")))
    assert measure(session)["status"] == "mismatch"
    monkeypatch.setattr(subject, "value", lambda self: torch.zeros(6))
    assert measure(session)["status"] == "mismatch"


def test_tensorfloat32_is_a_way_to_multiply_and_of_gpus_only(session):
    record = measure(session, dtype="tf32")
    assert record["status"] == "unsupported" and "NVIDIA GPUs" in record["reason"]
    measuring._set_products(replace(CASE, dtype="tf32", device="cuda"))
    assert torch.get_float32_matmul_precision() == "high"
    assert measure(session, dtype="float32")["status"] == "ok"
    assert torch.get_float32_matmul_precision() == "highest"


def test_unsupported_is_a_status_with_the_methods_sentence(session):
    record = measure(session, method="forward_laplacian", estimator="normal", samples=2)
    problem = Problem(operators.laplacian(dim=4), estimators.normal(2))
    assert (record["status"], record["reason"]) == ("unsupported", METHODS["forward_laplacian"].unsupported(problem))
    assert record["time_s"] is None


def test_an_allocation_that_is_too_large_is_out_of_memory(session):
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**50)
    assert session.is_out_of_memory(error.value)
    assert session.is_out_of_memory(MemoryError()) and not session.is_out_of_memory(RuntimeError("shapes"))


def test_peak_memory_on_a_gpu_is_above_the_level_before(monkeypatch):
    """With a stand-in for the allocator, since the statistics are all that the GPU contributes."""
    level = {"now": 100, "peak": 900}
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: level.update(peak=level["now"]))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: level["now"])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: level["peak"])
    assert measuring._cuda_peak(lambda: level.update(peak=level["now"] + 42)) == 42


def test_what_is_asked_for_must_be_there(session):
    with pytest.raises(JetbenchError, match="method 'brilliant'; allowed: nested"):
        session.prepare(replace(CASE, method="brilliant"))
    with pytest.raises(Unsupported):
        session.prepare(replace(CASE, operator="kdv", dim=2, method="forward_laplacian"))
    if not torch.cuda.is_available():
        with pytest.raises(JetbenchError, match="sees no CUDA device"):
            measuring.open_session("cuda")


def test_rows_are_the_same_for_every_batch():
    assert torch.equal(measuring._inputs(3, 5), measuring._inputs(100, 5)[:3])


def test_the_backend_describes_its_settings():
    assert measuring.methods() == {name: method.version for name, method in METHODS.items()}
    described = measuring.description("cpu")
    assert described["threads"] == torch.get_num_threads()
    assert {"deterministic", "float32_matmul_precision", "cpu_capability"} <= described.keys()
