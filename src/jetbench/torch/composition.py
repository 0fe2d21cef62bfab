"""φ of a jet, entry by entry, computed in pieces that stay in the cache and saved sparingly for the backward pass.

There are three ways to the same numbers. While something traces or transforms the computation (torch.compile,
torch.func), plain differentiable operations are used, which the tracer sees and fuses; that is in `jet.elementwise`.
Here are the other two. Without gradients, one piece after the other is written into one buffer. With gradients
likewise, and the backward pass starts again from the jet of u, so that neither derivatives of φ nor products of
coefficients are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.graph import saved_tensors_hooks

from jetbench.algebra.base import Algebra
from jetbench.torch import layout

Tower = Callable[[Tensor, int], list[Tensor | None]]

PIECE_BYTES = {"cpu": 1 << 21, "cuda": 1 << 28}  # what a cache holds, or what keeps a device busy
PIECE_SHARE = 12  # and no more than this part of the whole, as pieces add to the peak memory


def is_plain(*tensors: Tensor) -> bool:
    """Whether nothing traces or transforms operations on these tensors."""
    return (
        not torch.compiler.is_compiling()
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
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
    tower: Tower
    present: tuple[int, ...]

    def parts(self, u: Tensor, given: Sequence[Tensor]) -> list[Tensor | None]:
        """φ(u), (1, *S), and the blocks of its jet, (sizes[k], *S) each; None where a block vanishes."""
        value, *derivatives = self.tower(u, self.algebra.order)
        blocks: list[Tensor | None] = [None] * self.algebra.order
        for index, block in zip(self.present, given, strict=True):
            blocks[index] = block
        return [value[None], *self.algebra.compose(derivatives, blocks)]

    def in_pieces(self, u: Tensor, given: Sequence[Tensor]) -> Tensor | None:
        """All parts in one tensor (1 + Σ sizes, *S), one piece of the first axis of S after the other; None where a
        block vanishes."""
        result = None
        for piece in self.pieces(u, u.shape[0] // PIECE_SHARE):
            parts = self.parts(u[piece], [block[:, piece] for block in given])
            if any(part is None for part in parts):
                return None
            if result is None:
                result = layout.empty(self.algebra.vectors, u.shape, parts[0])
            for target, part in zip(result[:, piece].split([len(p) for p in parts]), parts, strict=True):
                target.copy_(part)
        return result

    def pieces(self, u: Tensor, most: int) -> list[slice]:
        """Parts of the first axis of S, small enough for the cache of the device and of at most `most` rows."""
        row = self.algebra.vectors * u.element_size() * u[:1].numel()
        rows = max(1, min(PIECE_BYTES.get(u.device.type, 1 << 21) // row, most))
        return [slice(start, start + rows) for start in range(0, u.shape[0], rows)]


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
            return layout.stored(self()).reshape(kept) if isinstance(kept, tuple) else kept

        return saved_tensors_hooks(pack, unpack)
