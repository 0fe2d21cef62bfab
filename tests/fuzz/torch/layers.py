"""Layers as networks have them: products, activations, normalization, attention, recurrent cells."""

from __future__ import annotations

from fuzz.draft import Draft
from fuzz.torch.tensors import layer, piece, tensor

ACTIVATIONS = (
    "torch.tanh(y)",
    "y.sin()",
    "F.silu(y)",
    "torch.sigmoid(y)",
    "F.gelu(y)",
    "F.softplus(y)",
    "torch.exp(-y**2)",
    "y * torch.sigmoid(y)",
    "torch.arctan(y)",
    "F.mish(y)",
    "torch.cos(y) + y",
    "torch.erf(y)",
    "y / (1 + y**2).sqrt()",
    "torch.log1p(y * y)",
    'F.gelu(y, approximate="tanh")',
    "torch.logaddexp(y, -y)",
    "torch.special.expit(y) - torch.asinh(y)",
    "1 / torch.cosh(y)",
    "(1 + y.square()).rsqrt()",
    "torch.hypot(y, torch.ones_like(y))",
    "torch.addcmul(y, y, y, value=0.3)",
    "torch.lerp(y, y.tanh(), 0.4)",
    "torch.atan2(y, 2 + y * y)",
)


@piece(4)
def product(draft: Draft, width: int) -> int:
    new = draft.rng.randint(1, 5)
    weight = tensor(draft, width, new)
    form = draft.rng.choice(
        (
            "y @ {w}",
            "F.linear(y, {w}.T)",
            'torch.einsum("...i,ij->...j", y, {w})',
            "torch.matmul(y.unsqueeze(-2), {w}).squeeze(-2)",
            "(y[..., None] * {w}).sum(-2)",
            "torch.tensordot(y, {w}, dims=1)",
            "y.matmul({w}.contiguous())",
            "({w}.mT @ y[..., None])[..., 0]",
        )
    )
    draft.write("y = " + form.format(w=weight))
    if draft.rng.random() < 0.4:
        draft.write(f"y = y + {tensor(draft, new)}")
    return new


@piece(4)
def linear_module(draft: Draft, width: int) -> int:
    new = draft.rng.randint(1, 5)
    draft.write(f"y = {layer(draft, f'torch.nn.Linear({width}, {new}, dtype=D)')}(y)")
    return new


@piece(6)
def activation(draft: Draft, width: int) -> int:
    draft.write("y = " + draft.rng.choice(ACTIVATIONS))
    return width


@piece(1)
def activation_module(draft: Draft, width: int) -> int:
    made = draft.rng.choice(("torch.nn.Tanh()", "torch.nn.SiLU()", "torch.nn.Softplus(beta=1.3)", "torch.nn.GELU()"))
    draft.write(f"y = {layer(draft, made, ())}(y)")
    return width


@piece(1)
def kinked(draft: Draft, width: int) -> int:
    draft.traits.add("kinks")
    draft.write(
        "y = "
        + draft.rng.choice(
            (
                "F.leaky_relu(y, 0.1) * y",
                "y.abs() * y",
                "torch.where(y > 0.1, y**2, y.sin())",
                "y.clamp(-1.5, 1.5) + y**2",
                "torch.maximum(y, y**3)",
                "F.elu(y)",
                "F.relu(y) ** 2 + y",
                "y.masked_fill(y < -2, 0.5)",
                "y.sort(-1).values.sin()",
            )
        )
    )
    return width


@piece(1)
def sequential(draft: Draft, width: int) -> int:
    made = f"torch.nn.Sequential(torch.nn.Linear({width}, 4, dtype=D), torch.nn.Tanh(), torch.nn.Linear(4, 3, dtype=D))"
    draft.write(f"y = {layer(draft, made, ('0.weight', '2.bias'))}(y)")
    return 3


@piece(2)
def normalization(draft: Draft, width: int) -> int:
    draft.traits.add("doubtful")
    if draft.rng.random() < 0.4:
        draft.write(f"y = {layer(draft, f'torch.nn.LayerNorm({width}, eps=0.1, dtype=D)')}(y)")
        return width
    draft.write(
        "y = "
        + draft.rng.choice(
            (
                f"F.layer_norm(y, ({width},), eps=0.2)",
                f"F.rms_norm(y, ({width},), eps=0.2)",
                "F.normalize(y + 1.5, dim=-1)",
                "F.softmax(y, -1)",
                "y - y.mean(-1, keepdim=True)",
                "F.log_softmax(y, -1)",
                f"F.group_norm(y.reshape(-1, {width}), 1, eps=0.3).reshape(y.shape)",
                "y / (1 + y.square().sum(-1, keepdim=True))",
                "y - torch.logsumexp(y, -1, keepdim=True)",
            )
        )
    )
    return width


@piece(1)
def batch_norm_in_evaluation(draft: Draft, width: int) -> int:
    read = layer(draft, f"torch.nn.BatchNorm1d({width}, eps=0.1, dtype=D).eval()")
    draft.write(f"y = {read}(y)")
    return width


@piece(1)
def bilinear(draft: Draft, width: int) -> int:
    draft.write(f"y = {layer(draft, f'torch.nn.Bilinear({width}, {width}, 2, dtype=D)')}(y, y.sin())")
    return 2


@piece(1)
def convolution(draft: Draft, width: int) -> int:
    read = layer(draft, "torch.nn.Conv1d(1, 2, 3, padding=1, dtype=D)")
    draft.write(f"y = {read}(y.reshape(-1, 1, {width})).mean(-2).reshape(*y.shape[:-1], {width})")
    return width


