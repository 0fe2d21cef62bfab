"""The floor: only the network's matrix products, on a given number of vectors per datum.

A backend records the products of one plain forward pass; here they are scaled to a number of vectors and counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Product:
    """A batched matrix product (batch, rows, inner) × (batch, inner, columns).

    Attributes:
        data: "left" or "right" where that factor depends on x and the other is a parameter; "both" where both do.
    """

    batch: int
    rows: int
    inner: int
    columns: int
    data: str = "left"

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.batch * self.rows * self.inner * self.columns

    def with_vectors(self, vectors: int) -> Product:
        """The same product for `vectors` vectors in place of one per datum."""
        if self.data == "left":
            return replace(self, rows=self.rows * vectors)
        if self.data == "right":
            return replace(self, columns=self.columns * vectors)
        return replace(self, batch=self.batch * vectors)


def flops(products: Iterable[Product], vectors: int = 1) -> int:
    """Floating-point operations of the floor with `vectors` vectors: exactly that many times the network's own."""
    return sum(product.with_vectors(vectors).flops for product in products)
