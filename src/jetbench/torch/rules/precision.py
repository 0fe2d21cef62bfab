"""In which type rules compute."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from jetbench.torch.jet import Jet, linear


def in_type(x: Jet, dtype: torch.dtype) -> Jet:
    """The same jet in another type."""
    return x if x.dtype == dtype else linear(lambda t: t.to(dtype), x, lambda t: t.to(dtype))


def accumulated(rule: Callable[..., Jet]) -> Callable[..., Jet]:
    """A rule that computes half-precision jets in single precision, as PyTorch's kernels do: squares would overflow."""

    @functools.wraps(rule)
    def apply(x: Jet, *args: object, **kwargs: object) -> Jet:
        if x.dtype not in (torch.float16, torch.bfloat16):
            return rule(x, *args, **kwargs)
        return in_type(rule(in_type(x, torch.float32), *args, **kwargs), x.dtype)

    return apply
