"""Right values, without any code of jetbench: nested `torch.autograd.grad` of the network called plainly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fuzz.interpolation import stencil
from fuzz.program import Terms


def gradients(value: Tensor, by: Sequence[Tensor], create_graph: bool = True) -> list[Tensor]:
    """∂value/∂by of a scalar, zeros where it does not depend on it."""
    if not value.requires_grad:
        return [torch.zeros_like(tensor) for tensor in by]
    found = torch.autograd.grad(value, by, create_graph=create_graph, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, by, strict=True)]


class Reference:
    """x ↦ Σ c ∂^α net(x), differentiable in all that net depends on."""

    def __init__(self, net: Callable[[Tensor], Tensor], outputs: tuple[Terms, ...]) -> None:
        self.net, self.outputs = net, outputs

    def __call__(self, x: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            x = x.clone() if x.is_inference() else x
            at = x if x.requires_grad else x.detach().requires_grad_()
            values = self.net(at)
            if values.shape[: x.ndim - 1] != x.shape[:-1]:
                raise ValueError("The network does not keep the rows.")
            columns = values.reshape(x.shape[:-1].numel(), -1).unbind(-1)
            found = [torch.stack([self._derived(terms, u, at) for u in columns], -1) for terms in self.outputs]
            found = [f.reshape(values.shape) for f in found]
            result = (found[0] if len(found) == 1 else torch.stack(found, -1)).to(values.dtype)  # autocast's
        return result if torch.is_grad_enabled() else result.detach()

    def _derived(self, terms: Terms, u: Tensor, x: Tensor) -> Tensor:
        """Σ c ∂^α u for u (N,), each derivative taken once."""
        dim = x.shape[-1]
        known: dict[tuple[int, ...], Tensor] = {(0,) * dim: u}
        slopes: dict[tuple[int, ...], Tensor] = {}

        def derivative(alpha: tuple[int, ...]) -> Tensor:
            if alpha not in known:
                i = next(i for i, e in enumerate(alpha) if e)
                lower = (*alpha[:i], alpha[i] - 1, *alpha[i + 1 :])
                if lower not in slopes:
                    slopes[lower] = gradients(derivative(lower).sum(), [x])[0].reshape(-1, dim)
                known[alpha] = slopes[lower][:, i]
            return known[alpha]

        return sum(coefficient * derivative(alpha) for coefficient, alpha in terms)


class FromValues:
    """x ↦ Σ c ∂^α net(x) from values of net around x alone, differentiable like them: to low orders only."""

    def __init__(self, net: Callable[[Tensor], Tensor], outputs: tuple[Terms, ...], scheme: tuple[int, float]) -> None:
        self.net, self.outputs, self.scheme = net, outputs, scheme

    def __call__(self, x: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            x = x.clone() if x.is_inference() else x
            at = x if x.requires_grad else x.detach().requires_grad_()
            found = [
                sum(c * self._derivative(at.reshape(-1, x.shape[-1]), alpha) for c, alpha in t) for t in self.outputs
            ]
            found = [f.reshape(x.shape[:-1] + f.shape[1:]) for f in found]
            result = found[0] if len(found) == 1 else torch.stack(found, -1)
        return result if torch.is_grad_enabled() else result.detach()

    def _derivative(self, x: Tensor, alpha: tuple[int, ...]) -> Tensor:
        """∂^α net at x (N, D)."""
        shifts, weights = (torch.from_numpy(a).to(x.dtype) for a in stencil(alpha, self.scheme))
        values = self.net((x[:, None] + shifts).reshape(-1, x.shape[-1]))
        return torch.tensordot(values.unflatten(0, (len(x), len(weights))), weights, dims=([1], [0]))
