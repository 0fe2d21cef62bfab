"""Comparing random functions with their collapsed form: values, gradients and counts."""

from __future__ import annotations

import numpy as np
import torch

from fuzz.collapse.functions import Framework, trial
from jetbench.torch.rewriting.function import collapse

FRAMEWORK = Framework(
    torch, torch.func.jvp, torch.func.vmap, torch.func.jacfwd, lambda a: torch.from_numpy(np.ascontiguousarray(a))
)
TOLERANCE = 1e-10


def compare(seed: int) -> str | None:
    """What is wrong with the collapsed form of function number `seed`, in a sentence; None if nothing is."""
    case = trial(seed, FRAMEWORK)
    parameters = [p.requires_grad_() for p in case.parameters]
    collapsed = collapse(case.function)
    outputs = [function(parameters, case.x) for function in (case.function, collapsed)]
    gradients = [torch.autograd.grad(y.square().sum(), parameters, allow_unused=True) for y in outputs]
    explained = collapsed.explain(parameters, case.x).result
    if explained.after.operations > explained.before.operations or explained.after.products > explained.before.products:
        return f"{case.name}: operations went from {explained.before} to {explained.after}."
    for what, (old, new) in {"value": (outputs[:1], outputs[1:]), "gradient": tuple(gradients)}.items():
        for a, b in zip(old, new, strict=True):
            a, b = (torch.zeros(()) if t is None else t for t in (a, b))
            scale = 1 + a.abs().max().item()
            if not (a - b).abs().max().item() <= TOLERANCE * scale:
                return f"{case.name}: the {what} is off by {(a - b).abs().max().item():.1e}."
    return None
