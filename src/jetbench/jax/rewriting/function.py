"""`collapse` for JAX functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from jetbench.collapse.explain import Explanation
from jetbench.collapse.pull import collapse as pull_up
from jetbench.collapse.rebuild import without_summed_products
from jetbench.errors import Unsupported
from jetbench.jax._compat import context, without_references
from jetbench.jax.rewriting import arrange, compute, loops, solve  # noqa: F401  their rules are registered by importing them
from jetbench.jax.rewriting.emit import Evaluation
from jetbench.jax.rewriting.lower import Lowering
from jetbench.jax.varying import made_varying, varying


@dataclass(frozen=True)
class Collapsed:
    """A collapsed computation for arguments of certain shapes, with what the pass has to tell about it."""

    evaluation: Evaluation
    structure: Any
    varying: Sequence[frozenset]
    explanation: Explanation


class CollapsedFunction:
    """What `collapse` returns: called as the function itself.

    Attributes:
        function: the original one.
    """

    def __init__(self, function: Callable, explain: bool) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function, self._explains = function, explain
        self._known: dict[Any, Collapsed] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, structure = jax.tree.flatten((args, kwargs))
        found = self._collapsed(leaves, structure)
        outputs = [made_varying(y, axes) for y, axes in zip(found.evaluation(leaves), found.varying, strict=True)]
        return jax.tree.unflatten(found.structure, outputs)

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """What the pass does for these arguments: print it, or draw it with its `draw`."""
        return self._collapsed(*jax.tree.flatten((args, kwargs))).explanation

    def _collapsed(self, leaves: list, structure: Any) -> Collapsed:
        avals = tuple(jax.typeof(leaf) for leaf in leaves)
        if not all(isinstance(n, int) for aval in avals for n in aval.shape):
            raise Unsupported(
                "The pass that collapses sums counts operations, for which lengths must be numbers; got arguments of "
                f"shape {', '.join(str(aval.shape) for aval in avals)}. Use another method of linear_operator."
            )
        key = (structure, tuple((a.shape, str(a.dtype), a.weak_type, varying(a)) for a in avals), context())
        if key in self._known:
            return self._known[key]

        def flat(*leaves: Any) -> Any:
            args, kwargs = jax.tree.unflatten(structure, leaves)
            return self.function(*args, **kwargs)

        closed, returned = jax.make_jaxpr(flat, return_shape=True)(*leaves)
        lowered = Lowering(without_references(closed))
        result = pull_up(lowered.builder, lowered.outputs)
        explanation = Explanation(lowered.outputs, result, tuple(lowered.notes))
        evaluation = Evaluation(without_summed_products(lowered.builder, result.outputs), lowered.precisions)
        found = Collapsed(evaluation, jax.tree.structure(returned), lowered.varying, explanation)
        if self._explains:
            print(explanation)
        if not any(isinstance(constant, jax.core.Tracer) for constant in closed.consts):
            self._known[key] = found
        return found


def collapse(function: Callable, explain: bool = False) -> CollapsedFunction:
    """Return the same function with sums moved through operations that are linear in them, where this saves operations.

    For a sum of derivatives along many directions, such as
    ``vmap(lambda v: jvp(lambda y: jvp(f, (y,), (v,))[1], (x,), (v,))[1])(eye).sum(0)``, this is the rewrite of Taylor
    mode to collapsed Taylor mode: D + 2 instead of 1 + 3·D vectors pass through f for its Laplacian. The trace of
    ``jacfwd(jacfwd(f))(x)`` has the same cost. The result is the same up to rounding. As with `jax.jit`, the function
    is traced once for each shape and type of its arguments; everything else that it refers to is a constant.

    Args:
        function: a function of arrays in any pytrees; pure, as for `jax.jit`.
        explain: whether to print what the pass did each time the function is traced.

    Returns:
        A function to which `jax.jit`, `jax.grad`, `jax.vmap` and all other transformations apply; for speed, use it
        under `jax.jit`. Its method `explain` describes what was done for given arguments.

    Raises:
        TypeError: `function` cannot be called.
        Unsupported: when it is called with lengths that are symbols, or has effects: it prints, calls back, or uses
            references from outside.

    Examples:
        The Laplacian of Σ_i x_i⁴ at (1, 2):

        >>> import jax, jax.numpy as jnp
        >>> def laplacian(x):
        ...     return jnp.trace(jax.jacfwd(jax.jacfwd(lambda y: (y**4).sum()))(x))
        >>> jax.jit(collapse(laplacian))(jnp.array([1.0, 2.0])).item()
        60.0
    """
    if not callable(function):
        raise TypeError(f"collapse takes a function; got {type(function).__name__}.")
    return CollapsedFunction(function, explain)
