"""Checking that a network treats the rows of x as independent points."""

from __future__ import annotations

from jax import Array
from jax.extend.core import ClosedJaxpr

from jetbench.errors import JetbenchError


def check(captured: ClosedJaxpr, x: Array) -> None:
    """Raise where the output lacks the leading axes of x.

    Raises:
        JetbenchError: the network returns something that does not begin with the leading axes of x.
    """
    leading, shape = x.shape[:-1], captured.out_avals[0].shape
    if shape[: len(leading)] != leading:
        raise JetbenchError(
            f"The network maps x of shape {tuple(x.shape)} to {tuple(shape)}: its output must keep the leading axes "
            f"{tuple(leading)}, one result for each row of x. Rows must not be summed over or moved."
        )
