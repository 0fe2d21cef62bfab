"""An evaluation of an operator after the compiler pass."""

from __future__ import annotations

from collections.abc import Sequence

from jax import Array
from jax.extend.core import ClosedJaxpr

from jetbench.jax.program import Evaluation
from jetbench.jax.rewriting.function import collapse


class Rewritten(Evaluation):
    """Another evaluation, collapsed where it is traced: as for the network, once under `jax.jit`."""

    def __init__(self, original: Evaluation) -> None:
        super().__init__(original.net, original.problem)
        self.original = original

    def evaluate(self, x: Array, draws: Sequence[Array], captured: ClosedJaxpr) -> dict[str, Array]:
        def evaluated(x: Array, draws: tuple[Array, ...]) -> dict[str, Array]:
            return self.original.evaluate(x, draws, captured)

        return collapse(evaluated)(x, tuple(draws))
