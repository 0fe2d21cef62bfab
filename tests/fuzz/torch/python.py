"""Pieces of Python around layers: loops, numbers, values that are read, work in place, caches, effects and modes."""

from __future__ import annotations

from fuzz.draft import Draft
from fuzz.places import of_the_module
from fuzz.torch.tensors import layer, piece, tensor


@piece(4)
def number(draft: Draft, width: int) -> int:
    form = draft.rng.choice(
        (
            "torch.tanh({a} * y)",
            "F.softplus(y, beta={a})",
            "y**2 * {a} + y",
            "F.elu(y, alpha={a}) + y.sin()",
            "torch.add(y, y**2, alpha={a})",
            "torch.sin(y * math.exp({a}))",
            "torch.full_like(y, {a}) * y * y",
            "torch.tanh(y - torch.tensor({a}, dtype=y.dtype))",
            "(y.abs() + 1) ** {a} + y",
        )
    )
    if "elu" in form or "abs" in form:
        draft.traits.add("kinks")
    draft.write("y = " + form.format(a=draft.number()))
    return width


@piece(2)
def number_from_numpy(draft: Draft, width: int) -> int:
    old, new = draft.rng.choice(
        (("np.float64(0.7)", "np.float64(1.4)"), ("np.array([0.7, 0.2])", "np.array([1.4, 0.2])"))
    )
    read = draft.constant(old, new)
    draft.write(f"y = torch.sin(y * float(np.max({read})))")
    return width


@piece(2)
def value_read(draft: Draft, width: int) -> int:
    weight = tensor(draft, 1, positive=True)
    form = draft.rng.choice(
        (
            "F.softplus(y, beta={w}.item())",
            "torch.sin(y * float({w}))",
            "y * {w}.tolist()[0] + y**2",
            "torch.tanh(y * {w}.detach().numpy().item())",
            "torch.stack([y] * (1 + int(2 * {w}))).sum(0).tanh()",
        )
    )
    draft.write("y = " + form.format(w=weight))
    return width


@piece(2)
def condition(draft: Draft, width: int) -> int:
    form = draft.rng.choice(
        (
            "if {a} > 1.0:\n    y = torch.sin(y)\nelse:\n    y = y**2 + y",
            "y = y.tanh() if {a} > 1.0 else y.cos()",
            "match {a} > 1.0:\n    case True:\n        y = y.sin()\n    case _:\n        y = y * y",
        )
    )
    draft.write(form.format(a=draft.number()))
    return width


@piece(1)
def condition_by_tensor(draft: Draft, width: int) -> int:
    weight = tensor(draft, 1)
    draft.write(f"if {weight} > 0.2:\n    y = torch.sin(y) * {weight}\nelse:\n    y = y**2 + {weight}")
    return width


@piece(2)
def loop(draft: Draft, width: int) -> int:
    count = draft.constant("2", "3")
    weight = tensor(draft, width)
    draft.write(f"for step in range({count}):\n    y = y + torch.sin({weight} * y) / (step + 1)")
    return width


@piece(1)
def while_loop(draft: Draft, width: int) -> int:
    draft.write(
        f"level = {draft.number()}\nwhile level < 2:\n    y, level = torch.tanh(level * y) + y, level * 1.7 + 0.1"
    )
    return width


@piece(1)
def generator(draft: Draft, width: int) -> int:
    draft.write("y = sum(torch.sin(k * y) for k in range(1, 3))")
    return width


@piece(2)
def chosen_function(draft: Draft, width: int) -> int:
    old, new = draft.rng.sample(
        ("torch.tanh", "torch.sin", "F.silu", "(lambda h: h**2 + h)", "functools.partial(torch.pow, exponent=3)"), 2
    )
    draft.write(f"y = {draft.constant(old, new)}(y)")
    return width


@piece(1)
def chosen_by_name(draft: Draft, width: int) -> int:
    read = draft.constant('"tanh"', '"sin"')
    draft.write(f"y = getattr(torch, {read})(y)")
    return width


@piece(1)
def recursion(draft: Draft, width: int) -> int:
    name, weight = draft.name("recurse"), tensor(draft, 1)
    draft.define(
        f"def {name}(h, depth, w):\n    return h if depth == 0 else {name}(torch.sin(w * h) + h, depth - 1, w)"
    )
    draft.write(f"y = {name}(y, 2, {weight})")
    return width


