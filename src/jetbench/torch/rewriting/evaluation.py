"""An evaluation of an operator after the compiler pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jetbench.torch.program import Evaluation
from jetbench.torch.rewriting.function import CollapsedFunction, collapse


class Rewritten(Evaluation):
    """Another evaluation, collapsed once for each shape of x and of the draws."""

    def __init__(self, original: Evaluation) -> None:
        super().__init__(original.net, original.problem)
        self.original = original

    def prepare(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> CollapsedFunction:
        return collapse(_Prepared(self.original, self.original.prepare(shape, dtype, device)))

    def evaluate(self, x: Tensor, draws: Sequence[Tensor], prepared: CollapsedFunction) -> dict[str, Tensor]:
        return prepared(x, tuple(draws))


@dataclass(frozen=True)
class _Prepared:
    """An evaluation with what it has worked out for one shape of x."""

    original: Evaluation
    prepared: object

    def __call__(self, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        return self.original.evaluate(x, draws, self.prepared)
