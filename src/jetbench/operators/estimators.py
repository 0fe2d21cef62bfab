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
    """The choice of directions along which an operator is evaluated; made by the functions of this module.

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
    """Return the estimator that takes all directions of the symbol; nothing is drawn.

    Examples:
        >>> exact().is_exact
        True
    """
    return Estimator("exact")


def normal(samples: int) -> Estimator:
    """Return the estimator whose directions have independent standard normal entries.

    E[v vᵀ] = I and E[(v·ξ)⁴] = 3(ξ·ξ)²: it is unbiased for forms of order 2 and for squares of semidefinite ones.

    Args:
        samples: the number of directions per datum, and per sign of the coefficients.

    Examples:
        >>> normal(samples=8)
        Estimator(kind='normal', samples=8)
    """
    return Estimator("normal", samples)


def rademacher(samples: int) -> Estimator:
    """Return the estimator whose directions have independent entries ±1, with probability ½ each.

    E[v vᵀ] = I. For a trace, no other independent entries have a smaller variance (Hutchinson 1990).

    Args:
        samples: the number of directions per datum, and per sign of the coefficients.

    Examples:
        >>> rademacher(samples=8)
        Estimator(kind='rademacher', samples=8)
    """
    return Estimator("rademacher", samples)


def coordinate(samples: int) -> Estimator:
    """Return the estimator that draws directions of the symbol without replacement; drawing all of them is exact.

    Args:
        samples: the number of directions per datum, at most the number of directions of the symbol.

    Examples:
        >>> coordinate(samples=2)
        Estimator(kind='coordinate', samples=2)
    """
    return Estimator("coordinate", samples)