@piece(1)
def exception(draft: Draft, width: int) -> int:
    draft.write(
        f"try:\n    y = y @ torch.ones({width + 1}, dtype=y.dtype)\n"
        f"except RuntimeError:\n    y = y.sin() * {draft.number()}"
    )
    return width


@piece(2)
def in_place(draft: Draft, width: int) -> int:
    form = draft.rng.choice(
        (
            "h = y * 1\nh += {a}\ny = h.mul_(y).sin()",
            "h = y.clone()\nh[..., 0] = h[..., 0] ** 2\ny = h",
            "h = y.sin()\nh[..., 0] += {a}\ny = h * y",
            "h = y + 0\nh.tanh_()\ny = h + y",
            "h = 2 * y\nh[..., :1].mul_({a}).add_(y[..., :1] ** 2)\ny = h",
            "y = (y * 2).add_(y**2).sub_({a})",
            "h = y.exp()\nh /= 1 + y**2\ny = h",
            "h = y.clone()\nv = h.view(-1)\nv *= {a}\ny = h.cos()",
            "h = y.clone()\nh.index_add_(-1, torch.zeros(1, dtype=torch.int64), y[..., :1] ** 2)\ny = h",
            "h = y.clone()\nh.copy_(y**2)\ny = h + y",
            "h = y * {a}\nF.silu(h, inplace=True)\ny = h",
        )
    )
    draft.write(form.format(a=draft.number()))
    return width


@piece(2)
def written_into(draft: Draft, width: int) -> int:
    draft.write(
        draft.rng.choice(
            (
                "out = torch.zeros(*y.shape[:-1], 2, dtype=y.dtype)\nout[..., 0] = y.sum(-1).sin()\n"
                "out[..., 1] = (y * y).sum(-1)\ny = out",
                "out = y.new_zeros(*y.shape[:-1], 2)\nout[..., 0] = y[..., 0].exp()\n"
                "out[..., 1] = y.mean(-1) ** 2\ny = out",
                "out = torch.empty(y.shape[:-1] + (2,), dtype=y.dtype)\nout[..., :1] = y[..., :1].cos()\n"
                "out[..., 1:] = y.square().sum(-1, keepdim=True)\ny = out",
                "out = torch.zeros_like(y)\nfor k in range(y.shape[-1]):\n    out[..., k] = y[..., k] * y[..., 0]\n"
                "y = torch.stack([out.sum(-1), y.sum(-1).sin()], -1)",
            )
        )
    )
    return 2


@piece(1)
def asks_about_y(draft: Draft, width: int) -> int:
    draft.write(
        draft.rng.choice(
            (
                "if not isinstance(y, torch.Tensor):\n    raise TypeError('y is not a tensor')\ny = y.sin()",
                "y = y.to(torch.float64).sin().to(y.dtype)",
                "y = y * torch.arange(1, y.shape[-1] + 1, dtype=y.dtype, device=y.device)\ny = y.cos()",
                "y = torch.as_tensor(y).square() + y",
                "rows, columns = y.reshape(-1, y.size(-1)).shape\ny = y.reshape(rows, columns).tanh().reshape(y.shape)",
                "y = y.contiguous().type_as(y).tanh()",
                "y = torch.sin(y) if y.is_floating_point() and y.dim() > 0 else y",
                "y = torch.broadcast_tensors(y, torch.zeros_like(y))[0] ** 2",
                "y = (y * (y.numel() // y.numel())).sin() * len(y.shape) / y.ndim",
            )
        )
    )
    return width


@piece(2)
def kept_from_the_first_call(draft: Draft, width: int) -> int:
    """Constants made at the first call and kept: on self, in a dictionary by shape, or by functools."""
    name = draft.name("kept")
    made = f"torch.arange(1, {width + 1}, dtype=y.dtype)"
    if draft.is_class and draft.rng.random() < 0.5:
        draft.slots.append(name)
        draft.init.append(f"self.{name} = None")
        draft.write(f"if self.{name} is None:\n    self.{name} = {made}\ny = torch.tanh(y * self.{name})")
    elif draft.rng.random() < 0.5:
        draft.define(f"{name} = {{}}")
        draft.write(f"if (y.shape, y.dtype) not in {name}:\n    {name}[y.shape, y.dtype] = {made}")
        draft.write(f"y = torch.sin(y * {name}[y.shape, y.dtype])")
    else:
        draft.define(f"@functools.cache\ndef {name}(width, dtype):\n    return torch.arange(1, width + 1, dtype=dtype)")
        draft.write(f"y = y * {name}({width}, y.dtype)\ny = y.sin()")
    return width


