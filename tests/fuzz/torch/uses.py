"""What people do with an operator in PyTorch, as source text, and what must come of it."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fuzz.draft import Parameter
from fuzz.program import Case, Use
from fuzz.torch.reference import gradients

USES: dict[str, Use] = {}


def _block(text: str) -> str:
    return textwrap.dedent(text).strip("\n")


def plain(name: str, text: str, weight: float = 1.0, **needs: bool) -> None:
    """A use whose text gives the right result by itself when `operator` is the reference.

    Args:
        text: may name {leaves}, {change}, {other} (a second change).
        needs: `float32`, whether the program must be of that precision; `is_twice`, see `Use`.
    """

    def write(
        parameters: Sequence[Parameter], changes: Sequence[str], rng: random.Random, case: Case
    ) -> tuple[str, str] | None:
        if (case.precision == "float32") != needs.get("float32", False):
            return None
        if ("{change}" in text and not changes) or ("{leaves}" in text and not parameters):
            return None
        filled = _block(text)
        for key, values in (("{change}", changes), ("{other}", changes)):
            if key in filled:
                filled = filled.replace(key, rng.choice(values))
        return "", filled.replace("{leaves}", "[" + ", ".join(p.outside for p in parameters) + "]")

    USES[name] = Use(write, None, weight, needs.get("is_twice", False))


WEIGHTED = """
def weighted(value):
    return (value * torch.linspace(0.7, 1.3, value.numel(), dtype=value.dtype).reshape(value.shape)).sum()
"""

plain("value", "result = operator(x)", 4)
plain(
    "parameter gradient",
    WEIGHTED
    + """
leaves = {leaves}
loss = weighted(operator(x))
if loss.requires_grad:
    loss.backward()
result = [leaf.grad for leaf in leaves]
""",
    4,
)
plain(
    "x gradient",
    WEIGHTED
    + """
x.requires_grad_()
value = operator(x)
result = [value.detach()]
if value.requires_grad:
    result += [torch.autograd.grad(weighted(value), x, allow_unused=True)[0]]
""",
    2,
)
plain(
    "double backward",
    WEIGHTED
    + """
leaves = {leaves}
loss, result = weighted(operator(x).sin()), [None] * len(leaves)
if loss.requires_grad:
    first = torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
    penalty = sum((g * g).sum() for g in first if g is not None)
    if penalty.requires_grad:
        result = torch.autograd.grad(penalty, leaves, allow_unused=True)
""",
    2,
    is_twice=True,
)
plain("no_grad", "with torch.no_grad():\n    result = operator(x)\nresult = [result, operator(x)]")
plain("inference mode", "with torch.inference_mode():\n    result = [operator(x).clone()]\nresult.append(operator(x))")
plain("a change", "operator(x)\n{change}\nresult = operator(x)", 8)
plain(
    "two changes",
    "result = [operator(x)]\n{change}\nresult.append(operator(x))\n{other}\nresult.append(operator(x))",
    3,
)
plain(
    "a change, then gradients",
    WEIGHTED + "operator(x)\n{change}\nloss, leaves = weighted(operator(x)), {leaves}\n"
    "result = torch.autograd.grad(loss, leaves, allow_unused=True) if loss.requires_grad else [None] * len(leaves)",
    2,
)
plain(
    "other batches",
    """
more = torch.cat([x, 0.5 * x, -x])
result = [operator(points) for points in (x, more, x[:1], more[:2])]
""",
    2,
)
plain("other leading axes", "result = [operator(x[0]), operator(x[None]), operator(x[:, None])]")
plain(
    "views of x",
    "wide = torch.cat([x, x], -1)\nresult = [operator(wide[:, : x.shape[1]]), operator(x.T.contiguous().T)]",
)
plain("copy", "operator(x)\nother = copy.deepcopy(operator)\n{change}\nresult = [other(x), operator(x)]", 2)
plain("copy before the first call", "result = copy.deepcopy(operator)(x)")
plain("pickle", "result = [operator(x), pickle.loads(pickle.dumps(operator))(x)]", 2)
plain(
    "training",
    WEIGHTED
    + """
