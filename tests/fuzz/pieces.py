"""The registry of pieces, which each backend has one of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fuzz.draft import Piece


@dataclass
class Registry:
    """Pieces by name, and how often each is drawn."""

    pieces: dict[str, Piece] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)

    def piece(self, weight: float = 1.0) -> Callable[[Piece], Piece]:
        """Register a piece: it writes statements for y of the given width and returns the new width."""

        def add(function: Piece) -> Piece:
            name = function.__name__
            if name in self.pieces:
                raise ValueError(f"Two pieces are called {name}.")
            self.pieces[name], self.weights[name] = function, weight
            return function

        return add
