"""What people do with an operator in JAX, as source text; it gives what is right where operator is the reference."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Sequence

from fuzz.draft import Parameter
from fuzz.program import Case, Use

USES: dict[str, Use] = {}
#: Compiled afresh for each call, since `jax.jit` keeps what a function read when it was traced.
NOW = """
def now(function, x):
    return compiled_quickly(lambda points: function(points))(x)
"""
WEIGHTED = """
def weighted(value):
    return (value * jnp.linspace(0.7, 1.3, value.size).reshape(value.shape)).sum()
"""
AT = """
values = {values}
tangents = jax.tree.map(lambda v: jnp.cos(jnp.arange(jnp.size(v)) * 1.0).reshape(jnp.shape(v)), values)
stacked = jax.tree.map(lambda v: jnp.stack([v, 0.5 * v, 0.3 - v]), values)
def at(values):
{lines}
    return operator(x)
"""


def _use(name: str, text: str, weight: float = 1.0) -> None:
    """Register a use; the text may name {change}, and `at`, the operator for other values of some parameters."""

    def write(
        parameters: Sequence[Parameter], changes: Sequence[str], rng: random.Random, case: Case
    ) -> tuple[str, str] | None:
        needs_values = "values" in text or "stacked" in text or "at(" in text
        if ("{change}" in text and not changes) or (needs_values and not parameters):
            return None
        filled = textwrap.dedent(text).strip("\n")
        if "{change}" in filled:
            filled = filled.replace("{change}", rng.choice(list(changes)))
        filled = filled.replace("{method}", repr(case.method))
        if "{change}" in text:
            return NOW, filled
        if needs_values:
            before = "operator(x)\n" if rng.random() < 0.3 else ""
            filled = f"{before}{_at(rng, parameters)}{filled}\nresult = (result, at(values))"
        return "", _compiled(f"{WEIGHTED}{filled}") if rng.random() < COMPILED else f"{WEIGHTED}{filled}"

    USES[name] = Use(write, None, weight)


def _compiled(text: str) -> str:
    return f"def run(x):\n{textwrap.indent(text, '    ')}\n    return result\nresult = compiled_quickly(run)(x)"


def _at(rng: random.Random, parameters: Sequence[Parameter]) -> str:
    chosen = rng.sample(list(parameters), min(len(parameters), rng.randint(1, 2)))
    names = [p.name for p in chosen if p.write.startswith(f"{p.name} =")]
    lines = [f"    global {', '.join(names)}"] if names else []
    lines += ["    " + p.write.format(f'values["{p.name}"]') for p in chosen]
    values = "{" + ", ".join(f'"{p.name}": {p.outside}' for p in chosen) + "}"
    return AT.format(values=f"jax.tree.map(np.asarray, {values})", lines="\n".join(lines))


#: The share of programs that run under `jax.jit`, which takes a tenth of the time.
COMPILED = 0.9
LOSS = "lambda v: weighted(jnp.sin(at(v)))"
_use("value", "result = operator(x)", 3)
_use("jit", "result = jax.jit(operator)(x)", 2)
_use("a change", "now(operator, x)\n{change}\nresult = now(operator, x)", 4)
_use(
    "two changes",
    "result = [now(operator, x)]\n{change}\nresult.append(now(operator, x))\n{change}\nresult.append(now(operator, x))",
)
_use("other batches", "result = [operator(p) for p in (x, x[:1], jnp.concatenate([x, -x]), x[0], x[None])]")
_use("vmap over rows", "result = jax.vmap(operator)(x)")
_use("vmap over batches", "result = jax.jit(jax.vmap(operator))(jnp.stack([x, 0.5 * x]))")
_use("gradient by x", "result = jax.grad(lambda p: weighted(operator(p)))(x)", 2)
_use("jacobian by x", "result = jax.jacrev(operator)(x)")
_use("jvp by x", "result = jax.jvp(operator, (x,), (jnp.ones_like(x),))")
_use("in a loop", "result = jax.lax.scan(lambda c, p: (c, operator(p)), 0.0, jnp.stack([x, 0.5 * x]))[1]")
_use("recomputed", "result = jax.grad(lambda p: weighted(jax.checkpoint(operator)(p)))(x)")
_use("an operator of the operator", "result = linear_operator(lambda p: operator(p), xi[0] + 0.5, {method})(x)")
_use("collapse", "result = collapse(lambda p: jax.jvp(operator, (p,), (jnp.ones_like(p),))[1])(x)")
_use("looking for NaN", "with jax.debug_nans(True):\n    result = operator(x)")
_use("grad", f"result = jax.grad({LOSS})(values)", 3)
_use("jit of grad", f"result = jax.jit(jax.grad({LOSS}))(values)", 2)
_use("jvp", "result = jax.jvp(at, (values,), (tangents,))[1]")
_use("vjp", "value, pull = jax.vjp(at, values)\nresult = pull(jnp.cos(value))[0]")
_use("jacrev", "result = jax.jacrev(at)(values)")
_use("jacfwd", "result = jax.jacfwd(at)(values)")
_use("hessian", f"result = jax.hessian({LOSS})(values)", 0.7)
_use("hessian times vector", f"result = jax.jvp(jax.grad({LOSS}), (values,), (tangents,))[1]")
_use("linearize", "result = jax.linearize(at, values)[1](tangents)")
_use("vmap", "result = jax.vmap(at)(stacked)", 2)
_use("vmap of grad", f"result = jax.vmap(jax.grad({LOSS}))(stacked)")
_use("grad of vmap", f"result = jax.grad(lambda s: jax.vmap({LOSS})(s).sum())(stacked)")
_use(
    "training",
    f"""
result, current = [], values
for _ in range(2):
    loss, slope = jax.value_and_grad({LOSS})(current)
    current = jax.tree.map(lambda v, g: v - 1e-3 * g, current, slope)
    result.append(loss)
""",
)
