"""Checking that a network treats the rows of x as independent points: the network is run, `mixing` says on what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jetbench.errors import JetbenchError, MixedRows, NetworkFailed
from jetbench.mixing import DOMAINS, Trial, Undecided, are_mixed
from jetbench.torch._compat import TorchDispatchMode

MANY = 1_000_000  # operations


def check(net: Callable[[Tensor], Tensor], shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
    """Raise where rows of x influence each other, or the output lacks the leading axes of x.

    All runs draw the same random numbers, and those that follow are the ones that would have followed without them.
    On the device "meta" there are no values to look at.

    Raises:
        MixedRows: rows are mixed.
        JetbenchError: the network cannot be run on such an x, or returns something other than one tensor that begins
            with the leading axes of x.
    """
    if device.type == "meta":
        return
    trial = _Runs(net, torch.Size(shape), dtype, device)
    outputs = trial.first().numel()
    rows = trial.rows
    if rows > 1 and outputs and are_mixed(trial, rows, shape[-1]):
        raise MixedRows(
            "The network mixes rows of x: the value at one point depends on other points of the batch, as in a "
            "batch norm in training mode, a sum over the batch or a decision by all of its rows. Call `net.eval()`, or "
            "let the mixed axes be coordinates of one point."
        )


class _Runs(Trial):
    """Runs of a network on numbers. Networks that differentiate within themselves need an x with a gradient."""

    def __init__(
        self, net: Callable[[Tensor], Tensor], shape: torch.Size, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.net, self.shape, self.dtype, self.device = net, shape, dtype, device
        self.rows = shape[:-1].numel()
        self.tiny, self.eps = torch.finfo(dtype).tiny, torch.finfo(dtype).eps
        self._needs_gradient = False
        self._operations = MANY

    def first(self) -> Tensor:
        """The output at numbers where the network can be run.

        Raises:
            JetbenchError: there are none, or the output is not what it must be.
        """
        uniform = np.random.default_rng(0).random((self.rows, self.shape[-1]))
        failure: Exception | None = None
        for start, width in DOMAINS:
            for self._needs_gradient in (False, True):
                try:
                    with _Watch(MANY) as watch:
                        y = self._output(start + width * uniform)
                except JetbenchError:
                    raise
                except Exception as error:
                    failure = failure or error
                    continue
                self._operations = watch.operations
                if y.is_floating_point() or y.is_complex():
                    self.eps = max(self.eps, torch.finfo(y.dtype).eps)
                return y
        raise NetworkFailed(self.shape, self.dtype, self.device, failure) from failure

    def run(self, points: np.ndarray, is_familiar: bool) -> np.ndarray:
        makes_indices = is_familiar or self.device.type == "cpu"
        try:
            with _Watch(10 * self._operations + 1000, makes_indices) as watch:
                y = self._output(points)
        except Exception as error:  # a factorization that does not exist, an assertion of the network, …
            raise Undecided from error
        self.decides |= watch.reads
        y = y.cpu().reshape(self.rows, -1)
        return (y.to(torch.complex128) if y.is_complex() else y.double()).numpy()

    def _output(self, points: np.ndarray) -> Tensor:
        x = torch.from_numpy(points).to(dtype=self.dtype).to(self.device).reshape(self.shape)
        generators = [self.device] if self.device.type == "cuda" else []
        with (
            torch.random.fork_rng(generators),
            torch.inference_mode(False),
            torch.set_grad_enabled(self._needs_gradient),
        ):
            y = self.net(x.clone().requires_grad_(self._needs_gradient))
        if not isinstance(y, Tensor):
            raise JetbenchError(f"The network must return one tensor; it returned {type(y).__name__}.")
        leading = self.shape[:-1]
        if y.shape[: len(leading)] != leading:
            raise JetbenchError(
                f"The network maps x of shape {tuple(self.shape)} to {tuple(y.shape)}: its output must keep the "
                f"leading axes {tuple(leading)}, one result for each row of x. Rows must not be summed over or moved."
            )
        return y.detach()


class _Watch(TorchDispatchMode):
    """Counts operations, ends runs that go on for ever, and notices where values are read, as by `if` and `.item()`.

    Attributes:
        limit: how many operations are allowed.
        makes_indices: whether numbers may become whole ones, by which entries could be looked up. On an accelerator an
            entry that does not exist leaves the whole process unable to use it.
    """

    def __init__(self, limit: int, makes_indices: bool = True) -> None:
        super().__init__()
        self.limit, self.makes_indices = limit, makes_indices
        self.operations, self.reads = 0, False

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        self.operations += 1
        if self.operations > self.limit:
            raise RuntimeError(f"The network did not end within {self.limit:,} operations.")
        self.reads |= torch.Tag.data_dependent_output in function.tags
        found = function(*args, **(kwargs or {}))
        if not self.makes_indices and _are_whole(found) and any(map(_is_real, args)):
            raise RuntimeError("Whole numbers are made of such numbers.")
        return found


def _are_whole(found: object) -> bool:
    values = found if isinstance(found, (tuple, list)) else (found,)
    return any(
        isinstance(v, Tensor) and v.dtype != torch.bool and not (v.is_floating_point() or v.is_complex())
        for v in values
    )


def _is_real(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