@piece(2)
def kept_activation(draft: Draft, width: int) -> int:
    """The network notes what it saw last, or how often it was called."""
    name = draft.name("last")
    if draft.is_class:
        draft.slots.append(name)
        draft.init.append(f"self.{name} = None")
        draft.write(f"y = y.sin()\nself.{name} = y" + draft.rng.choice(("", ".detach()", ".shape")))
    else:
        draft.define(f"{name} = {{}}")
        draft.write(f'y = y.sin()\n{name}["y"] = y' + draft.rng.choice(("", ".detach()", ".shape")))
    return width


@piece(1)
def counter(draft: Draft, width: int) -> int:
    name = draft.name("calls")
    if draft.is_class:
        draft.slots.append(name)
        draft.init.append(f"self.{name} = 0")
        draft.write(f"self.{name} += 1\ny = y.cos()")
    else:
        draft.define(f"{name} = [0]")
        draft.write(f"{name}[0] += 1\ny = y.cos()")
    return width


@piece(2)
def hook(draft: Draft, width: int) -> int:
    """A hook that stores, or one that alters; another may be added later."""
    if draft.form != "module":
        return width
    name, store = draft.name("hooked"), draft.name("store")
    draft.init.append(f"self.{name} = torch.nn.Linear({width}, 3, dtype=D)")
    draft.define(f"{store} = []")
    kind = draft.rng.choice(
        (
            f"register_forward_hook(lambda module, given, out: {store}.append(out))",
            f"register_forward_hook(lambda module, given, out: {store}.append(out.detach()))",
            "register_forward_hook(lambda module, given, out: out.sin())",
            "register_forward_pre_hook(lambda module, given: (given[0] * 0.5,))",
            "register_full_backward_hook(lambda module, given, out: None)",
        )
    )
    draft.after.append(f"owner.{name}.{kind}")
    draft.changes.append(f"owner.{name}.register_forward_hook(lambda module, given, out: out * out)")
    draft.write(f"y = self.{name}(y)")
    return 3


@piece(1.5)
def training_flag(draft: Draft, width: int) -> int:
    if draft.form != "module":
        return width
    draft.write("y = y.sin() if self.training else 0.5 * y**2 + y")
    draft.changes += ["owner.eval()"] * 2
    return width


@piece(1)
def running_average(draft: Draft, width: int) -> int:
    if draft.form != "module":
        return width
    name = draft.name("average")
    draft.init.append(f'self.register_buffer("{name}", torch.zeros({width}, dtype=D))')
    draft.write(
        f"with torch.no_grad():\n    self.{name}.mul_(0.9).add_(0.1 * y.detach().reshape(-1, {width}).mean(0))",
        "y = torch.sin(y)",
    )
    return width


@piece(1)
def constant_part(draft: Draft, width: int) -> int:
    """Parts that PyTorch holds for constant: of parameters, or of y."""
    weight = tensor(draft, width)
    form = draft.rng.choice(
        (
            "with torch.no_grad():\n    h = {w}.abs().max()\ny = torch.sin(h * y)",
            "y = torch.tanh({w}.detach() * y)",
            "y = y.sin() * y.detach()",
            "with torch.no_grad():\n    h = torch.cos(y)\ny = h * y**2",
            "y = y**2 * y.data",
            "h = y.cos().detach_()\ny = h + y**3",
        )
    )
    if "y.d" in form or "cos(y" in form or "y.cos" in form:
        draft.traits.add("cut")
    draft.write(form.format(w=weight))
    return width


