"""JAX for `jetbench.measure`: building a case, its clock, floor, counts, memory and correctness.

What is measured and in which order is decided in `jetbench.measure.point`.

JAX has one mode, `compiled`: everything runs inside `jax.jit`. Times are of what XLA makes with its defaults.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.95")  # one worker has the GPU for itself

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.stages import Compiled, Lowered

from jetbench import operators
from jetbench.errors import BackendUnavailable, JetbenchError, Unsupported, unknown
from jetbench.jax import METHODS, linear_operator, network, reference
from jetbench.jax.counting import counted_flops
from jetbench.jax.floor import network_products, replay
from jetbench.measure.accuracy import DRAWS, sampling_error
from jetbench.measure.case import NO_TF32, Case
from jetbench.measure.clock import WallClock
from jetbench.measure.floor import flops
from jetbench.methods import counted, smallest_vectors
from jetbench.networks import NetworkSpec
from jetbench.operators.estimators import Estimator
from jetbench.operators.problem import Problem

CHECKED_ROWS = 3
SEED = 0
TOLERANCE = {"float64": 1e-8, "float32": 5e-3, "tf32": 0.05, "bfloat16": 0.25, "float16": 0.25}
EAGER = (
    "JAX is measured inside of jit only: outside of it, each call would trace the network again and dispatch every "
    "primitive by itself, which nobody would do. Use the mode compiled."
)
#: XLA on CPU hides the buffers of what it fuses into calls of a library; with this it fuses nothing of the kind.
VISIBLE_BUFFERS = {"xla_cpu_experimental_ynn_fusion_type": ""}
HIDING_FUSION = "__ynn_fusion"


def methods() -> dict[str, int]:
    """Method → version."""
    return {name: method.version for name, method in METHODS.items()}


def vectors(method: str, problem: Problem) -> tuple[int | None, str | None]:
    """The vectors of a method for a problem, and None; or None and the sentence that says why it cannot do it."""
    return counted("jax", method, problem)


def description(device: str) -> dict[str, Any]:
    """Settings of JAX that matter for time, rounding and memory."""
    del device
    return {
        "threads": int(os.environ.get("NPROC") or len(os.sched_getaffinity(0))),
        "platform": jax.default_backend(),
        "gpu": jax.devices()[0].device_kind if jax.default_backend() == "gpu" else None,
        "enable_x64": jax.config.jax_enable_x64,
        "default_matmul_precision": jax.config.jax_default_matmul_precision,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "memory_compiler_options": VISIBLE_BUFFERS,
    }


def open_session(device: str, threads: int | None = None) -> Session:
    """Measuring on a device with a number of CPU threads (None: all cores).

    Raises:
        BackendUnavailable: the device is not there.
    """
    if threads is not None:
        os.environ["NPROC"] = str(threads)  # read when JAX makes its pool of threads, at the first use of a device
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_enable_compilation_cache", False)  # a first call compiles, whatever was compiled before
    if device == "cuda":
        # as in PyTorch, float32 means float32; JAX would take TensorFloat-32 by itself
        jax.config.update("jax_default_matmul_precision", "highest")
        try:
            jax.config.update("jax_default_device", jax.devices("cuda")[0])
        except RuntimeError as error:
            raise BackendUnavailable(
                "The device cuda was asked for, but JAX sees no CUDA device here. Install JAX for CUDA, "
                "pip install 'jax[cuda13]', or use --device cpu."
            ) from error
    else:
        jax.config.update("jax_platforms", "cpu")
    gc.collect()
    gc.freeze()  # JAX's own objects outlive all points: looking through them again at each would cost time
    return Session(device)


class Session:
    """Keeps networks and reference values between the points of a curve."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._kept: dict[tuple, Any] = {}

    def keep(self, key: tuple, make: Callable[[], Any]) -> Any:
        """What `make` returned the first time that the key was asked for."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def prepare(self, case: Case) -> Subject:
        """Build network, inputs and operator of a case.

        Raises:
            Unsupported: the method cannot do it, the device not the type, or the mode is eager.
            JetbenchError: the case names something that there is not.
        """
        if case.method not in METHODS:
            raise JetbenchError(unknown("method", case.method, METHODS))
        if case.mode == "eager":
            raise Unsupported(EAGER)
        return Subject(self, case)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether an error means that memory was exhausted, on the device or on the host."""
        if isinstance(error, MemoryError):
            return True
        return isinstance(error, jax.errors.JaxRuntimeError) and any(
            words in str(error) for words in ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")
        )

    def release(self) -> None:
        """Forget compiled code, so that points do not depend on what went before."""
        jax.clear_caches()
        gc.collect()