leaves, result = {leaves}, []
optimizer = torch.optim.SGD(leaves, lr=1e-3)
for _ in range(3):
    optimizer.zero_grad()
    loss = weighted(operator(x).tanh())
    result.append(loss.detach())
    if loss.requires_grad:
        loss.backward()
        optimizer.step()
""",
    2,
)
plain(
    "recomputed in the backward pass",
    WEIGHTED
    + """
leaves = {leaves}
loss = weighted(torch.utils.checkpoint.checkpoint(operator, x, use_reentrant=False))
result = torch.autograd.grad(loss, leaves, allow_unused=True) if loss.requires_grad else [None] * len(leaves)
""",
)
plain(
    "in another thread",
    """
def work():
    try:
        result.append(operator(x))
    except Exception as error:
        result.append(error)

result = []
thread = threading.Thread(target=work)
thread.start()
thread.join()
if isinstance(result[0], Exception):
    raise result[0]
result.append(operator(x))
""",
    0.7,
)
plain("under a mode", "with torch.device('cpu'), torch.autograd.detect_anomaly(False):\n    result = operator(x)", 0.7)
plain(
    "under the profiler of memory",
    "with torch.autograd.graph.save_on_cpu():\n    result = operator(x)\nresult = [result, operator(x)]",
    0.4,
)
plain(
    "an average of the module",
    """
