"""PyTorch for `jetbench.measure`: building a case, its clock, floor, counts, memory and correctness.

What is measured and in which order is decided in `jetbench.measure.point`.
"""

from __future__ import annotations

import copy
import gc
import os
from collections.abc import Callable, Mapping
from functools import cache, cached_property, partial
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the memory profiler's own messages are not the user's concern
os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")  # a first call compiles, whatever was compiled before

import numpy as np
import torch
from torch import Tensor
from torch.autograd.profiler import profile
from torch.utils.flop_counter import flop_registry

from jetbench import operators
from jetbench.errors import BackendUnavailable, JetbenchError, Unsupported, unknown
from jetbench.measure.accuracy import DRAWS, sampling_error
from jetbench.measure.case import NO_TF32, Case
from jetbench.measure.clock import Clock, EventClock, WallClock
from jetbench.measure.floor import Product, flops
from jetbench.measure.memory import peak
from jetbench.methods import counted, smallest_vectors
from jetbench.networks import NetworkSpec
from jetbench.operators.estimators import Estimator
from jetbench.operators.problem import Problem
from jetbench.torch import METHODS, linear_operator, network, reference
from jetbench.torch._compat import TorchDispatchMode, find_cpp_compiler
from jetbench.torch.exhaustion import is_out_of_memory

CHECKED_ROWS = 3
SEED = 0
TOLERANCE = {"float64": 1e-8, "float32": 5e-3, "tf32": 0.05, "bfloat16": 0.25, "float16": 0.25}


def methods() -> dict[str, int]:
    """Method → version."""
    return {name: method.version for name, method in METHODS.items()}


def vectors(method: str, problem: Problem) -> tuple[int | None, str | None]:
    """The vectors of a method for a problem, and None; or None and the sentence that says why it cannot do it."""
    return counted("torch", method, problem)


