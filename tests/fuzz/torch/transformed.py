"""Pieces that differentiate, transform, compile or recompute by themselves, and derivatives that an author wrote."""

from __future__ import annotations

from fuzz.draft import Draft
from fuzz.torch.tensors import layer, piece, tensor


@piece(1.5)
def mapped(draft: Draft, width: int) -> int:
    """torch.vmap inside: over rows, over parameters, or with an axis of its own."""
    weight = tensor(draft, width, 3)
    draft.write(
        draft.rng.choice(
            (
                f"y = torch.vmap(lambda row: torch.tanh(row @ {weight}))(y.reshape(-1, {width}))"
                ".reshape(*y.shape[:-1], 3)",
                f"y = torch.vmap(lambda w: torch.sin(y @ w), out_dims=-1)({weight}.T)",
                f"y = torch.vmap(lambda w, h: h * w.sin(), in_dims=(1, None), out_dims=-1)({weight}, y).mean(-2)",
                f"y = torch.vmap(torch.vmap(torch.sin))((y @ {weight}).reshape(-1, 3)).reshape(*y.shape[:-1], 3)",
            )
        )
    )
    return 3


@piece(1.5)
def differentiated(draft: Draft, width: int) -> int:
    """torch.func inside: derivatives by y, along directions, or by parameters."""
    weight = tensor(draft, width)
    draft.write(
        draft.rng.choice(
            (
                f"y = torch.func.jvp(lambda h: torch.sin({weight} * h), (y,), (torch.ones_like(y),))[1]",
                f"y = torch.func.grad(lambda h: torch.sin({weight} * h).sum())(y) + y",
                f"y = torch.func.vjp(lambda h: h**3 * {weight}, y)[1](torch.cos(y))[0]",
                f"y = torch.vmap(torch.func.grad(lambda row: (row * {weight}).sin().prod()))"
                f"(y.reshape(-1, {width})).reshape(y.shape)",
                f"y = torch.vmap(torch.func.jacrev(lambda row: row**2 * {weight}))(y.reshape(-1, {width}))"
                ".sum(-1).reshape(y.shape)",
                f"y = torch.vmap(torch.func.jacfwd(lambda row: row.sin() * {weight}))(y.reshape(-1, {width}))"
                ".sum(-1).reshape(y.shape)",
                f"y = torch.vmap(torch.func.hessian(lambda row: (row**3 * {weight}).sum()))(y.reshape(-1, {width}))"
                ".sum(-1).reshape(y.shape)",
                f"value, y = torch.func.jvp(lambda w: torch.sin(w * y), ({weight},), (torch.ones_like({weight}),))",
                f"y = torch.func.grad_and_value(lambda h: (h**4 * {weight}).sum())(y)[0] + y",
            )
        )
    )
    return width


@piece(1.5)
def gradient_inside(draft: Draft, width: int) -> int:
    """torch.autograd.grad inside, as hard boundary conditions and energies have it."""
    weight = tensor(draft, width)
    draft.write(
        draft.rng.choice(
            (
                f"h = torch.sin({weight} * y)\ny = torch.autograd.grad(h.sum(), y, create_graph=True)[0] + y",
                f"with torch.enable_grad():\n    z = y if y.requires_grad else y.detach().requires_grad_()\n"
                f"    h = (z**3 * {weight}).sum()\n    y = torch.autograd.grad(h, z, create_graph=True)[0]",
                f"z = y * 1\nh = torch.tanh({weight} * z).sum()\n"
                "y = y + torch.autograd.grad(h, z, create_graph=True, retain_graph=True)[0]",
                f"with torch.enable_grad():\n    w = {weight}.detach().requires_grad_()\n"
                "    slope = torch.autograd.grad(w.sin().sum(), w)[0]\ny = torch.tanh(slope * y)",
            )
        )
    )
    return width


@piece(1.5)
def own_function(draft: Draft, width: int) -> int:
    """torch.autograd.Function whose derivative is that of its values, or deliberately another one."""
    name = draft.name("Own")
    forward, slope = draft.rng.choice(
        (("h.sin()", "h.cos()"), ("h.tanh()", "(1 - h.tanh() ** 2)"), ("h**3", "3 * h**2"))
    )
    factor = draft.rng.choice(("", "", "", "0.5 * ", "-1 * "))
    if factor:
        draft.traits.add("author")
    mapped = draft.rng.choice(("", "    generate_vmap_rule = True\n"))
    if draft.rng.random() < 0.3:
        text = f"""
class {name}(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h):
        ctx.save_for_backward(h)
        return {forward}
    @staticmethod
    def backward(ctx, cotangent):
        (h,) = ctx.saved_tensors
        return {factor}cotangent * {slope}"""
    else:
        forward_mode = f"""
    @staticmethod
    def jvp(ctx, tangent):
        (h,) = ctx.saved_tensors
        return {factor}tangent * {slope}"""
        text = f"""
class {name}(torch.autograd.Function):
{mapped}    @staticmethod
    def forward(h):
        return {forward}
    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)
    @staticmethod
    def backward(ctx, cotangent):
        (h,) = ctx.saved_tensors
        return {factor}cotangent * {slope}{draft.rng.choice((forward_mode, ""))}"""
    draft.define(text)
    draft.write(f"y = {name}.apply(y)" + draft.rng.choice(("", " + y", " * y")))
    return width