class Residual(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.operator = net, operator

    def forward(self, x):
        return self.operator(x)

residual = Residual()
residual(x)
average = torch.optim.swa_utils.AveragedModel(residual)
{change}
result = [average(x), residual(x)]
""",
    0.7,
)
plain(
    "autocast, left again",
    'with torch.autocast("cpu", torch.bfloat16):\n    operator(x)\nresult = operator(x)',
    4,
    float32=True,
)
plain(
    "autocast, entered",
    'operator(x)\nwith torch.autocast("cpu", torch.bfloat16):\n    result = operator(x)',
    4,
    float32=True,
)
plain("value in float32", "result = operator(x)", 2, float32=True)
plain("a change in float32", "operator(x)\n{change}\nresult = operator(x)", 2, float32=True)


AT = """
values = {values}
tangents = {{k: torch.cos(torch.arange(v.numel(), dtype=v.dtype)).reshape(v.shape) for k, v in values.items()}}
{holder}
def at(values):
{lines}
    return {call}
"""
HOLDER = """
class Holder(torch.nn.Module):
    def __init__(self):
        super().__init__()
{parts}

    def forward(self, x):
        return operator(x)

holder = Holder()
"""


def _at(chosen: Sequence[Parameter]) -> str:
    """Source of `at`: values of some parameters ↦ operator(x), by assignment where they are read or functional_call."""
    free = [p for p in chosen if p.write]
    held = [p for p in chosen if not p.write]
    owners = list(dict.fromkeys(p.owner for p in held))
    holder, call = "", "operator(x)"
    if held:
        parts = "\n".join(f"        self.part{i} = {owner}" for i, owner in enumerate(owners))
        holder = HOLDER.format(parts=parts)
        keys = ", ".join(f'"part{owners.index(p.owner)}.{p.path}": values["{p.name}"]' for p in held)
        call = f"torch.func.functional_call(holder, {{{keys}}}, (x,))"
    names = [p.name for p in free if p.write.startswith(f"{p.name} =")]
    lines = [f"    global {', '.join(names)}"] if names else []
    lines += ["    " + p.write.format(f'values["{p.name}"]') for p in free]
    values = "{" + ", ".join(f'"{p.name}": {p.outside}.detach().clone()' for p in chosen) + "}"
    return AT.format(values=values, holder=holder, lines="\n".join(lines) or "    pass", call=call)


def transformed(name: str, text: str, weight: float = 1.0, is_twice: bool = False) -> Callable:
    """A use of `at` by a transformation of PyTorch; the decorated function says what is right, from plain gradients."""

    def add(expect: Callable[[Callable, dict[str, Tensor]], object]) -> Callable:
        def write(
            parameters: Sequence[Parameter], changes: Sequence[str], rng: random.Random, case: Case
        ) -> tuple[str, str] | None:
            del changes
            if not parameters or case.precision != "float64":
                return None
            chosen = rng.sample(list(parameters), min(len(parameters), rng.randint(1, 2)))
            before = "operator(x)\n" if rng.random() < 0.4 else ""
            return WEIGHTED + _at(chosen), before + _block(text) + "\nresult = (result, at(values))"

        def expected(space: dict) -> object:
            at = space["at"]
            leaves = {k: v.detach().clone().requires_grad_() for k, v in space["values"].items()}
            return expect(at, leaves), at(leaves)

        USES[name] = Use(write, expected, weight, is_twice)
        return expect

    return add


def _weighted(value: Tensor) -> Tensor:
    return (value * torch.linspace(0.7, 1.3, value.numel(), dtype=value.dtype).reshape(value.shape)).sum()


def _by(value: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(zip(leaves, gradients(value, list(leaves.values())), strict=True))


def _jacobian(value: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    rows = [_by(entry, leaves) for entry in value.reshape(-1)]
    return {k: torch.stack([row[k] for row in rows]).reshape(*value.shape, *leaf.shape) for k, leaf in leaves.items()}


def _tangents(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: torch.cos(torch.arange(v.numel(), dtype=v.dtype)).reshape(v.shape) for k, v in values.items()}


def _along(value: Tensor, leaves: dict[str, Tensor]) -> Tensor:
    """The Jacobian times the tangents."""
    tangents, rows = _tangents(leaves), [_by(entry, leaves) for entry in value.reshape(-1)]
    return torch.stack([sum((row[k] * tangents[k]).sum() for k in leaves) for row in rows]).reshape(value.shape)


def _stacked(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: torch.stack([v.detach(), 0.5 * v.detach(), 0.3 - v.detach()]) for k, v in values.items()}


def _members(values: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    return [{k: v[i].clone().requires_grad_() for k, v in _stacked(values).items()} for i in range(3)]


STACKED = "stacked = {k: torch.stack([v, 0.5 * v, 0.3 - v]) for k, v in values.items()}\n"
LOSS = "lambda v: weighted(at(v).sin())"


@transformed("grad", f"result = torch.func.grad({LOSS})(values)", 3)
def _grad(at: Callable, leaves: dict) -> object:
    return _by(_weighted(at(leaves).sin()), leaves)


@transformed("jvp", "result = torch.func.jvp(at, (values,), (tangents,))", 2)
def _jvp(at: Callable, leaves: dict) -> object:
    value = at(leaves)
    return value, _along(value, leaves)


@transformed("vjp", "value, pull = torch.func.vjp(at, values)\nresult = pull(torch.cos(value))[0]", 1.5)
def _vjp(at: Callable, leaves: dict) -> object:
    value = at(leaves)
    return _by((value * value.cos().detach()).sum(), leaves)


@transformed("jacrev", "result = torch.func.jacrev(at)(values)", 1.5)
def _jacrev(at: Callable, leaves: dict) -> object:
    return _jacobian(at(leaves), leaves)


@transformed("jacfwd", "result = torch.func.jacfwd(at)(values)", 1.5)
def _jacfwd(at: Callable, leaves: dict) -> object:
    return _jacobian(at(leaves), leaves)


@transformed("hessian", f"result = torch.func.hessian({LOSS})(values)", is_twice=True)
def _hessian(at: Callable, leaves: dict) -> object:
    return {k: _jacobian(g, leaves) for k, g in _by(_weighted(at(leaves).sin()), leaves).items()}


@transformed(
    "hessian, reverse over reverse",
    f"result = torch.func.jacrev(torch.func.jacrev({LOSS}))(values)",
    0.7,
    is_twice=True,
)
def _hessian_reverse(at: Callable, leaves: dict) -> object:
    return _hessian(at, leaves)


@transformed(
    "hessian times vector",
    f"result = torch.func.jvp(torch.func.grad({LOSS}), (values,), (tangents,))[1]",
    is_twice=True,
)
def _product(at: Callable, leaves: dict) -> object:
    slopes = _by(_weighted(at(leaves).sin()), leaves)
    tangents = _tangents({k: v.detach() for k, v in leaves.items()})
    return _by(sum((slopes[k] * tangents[k]).sum() for k in leaves), leaves)


@transformed("vmap", STACKED + "result = torch.vmap(at)(stacked)", 2)
def _vmap(at: Callable, leaves: dict) -> object:
    return torch.stack([at(member) for member in _members(leaves)])


@transformed("vmap of grad", STACKED + f"result = torch.vmap(torch.func.grad({LOSS}))(stacked)", 1.5)
def _vmap_grad(at: Callable, leaves: dict) -> object:
    found = [_grad(at, member) for member in _members(leaves)]
    return {k: torch.stack([f[k] for f in found]) for k in leaves}


@transformed("grad of vmap", STACKED + f"result = torch.func.grad(lambda s: torch.vmap({LOSS})(s).sum())(stacked)")
def _grad_vmap(at: Callable, leaves: dict) -> object:
    return _vmap_grad(at, leaves)


@transformed(
    "ensemble by backward",
    STACKED
    + f"""
for v in stacked.values():
    v.requires_grad_()
loss = torch.vmap({LOSS})(stacked).sum()
if loss.requires_grad:
    loss.backward()
result = {{k: v.grad for k, v in stacked.items()}}
""",
)
def _ensemble(at: Callable, leaves: dict) -> object:
    return _vmap_grad(at, leaves)


@transformed(
    "forward_ad",
    """
with torch.autograd.forward_ad.dual_level():
    dual = at({k: torch.autograd.forward_ad.make_dual(v, tangents[k]) for k, v in values.items()})
    result = torch.autograd.forward_ad.unpack_dual(dual).tangent
""",
    1.5,
)
def _forward(at: Callable, leaves: dict) -> object:
    return _along(at(leaves), leaves)


def of_x(name: str, text: str, weight: float = 1.0) -> Callable:
    """A transformation over x; the decorated function says what is right, from x and the reference."""

    def add(expect: Callable[[Callable, Tensor], object]) -> Callable:
        def write(
            parameters: Sequence[Parameter], changes: Sequence[str], rng: random.Random, case: Case
        ) -> tuple[str, str] | None:
            del parameters, changes, rng
            filled = _block(text).replace("{method}", repr(case.method))
            return ("", filled + "\nresult = (result, operator(x))") if case.precision == "float64" else None

        def expected(space: dict) -> object:
            x = space["x"].detach().clone().requires_grad_()
            return expect(space["operator"], x), space["operator"](x)

        USES[name] = Use(write, expected, weight)
        return expect

    return add


@of_x("vmap over rows", "result = torch.vmap(operator)(x)")
def _rows(operator: Callable, x: Tensor) -> object:
    return operator(x)


@of_x("vmap over batches", "result = torch.vmap(operator)(torch.stack([x, 0.5 * x]))")
def _batches(operator: Callable, x: Tensor) -> object:
    return torch.stack([operator(x), operator(0.5 * x)])


@of_x("jvp by x", "result = torch.func.jvp(operator, (x,), (torch.ones_like(x),))[1]")
def _jvp_x(operator: Callable, x: Tensor) -> object:
    value = operator(x)
    return torch.stack([gradients(v, [x])[0].sum() for v in value.reshape(-1)]).reshape(value.shape)


@of_x("jacrev by x", "result = torch.func.jacrev(operator)(x)")
def _jacrev_x(operator: Callable, x: Tensor) -> object:
    value = operator(x)
    return torch.stack([gradients(v, [x])[0] for v in value.reshape(-1)]).reshape(*value.shape, *x.shape)


@of_x(
    "grad by x under grad",
    "result = torch.func.grad(lambda p: torch.func.grad(lambda q: operator(q).sum())(p).sin().sum())(x)",
    0.7,
)
def _grad_grad_x(operator: Callable, x: Tensor) -> object:
    return gradients(gradients(operator(x).sum(), [x])[0].sin().sum(), [x])[0]


@of_x("an operator of the operator", "result = linear_operator(lambda y: operator(y), xi[0] + 0.5, {method})(x)")
def _operator_of_operator(operator: Callable, x: Tensor) -> object:
    value = operator(x)
    slopes = torch.stack([gradients(v, [x])[0].sum(0)[0] for v in value.reshape(-1)])
    return slopes.reshape(value.shape) + 0.5 * value


@of_x(
    "collapse", "result = collapse(lambda y: operator(y) + torch.func.jvp(operator, (y,), (torch.ones_like(y),))[1])(x)"
)
def _collapse(operator: Callable, x: Tensor) -> object:
    return operator(x) + _jvp_x(operator, x)