def description(device: str) -> dict[str, Any]:
    """Settings of torch that matter for time and rounding."""
    settings = {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkl": torch.backends.mkl.is_available(),
        "mkldnn": torch.backends.mkldnn.is_available(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }
    if device == "cuda":
        settings |= {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "capability": list(torch.cuda.get_device_capability()),
            "gpu": torch.cuda.get_device_name(),
        }
    return settings


def open_session(device: str, threads: int | None = None) -> Session:
    """Measuring on a device with a number of CPU threads (None: all that torch takes by itself)."""
    if device == "cuda" and not torch.cuda.is_available():
        raise BackendUnavailable("The device cuda was asked for, but torch sees no CUDA device here. Use --device cpu.")
    if threads is not None:
        torch.set_num_threads(threads)
    gc.collect()
    gc.freeze()  # torch's own objects outlive all points: looking through them again at each would cost a second
    return Session(device)


class Session:
    """Keeps the last network, reference value and floor of each kind, which most points of a curve share."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._kept: dict[str, tuple[tuple, Any]] = {}

    def keep(self, key: tuple, make: Callable[[], Any]) -> Any:
        """What `make` returned for this key, if it was the last one of its kind, key[0]; else it is made anew.

        More is not kept: the networks of a long curve along the width or depth would fill the memory.
        """
        kind = key[0]
        if self._kept.get(kind, (None,))[0] != key:
            self._kept.pop(kind, None)
            self._kept[kind] = (key, make())
        return self._kept[kind][1]

    def prepare(self, case: Case) -> Subject:
        """Build network, inputs and operator of a case.

        Raises:
            Unsupported: the method cannot do it, or the device not the type.
            JetbenchError: the case names something that there is not.
        """
        if case.method not in METHODS:
            raise JetbenchError(unknown("method", case.method, METHODS))
        return Subject(self, case)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether an error, or one that led to it, means that memory was exhausted, on the device or on the host."""
        return is_out_of_memory(error)

    def release(self) -> None:
        """Forget compiled code and give cached memory back, so that points do not depend on what went before."""
        torch.compiler.reset()
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()


class Subject:
    """One case in PyTorch; see `jetbench.measure.subject.Subject` for what its members mean."""

    def __init__(self, session: Session, case: Case) -> None:
        self.session, self.case = session, case
        self.dtype = getattr(torch, case.stored_dtype)
        self.device = torch.device(case.device)
        _set_products(case)
        options = tuple(sorted((k, repr(v)) for k, v in case.operator_options.items()))
        self._operator_key = (case.operator, case.dim, options)
        spec = NetworkSpec(
            kind=case.network,
            dim=case.dim,
            widths=tuple(case.widths),
            outputs=case.outputs,
            activation=case.activation,
            seed=case.network_seed,
        )
        self._network_key = (spec, case.dtype)
        self.net = session.keep(
            ("network", self._network_key), lambda: network.build(spec, dtype=self.dtype, device=self.device)
        )
        self.operator = session.keep(
            ("operator", self._operator_key),
            lambda: operators.make(case.operator, dim=case.dim, **case.operator_options),
        )
        self.estimator = Estimator(case.estimator, case.samples)
        scheme = case.directions or "polarization"
        self.built = linear_operator(self.net, self.operator, case.method, self.estimator, scheme)
        self.x = _inputs(case.batch, case.dim).to(self.dtype).to(self.device)
        self.draws = self.built.draw(self.x, None if self.estimator.is_exact else SEED)
        self.vectors = self.built.vectors
        self.order = self.operator.order
        self.has_own_floor = not METHODS[case.method].is_nested
        self.tolerance = TOLERANCE[case.dtype]
        self.evaluate = self.built.evaluate
        if case.mode == "compiled":
            _check_compiler(case.device)
            torch.compiler.reset()
            self.evaluate = torch.compile(self.built.evaluate, dynamic=False)
        self._is_differentiated = False
        self.clock: Clock = WallClock()
        self.memory_source = "torch.profiler allocation events"
        if case.device == "cuda":
            self.clock = EventClock(partial(torch.cuda.Event, enable_timing=True), torch.cuda.synchronize)
            self.memory_source = "torch.cuda.max_memory_allocated above the level before the call"

    def value(self) -> Any:
        with torch.no_grad():
            return self.evaluate(self.x, self.draws)

    def gradient(self) -> tuple[Tensor | None, ...]:
        loss = sum(output.square().mean() for output in _outputs(self.evaluate(self.x, self.draws)).values())
        self._is_differentiated = True
        parameters = [p for p in self.net.parameters() if p.requires_grad]
        return torch.autograd.grad(loss, parameters, allow_unused=True)

    def relative_error(self, value: Any) -> float:
        """max |value − reference| / max |reference| on the first rows, over all outputs together."""
        count = min(CHECKED_ROWS, self.case.batch)
        expected = self._reference(count)
        found = {name: output[:count].double() for name, output in _outputs(value).items()}
        if found.keys() != expected.keys():
            return float("inf")
        if any(found[name].shape != expected[name][:count].shape for name in found):
            return float("inf")
        gap = max((found[name] - expected[name][:count]).abs().max().item() for name in found)
        scale = max(expected[name][:count].abs().max().item() for name in found)
        finite = all(torch.isfinite(output).all().item() for output in found.values())
        return (gap / scale if scale else gap) if finite else float("inf")

    def _reference(self, count: int) -> dict[str, Tensor]:
        """The right values on the first rows; for random directions, on those that were drawn."""

        def evaluate(x: Tensor, draws: tuple[Tensor, ...]) -> dict[str, Tensor]:
            problem = Problem(self.operator, self.estimator)
            outputs = reference.evaluate(self._exact_network, self.operator, x, problem, draws)
            combine = self.operator.combine
            return {name: y.detach() for name, y in _outputs(combine(outputs) if combine else outputs).items()}

        if self.estimator.is_exact:
            key = ("value", self._operator_key, self._network_key)
            return self.session.keep(key, lambda: evaluate(self._checked_rows(), ()))
        return evaluate(self.x[:count].double(), tuple(draw[:, :count].double() for draw in self.draws))

    @property
    def _exact_network(self) -> torch.nn.Module:
        """The network in float64, with the weights that it has in the case's type."""
        return self.session.keep(("exact network", self._network_key), lambda: copy.deepcopy(self.net).double())

    def _checked_rows(self) -> Tensor:
        return _inputs(CHECKED_ROWS, self.case.dim).to(self.dtype).to(self.device).double()

    def sampling_error(self) -> float:
        """Over the draws of the seeds from 1 on; the exact values and the estimates by collapsed Taylor mode."""
        net, x = self._exact_network, self._checked_rows()

        def arrays(value: Any) -> dict[str, np.ndarray]:
            return {name: output.cpu().numpy() for name, output in _outputs(value).items()}

        with torch.no_grad():
            exact = arrays(linear_operator(net, self.operator, "collapsed")(x))
            estimate = linear_operator(net, self.operator, "collapsed", self.estimator)
            return sampling_error(exact, (arrays(estimate(x, seed=seed)) for seed in range(1, DRAWS + 1)))

    @cached_property
    def floor_vectors(self) -> int | None:
        """The smallest number of vectors of any forward method for this operator and estimator."""
        key = ("floor", self._operator_key, self.estimator)
        return self.session.keep(key, lambda: smallest_vectors("torch", Problem(self.operator, self.estimator)))

    @cached_property
    def _products(self) -> list[tuple[Product, Tensor | None]]:
        return recorded_products(self.net, self.x)

    @property
    def network_flops(self) -> int:
        return flops(product for product, _ in self._products)

    def floor(self, vectors: int) -> Callable[[], None]:
        return replay(self._products, vectors, self.dtype, self.device)

    def flops(self) -> int:
        """Counted in one eager evaluation, so that compiled and eager mode report the same."""
        with torch.no_grad():
            return counted_flops(lambda: self.built.evaluate(self.x, self.draws))

    def compiler_flops(self) -> None:
        """PyTorch's compiler counts none."""
        return

    def peak_memory(self, differentiable: bool) -> int:
        def call() -> Any:
            with torch.set_grad_enabled(differentiable):
                return self.evaluate(self.x, self.draws)

        if differentiable and not self._is_differentiated:
            call()
        return _cuda_peak(call) if self.device.type == "cuda" else cpu_peak(call)


def _set_products(case: Case) -> None:
    """Make float32 mean float32 in products, or TensorFloat-32 where that is the type; for all that follows."""
    if case.dtype == "tf32" and case.device != "cuda":
        raise Unsupported(NO_TF32)
    torch.set_float32_matmul_precision("high" if case.dtype == "tf32" else "highest")


@cache
def _check_compiler(device: str) -> None:
    """Raise a JetbenchError where torch.compile has no C++ compiler for the CPU; it says so itself in many lines."""
    try:
        if device == "cpu":
            find_cpp_compiler()
    except Exception as error:  # of a kind that differs between versions of torch
        raise JetbenchError(
            "torch.compile needs a C++ compiler on the CPU, and none was found. Install one (g++), then measure the "
            "compiled points with --again failed; eager points need none."
        ) from error


def cpu_peak(call: Callable[[], Any]) -> int:
    """Peak bytes that a call allocates on the CPU, its result included, from the profiler's allocation events."""
    gc.collect()
    with profile(use_cpu=True, profile_memory=True) as profiler:
        result = call()
    events = [event for event in profiler.kineto_results.events() if event.name() == "[memory]"]
    del result
    return peak(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))


