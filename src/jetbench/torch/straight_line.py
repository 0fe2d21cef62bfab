"""Carrying out straight-line programs on tensors, in place and without gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jetbench.algebra.recorded import Operation, StraightLine


def run(program: StraightLine, inputs: Sequence[Tensor], results: Sequence[Tensor]) -> None:
    """Fill the results from the inputs, all of them tensors of one shape; autograd must not be recording."""
    room = torch.empty((program.registers, *results[0].shape), dtype=results[0].dtype, device=results[0].device)
    tensors = [*inputs, *results, *room]
    zero = torch.zeros((), dtype=results[0].dtype, device=results[0].device)
    for instruction in program.instructions:
        target, x, y = tensors[instruction.target], tensors[instruction.x], tensors[instruction.y]
        factor = instruction.factor
        match instruction.operation:
            case Operation.ADD_PRODUCT:
                target.addcmul_(x, y, value=factor)
            case Operation.MULTIPLY if factor == 1:
                torch.mul(x, y, out=target)
            case Operation.MULTIPLY:
                torch.addcmul(zero, x, y, value=factor, out=target)
            case Operation.ADD_SCALED:
                target.add_(x, alpha=factor)
            case Operation.ADD:
                torch.add(x, y, alpha=factor, out=target)
            case Operation.SCALE:
                torch.mul(x, factor, out=target)
            case Operation.ZERO:
                target.zero_()
