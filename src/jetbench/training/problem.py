"""What is trained: equations with known solutions, and the settings of a run. No framework is imported here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from jetbench.errors import ConfigError, unknown

Array = np.ndarray
DEFAULTS = {"widths": (64, 64), "points": 128, "boundary_points": 64, "steps": 100, "target": 0.1}


@dataclass(frozen=True)
class Equation:
    """L u = g inside the unit cube (0, 1)^D with u and further operators of u given on its boundary.

    Attributes:
        operator: name of L in the operator zoo.
        boundary_operators: names of operators whose values are given on the boundary besides those of u.
        solution: x (N, D) → u(x) (N,).
        value: operator name → x (N, D) → its value of the solution (N,); L, and the boundary operators.
        scale: by which residuals of L are divided, so that the loss is of the size of u.
    """

    name: str
    operator: str
    solution: Callable[[Array], Array]
    value: Mapping[str, Callable[[Array], Array]]
    scale: Callable[[int], float]
    boundary_operators: tuple[str, ...] = ()
    dim: int | None = None


def _sines(x: Array) -> Array:
    return np.sin(np.pi * x).mean(1)


def _plate(x: Array) -> Array:
    return np.prod(np.sin(np.pi * x), axis=1)


EQUATIONS: dict[str, Equation] = {
    equation.name: equation
    for equation in [
        # u = mean of sin πx_i, Δu = −π² u.
        Equation(
            "poisson", "laplacian", _sines, {"laplacian": lambda x: -(np.pi**2) * _sines(x)}, lambda dim: np.pi**2
        ),
        # A simply supported square plate: u = sin πx sin πy, u = Δu = 0 on the boundary, Δ²u = 4π⁴ u.
        Equation(
            "plate",
            "biharmonic",
            _plate,
            {"biharmonic": lambda x: 4 * np.pi**4 * _plate(x), "laplacian": lambda x: -2 * np.pi**2 * _plate(x)},
            lambda dim: 4 * np.pi**4,
            ("laplacian",),
            dim=2,
        ),
    ]
}


@dataclass(frozen=True)
class Training:
    """One run: an equation, a network and one method. Equal but for the method, two runs take the same path.

    Attributes:
        points: collocation points inside; drawn once, so that the loss is the same function in every step.
        target: the loss to reach, as a share of the loss of the first step.
        steps: after how many steps a run ends in any case.
    """

    problem: str
    method: str
    dim: int = 2
    widths: tuple[int, ...] = (64, 64)
    points: int = 128
    boundary_points: int = 64
    steps: int = 100
    target: float = 0.1
    learning_rate: float = 1e-3
    dtype: str = "float64"
    mode: str = "eager"
    seed: int = 0
    backend: str = "torch"
    device: str = "cpu"
    method_version: int | None = None

    def __post_init__(self) -> None:
        if self.problem not in EQUATIONS:
            raise ConfigError(unknown("problem", self.problem, EQUATIONS, "training"))
        fixed = EQUATIONS[self.problem].dim
        if fixed is not None and self.dim != fixed:
            raise ConfigError(f"training: the problem {self.problem} has dim {fixed}; got {self.dim}.")

    @property
    def identity(self) -> dict[str, Any]:
        """What defines the run, as it stands in its record."""
        return {**asdict(self), "widths": list(self.widths)}

    @property
    def key(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the identity."""
        canonical = json.dumps({"kind": "training", **self.identity}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Training:
        """A run from a record or another mapping with its fields; other keys are left out."""
        known = {f.name: given[f.name] for f in fields(cls) if f.name in given}
        return cls(**{**known, "widths": tuple(known.get("widths", cls.widths))})


def runs(config: Mapping[str, Any], device: str) -> list[list[Training]]:
    """The runs of a config: one list a problem, whose methods are trained side by side.

    Raises:
        ConfigError: there is no such problem, or it has another dimension.
    """
    entry = config.get("training") or {}
    found = []
    for given in entry.get("problems", ()):
        settings = {**{k: v for k, v in entry.items() if k not in ("problems", "methods")}, **given}
        methods = settings.pop("methods", entry.get("methods", ()))
        found.append([Training.from_mapping({**settings, "method": m, "device": device}) for m in methods])
    return found


def points(training: Training) -> dict[str, Array]:
    """The points of a run, float64: `inside` (N, D), `boundary` (M, D), and `test` (1000, D) for the error."""
    generator = np.random.Generator(np.random.Philox(training.seed))
    inside = generator.uniform(size=(training.points, training.dim))
    boundary = generator.uniform(size=(training.boundary_points, training.dim))
    side = generator.integers(training.dim, size=training.boundary_points)
    boundary[np.arange(training.boundary_points), side] = generator.integers(2, size=training.boundary_points)
    return {"inside": inside, "boundary": boundary, "test": generator.uniform(size=(1000, training.dim))}