def _cuda_peak(call: Callable[[], Any]) -> int:
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = call()
    torch.cuda.synchronize()
    highest = torch.cuda.max_memory_allocated()
    del result
    return highest - before


class _Flops(TorchDispatchMode):
    """Adds up operations by torch's own formulas, also under `torch.func` transforms and in backward passes.

    `FlopCounterMode` uses the same formulas, but its hooks for modules do not work within a nested `autograd.grad`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: tuple, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += int(formula(*args, **kwargs, out_val=result))
        return result


def counted_flops(call: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products and convolutions in a call."""
    with _Flops() as counter:
        call()
    return counter.total


class _Products(TorchDispatchMode):
    """Records the matrix products that run inside it."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self._fixed = {_storage(t) for t in (*net.parameters(), *net.buffers())}
        self.found: list[tuple[Product, Tensor | None]] = []

    def __torch_dispatch__(
        self, func: Any, types: tuple, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func._schema.name
        if name in ("aten::mm", "aten::bmm", "aten::mv"):
            self._note(*args[:2])
        elif name in ("aten::addmm", "aten::baddbmm"):
            self._note(*args[1:3])
        return func(*args, **(kwargs or {}))

    def _note(self, left: Tensor, right: Tensor) -> None:
        right = right.unsqueeze(-1) if right.ndim == 1 else right
        batch = left.shape[0] if left.ndim == 3 else 1
        left_fixed, right_fixed = (_storage(t) in self._fixed for t in (left, right))
        if left_fixed and right_fixed:
            return  # a product of parameters alone is the same for any number of vectors
        data = "right" if left_fixed else "left" if right_fixed else "both"
        fixed = left if left_fixed else right if right_fixed else None
        self.found.append((Product(batch, left.shape[-2], left.shape[-1], right.shape[-1], data), fixed))


def _storage(tensor: Tensor) -> int:
    """What a tensor shares with its views, and with nothing else; also where there is no memory behind it."""
    return tensor.untyped_storage()._cdata


def recorded_products(net: torch.nn.Module, x: Tensor) -> list[tuple[Product, Tensor | None]]:
    """The matrix products of one plain forward pass, each with the parameter that takes part, in order."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    products = _Products(net)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), products:
        net(x)
    return products.found


