"""The precision of matrix products: of each the one that the function asks for, of new ones the highest of these."""

from __future__ import annotations

from jax import lax

from jetbench.collapse.graph import Node

LEVELS = {None: 0, lax.Precision.DEFAULT: 0, lax.Precision.HIGH: 1, lax.Precision.HIGHEST: 2}


def _level(precision: object) -> int | None:
    """Where a precision is in the order of them; None for algorithms, which have no order."""
    both = precision if isinstance(precision, tuple) else (precision,)
    if not all(each is None or isinstance(each, lax.Precision) for each in both):
        return None
    return max(LEVELS[each] for each in both)


class Precisions:
    """Of the matrix products of one function."""

    def __init__(self) -> None:
        self._known: dict[Node, object] = {}
        self._highest: object = None
        self._is_empty = True

    def accepts(self, precision: object) -> bool:
        """Whether a product of this precision can take part beside those before it."""
        if self._is_empty:
            self._highest, self._is_empty = precision, False
        if precision == self._highest:
            return True
        level, highest = _level(precision), _level(self._highest)
        if level is None or highest is None:
            return False
        self._highest = precision if level > highest else self._highest
        return True

    def note(self, value: Node, precision: object) -> None:
        """Remember the precision of a product, which may be scaled or arranged; of two for one value the higher one."""
        while value.op in ("view", "scale", "split", "merge", "reshape"):
            (value,) = value.operands
        before = self._known.setdefault(value, precision)
        if before != precision and _level(precision) > _level(before):
            self._known[value] = precision

    def of(self, product: Node) -> object:
        """The precision to compute a product with."""
        return self._known.get(product, self._highest)
