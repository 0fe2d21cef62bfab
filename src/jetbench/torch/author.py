"""Derivatives that the author of a network gave, as `torch.autograd.Function`s, in place of those of the computation.

A function φ that works entry by entry is followed exactly: its `backward`, run once on tensors without numbers, gives
φ' as a computation in u and φ(u), whose own derivatives are φ'', φ''', … All other functions are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from jetbench.algebra.taylor import Taylor
from jetbench.operators.problem import Problem, as_operator
from jetbench.operators.symbol import variables
from jetbench.torch._compat import is_transformed, modes
from jetbench.torch.jet import Jet, elementwise
from jetbench.torch.propagate import Graph
from jetbench.torch.refusals import author_derivative
from jetbench.torch.steps import Step

aten = torch.ops.aten
_ENTRYWISE = {
    aten.alias.default,
    aten.clone.default,
    aten.detach.default,
    aten._to_copy.default,
    aten.zeros_like.default,
    aten.ones_like.default,
    aten.full_like.default,
}


def is_entrywise(steps: Sequence[Step]) -> bool:
    """Whether all that depends on the input works entry by entry."""
    return all(
        not step.depends or torch.Tag.pointwise in step.target.tags or step.target in _ENTRYWISE for step in steps
    )


@dataclass(frozen=True, eq=False)
class Author:
    """φ with the derivative that its author gave.

    Attributes:
        name: of the function.
        value: u, constants → φ(u).
        slope: u, φ(u), ones, constants → φ'(u).
        tags: those of an ATen operation that works entry by entry.
    """

    tags: ClassVar[tuple[torch.Tag, ...]] = (torch.Tag.pointwise,)

    name: str
    value: Graph
    slope: Graph

    def __call__(self, u: Tensor, *constants: Tensor) -> Tensor:
        """φ(u); only its derivative with respect to u is right, which is what tensors flow back to."""
        if is_transformed():
            raise author_derivative(self.name)
        return _Followed.apply(u, self, *constants)

    def jet(self, u: Jet, *constants: Tensor) -> Jet:
        """The jet of φ(u); what traces it would see through `_Followed`."""
        if is_transformed() or modes():
            raise author_derivative(self.name)
        return elementwise(lambda v, order: self._derivatives(v, order, constants), u, constants=[u.primal])

    def at(self, u: Tensor, value: Tensor, constants: Sequence[Tensor]) -> Tensor:
        """φ'(u)."""
        return self.slope.run(u, [value, torch.ones_like(value), *constants])

    def _derivatives(self, u: Tensor, order: int, constants: Sequence[Tensor]) -> list[Tensor]:
        """φ(u), φ'(u), …: with φ and its derivatives up to m known, φ' is known up to m."""
        found = [self(u, *constants)]
        if order:
            found.append(self.at(u, found[0], constants))
        while len(found) <= order:
            count = len(found) - 1
            algebra = Taylor(Problem(as_operator(variables(1)[0] ** count)))
            line = Jet(algebra, u, [torch.ones_like(u)[None], *[None] * (count - 1)])
            value = Jet(algebra, found[0], [derivative[None] for derivative in found[1:]])
            slope = self.slope.run(line, [value, torch.ones_like(u), *constants])
            block = slope.blocks[count - 1] if isinstance(slope, Jet) else None
            found.append(torch.zeros_like(u) if block is None else block[0])
        return found


class _Followed(torch.autograd.Function):
    """φ(u) with gradient φ'(u)."""

    @staticmethod
    def forward(ctx: object, u: Tensor, author: Author, *constants: Tensor) -> Tensor:
        ctx.author, ctx.constants = author, constants
        value = author.value.run(u, constants)
        ctx.save_for_backward(u, value)
        return value

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor | None, ...]:
        u, value = ctx.saved_tensors
        return (gradient * ctx.author.at(u, value, ctx.constants), *[None] * (1 + len(ctx.constants)))