@piece(1)
def attention(draft: Draft, width: int) -> int:
    weight = tensor(draft, 3)
    draft.write(
        f"tokens = torch.tanh(y[..., None] * {weight})",
        "y = y + F.scaled_dot_product_attention(tokens, tokens, tokens).sum(-1)",
    )
    return width


@piece(0.6)
def attention_module(draft: Draft, width: int) -> int:
    made = "torch.nn.MultiheadAttention(4, 2, batch_first=True, dtype=D)"
    read = layer(draft, made, ("in_proj_weight", "out_proj.bias"))
    draft.write(
        f"tokens = torch.stack([y.sin(), y, y.cos(), y**2], -1)\ny = {read}(tokens, tokens, tokens)[0].mean(-1)"
    )
    return width


@piece(0.6)
def transformer(draft: Draft, width: int) -> int:
    draft.traits.add("doubtful")
    made = "torch.nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, batch_first=True, activation='gelu', dtype=D)"
    read = layer(draft, made + draft.rng.choice(("", ".eval()")), ("linear1.weight", "norm1.bias"))
    draft.write(
        "with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):\n"
        f"    y = {read}(torch.stack([y.sin(), y, y.cos(), y**2], -1)).sum(-1)"
    )
    return width


@piece(1)
def recurrent_cell(draft: Draft, width: int) -> int:
    kind = draft.rng.choice(("RNNCell", "GRUCell", "LSTMCell"))
    read = layer(draft, f"torch.nn.{kind}({width}, 3, dtype=D)", ("weight_ih", "bias_hh"))
    steps = draft.rng.randint(1, 2)
    draft.write(f"state = None\nfor _ in range({steps}):\n    state = {read}(y, state)")
    draft.write("y = state[0]" if kind == "LSTMCell" else "y = state")
    return 3


@piece(0.6)
def recurrent_module(draft: Draft, width: int) -> int:
    kind = draft.rng.choice(("RNN", "GRU", "LSTM"))
    read = layer(draft, f"torch.nn.{kind}(1, 2, batch_first=True, dtype=D)", ("weight_ih_l0", "weight_hh_l0"))
    draft.write(f"y = {read}(y.unsqueeze(-1))[0][:, -1]")
    return 2


@piece(1)
def weight_norm(draft: Draft, width: int) -> int:
    draft.traits.add("doubtful weights")
    made = f"torch.nn.Linear({width}, 3, dtype=D)"
    if draft.rng.random() < 0.5:
        names = ("parametrizations.weight.original0", "parametrizations.weight.original1")
        read = layer(draft, f"torch.nn.utils.parametrizations.weight_norm({made})", names)
    else:
        read = layer(draft, f"torch.nn.utils.weight_norm({made})", ("weight_g", "weight_v"))
    draft.write(f"y = {read}(y)")
    return 3


@piece(1)
def spectral_norm(draft: Draft, width: int) -> int:
    """Singular values 3, 1, … and many steps beforehand, so that another step does not change the weight."""
    name = draft.name("spectral")
    parametrized = draft.rng.random() < 0.5
    where = "parametrizations.spectral_norm" if parametrized else "spectral_norm"
    draft.define(f"""
        def {name}():
            made = torch.nn.Linear({width}, 3, dtype=D)
            with torch.no_grad():
                u, s, v = torch.linalg.svd(made.weight, full_matrices=False)
                made.weight.copy_(u @ torch.diag(torch.tensor([3.0, 0.7, 0.4][: len(s)], dtype=D)) @ v)
            made = torch.nn.utils.{where}(made)
            for _ in range(40):
                made(torch.zeros(1, {width}, dtype=D))
            return made{draft.rng.choice(("", ".eval()"))}""")
    weight = "parametrizations.weight.original" if parametrized else "weight_orig"
    draft.write(f"y = {layer(draft, f'{name}()', (weight,))}(y)")
    return 3


@piece(1)
def dropout_in_evaluation(draft: Draft, width: int) -> int:
    read = layer(draft, "torch.nn.Dropout(0.5).eval()", ())
    draft.write(f"y = {read}(y)")
    return width


@piece(1.5)
def shapes(draft: Draft, width: int) -> int:
    choice = draft.rng.choice(
        (
            ("y = torch.cat([y, y.cos()], -1)", 2),
            ("y = torch.stack([y, y.sin()], -1).flatten(-2)", 2),
            ("y = y.flip(-1) * y.roll(1, -1)", 1),
            ("y = y.cumsum(-1)", 1),
            ("y = (y.unsqueeze(-1) + y.unsqueeze(-2)).tanh().sum(-1)", 1),
            ("y = torch.cumprod(1 + 0.3 * y, -1)", 1),
            ("y = y.unsqueeze(-1).expand(*y.shape, 3).prod(-1)", 1),
            ("first, *rest = y.unbind(-1)\ny = torch.stack([first * first, *rest], -1)", 1),
            ("y = y.view(*y.shape[:-1], 1, y.shape[-1]).transpose(-1, -2).reshape(y.shape).sin()", 1),
            ("y = F.pad(y, (1, 0), value=0.5)[..., :-1] * y", 1),
            ("y = y.index_select(-1, torch.arange(y.shape[-1] - 1, -1, -1)) ** 2", 1),
            ("y = y[..., torch.arange(y.shape[-1])] ** 3", 1),
            ("y = torch.outer(y.flatten(), torch.ones(2, dtype=y.dtype)).sum(-1).reshape(y.shape).cos()", 1),
            ("y = y.repeat_interleave(2, dim=-1)", 2),
            ("y = y.tile(2).sin()", 2),
        )
    )
    if width * choice[1] > 6:
        return width
    draft.write(choice[0])
    return width * choice[1]
