"""Pieces of networks in JAX: layers, Python, control flow, transformations inside, derivatives that an author wrote."""

from __future__ import annotations

from collections.abc import Callable

from fuzz.draft import Draft, Parameter
from fuzz.pieces import Registry

REGISTRY = Registry()
piece = REGISTRY.piece


def array(draft: Draft, *shape: int) -> str:
    """An expression for an array that gradients are taken of, kept somewhere."""
    value = f"random({shape})"
    stored = draft.keep(value, "w")
    draft.parameters.append(Parameter(stored.name, stored.outside, stored.write))
    draft.changes.append(stored.write.format(f"-0.6 * {stored.outside}"))
    return stored.read


@piece(4)
def product(draft: Draft, width: int) -> int:
    weight = array(draft, width, 3)
    form = draft.rng.choice(
        (
            "y @ {w}",
            'jnp.einsum("...i,ij->...j", y, {w})',
            "jax.lax.dot_general(y, {w}, (((y.ndim - 1,), (0,)), ((), ())))",
            "(y[..., None] * {w}).sum(-2)",
            "jnp.tensordot(y, {w}, 1)",
        )
    )
    draft.write("y = " + form.format(w=weight))
    return 3


@piece(5)
def activation(draft: Draft, width: int) -> int:
    draft.write(
        "y = "
        + draft.rng.choice(
            (
                "jnp.tanh(y)",
                "jnp.sin(y)",
                "jax.nn.silu(y)",
                "jax.nn.softplus(y)",
                "jax.nn.gelu(y)",
                "jnp.exp(-(y**2))",
                "jax.nn.sigmoid(y) * y",
                "jnp.logaddexp(y, -y)",
                "jax.nn.soft_sign(y**3) + y",
                "jax.scipy.special.erf(y)",
                "jnp.hypot(y, 1.0)",
                "jax.lax.rsqrt(1 + y * y)",
                "jnp.cbrt(2 + y)",
                "jnp.sinc(y)",
            )
        )
    )
    return width


@piece(1)
def kinked(draft: Draft, width: int) -> int:
    draft.traits.add("kinks")
    draft.write(
        "y = "
        + draft.rng.choice(
            (
                "jax.nn.leaky_relu(y) * y",
                "jnp.where(y > 0.1, y**2, jnp.sin(y))",
                "jnp.sort(y, -1) ** 2",
                "jax.nn.elu(y)",
                "jnp.clip(y, -1.5, 1.5) + y**2",
                "jnp.maximum(y, y**3)",
            )
        )
    )
    return width


@piece(2)
def normalization(draft: Draft, width: int) -> int:
    draft.write(
        "y = "
        + draft.rng.choice(
            (
                "jax.nn.softmax(y, -1)",
                "jax.nn.standardize(y, -1, epsilon=0.3)",
                "y - jax.nn.logsumexp(y, -1, keepdims=True)",
                "y / jnp.linalg.norm(y + 1.5, axis=-1, keepdims=True)",
                "jax.nn.log_softmax(y)",
            )
        )
    )
    return width


@piece(1)
def attention(draft: Draft, width: int) -> int:
    draft.write(
        f"h = jnp.tanh(y[..., None] * {array(draft, 3)})",
        "y = y + (jax.nn.softmax(h @ jnp.swapaxes(h, -1, -2), -1) @ h).sum(-1)",
    )
    return width


@piece(2)
def shapes(draft: Draft, width: int) -> int:
    form, factor = draft.rng.choice(
        (
            ("y = jnp.concatenate([y, jnp.cos(y)], -1)", 2),
            ("y = jnp.cumsum(y, -1)", 1),
            ("y = y.at[..., 0].set(y[..., 0] ** 2)", 1),
            ("y = y.at[..., :1].multiply(jnp.sin(y[..., :1]))", 1),
            ("y = jnp.stack([jnp.sin(h) for h in jnp.moveaxis(y, -1, 0)], -1)", 1),
            ("y = jnp.take(y, jnp.arange(y.shape[-1])[::-1], -1) * y", 1),
            ("y = jax.lax.associative_scan(jnp.add, y, axis=y.ndim - 1)", 1),
            ("y = jnp.pad(y, [(0, 0)] * (y.ndim - 1) + [(1, 0)])[..., :-1] * y", 1),
            ("y = jnp.prod(jnp.repeat(y[..., None], 3, -1), -1)", 1),
        )
    )
    if width * factor > 6:
        return width
    draft.write(form)
    return width * factor


@piece(4)
def number(draft: Draft, width: int) -> int:
    form = draft.rng.choice(
        ("jnp.tanh({a} * y)", "y**2 * {a} + y", "jnp.sin(y * math.exp({a}))", "jnp.full_like(y, {a}) * y * y")
    )
    draft.write("y = " + form.format(a=draft.number()))
    return width