@piece(1)
def mode(draft: Draft, width: int) -> int:
    weight = tensor(draft, width)
    draft.write(
        draft.rng.choice(
            (
                f"with torch.enable_grad():\n    y = torch.sin({weight} * y)",
                f'with torch.autocast("cpu", enabled=False):\n    y = torch.sin({weight} * y)',
                f"with torch.set_grad_enabled(True):\n    y = y * {weight}\ny = y.tanh()",
                f'with torch.device("cpu"):\n    y = torch.sin(y * torch.ones({width}, dtype=y.dtype)) * {weight}',
                f'with torch.autograd.profiler.record_function("part"):\n    y = torch.cos(y) * {weight}',
                f"before = torch.get_default_dtype()\ntorch.set_default_dtype(torch.float64)\n"
                f"y = torch.sin(y * torch.linspace(0.5, 1, {width}).to(y.dtype)) * {weight}\n"
                "torch.set_default_dtype(before)",
            )
        )
    )
    return width


@piece(1)
def autocast(draft: Draft, width: int) -> int:
    """A part in a lower precision; no other precision is cast, so that float64 stays as it is."""
    draft.traits.add("coarse")
    read = layer(draft, f"torch.nn.Linear({width}, 3, dtype=D)")
    draft.write(f'with torch.autocast("cpu", torch.bfloat16):\n    y = torch.tanh({read}(y))')
    return 3


@piece(1)
def default_type(draft: Draft, width: int) -> int:
    """A constant of the default type, which may change between two calls."""
    draft.write(f"y = y + torch.full(({width},), 1.0).sin().to(y.dtype)\ny = torch.tanh(y) * y")
    draft.changes.append("torch.set_default_dtype(torch.float64)")
    return width


@piece(0.7)
def decorated(draft: Draft, width: int) -> int:
    name = draft.name("decorated")
    shift = of_the_module(draft, draft.name("a"), "0.4")
    draft.changes.append(shift.write.format("1.3"))
    draft.define(f"""
        def around_{name}(function):
            @functools.wraps(function)
            def inner(*given, **named):
                return function(*given, **named) ** {shift.read}
            return inner

        @around_{name}
        def {name}(h):
            return 1 + h.sin() ** 2""")
    draft.write(f"y = {name}(y)")
    return width


@piece(0.7)
def scheduled(draft: Draft, width: int) -> int:
    """An object with a number of its own that a training loop would step."""
    name = draft.name("Schedule")
    draft.define(f"""
        class {name}:
            steps = 0
            @classmethod
            def value(cls):
                return 0.5 + 0.3 * cls.steps
            @staticmethod
            def scaled(h):
                return torch.sin({name}.value() * h)""")
    draft.changes.append(f"{name}.steps += 2")
    draft.write(f"y = {name}.scaled(y)")
    return width


@piece(0.7)
def mixed(draft: Draft, width: int) -> int:
    """Rows that depend on each other, or on chance: to be refused, whatever is done."""
    draft.traits.add("mixed")
    draft.write(
        "y = "
        + draft.rng.choice(
            (
                "y - y.mean(0, keepdim=True)",
                "y**2 - torch.nanmean(y**2, 0, keepdim=True)",
                "y**2 * torch.where(y.norm() > 1, 2.0, 1.0)",
                "y.cumsum(0)",
                "y.flip(0).sin() + y",
                "F.batch_norm(y, None, None, training=True)",
                "y * y.max()",
                "y.sort(0).values",
                "y + F.dropout(y, 0.5)",
                "y * torch.rand_like(y)",
                "y / torch.linalg.vector_norm(torch.nan_to_num(y))",
                "y[torch.arange(len(y) - 1, -1, -1)] ** 2",
                "y * (y.sum() > 0).to(y.dtype)",
            )
        )
    )
    return width


@piece(0.5)
def decided_by_x(draft: Draft, width: int) -> int:
    """One row decides which branch is taken; several rows would be mixed."""
    draft.traits |= {"kinks", "decides"}
    draft.write(
        draft.rng.choice(
            (
                "if y[..., 0].sum() > 0:\n    y = y.sin() + y\nelse:\n    y = y.cos() * y",
                "y = y * y.detach().abs().max().item() if y.max().item() > 5 else y.sin()",
                "level = 0\nwhile (y.detach() + level).max() < 2:\n    level += 1\ny = y.sin() * level",
            )
        )
    )
    return width
