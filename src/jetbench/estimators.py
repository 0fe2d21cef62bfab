"""The earlier home of estimators, which still works: `from jetbench import estimators` is the same module's content."""

from jetbench.operators.estimators import KINDS, Estimator, coordinate, exact, normal, rademacher

__all__ = ["KINDS", "Estimator", "coordinate", "exact", "normal", "rademacher"]