@piece(0.7)
def straight_through(draft: Draft, width: int) -> int:
    """A value whose derivative the author replaced: detached differences, or a Function that passes cotangents on."""
    draft.traits.add("author")
    if draft.rng.random() < 0.5:
        draft.write("y = y.sin() + (torch.round(3 * y) / 3 - y).detach()")
        return width
    name = draft.name("Through")
    draft.define(f"""
        class {name}(torch.autograd.Function):
            @staticmethod
            def forward(ctx, h):
                return torch.sign(h) * h.abs().ceil()
            @staticmethod
            def backward(ctx, cotangent):
                return cotangent""")
    draft.write(f"y = {name}.apply(y) * y")
    return width


@piece(1.5)
def recomputed(draft: Draft, width: int) -> int:
    weight = tensor(draft, width)
    draft.write(f"y = torch.utils.checkpoint.checkpoint(lambda h: torch.sin(h * {weight}), y, use_reentrant=False)")
    return width


@piece(1)
def functional_call(draft: Draft, width: int) -> int:
    """A module called with parameters that were worked out, as hypernetworks do."""
    module, weight = layer(draft, f"torch.nn.Linear({width}, 2, dtype=D)", ()), tensor(draft, 2, width)
    call = f'torch.func.functional_call({module}, {{"weight": {weight}.sin()}}, (y,))'
    if draft.rng.random() < 0.5:
        call = (
            f'torch.vmap(lambda s: torch.func.functional_call({module}, {{"weight": s * {weight}}}, (y,)))'
            "(torch.tensor([0.5, 1.5], dtype=y.dtype)).mean(0)"
        )
    draft.write(f"y = {call}")
    return 2


@piece(0.7)
def scripted(draft: Draft, width: int) -> int:
    name = draft.name("scripted")
    kind = draft.rng.choice(("function", "module", "trace"))
    if kind == "function":
        draft.define(f"@torch.jit.script\ndef {name}(h: torch.Tensor, a: float):\n    return torch.sin(a * h) + h**2")
        draft.write(f"y = {name}(y, {draft.number()})")
        return width
    made = f"torch.nn.Linear({width}, 3, dtype=D)"
    script = (
        f"torch.jit.script({made})"
        if kind == "module"
        else f"torch.jit.trace({made}, torch.zeros(1, {width}, dtype=D))"
    )
    draft.write(f"y = {layer(draft, script)}(y)")
    return 3


@piece(0.05)
def compiled(draft: Draft, width: int) -> int:
    """Rare, since each takes a second."""
    name = draft.name("compiled")
    if draft.rng.random() < 0.5:
        draft.define(f'@torch.compile(backend="eager")\ndef {name}(h):\n    return torch.sin(h) * h')
        draft.write(f"y = {name}(y)")
        return width
    made = f'torch.compile(torch.nn.Linear({width}, 3, dtype=D), backend="eager")'
    draft.write(f"y = {layer(draft, made)}(y)")
    return 3


@piece(1)
def parametrized(draft: Draft, width: int) -> int:
    """A module whose weight is worked out from another tensor whenever it is read."""
    name = draft.name("Positive")
    draft.define(f"class {name}(torch.nn.Module):\n    def forward(self, raw):\n        return F.softplus(raw)")
    maker = draft.name("with_positive_weight")
    draft.define(f"""
        def {maker}():
            made = torch.nn.Linear({width}, 3, dtype=D)
            torch.nn.utils.parametrize.register_parametrization(made, "weight", {name}())
            return made""")
    read = layer(draft, f"{maker}()", ("parametrizations.weight.original",))
    cached = "with torch.nn.utils.parametrize.cached():\n    " if draft.rng.random() < 0.3 else ""
    draft.write(f"{cached}y = {read}(y)")
    return 3


@piece(0.7)
def own_tensor_subclass(draft: Draft, width: int) -> int:
    """A parameter of a subclass of Tensor that behaves like one."""
    name = draft.name("Labelled")
    draft.define(f"class {name}(torch.Tensor):\n    label = 'mine'")
    stored = draft.keep(f"torch.randn({width}, dtype=D).as_subclass({name})", "v")
    draft.write(f"y = torch.Tensor.as_subclass(torch.sin(y * {stored.read}), torch.Tensor)")
    return width


@piece(0.7)
def saved_tensors(draft: Draft, width: int) -> int:
    draft.write(
        draft.rng.choice(
            (
                "with torch.autograd.graph.save_on_cpu():\n    y = y.sin() * y",
                "with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):\n    y = y.exp().sin()",
            )
        )
    )
    return width