@piece(2)
def condition(draft: Draft, width: int) -> int:
    draft.write(f"if {draft.number()} > 1.0:\n    y = jnp.sin(y)\nelse:\n    y = y**2 + y")
    return width


@piece(2)
def chosen_function(draft: Draft, width: int) -> int:
    old, new = draft.rng.sample(("jnp.tanh", "jnp.sin", "jax.nn.silu", "jax.jit(jnp.cos)"), 2)
    stored = draft.keep(f"[{old}]", "c")
    draft.changes.append(stored.write.format(f"[{new}]"))
    draft.write(f"y = {stored.read}[0](y)")
    return width


@piece(2)
def tree(draft: Draft, width: int) -> int:
    """Parameters as a pytree: a dictionary of lists and tuples, mapped over."""
    value = f'{{"a": [random(({width}, 3))], "b": (random((3,)), 0.5)}}'
    stored = draft.keep(value, "tree")
    draft.parameters.append(Parameter(stored.name, stored.outside, stored.write))
    draft.changes.append(stored.write.format(f"jax.tree.map(lambda leaf: -0.7 * leaf, {stored.outside})"))
    draft.write(f'y = jnp.sin(y @ {stored.read}["a"][0] + {stored.read}["b"][0]) * {stored.read}["b"][1]')
    return 3


@piece(3)
def control_flow(draft: Draft, width: int) -> int:
    weight = array(draft, width)
    form = draft.rng.choice(
        (
            "y = jax.lax.scan(lambda h, w: (jnp.sin(h * w), None), y, jnp.stack([{w}, 2 * {w}]))[0]",
            "y = jax.lax.fori_loop(0, 3, lambda i, h: h + jnp.sin({w} * h) / (i + 1), y)",
            "y = jax.lax.cond({a} > 1.0, jnp.sin, lambda h: h * {w}, y)",
            "y = jax.lax.switch(int({a} > 1.0), [jnp.sin, lambda h: h * {w}], y)",
            "y = jax.lax.cond(jnp.sum({w}) > 0, lambda h: h**2, lambda h: jnp.cos(h) * {w}, y)",
            "y = jax.lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, jnp.sin(c[1] * {w}) + c[1]), (0, y))[1]",
            "y = jnp.moveaxis(jax.lax.map(lambda w: jnp.tanh(y * w), jnp.stack([{w}, {w} ** 2])), 0, 0).sum(0)",
            "h, outs = jax.lax.scan(lambda h, _: (jnp.tanh(h * {w}), h), y, None, length=3)\ny = h + outs.sum(0)",
        )
    )
    draft.write(form.format(w=weight, a=draft.number()) if "{a}" in form else form.format(w=weight))
    return width


@piece(3)
def transformed(draft: Draft, width: int) -> int:
    weight = array(draft, width)
    form = draft.rng.choice(
        (
            "y = jax.jvp(lambda h: jnp.sin({w} * h), (y,), (jnp.ones_like(y),))[1]",
            "y = jax.grad(lambda h: jnp.sum(h**3 * {w}))(y) + y",
            "y = jax.vjp(lambda h: h**3 * {w}, y)[1](jnp.cos(y))[0]",
            "y = jax.vmap(lambda w: jnp.sin(y * w))(jnp.stack([{w}, 2 * {w}])).mean(0)",
            "y = jax.jit(lambda h: jnp.tanh(h * {w}))(y)",
            "y = jax.checkpoint(lambda h: jnp.sin(h * {w}) * h)(y)",
            "y = jax.linearize(lambda h: jnp.sin({w} * h), y)[1](jnp.cos(y))",
            "y = jnp.vectorize(lambda h: jnp.sin(h) * h)(y) * {w}",
            "y = jnp.vectorize(jax.grad(lambda row: jnp.sum(jnp.sin(row) ** 2)), signature='(n)->(n)')(y) * {w}",
            "y = jnp.vectorize(lambda row: jax.hessian(lambda r: jnp.sum(r**3 * {w}))(row).sum(-1),"
            " signature='(n)->(n)')(y)",
            "y = jnp.vectorize(lambda row: jax.jacfwd(lambda r: jnp.sin(r * {w}))(row).sum(-1),"
            " signature='(n)->(n)')(y)",
            "with jax.named_scope('part'):\n    y = jnp.sin(y * {w})",
            "with jax.default_matmul_precision('highest'):\n    y = jnp.sin(y * {w})",
            "with jax.disable_jit():\n    y = jax.jit(jnp.sin)(y * {w})",
            "y = jax.named_call(lambda h: h * jnp.cos({w} * h), name='part')(y)",
            "y = jax.lax.optimization_barrier(y * {w}) ** 2",
        )
    )
    draft.write(form.format(w=weight))
    return width


