"""Random networks and operators, to compare functions with what the pass makes of them; the same for every backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

ACTIVATIONS = ("tanh", "sin", "exp", "square", "logistic")
BLOCKS = ("dense", "dense", "dense", "residual", "norm", "gate", "mix", "shift")
SUMS = (
    "plain",
    "mean",
    "vector",
    "einsum",
    "data",
    "each point",
    "two axes",
    "difference",
    "slices",
    "signs",
    "first order",
    "fourth order",
)
HESSIANS = ("trace", "weighted trace", "trace and squares", "matrix", "matrix of each point")


@dataclass(frozen=True)
class Framework:
    """What a backend lends: its arrays and transformations.

    Attributes:
        xp: namespace with tanh, sin, exp, einsum, concatenate; torch and jax.numpy share them.
        jvp, vmap, jacfwd: of functions.
        array: from numpy.
    """

    xp: Any
    jvp: Callable
    vmap: Callable
    jacfwd: Callable
    array: Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class Trial:
    """One function to compare: called with the list of parameters and a batch of points.

    Attributes:
        name: what it is made of, for messages.
        function: of (parameters, x).
        parameters, x: in the framework's arrays.
    """

    name: str
    function: Callable
    parameters: list[Any]
    x: Any


def trial(seed: int, framework: Framework) -> Trial:
    """The function number `seed`; the same network, operator and numbers in every framework."""
    random = np.random.default_rng(seed)
    dim, width = int(random.integers(2, 5)), int(random.integers(2, 7))
    blocks = [str(b) for b in random.choice(BLOCKS, random.integers(1, 4))]
    functions = [str(a) for a in random.choice(ACTIVATIONS, len(blocks) + 1)]
    kind = str(random.choice(SUMS + HESSIANS))
    if kind == "fourth order":
        blocks, functions = blocks[:1], functions[:2]  # its computations are long
    per_point = bool(random.integers(2))
    weights = [random.standard_normal((dim, width)) / dim**0.5]
    for block in blocks:
        weights.append(random.standard_normal((width, width)) / width**0.5)
        weights.append(random.standard_normal(width) / 2)
        del block
    weights.append(random.standard_normal((width, int(random.integers(1, 3)))))
    directions = random.standard_normal((int(random.integers(2, 6)), dim))
    if random.integers(2):
        directions = np.eye(dim)
    x = random.standard_normal((int(random.integers(1, 4)), dim)) / 2
    net = _network(blocks, functions, framework)
    fixed = framework.array(directions)
    scales = framework.array(random.standard_normal(len(directions)))
    matrix = framework.array(random.standard_normal((dim, dim)))

    def operator(parameters: list[Any], point: Any) -> Any:
        def f(y: Any) -> Any:
            return net(parameters, y)

        if kind in HESSIANS:
            return _of_hessian(kind, f, point, matrix, framework)
        return _operator(kind, f, point, fixed, scales, framework)

    function = operator
    if per_point:

        def function(parameters: list[Any], points: Any) -> Any:
            return framework.vmap(lambda point: operator(parameters, point))(points)

    name = f"{kind} of {functions[0]} {' '.join(f'{b}-{a}' for b, a in zip(blocks, functions[1:], strict=True))}"
    return Trial(name, function, [framework.array(w) for w in weights], framework.array(x))


def _activation(name: str, xp: Any, u: Any) -> Any:
    if name == "square":
        return 0.3 * u * u
    if name == "logistic":
        return 1 / (1 + xp.exp(-u))
    return xp.exp(0.3 * u) if name == "exp" else getattr(xp, name)(u)


def _network(blocks: list[str], functions: list[str], framework: Framework) -> Callable:
    xp = framework.xp

    def net(parameters: list[Any], x: Any) -> Any:
        first, *rest, last = parameters
        h = _activation(functions[0], xp, x @ first)
        for block, function in zip(blocks, functions[1:], strict=True):
            matrix, vector, *rest = rest
            u = h @ matrix + vector
            if block == "norm":
                u = u - u.mean(-1)[..., None]
                u = u / xp.sqrt((u * u).mean(-1)[..., None] + 0.1)
            elif block == "gate":
                e = xp.exp(0.5 * u)
                u = u * (e / e.sum(-1)[..., None])
            elif block == "mix":
                u = u[..., :1] * u[..., 1:2] + u * vector
            elif block == "shift":
                u = xp.concatenate([u[..., 1:], u[..., :1]], -1)
            new = _activation(function, xp, u)
            h = new + h if block == "residual" else new
        return h @ last

    return net


def _operator(kind: str, f: Callable, x: Any, directions: Any, scales: Any, framework: Framework) -> Any:
    jvp, vmap, xp = framework.jvp, framework.vmap, framework.xp

    def along(g: Callable, v: Any) -> Callable:
        return lambda y: jvp(g, (y,), (v + 0 * y,))[1]

    if kind == "first order":
        return vmap(lambda v: along(f, v)(x))(directions).sum(0)
    if kind == "two axes":
        inner = vmap(lambda v: vmap(lambda w: along(along(f, w), v)(x))(directions))(directions)
        return inner.sum(0).sum(0)
    if kind == "fourth order":
        inner = vmap(lambda v: vmap(lambda w: along(along(along(along(f, w), w), v), v)(x))(directions))(directions)
        return inner.sum(0).sum(0)
    second = vmap(lambda v: along(along(f, v), v)(x))(directions)
    match kind:
        case "mean":
            return second.mean(0)
        case "vector":
            return (scales.reshape((-1,) + (1,) * (second.ndim - 1)) * second).sum(0)
        case "einsum":
            return xp.einsum("r,r...->...", scales, second)
        case "data":
            return xp.einsum("r,r...->...", xp.exp(scales * x.sum()), second)
        case "each point":
            of_each = scales.reshape((-1,) + (1,) * (x.ndim - 1)) * x.sum(-1)
            return xp.einsum("r...,r...c->...c", xp.exp(of_each), second)
        case "difference":
            return second.sum(0) - 2 * f(x) + vmap(lambda v: along(f, v)(x))(directions).sum(0)
        case "slices":
            return second[:1].sum(0) - second[1:].sum(0)
        case "signs":
            return second[0] - second[1] + 3 * second.sum(0)
    return second.sum(0)


def _of_hessian(kind: str, f: Callable, x: Any, matrix: Any, framework: Framework) -> Any:
    """Of the Hessian of each output by forward mode over forward mode, at one point or several."""
    xp, hessian = framework.xp, framework.jacfwd(framework.jacfwd(f))
    h = hessian(x) if x.ndim == 1 else framework.vmap(hessian)(x)
    if kind == "weighted trace":
        return (xp.einsum("...ii->...i", h) * xp.exp(x)[..., None, :]).sum(-1)
    if kind == "matrix":
        return xp.einsum("ij,...ij->...", matrix, h)
    if kind == "matrix of each point":
        of_each = matrix + xp.sin(x)[..., None] * xp.exp(x)[..., None, :]
        return xp.einsum("...ij,...cij->...c", of_each, h)
    trace = xp.einsum("...ii->...", h)
    return trace if kind == "trace" else trace + (h * h).sum((-1, -2))
