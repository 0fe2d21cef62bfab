"""Which ATen operations PyTorch differentiates rightly: nested AD of each against interpolated plain values.

`python tests/derivatives/evidence.py OUT.csv [NAME …]` runs PyTorch's own sample inputs of each function (`op_db`,
which needs the package expecttest) through forward over forward, forward over reverse and reverse over reverse mode to
fourth order and through a gradient, along a line through the input: at the sample, at zeros, and at zeros in every
second place. It takes an hour on one core. A line of the file is one derivative of one sample.

`src/jetbench/torch/trusted.txt` was made of that: operations that were right wherever the line was smooth, or for which
PyTorch raises an error. Where an operation alone was wrong or NaN it was left out, with these exceptions, looked at by
hand: factorizations of symmetric matrices (the samples' lines leave them; right along lines that do not, but for NaN at
fourth order), singular matrices, ties at which two kinks cancel (copysign, softshrink with λ = 0), and operations that
are constant between jumps. Overloads that no sample has were looked at in the same way with inputs of their own.
"""

from __future__ import annotations

import csv
import itertools
import sys
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from coverage_table.interpolation import CENTRED
from jetbench.torch.corrected.network import _operations
from jetbench.torch.methods.nested import ForwardOverReverse, ReverseOverReverse
from jetbench.torch.reference import ForwardOverForward

D64 = torch.float64
MODES = {"forward": ForwardOverForward, "forward over reverse": ForwardOverReverse, "reverse": ReverseOverReverse}
DIRECTIONS = torch.tensor([[1.0], [0.5]], dtype=D64)  # two, so that torch.vmap takes part
SAMPLES, LARGEST = 4, 300


def varies(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and (value.is_floating_point() or value.is_complex())
    )


class Line:
    """(t, s) ↦ two sums of the entries of f(input + t v + s w), (2,)."""

    def __init__(self, function: Callable, arguments: tuple, amplitude: float = 0.3) -> None:
        self.function, (self.leaves, self.structure) = function, tree_flatten(arguments)
        generator = torch.Generator().manual_seed(0)
        self.v, self.w = (
            [
                amplitude * torch.randn(leaf.shape, generator=generator, dtype=leaf.dtype) if varies(leaf) else None
                for leaf in self.leaves
            ]
            for _ in range(2)
        )

    def __call__(self, t: Tensor, s: Tensor | float = 0.0) -> Tensor:
        moved = [
            leaf if v is None else leaf + t * v + s * w for leaf, v, w in zip(self.leaves, self.v, self.w, strict=True)
        ]
        first, args, kwargs = tree_unflatten(moved, self.structure)
        total = torch.zeros(2, dtype=D64)
        for number, y in enumerate(filter(varies, tree_leaves(self.function(first, *args, **kwargs)))):
            entries = (torch.view_as_real(y.resolve_conj()) if y.is_complex() else y).to(D64).reshape(-1)
            place = torch.arange(len(entries), dtype=D64) + number
            total = total + torch.stack([(entries * place.cos()).sum(), (entries * (1.3 * place + 0.5).sin()).sum()])
        return total

    def truth(self) -> dict[object, tuple[np.ndarray, np.ndarray]]:
        """k → ∂_t^k and its error; "gradient" → ∂_s ∂_t = ((∂_t + ∂_s)² − (∂_t − ∂_s)²)/4."""
        with torch.no_grad():
            steps = torch.from_numpy(CENTRED.steps)
            along = [
                CENTRED.derivatives(torch.stack([self(a * t, b * t) for t in steps]).numpy())
                for a, b in ((1, 0), (1, 1), (-1, 1))
            ]
        (values, errors), (sums, sum_errors), (differences, difference_errors) = along
        mixed = (sums[2] - differences[2]) / 4, (sum_errors[2] + difference_errors[2]) / 4
        return {k: (values[k], errors[k]) for k in (1, 2, 3, 4)} | {"gradient": mixed}

    def nested(self, mode: type, order: object) -> np.ndarray:
        method = mode.__new__(mode)
        s = torch.zeros((), dtype=D64, requires_grad=order == "gradient")
        k = 1 if order == "gradient" else order
        with sdpa_kernel(SDPBackend.MATH):
            y = method.power(lambda x: self(x[..., 0], s), DIRECTIONS, [1.0, 1.0], k)(torch.zeros(1, dtype=D64))
            y = y / (1 + 0.5**k)
            if order == "gradient":
                y = torch.stack([torch.autograd.grad(part, s, retain_graph=True)[0] for part in y])
        return y.detach().numpy()


def verdicts(line: Line) -> Iterator[tuple[str, object, str]]:
    """(mode, order, "right", "wrong", "nan", "not smooth" or the error that PyTorch raises)."""
    for order, (true, error) in line.truth().items():
        scale = max(1.0, np.abs(true).max())
        for name, mode in MODES.items():
            try:
                found = line.nested(mode, order)
            except Exception as raised:
                yield name, order, f"{type(raised).__name__}: {str(raised).splitlines()[0][:100]}"
                continue
            if not np.isfinite(error).all() or error.max() > 1e-4 * scale:
                yield name, order, "not smooth"
            elif not np.isfinite(found).all():
                yield name, order, "nan"
            else:
                is_right = np.abs(found - true).max() <= max(1e-6 * scale, 3 * error.max())
                yield name, order, "right" if is_right else "wrong"


def arguments(op: object) -> Iterator[tuple]:
    """The samples of a function that differ in kind, then the first of them with zeros."""
    kinds: dict[str, tuple] = {}
    for sample in itertools.islice(op.sample_inputs("cpu", D64, requires_grad=False), 40):
        leaves = tree_leaves((sample.input, sample.args, sample.kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if 0 < sum(t.numel() for t in tensors) <= LARGEST and all(t.layout == torch.strided for t in tensors):
            kind = str([leaf.ndim if isinstance(leaf, Tensor) else leaf for leaf in leaves]) + str(
                sorted(sample.kwargs)
            )
            kinds.setdefault(kind, (sample.input, sample.args, sample.kwargs))
    chosen = list(kinds.values())
    yield from chosen[:: max(1, len(chosen) // SAMPLES)][:SAMPLES]
    for every in (1, 2):
        if chosen:
            leaves, structure = tree_flatten(chosen[0])
            zeros = [with_zeros(leaf, every) if varies(leaf) else leaf for leaf in leaves]
            yield tree_unflatten(zeros, structure)


def with_zeros(tensor: Tensor, every: int) -> Tensor:
    chosen = torch.arange(tensor.numel()).reshape(tensor.shape) % every == 0
    return torch.where(chosen, torch.zeros((), dtype=tensor.dtype), tensor)


def main(out: str, names: list[str]) -> None:
    from torch.testing._internal.common_methods_invocations import op_db

    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["function", "variant", "sample", "operations", "mode", "order", "verdict"])
        for op in (op for op in op_db if not names or op.name in names):
            for number, (first, args, kwargs) in enumerate(arguments(op)):
                try:
                    found = list(verdicts(Line(op.op, (first, args, kwargs))))
                except Exception as error:  # singular matrices and the like
                    found = [("", "", f"no values: {type(error).__name__}")]
                operations = " ".join(sorted(map(str, _operations(op.op, (first, *args), kwargs))))
                for verdict in found:
                    writer.writerow([op.name, op.variant_test_name, number, operations, *verdict])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], sys.argv[2:])
