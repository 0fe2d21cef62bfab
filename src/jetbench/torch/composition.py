"""φ of a jet, entry by entry, computed in pieces that stay in the cache and saved sparingly for the backward pass.

There are three ways to the same numbers. Where jets are small, and while something traces or transforms the computation
(torch.compile, torch.func), plain differentiable operations are used; that is in `jet.elementwise`.
Here are the other two. Without gradients, one piece after the other is written into one buffer. With gradients
likewise, and the backward pass starts again from the jet of u, so that neither derivatives of φ nor products of
coefficients are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from jetbench.algebra.base import Algebra
from jetbench.algebra.derivatives import TowerFunction
from jetbench.algebra.recorded import StraightLine
from jetbench.torch import storage
from jetbench.torch._compat import nothing_looks
from jetbench.torch.straight_line import run

PIECE_BYTES = 1 << 21  # what a cache of a processor holds,
PIECE_SHARE = 12  # and no more than this part of the whole, as pieces add to the peak memory
SMALL_BYTES = 1 << 20  # what is not divided at all, nor computed again
# On a GPU each call costs microseconds on the host, in which it could move megabytes: there only very large wholes are
# divided. In twelve pieces the Laplacian of the paper's network took ten times its products at batch 683 on an H200.
GPU_PIECE_BYTES = 1 << 28

PROGRAM_ENTRIES = 3 << 14  # of each component at a time: makes up for the calls, and enough for two threads


def is_small(algebra: Algebra, u: Tensor) -> bool:
    """Whether a jet is so small that calls take longer than its numbers: then what is fewest calls is best."""
    return algebra.vectors * u.element_size() * u.numel() <= SMALL_BYTES


def is_plain(*tensors: Tensor) -> bool:
    """Whether nothing traces or transforms operations on these tensors."""
    return (
        not torch.compiler.is_compiling()
        and nothing_looks()
        and all(type(t) in (Tensor, torch.nn.Parameter) for t in tensors)
    )


@dataclass(frozen=True)
class Composition:
    """φ and the jet it is applied to, without the tensors.

    Attributes:
        algebra: of the jet.
        tower: (u, K) → [φ(u), φ'(u), …, φ^(K)(u)].
        present: indices of the blocks that do not vanish.
    """

    algebra: Algebra
    tower: TowerFunction
    present: tuple[int, ...]

    def parts(self, u: Tensor, given: Sequence[Tensor]) -> list[Tensor | None]:
        """φ(u), (1, *S), and the blocks of its jet, (sizes[k], *S) each; None where a block vanishes."""
        value, *derivatives = self.tower(u, self.algebra.order)
        return [value[None], *self._blocks(derivatives, given)]

    def _blocks(self, derivatives: Sequence[Tensor | None], given: Sequence[Tensor]) -> list[Tensor | None]:
        blocks: list[Tensor | None] = [None] * self.algebra.order
        for index, block in zip(self.present, given, strict=True):
            blocks[index] = block
        return self.algebra.compose(derivatives, blocks)

    def in_pieces(self, u: Tensor, given: Sequence[Tensor]) -> Tensor | None:
        """All parts in one tensor (1 + Σ sizes, *S), one piece of the first axis of S after the other; None where a
        block vanishes. Not differentiable."""
        result, program = None, self._program(u, given)
        for piece in self._for_blocks(u) if program is None else self._for_program(u, program):
            value, *derivatives = self.tower(u[piece], self.algebra.order)
            blocks = [block[:, piece] for block in given]
            parts = self._blocks(derivatives, blocks) if program is None else []
            if any(part is None for part in parts):
                return None
            if result is None:
                result = storage.empty(self.algebra.vectors, u.shape, value)
            target = result[:, piece]
            target[0].copy_(value)
            if program is not None:
                inputs = [*(d for d in derivatives if d is not None), *(c for block in blocks for c in block)]
                run(program, inputs, target[1:])
                continue
            for room, part in zip(target[1:].split(self.algebra.sizes), parts, strict=True):
                room.copy_(part)
        return result

    def _program(self, u: Tensor, given: Sequence[Tensor]) -> StraightLine | None:
        """The algebra's program, on processors: their caches keep what one instruction writes for the next one. None
        elsewhere, where there is none, and for so few rows that whole blocks take fewer calls."""
        pieces = len(self._for_blocks(u))
        if u.device.type != "cpu" or not self.algebra.has_programs or pieces < 2:
            return None
        tower = self.tower(u[:1], self.algebra.order)
        if any(t is not None and t.dtype != u.dtype for t in (*tower, *given)):
            return None
        present = [k in self.present for k in range(self.algebra.order)]
        program = self.algebra.straight_line([derivative is not None for derivative in tower[1:]], present)
        return None if program is None or 2 * len(self._for_program(u, program)) > pieces else program

    def _for_blocks(self, u: Tensor) -> list[slice]:
        return self.pieces(u, len(u) // PIECE_SHARE if u.device.type == "cpu" else len(u))

    def pieces(self, u: Tensor, most: int) -> list[slice]:
        """Parts of the first axis of S, small enough for the device and of at most `most` rows."""
        row = self.algebra.vectors * u.element_size() * u[:1].numel()
        return _slices(len(u), min((PIECE_BYTES if u.device.type == "cpu" else GPU_PIECE_BYTES) // row, most))

    def _for_program(self, u: Tensor, program: StraightLine) -> list[slice]:
        """Longer parts, of which registers and derivatives of φ take at most half as much room as the whole result."""
        temporary = program.registers + 2 * self.algebra.order
        most = len(u) * self.algebra.vectors // (2 * temporary)
        return _slices(len(u), min(PROGRAM_ENTRIES // u[:1].numel(), most))


def _slices(count: int, rows: int) -> list[slice]:
    rows = max(1, rows)
    return [slice(start, start + rows) for start in range(0, count, rows)]


class Recomputed(torch.autograd.Function):
    """`Composition.in_pieces` with a backward pass that keeps only u and its blocks, and is itself differentiable."""

    @staticmethod
    def forward(ctx: object, composition: Composition, whole: Tensor, u: Tensor, *given: Tensor) -> Tensor:
        ctx.composition = composition
        ctx.save_for_backward(u, *given)
        return whole.view_as(whole)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, wanted = ctx.saved_tensors, ctx.needs_input_grad[2:]
        if torch.is_grad_enabled():
            return (None, None, *_gradients(ctx.composition, inputs, wanted, gradient, differentiable=True))
        results = [torch.zeros(t.shape, dtype=t.dtype, device=t.device) if w else None for t, w in _zip(inputs, wanted)]
        for piece in ctx.composition.pieces(inputs[0], len(inputs[0])):
            parts = [inputs[0][piece], *(block[:, piece] for block in inputs[1:])]
            parts = [part.detach().requires_grad_(want) for part, want in _zip(parts, wanted)]
            found = _gradients(ctx.composition, parts, wanted, gradient[:, piece])
            for index, part in enumerate(found):
                if part is not None:
                    (results[index][piece] if index == 0 else results[index][:, piece]).copy_(part)
        return (None, None, *results)


def _gradients(
    composition: Composition,
    inputs: Sequence[Tensor],
    wanted: Sequence[bool],
    gradient: Tensor,
    differentiable: bool = False,
) -> list[Tensor | None]:
    """Gradients of ⟨gradient, parts⟩ with respect to the inputs that are wanted; None for the others."""
    with torch.enable_grad():
        # one input may depend on another, but these are partial derivatives
        inputs = [tensor.view_as(tensor) for tensor in inputs]
        whole = torch.cat(composition.parts(inputs[0], inputs[1:]))
    chosen = [tensor for tensor, want in _zip(inputs, wanted) if want]
    found = iter(torch.autograd.grad(whole, chosen, gradient, create_graph=differentiable, allow_unused=True))
    return [next(found) if want else None for want in wanted]


def _zip(left: Sequence, right: Sequence) -> zip:
    return zip(left, right, strict=True)


class Recipe:
    """How to compute the whole of a jet again instead of keeping it."""

    def __init__(self, composition: Composition, u: Tensor, given: Sequence[Tensor]) -> None:
        self._composition, self._u, self._given = composition, u.detach(), [block.detach() for block in given]

    def __call__(self) -> Tensor:
        with torch.no_grad():
            return self._composition.in_pieces(self._u, self._given)

    def instead_of(self, whole: Tensor) -> saved_tensors_hooks:
        """A context in which autograd keeps this recipe where it would keep `whole`, or its entries as stored."""
        address, count = whole.data_ptr(), whole.numel()

        def pack(tensor: Tensor) -> Tensor | tuple[int, ...]:
            is_whole = tensor.data_ptr() == address and tensor.numel() == count and tensor.is_contiguous()
            return tuple(tensor.shape) if is_whole else tensor

        def unpack(kept: Tensor | tuple[int, ...]) -> Tensor:
            return storage.stored(self()).reshape(kept) if isinstance(kept, tuple) else kept

        return saved_tensors_hooks(pack, unpack)
