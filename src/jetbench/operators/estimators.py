"""Estimators: which directions an operator is evaluated on — all of them, or randomly drawn ones.

Only the choice and its number of samples belong here. Which matrices, weights and orders a choice means for a given
symbol is worked out in `jetbench.operators.directions`; drawing is the backends' task.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jetbench.errors import unknown

KINDS = ("exact", "normal", "rademacher", "coordinate")


@dataclass(frozen=True)
class Estimator:
    """A way to choose directions.

    Attributes:
        kind: "exact" takes all directions of the symbol; "normal" and "rademacher" draw vectors with independent
            entries, N(0, 1) or ±1 with probability ½ each; "coordinate" draws directions of the symbol without
            replacement.
        samples: the number S of directions drawn per group of directions and per datum; None for "exact".

    Raises:
        ValueError: the kind is unknown, or the number of samples does not fit it.
    """

    kind: str = "exact"
    samples: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(unknown("estimator", self.kind, KINDS))
        if self.kind == "exact":
            if self.samples is not None:
                raise ValueError(f"The exact estimator draws nothing and takes no samples; got {self.samples!r}.")
            return
        samples = self.samples
        is_whole = isinstance(samples, (int, np.integer)) and not isinstance(samples, bool)
        if samples is None or not is_whole or not 1 <= samples < 2**31:
            raise ValueError(
                f"The {self.kind} estimator needs a whole number of samples, from 1 to 2^31 − 1; got {self.samples!r}."
            )
        object.__setattr__(self, "samples", int(samples))

    @property
    def is_exact(self) -> bool:
        """Whether nothing is drawn."""
        return self.kind == "exact"


def exact() -> Estimator:
    """All directions of the symbol; no randomness."""
    return Estimator("exact")


def normal(samples: int) -> Estimator:
    """Directions with independent standard normal entries: E[v vᵀ] = I and E[(v·ξ)⁴] = 3(ξ·ξ)²."""
    return Estimator("normal", samples)


def rademacher(samples: int) -> Estimator:
    """Directions with independent entries ±1: E[v vᵀ] = I, with the smallest variance (Hutchinson 1990)."""
    return Estimator("rademacher", samples)


def coordinate(samples: int) -> Estimator:
    """Directions of the symbol drawn without replacement; exact when as many are drawn as there are."""
    return Estimator("coordinate", samples)