class Subject:
    """One case in JAX; see `jetbench.measure.subject.Subject` for what its members mean."""

    def __init__(self, session: Session, case: Case) -> None:
        self.session, self.case = session, case
        _set_products(case)
        options = tuple(sorted((k, repr(v)) for k, v in case.operator_options.items()))
        self._operator_key = (case.operator, case.dim, options)
        self._spec = NetworkSpec(
            kind=case.network,
            dim=case.dim,
            widths=tuple(case.widths),
            outputs=case.outputs,
            activation=case.activation,
            seed=case.network_seed,
        )
        self.net = session.keep(
            ("network", self._spec, case.dtype), lambda: network.build(self._spec, case.stored_dtype)
        )
        self.operator = session.keep(
            ("operator", self._operator_key),
            lambda: operators.make(case.operator, dim=case.dim, **case.operator_options),
        )
        self.estimator = Estimator(case.estimator, case.samples)
        built = linear_operator(self.net, self.operator, case.method, self.estimator, self._scheme)
        self.x = _inputs(case.batch, case.dim, case.stored_dtype)
        self.draws = built.draw(self.x, None if self.estimator.is_exact else SEED)
        self.vectors = built.vectors
        self.order = self.operator.order
        self.has_own_floor = not METHODS[case.method].is_nested
        self.tolerance = TOLERANCE[case.dtype]
        self.clock = WallClock()
        self._programs: dict[str, tuple[Lowered, Compiled]] = {}
        self._memory_programs: dict[str, tuple[Compiled, str]] = {}

    @property
    def _scheme(self) -> str:
        return self.case.directions or "polarization"

    def _evaluate(self, net: network.Network, x: Array, draws: tuple[Array, ...]) -> Any:
        return linear_operator(net, self.operator, self.case.method, self.estimator, self._scheme).evaluate(x, draws)

    def _loss_and_gradient(self, net: network.Network, x: Array, draws: tuple[Array, ...]) -> Any:
        def loss(net: network.Network) -> Array:
            return sum(jnp.square(y).mean() for y in _outputs(self._evaluate(net, x, draws)).values())

        return jax.value_and_grad(loss)(net)

    def _program(self, name: str) -> tuple[Lowered, Compiled]:
        """The traced and the compiled function; parameters, points and draws are its arguments."""
        if name not in self._programs:
            function = {"value": self._evaluate, "gradient": self._loss_and_gradient}[name]
            lowered = jax.jit(function).lower(self.net, self.x, self.draws)
            self._programs[name] = lowered, lowered.compile()
        return self._programs[name]

    def _run(self, name: str) -> Any:
        _, compiled = self._program(name)
        return jax.block_until_ready(compiled(self.net, self.x, self.draws))

    def value(self) -> Any:
        return self._run("value")

    def gradient(self) -> Any:
        return self._run("gradient")

    def relative_error(self, value: Any) -> float:
        """max |value − reference| / max |reference| on the first rows, over all outputs together.

        Raises:
            JetbenchError: the method computed in another type than it was asked to.
        """
        count = min(CHECKED_ROWS, self.case.batch)
        expected, found = self._reference(count), _outputs(value)
        if found.keys() != expected.keys():
            return float("inf")
        types = {str(output.dtype) for output in found.values()} - {self.case.stored_dtype}
        if types:
            raise JetbenchError(
                f"The method {self.case.method} returned {', '.join(types)} for {self.case.dtype}; its time would be "
                "that of another type."
            )
        found = {name: np.asarray(output, np.float64)[:count] for name, output in found.items()}
        if any(found[name].shape != expected[name][:count].shape for name in found):
            return float("inf")
        gap = max(float(np.abs(found[name] - expected[name][:count]).max()) for name in found)
        scale = max(float(np.abs(expected[name][:count]).max()) for name in found)
        finite = all(np.isfinite(output).all() for output in found.values())
        return (gap / scale if scale else gap) if finite else float("inf")

    def _reference(self, count: int) -> dict[str, np.ndarray]:
        """The right values on the first rows; for random directions, on those that were drawn."""

        @jax.jit
        def evaluate(net: network.Network, x: Array, draws: tuple[Array, ...]) -> Any:
            outputs = reference.evaluate(net, self.operator, x, Problem(self.operator, self.estimator), draws)
            return self.operator.combine(outputs) if self.operator.combine else outputs

        def arrays(x: Array, draws: tuple[Array, ...]) -> dict[str, np.ndarray]:
            found = evaluate(self._exact_network, x.astype("float64"), tuple(draw.astype("float64") for draw in draws))
            return {name: np.asarray(y) for name, y in _outputs(found).items()}

        if self.estimator.is_exact:
            key = ("value", self._operator_key, self._spec, self.case.dtype)
            return self.session.keep(key, lambda: arrays(self._checked_rows(), ()))
        return arrays(self.x[:count], tuple(draw[:, :count] for draw in self.draws))

    @property
    def _exact_network(self) -> network.Network:
        """The network in float64, with the weights that it has in the case's type."""
        return jax.tree.map(lambda parameter: parameter.astype("float64"), self.net)

    def _checked_rows(self) -> Array:
        return _inputs(CHECKED_ROWS, self.case.dim, self.case.stored_dtype)

    def sampling_error(self) -> float:
        """Over the draws of the seeds from 1 on; the exact values and the estimates by collapsed Taylor mode."""
        net, x = self._exact_network, self._checked_rows().astype("float64")

        def arrays(value: Any) -> dict[str, np.ndarray]:
            return {name: np.asarray(output) for name, output in _outputs(value).items()}

        exact = arrays(jax.jit(linear_operator(net, self.operator, "collapsed"))(x))
        estimate = linear_operator(net, self.operator, "collapsed", self.estimator)
        evaluate = jax.jit(estimate.evaluate)
        draws = (estimate.draw(x, seed) for seed in range(1, DRAWS + 1))
        return sampling_error(exact, (arrays(evaluate(x, drawn)) for drawn in draws))

    @cached_property
    def floor_vectors(self) -> int | None:
        """The smallest number of vectors of any forward method for this operator and estimator."""
        key = ("floor", self._operator_key, self.estimator)
        return self.session.keep(key, lambda: smallest_vectors("jax", Problem(self.operator, self.estimator)))

    @cached_property
    def _products(self) -> list:
        return network_products(lambda net, x: net(x), self.net, self.x)

    @property
    def network_flops(self) -> int:
        return flops(product for product, _ in self._products)

    def floor(self, vectors: int) -> Callable[[], Any]:
        return replay(self._products, self.net, vectors, self.case.stored_dtype)

    def flops(self) -> int:
        """Counted in the jaxpr: before the compiler."""
        return counted_flops(self._evaluate, self.net, self.x, self.draws)

    def compiler_flops(self) -> int | None:
        """What XLA counts in the program that it made; more than products, and its own estimate for the rest."""
        found = self._program("value")[1].cost_analysis() or {}
        return int(found["flops"]) if found.get("flops", 0) > 0 else None

    @property
    def memory_source(self) -> str:
        about = self._memory_program("value")[1]
        return f"XLA memory_analysis: temporaries and results{about}; differentiable: of value and gradient together"

    def _memory_program(self, name: str) -> tuple[Compiled, str]:
        """The program whose memory is told, and what is to be said of it: compiled again where buffers are hidden."""
        if name not in self._memory_programs:
            lowered, compiled = self._program(name)
            about = ""
            if HIDING_FUSION in compiled.as_text():
                try:
                    compiled = lowered.compile(compiler_options=VISIBLE_BUFFERS)
                    about = f", compiled for this with {', '.join(f'{k}={v}' for k, v in VISIBLE_BUFFERS.items())}"
                except jax.errors.JaxRuntimeError:  # the option is of an experiment and not in every version
                    about = ", without those that are hidden in library calls"
            self._memory_programs[name] = compiled, about
        return self._memory_programs[name]

    def peak_memory(self, differentiable: bool) -> int:
        compiled, _ = self._memory_program("gradient" if differentiable else "value")
        found = compiled.memory_analysis()
        return found.temp_size_in_bytes + found.output_size_in_bytes


def _set_products(case: Case) -> None:
    """Make float32 mean float32 in products, or TensorFloat-32 where that is the type; for all that is traced next."""
    if case.dtype == "tf32" and case.device != "cuda":
        raise Unsupported(NO_TF32)
    if case.device == "cuda":
        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if case.dtype == "tf32" else "highest")


def _inputs(batch: int, dim: int, dtype: str) -> Array:
    """Standard normal rows; the first rows are the same for every batch size."""
    return jnp.asarray(np.random.default_rng(SEED).standard_normal((batch, dim)), dtype)


def _outputs(value: Any) -> dict[str, Array]:
    return dict(value) if isinstance(value, Mapping) else {"": value}
