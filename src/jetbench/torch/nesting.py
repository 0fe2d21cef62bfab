"""Symbols evaluated by nesting derivatives of derivatives, as the nested methods and the reference do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from jetbench.algebra.coordinates import factor_of, in_coordinates
from jetbench.algebra.differentiate import Function
from jetbench.errors import JetbenchError, MixedRows, Unsupported
from jetbench.methods.nested import Nest
from jetbench.operators.problem import Problem
from jetbench.torch import rows
from jetbench.torch._compat import modes, undisturbed, without_compiler
from jetbench.torch.capture import casts
from jetbench.torch.corrected.network import corrected
from jetbench.torch.exhaustion import is_out_of_memory
from jetbench.torch.program import Evaluation
from jetbench.torch.propagate import Graph, uncast
from jetbench.torch.recording import FOR_TENSORS, NotRecorded
from jetbench.torch.refusals import AuthorDerivative


class Nesting(Evaluation):
    """Evaluates a plan of nested derivatives. Subclasses say how the derivatives along directions are taken."""

    def __init__(self, net: Function, problem: Problem, plan: Nest) -> None:
        super().__init__(net, problem)
        self._plan = plan
        self._run: set[tuple] = set()

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_run": set()}

    @abstractmethod
    def power(self, f: Function, directions: Tensor, weights: Sequence[float], order: int) -> Function:
        """x ↦ Σ_r w_r (v_r·∂)^order f(x) for directions (R, ..., D)."""

    recorder = FOR_TENSORS

    def evaluate(self, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        """The values, after a check that the network does not mix rows, draw numbers or change tensors outside of it.

        Networks that transform or script what they compute, or write into views, are differentiated as recorded, since
        PyTorch's derivatives do not all go through such code. What cannot be recorded, such as control flow that
        depends on values, may still be differentiated as it is.
        """
        recording = self._recording(x)
        errors: list[RuntimeError] = []
        if recording is None or not recording[0].is_whole:
            try:
                with self.untouched.kept(), without_compiler():
                    return self.differentiated(corrected(self.net), x, draws)
            except RuntimeError as error:  # PyTorch does not differentiate checkpoints, for example
                errors.append(error)
        if recording is not None and not any(map(is_out_of_memory, errors)):
            try:
                return self.through(*recording, x, draws)
            except RuntimeError as error:
                errors.append(error)
        if is_out_of_memory(errors[-1]):
            raise errors[-1]
        raise Unsupported(
            f"PyTorch cannot differentiate this network as this method does: {errors[0]} Use a method that propagates "
            "jets, such as collapsed."
        ) from errors[0]

    def _recording(self, x: Tensor) -> tuple[Graph, list[Tensor]] | None:
        """What the network does to x, if that can be recorded."""
        kind = (tuple(x.shape), x.dtype, x.device)
        if kind in self._run:
            return None
        try:
            return self.recorded(x)
        except JetbenchError as error:
            if isinstance(error, MixedRows | Unsupported) and not isinstance(error, AuthorDerivative | NotRecorded):
                raise
            if casts(x.device.type):
                raise Unsupported(
                    "Under torch.autocast PyTorch does not differentiate as it is what cannot be recorded of this "
                    f"network. {error} Leave autocast before the call."
                ) from error
            with undisturbed(), self.untouched.kept():
                rows.check(self.net, *kind)
            self._run.add(kind)
            return None

    def through(
        self, graph: Graph, constants: Sequence[Tensor], x: Tensor, draws: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """The values for what a network does to x, with the same formulas in place of PyTorch's derivatives."""
        return self.differentiated(corrected(lambda y: graph.run(y, constants)), x, draws)

    def differentiated(self, f: Function, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        """The values for any function, in which alone autocast is active."""
        if casts(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            cast = torch.autocast(x.device.type, dtype)(f)
            with uncast(x):
                return self._differentiated(cast, x, draws)
        return self._differentiated(f, x, draws)

    def _differentiated(self, f: Function, x: Tensor, draws: Sequence[Tensor]) -> dict[str, Tensor]:
        x = x.contiguous()  # forward mode cannot take points that share memory, as an expanded x does
        factor = factor_of(self.problem.operator, x)

        def resolve(directions: Tensor | np.ndarray) -> Tensor:
            return in_coordinates(directions, factor, x)

        outputs = self._plan.evaluate(f, x, draws, self.power, resolve, torch.zeros_like)
        if torch.is_grad_enabled() or modes():
            return outputs
        return {name: value.detach() for name, value in outputs.items()}
