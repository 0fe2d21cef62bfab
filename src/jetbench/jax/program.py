"""What all evaluations share: the network as a jaxpr, and the check of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import jax
from jax import Array
from jax.errors import UnexpectedTracerError
from jax.extend.core import ClosedJaxpr

from jetbench.errors import JetbenchError, Unsupported
from jetbench.jax import rows
from jetbench.jax.capture import capture
from jetbench.operators.problem import Problem


class Evaluation(ABC):
    """A function of (x, draws) that returns output name → L_o net(x). Subclasses say how in `evaluate`.

    The network is captured in every call, so that parameters which it closes over may be replaced between calls; under
    `jax.jit` that happens once, when the caller is traced.
    """

    def __init__(self, net: Callable[[Array], Array], problem: Problem) -> None:
        self.net, self.problem = net, problem
        self._checked: set[bytes] = set()

    @abstractmethod
    def evaluate(self, x: Array, draws: Sequence[Array], captured: ClosedJaxpr) -> dict[str, Array]:
        """The values, given the network's jaxpr."""

    def __call__(self, x: Array, draws: Sequence[Array] = ()) -> dict[str, Array]:
        captured = capture(self.net, x)
        with jax.numpy_rank_promotion("allow"):  # a setting for the network, which the capture obeys
            rows.check(self.net, captured, x, self._checked)
            try:
                return self.evaluate(x, draws, captured)
            except JetbenchError:
                raise
            except (TypeError, ValueError, NotImplementedError, UnexpectedTracerError) as error:
                raise not_followed(error) from error


def not_followed(error: Exception) -> Unsupported:
    """What to raise where JAX raises an error, though the network itself can be traced."""
    said = " ".join(str(error).split())[:200]
    return Unsupported(
        f"JAX cannot differentiate this network as this method does: {type(error).__name__}: {said}. Use a method that "
        "propagates jets, such as collapsed, or write this part of the network in other functions."
    )
