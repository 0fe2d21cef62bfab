"""From a Python function to a jaxpr.

Only capturing belongs here; what is then done with the jaxpr is in `propagate`. Parameters that the function closes
over become constants of the jaxpr, whether they are arrays or are being traced themselves, as in a jitted loss.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax import Array
from jax.errors import ConcretizationTypeError, NonConcreteBooleanIndexError, TracerArrayConversionError
from jax.extend.core import ClosedJaxpr

from jetbench.errors import JetbenchError, NetworkFailed
from jetbench.jax._compat import without_references

_DECIDES = (
    "The network decides by a value of x what to compute (an `if`, `float()`, a loop count or a boolean mask). "
    "Use jnp.where or jax.lax.cond, so that one computation holds for every x."
)


def capture(net: Callable[[Array], Array], x: Array) -> ClosedJaxpr:
    """The jaxpr of `net` for inputs of the shape and type of x.

    Raises:
        JetbenchError: the network cannot be captured, with the reason: control flow that depends on values, a shape or
            a type that it does not take, an output that is no array.
    """

    def traced(x: Array) -> Array:
        y = net(x)
        if not isinstance(y, Array):
            raise JetbenchError(f"The network must return one array; it returned {type(y).__name__}.")
        return y

    try:
        return without_references(jax.make_jaxpr(traced)(x))
    except (ConcretizationTypeError, NonConcreteBooleanIndexError, TracerArrayConversionError) as error:
        raise JetbenchError(_DECIDES) from error
    except JetbenchError:
        raise
    except Exception as error:
        raise NetworkFailed(x.shape, x.dtype, jax.default_backend(), error) from error