def replay(
    products: list[tuple[Product, Tensor | None]], vectors: int, dtype: torch.dtype, device: torch.device
) -> Callable[[], None]:
    """A call that runs the products on `vectors` vectors per datum, into buffers that exist beforehand.

    A product reads what the one before it wrote where the shapes allow it, as the layers of a network do.
    """
    steps: list[tuple[Tensor, Tensor, Tensor]] = []
    previous: Tensor | None = None

    def buffer(*shape: int) -> Tensor:
        if previous is not None and previous.shape == shape:
            return previous
        return torch.randn(shape, dtype=dtype, device=device)

    for product, fixed in products:
        scaled = product.with_vectors(vectors)
        if fixed is not None:
            fixed = fixed.detach()
            fixed = fixed if fixed.ndim == 3 or scaled.batch == 1 else fixed.expand(scaled.batch, *fixed.shape)
        flat = scaled.batch == 1 and (fixed is None or fixed.ndim == 2)
        lead = () if flat else (scaled.batch,)
        left = fixed if product.data == "right" else buffer(*lead, scaled.rows, scaled.inner)
        if product.data == "left":
            right = fixed
        else:
            right = torch.randn(*lead, scaled.inner, scaled.columns, dtype=dtype, device=device)
        out = torch.empty(*lead, scaled.rows, scaled.columns, dtype=dtype, device=device)
        steps.append((left, right, out))
        previous = out

    def run() -> None:
        with torch.no_grad():
            for left, right, out in steps:
                torch.matmul(left, right, out=out)

    return run


def _inputs(batch: int, dim: int) -> Tensor:
    """Standard normal rows; the first rows are the same for every batch size."""
    return torch.from_numpy(np.random.default_rng(SEED).standard_normal((batch, dim)))


def _outputs(value: Any) -> dict[str, Tensor]:
    return dict(value) if isinstance(value, Mapping) else {"": value}
