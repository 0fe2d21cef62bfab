"""Standard Taylor mode of JAX itself, `jax.experimental.jet`, and what it shares with other stock jets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jetbench.algebra.directional import DirectionalPlan, contract, directional_plan
from jetbench.methods.base import Method
from jetbench.operators.directions import RandomGroup
from jetbench.operators.problem import Problem


@dataclass(frozen=True)
class StockJets:
    """Jets along directions of several orders, one call of a library's jet an order, and how outputs are read."""

    directions: DirectionalPlan
    vectors: int

    @property
    def groups(self) -> tuple[RandomGroup, ...]:
        return self.directions.groups

    def evaluate(
        self, jets: Callable[[range, int], list[Any]], primal: Callable[[], Any], names: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Output name → its value.

        Args:
            jets: (places of directions, order K) → ⟨∂^k f, v^⊗k⟩ for k = 1 … K, each (R, …).
            primal: f itself.
        """
        outputs: dict[str, Any] = {}

        def add(name: str, value: Any) -> None:
            outputs[name] = outputs[name] + value if name in outputs else value

        for order, rows in self.directions.by_order():
            coefficients = jets(rows, order)
            for name in names:
                for k, coefficient in enumerate(coefficients, 1):
                    weights = [self.directions.rows[r].reads.get(name, {}).get(k, 0.0) for r in rows]
                    if any(weights):
                        add(name, contract(weights, coefficient))
        for name, weight in self.directions.primal.items():
            if weight or name not in outputs:
                add(name, weight * primal())
        return {name: outputs[name] for name in names}


def stock_jets(problem: Problem, count: Callable[[int, int], int]) -> StockJets:
    """The plan of a problem, from count(order, R), the vectors of jets of one order along R directions."""
    found = directional_plan(problem)
    total = int(any(found.primal.values()) or not found.rows)
    return StockJets(found, total + sum(count(order, len(rows)) for order, rows in found.by_order()))


class JaxJet(Method):
    """Standard Taylor mode by JAX's own jax.experimental.jet, which multiplies by dense zeros."""

    name = "jax_jet"
    label = "Standard Taylor (stock jet)"
    rank = 20
    backends = ("jax",)
    package = "jax"
    is_directional = True

    def plan(self, problem: Problem) -> StockJets:
        """What really passes through a hidden layer: 1 + K + R·K(K + 1)/2 for R directions of order K.

        The rule for products takes a constant matrix W for a series whose K coefficients are zeros: the coefficient of
        order k is Σ_{j ≤ k} u_j·W_{k−j}, and only the terms with j = 0 are the same for every direction.
        """
        return stock_jets(problem, lambda order, count: 1 + order + count * order * (order + 1) // 2)