@piece(1)
def solved(draft: Draft, width: int) -> int:
    weight = array(draft, width, width)
    draft.write(
        f"matrix = 3 * jnp.eye({width}) + 0.3 * jnp.sin(y[..., None] * {weight})",
        draft.rng.choice(
            (
                "y = jnp.linalg.solve(matrix, y[..., None])[..., 0]",
                "y = y * jnp.linalg.slogdet(matrix)[1][..., None]",
                "y = (jnp.linalg.inv(matrix) @ y[..., None])[..., 0]",
            )
        ),
    )
    return width


_SLOPES = (("jnp.sin(h)", "jnp.cos(h)"), ("jnp.tanh(h)", "(1 - jnp.tanh(h) ** 2)"), ("h**3", "3 * h**2"))


@piece(2)
def own_derivative(draft: Draft, width: int) -> int:
    """custom_jvp, custom_vjp and custom_gradient: the derivative of the values, or deliberately another one."""
    name, factor = draft.name("own"), draft.rng.choice(("", "", "0.5 * ", "-1 * "))
    value, slope = draft.rng.choice(_SLOPES)
    if factor:
        draft.traits.add("author")
    draft.define(
        draft.rng.choice(
            (
                f"""
                @jax.custom_jvp
                def {name}(h):
                    return {value}
                @{name}.defjvp
                def {name}_jvp(primals, tangents):
                    (h,), (t,) = primals, tangents
                    return {name}(h), {factor}{slope} * t""",
                f"""
                @jax.custom_vjp
                def {name}(h):
                    return {value}
                {name}.defvjp(lambda h: ({name}(h), h), lambda h, g: ({factor}{slope} * g,))""",
                f"""
                @jax.custom_gradient
                def {name}(h):  # with another factor JAX takes the second derivative from the value
                    return {value}, lambda g: ({slope} * g,)""",
                f"""
                {name} = jax.custom_jvp(lambda h: {value})
                {name}.defjvps(lambda t, out, h: {factor}{slope} * t)""",
            )
        )
    )
    draft.write(f"y = {name}(y)" + draft.rng.choice(("", " + y")))
    return width


@piece(1)
def constant_part(draft: Draft, width: int) -> int:
    weight = array(draft, width)
    form = draft.rng.choice(
        ("y = jnp.sin(y) * jax.lax.stop_gradient(y)", "y = jnp.tanh(jax.lax.stop_gradient({w}) * y)")
    )
    if "(y)" in form.split("stop_gradient")[1]:
        draft.traits.add("cut")
    draft.write(form.format(w=weight))
    return width


@piece(1)
def kept(draft: Draft, width: int) -> int:
    """Constants made at the first call and kept by shape, or by functools."""
    name = draft.name("kept")
    if draft.rng.random() < 0.5:
        draft.define(f"{name} = {{}}")
        draft.write(f"if y.shape not in {name}:\n    {name}[y.shape] = np.arange(1, {width + 1}) / 2.0")
        draft.write(f"y = jnp.sin(y * {name}[y.shape])")
    else:
        draft.define(f"@functools.cache\ndef {name}(width):\n    return np.arange(1, width + 1) / 2.0")
        draft.write(f"y = jnp.sin(y * {name}({width}))")
    return width


@piece(1)
def asks_about_y(draft: Draft, width: int) -> int:
    draft.write(
        draft.rng.choice(
            (
                "if not isinstance(y, jax.Array):\n    raise TypeError('y is not an array')\ny = jnp.sin(y)",
                "y = y.astype(jnp.float64).astype(y.dtype) ** 2",
                "y = jnp.sin(jnp.asarray(y)) * y.ndim / len(y.shape)",
                "y = jnp.reshape(y, y.shape).T.T * y",
            )
        )
    )
    return width


@piece(0.7)
def effects(draft: Draft, width: int) -> int:
    """Work through references, prints and callbacks: right, or refused."""
    draft.write(
        draft.rng.choice(
            (
                "cell = jax.new_ref(jnp.zeros_like(y))\ncell[...] = y**2\ny = cell[...]",
                "y = jax.pure_callback(lambda h: np.sin(h), jax.ShapeDtypeStruct(y.shape, y.dtype), y) + y",
                "jax.debug.callback(lambda h: None, y)\ny = jnp.sin(y)",
            )
        )
    )
    return width


@piece(0.7)
def mixed(draft: Draft, width: int) -> int:
    """Rows that depend on each other: to be refused, whatever is done."""
    draft.traits.add("mixed")
    draft.write(
        "y = "
        + draft.rng.choice(
            (
                "y - y.mean(0, keepdims=True)",
                "y**2 - jnp.nanmean(y**2, 0, keepdims=True)",
                "y**2 * jnp.where(jnp.linalg.norm(y) > 1, 2.0, 1.0)",
                "jnp.cumsum(y, 0)",
                "jnp.flip(y, 0) * y",
                "jnp.sort(y, 0)",
            )
        )
    )
    return width


PIECES: dict[str, Callable[[Draft, int], int]] = REGISTRY.pieces
