"""What is measured: cases, their identity, and the curves and points that a config stands for.

A curve is one (backend, operator, estimator, method, network, mode) of a study; its points lie along the study's axis.
Nothing is measured here and no framework is imported.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from typing import Any

from jetbench.errors import ConfigError, unknown
from jetbench.measure import own_files
from jetbench.measure.backends import method_names
from jetbench.measure.nvidia import has_cuda

AXES = ("batch", "samples", "rank", "width", "depth", "dimension")
MODES = ("eager", "compiled")
#: Of backends that do not have all modes, those that they have: JAX code runs inside of jit.
MODES_OF = {"jax": ("compiled",)}
DTYPES = ("float64", "float32", "tf32", "bfloat16", "float16")
#: Types that are only a way to multiply: float32 numbers whose products round their factors to TensorFloat-32.
STORED_AS = {"tf32": "float32"}
NO_TF32 = "TensorFloat-32 is a way to multiply of NVIDIA GPUs; on a CPU choose float32."
DEVICES = ("auto", "cpu", "cuda")
#: The largest value on each axis. Larger ones are slips of the pen: they would fill the memory before anything is run.
LARGEST = {
    "batch": 2**31 - 1,
    "samples": 2**31 - 1,
    "rank": 4000,
    "width": 2**20,
    "depth": 10_000,
    "dimension": 4000,
}
NETWORK = {"kind": "mlp", "widths": [768, 768, 512, 512], "activation": "tanh", "outputs": None, "seed": 0}


@dataclass(frozen=True)
class Case:
    """What defines one measurement, and nothing else: two records with equal cases are comparable.

    Attributes:
        directions: the scheme that finds directions, or None where it cannot matter (degree at most 2, or directions
            that are drawn).
        method_version: None until a worker has told which version of the method it has.
    """

    operator: str
    dim: int
    method: str
    backend: str = "torch"
    operator_options: Mapping[str, Any] = field(default_factory=dict)
    estimator: str = "exact"
    samples: int | None = None
    method_version: int | None = None
    directions: str | None = None
    network: str = "mlp"
    widths: tuple[int, ...] = (768, 768, 512, 512)
    activation: str = "tanh"
    outputs: int = 1
    network_seed: int = 0
    mode: str = "eager"
    dtype: str = "float64"
    batch: int = 32
    device: str = "cpu"

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that define the case, as they stand in a record."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**given, "operator_options": dict(self.operator_options), "widths": list(self.widths)}

    @property
    def stored_dtype(self) -> str:
        """The type of the numbers in memory."""
        return STORED_AS.get(self.dtype, self.dtype)

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the identity; the same on every machine and in every version."""
        canonical = json.dumps(self.identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def versioned(self, versions: Mapping[str, int]) -> Case:
        """The case with the version of its method that `versions` (method → version) tells."""
        return replace(self, method_version=versions.get(self.method))

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Case:
        """The case a record or another mapping with the identity fields describes; other keys are left out."""
        known = {f.name: record[f.name] for f in fields(cls) if f.name in record}
        return cls(**{**known, "widths": tuple(known.get("widths", cls.widths))})

    @property
    def label(self) -> str:
        """A few words for progress displays and messages."""
        estimator = "" if self.estimator == "exact" else f", {self.estimator} {self.samples}"
        scheme = f" ({self.directions})" if self.directions == "griewank" else ""
        backend = "" if self.backend == "torch" else f"{self.backend} "
        what = f"{self.operator} D={self.dim}{estimator}"
        return f"{what}: {backend}{self.method}{scheme}, {self.mode}, batch {self.batch}"


@dataclass(frozen=True)
class Point:
    """A case and its place in a study."""

    case: Case
    study: str = ""
    axis: str = "batch"
    axis_value: float = 0

    @property
    def place(self) -> dict[str, Any]:
        """The fields of a record that say where on which figure it belongs."""
        return {"study": self.study, "axis": self.axis, "axis_value": self.axis_value}


@dataclass(frozen=True)
class Curve:
    """Points of one method along an axis, in the order of the config's values; their records lie in one file.

    Attributes:
        name: readable and a file stem, such as "torch-laplacian-50-exact-collapsed-eager".
    """

    study: str
    name: str
    points: tuple[Point, ...]

    @property
    def path(self) -> str:
        """Where its records lie below a machine's folder of results."""
        return f"{self.study}/{self.name}.jsonl"

    def __str__(self) -> str:
        return f"{self.study}/{self.name}"


def curves(config: Mapping[str, Any], study: str | None = None, device: str | None = None) -> list[Curve]:
    """The curves of a validated config, in its order; those of one study only if it is named.

    Args:
        device: instead of the config's, so that a GPU's config can be planned without one.

    Raises:
        ConfigError: there is no such study, or an operator, option or value is not possible.
    """
    studies = config["studies"]
    if study is not None and study not in studies:
        raise ConfigError(unknown("study", study, studies))
    device = device or resolve_device(config.get("device", "auto"))
    own_files.load(config.get("operators_file"), config.get("methods_file"))
    found: list[Curve] = []
    for name, entry in studies.items():
        if study in (None, name):
            found += _study_curves(name, entry, config, device)
    return found


def curve(config: Mapping[str, Any], study: str, name: str, device: str | None = None) -> Curve:
    """One curve of a config by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    known = {c.name: c for c in curves(config, study, device)}
    if name not in known:
        raise ConfigError(unknown("curve", name, known, f"study {study}"))
    return known[name]


def resolve_device(device: str) -> str:
    """ "cpu" or "cuda"; "auto" is cuda where there is an NVIDIA GPU and the installed torch can use it."""
    if device not in DEVICES:
        raise ConfigError(unknown("device", device, DEVICES))
    if device != "auto":
        return device
    return "cuda" if has_cuda() else "cpu"


def check_threads(threads: int | None, where: str) -> None:
    """Raise a ConfigError if there are more threads than logical processors: they would take turns, and be timed so."""
    most = os.cpu_count() or 1
    if threads is not None and not 1 <= threads <= most:
        raise ConfigError(f"{where} must be between 1 and {most}, the processors of this machine; got {threads}.")


def _study_curves(study: str, entry: Mapping[str, Any], config: Mapping[str, Any], device: str) -> Iterator[Curve]:
    axis = entry["axis"]
    taken: dict[str, tuple[Point, ...]] = {}
    for number, given in enumerate(entry["cases"]):
        case_entry = {**entry, **given}
        where = f"studies.{study}.cases[{number}]"
        if not case_entry.get("values"):
            raise ConfigError(f"{where}: no values for the axis {axis!r}; give `values` in the study or in the case.")
        for method in case_entry["methods"]:
            method = {"method": method} if isinstance(method, str) else dict(method)
            backends = [method["backend"]] if "backend" in method else case_entry.get("backends", ["torch"])
            for backend in backends:
                _check_method(method["method"], backend, where)
                for mode in modes(backend, case_entry.get("modes")):
                    points = _points(study, axis, case_entry, method, backend, mode, config, device, where)
                    name = _stem(points, axis, case_entry)
                    if taken.get(name, points) != points:
                        name = f"{name}-{number}"
                    if name not in taken:
                        taken[name] = points
                        yield Curve(study, name, points)


def modes(backend: str, wanted: Sequence[str] | None = None) -> list[str]:
    """Those of the wanted modes that a backend has; the first that it has if it has none of them or none is named."""
    available = MODES_OF.get(backend, MODES)
    return [mode for mode in wanted or () if mode in available] or [available[0]]


def _check_method(method: str, backend: str, where: str) -> None:
    known = method_names(backend)
    if known is not None and method not in known:
        raise ConfigError(unknown(f"{backend} method", method, known, where))


def _points(
    study: str,
    axis: str,
    entry: Mapping[str, Any],
    method: Mapping[str, str],
    backend: str,
    mode: str,
    config: Mapping[str, Any],
    device: str,
    where: str,
) -> tuple[Point, ...]:
    network = {**NETWORK, **entry.get("network", {})}
    estimator = entry.get("estimator", "exact")
    estimator = {"kind": estimator} if isinstance(estimator, str) else estimator
    options = dict(entry.get("options") or {})
    if "dim" in options:
        raise ConfigError(f"{where}: `dim` stands beside `options`, not in it.")
    points = []
    for value in entry["values"]:
        if value > LARGEST[axis]:
            raise ConfigError(f"{where}: the value {value:g} is too large; on the axis {axis} at most {LARGEST[axis]}.")
        dim = int(value) if axis == "dimension" else entry.get("dim")
        if dim is None:
            raise ConfigError(f"{where}: `dim` is missing; it may be left out only where the axis is dimension.")
        widths, at = list(network["widths"]), value
        if axis == "width":
            widths = [int(value)] * len(widths)
        elif axis == "depth":
            widths = widths[:1] * int(value)
        elif axis == "rank":
            at = max(1, int(value * dim + 1e-9)) if isinstance(value, float) and value <= 1 else int(value)
            options = {**options, "rank": at}
        samples = int(value) if axis == "samples" else estimator.get("samples")
        if estimator["kind"] == "exact":
            if axis == "samples":
                raise ConfigError(f"{where}: the axis samples needs a random estimator, such as {{kind: normal}}.")
            samples = None
        elif samples is None:
            raise ConfigError(f"{where}: the estimator {estimator['kind']} needs `samples`.")
        order, components = _facts(config.get("operators_file"), entry["operator"], dim, _frozen(options), where)
        scheme = None if order <= 2 or samples is not None else method.get("directions", "polarization")
        case = Case(
            operator=entry["operator"],
            dim=dim,
            method=method["method"],
            backend=backend,
            operator_options=options,
            estimator=estimator["kind"],
            samples=samples,
            directions=scheme,
            network=network["kind"],
            widths=tuple(widths),
            activation=network["activation"],
            outputs=network["outputs"] or components or 1,
            network_seed=network["seed"],
            mode=mode,
            dtype=entry.get("dtype", "float64"),
            batch=int(value) if axis == "batch" else entry.get("batch", 32),
            device=device,
        )
        _check_network(case, where)
        points.append(Point(case, study, axis, at))
    return tuple(points)


def _check_network(case: Case, where: str) -> None:
    from jetbench.networks import NetworkSpec

    try:
        NetworkSpec(case.network, case.dim, case.widths, case.outputs, case.activation, case.network_seed)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def facts(case: Case) -> tuple[int, int | None]:
    """Order of a case's operator, and how many components it needs of a network (None: any number).

    Raises:
        ConfigError: there is no such operator, or an option of it is not possible.
    """
    return _facts(None, case.operator, case.dim, _frozen(case.operator_options), "")


@cache
def _facts(operators_file: str | None, operator: str, dim: int, options: str, where: str) -> tuple[int, int | None]:
    del operators_file  # part of the key only: another file may mean another operator by the same name
    from jetbench import operators

    try:
        made = operators.make(operator, dim=dim, **json.loads(options))
    except (ValueError, TypeError, MemoryError) as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from error
    return made.order, made.components


def _frozen(options: Mapping[str, Any]) -> str:
    for name, value in options.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"The option {name} must be made of finite numbers, texts and lists; got {value!r} ({error})."
            ) from error
    return json.dumps(options, sort_keys=True)


def _stem(points: Sequence[Point], axis: str, entry: Mapping[str, Any]) -> str:
    case = points[0].case
    operator = case.operator if axis == "dimension" else f"{case.operator}-{case.dim}"
    shown = {k: v for k, v in (entry.get("options") or {}).items() if not (axis == "rank" and k == "rank")}
    operator += "".join(f"-{_plain(k)}_{_plain(v)}" for k, v in sorted(shown.items()))
    estimator = case.estimator + (str(case.samples) if case.samples is not None and axis != "samples" else "")
    method = case.method + ("_griewank" if case.directions == "griewank" else "")
    stem = f"{case.backend.replace('.', '_')}-{operator}-{estimator}-{method}-{case.mode}"
    # File systems take names of 255 bytes, and something is appended to this one.
    return stem if len(stem) <= 200 else f"{stem[:180]}-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"


def _plain(value: Any) -> str:
    """The plain letters, digits and dots of a value, short enough for a file name."""
    text = "".join(c if c.isascii() and (c.isalnum() or c == ".") else "_" for c in str(value)).strip("_")
    return text if len(text) <= 24 else hashlib.sha256(text.encode()).hexdigest()[:8]
