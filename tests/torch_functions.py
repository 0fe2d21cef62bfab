"""Functions of rows (N, 3) → (N, …) that use every kind of operation, for the tests of the rules.

`features` makes 6 smooth features of x, some of them negative; `positive` makes 6 positive ones.
"""

import torch
from torch import nn
from torch.nn import functional as F

_GENERATOR = torch.Generator().manual_seed(5)


def normal(*shape):
    return torch.randn(shape, generator=_GENERATOR, dtype=torch.float64)


WEIGHT, MIXED, THIRD = normal(6, 3), normal(6, 6), normal(4, 6, 6) / 3
INDEX = torch.tensor([3, 0, 0, 5])
DISTINCT = torch.tensor([3, 0, 5])
MASK = torch.tensor([True, False, True, True, False, False])
ROWS = normal(5, 6)


def features(x):
    return torch.tanh(x @ WEIGHT.T) + 0.3 * (x @ WEIGHT.T)


def positive(x):
    return 0.3 + features(x).square()


def table(x):
    """(N, 2, 3)"""
    return features(x).unflatten(-1, (2, 3))


def matrix(x):
    """(N, 3, 3), far from singular"""
    columns = features(x).unflatten(-1, (2, 3))
    return columns[..., :1, :].mT * columns[..., 1:, :] + 3 * torch.eye(3, dtype=x.dtype)


def module(made):
    """A module in float64 and evaluation mode, with random parameters and statistics."""
    made = made.double().eval()
    with torch.no_grad():
        for name, tensor in [*made.named_parameters(), *made.named_buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(normal(*tensor.shape) * 0.5)
                if "var" in name:
                    tensor.abs_().add_(0.5)
    return made


def residual(x):
    h = torch.tanh(x @ WEIGHT.T)
    return h + torch.tanh(h @ MIXED)


def in_place(x):
    h = torch.zeros(x.shape[0], 6, dtype=x.dtype)
    h[:, :3] = x.sin()
    h[:, 3:] = h[:, :3].clone() * x
    h[:, 1].mul_(h[:, 4])
    h += 1
    return h


def in_place_indexed(x):
    h = features(x).clone()
    h[:, DISTINCT] = x.exp()
    h[..., 4].copy_(x[..., 0])
    return h**2


def loop(x):
    total = torch.zeros_like(x[..., 0])
    for k in range(3):
        total = torch.sin(total + x[..., k])
    return total


def integers(x):
    counts = torch.arange(6).remainder(4)
    return features(x) ** counts * counts + F.one_hot(INDEX, 6).sum(0)


def fourier(x):
    angles = x @ WEIGHT[:4].T
    return torch.cat([angles.sin(), angles.cos()], -1) @ normal_fixed


def embedding(x):
    return TABLE(torch.tensor([1, 3, 0, 2, 2, 1])).mean(-1) * features(x)


def attention(x):
    tokens = features(x).unflatten(-1, (3, 2))
    q, k, v = (tokens @ m for m in (MIXED[:2, :4], MIXED[2:4, :4], MIXED[4:, :4]))
    return torch.softmax(q @ k.mT / 2, -1) @ v


def heads(x):
    tokens = features(x).reshape(-1, 1, 3, 2)
    return [tokens @ MIXED[2 * i : 2 * i + 2, :4] for i in range(3)]


def self_attention(x):
    tokens = (features(x).unflatten(-1, (3, 2)) @ MIXED[:2, :4]).tanh()
    return ATTENTION(tokens, tokens, tokens, need_weights=False)[0]


def meshed(x):
    first, second = torch.vmap(lambda u: torch.stack(torch.meshgrid(u[:3], u[3:], indexing="ij")))(features(x)).unbind(
        1
    )
    return first.sin() * second


normal_fixed = normal(8, 5)
TABLE = module(nn.Embedding(4, 3))
ATTENTION = module(nn.MultiheadAttention(4, 2, batch_first=True))
ENCODER = module(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True))
LAYER_NORM, GROUP_NORM = module(nn.LayerNorm(6)), module(nn.GroupNorm(2, 6))
BATCH_NORM, RMS_NORM = module(nn.BatchNorm1d(6)), module(nn.RMSNorm(6))
BILINEAR, PRELU, GRU = module(nn.Bilinear(6, 6, 4)), module(nn.PReLU(6)), module(nn.GRUCell(6, 4))
CONVOLUTION = module(nn.Sequential(nn.Conv2d(1, 3, 2), nn.Tanh(), nn.Conv2d(3, 2, (1, 2))))
TRANSPOSED = module(nn.ConvTranspose1d(2, 3, 2, stride=2))
LOW, HIGH = torch.tensor(-0.2, dtype=torch.float64), torch.tensor(0.4, dtype=torch.float64)

FUNCTIONS = {
    # activations
    "tanh": lambda x: torch.tanh(features(x)),
    "sigmoid": lambda x: torch.sigmoid(features(x)),
    "relu": lambda x: torch.relu(features(x)),
    "relu_of_product": lambda x: torch.relu(features(x)) * features(x.flip(-1)),
    "relu_squared": lambda x: torch.relu(features(x)) ** 2,
    "relu_cubed": lambda x: torch.relu(features(x)) ** 3,
    "relu6": lambda x: F.relu6(3 * features(x)).square(),
    "leaky_relu": lambda x: F.leaky_relu(features(x), 0.2) ** 2,
    "prelu": lambda x: PRELU(features(x)) ** 2,
    "threshold": lambda x: F.threshold(features(x), 0.1, 2.0) ** 2,
    "softplus": lambda x: F.softplus(features(x)),
    "softplus_beta": lambda x: F.softplus(features(x), beta=3, threshold=2),
    "silu": lambda x: F.silu(features(x)),
    "gelu": lambda x: F.gelu(features(x)),
    "gelu_tanh": lambda x: F.gelu(features(x), approximate="tanh"),
    "elu": lambda x: F.elu(features(x), alpha=0.7),
    "celu": lambda x: F.celu(features(x), alpha=0.7),
    "selu": lambda x: F.selu(features(x)),
    "mish": lambda x: F.mish(features(x)),
    "hardswish": lambda x: F.hardswish(3 * features(x)),
    "hardsigmoid": lambda x: F.hardsigmoid(3 * features(x)) ** 2,
    "hardtanh": lambda x: F.hardtanh(features(x)) ** 2,
    "hardshrink": lambda x: F.hardshrink(features(x)) ** 2,
    "softshrink": lambda x: F.softshrink(features(x)) ** 2,
    "softsign": lambda x: F.softsign(features(x)),
    "tanhshrink": lambda x: F.tanhshrink(features(x)),
    "logsigmoid": lambda x: F.logsigmoid(features(x)),
    "glu": lambda x: F.glu(features(x)),
    # networks
    "residual": residual,
    "layer_norm": lambda x: F.layer_norm(features(x), (6,)),
    "layer_norm_affine": lambda x: torch.tanh(LAYER_NORM(features(x))),
    "layer_norm_two_axes": lambda x: F.layer_norm(table(x), (2, 3)),
    "group_norm": lambda x: GROUP_NORM(features(x)),
    "group_norm_space": lambda x: F.group_norm(torch.stack([features(x), features(x) ** 2], -1), 3),
    "rms_norm": lambda x: RMS_NORM(features(x)),
    "batch_norm": lambda x: BATCH_NORM(features(x)) ** 2,
    "softmax": lambda x: torch.softmax(features(x), -1),
    "log_softmax": lambda x: torch.log_softmax(table(x), 1),
    "softmin": lambda x: F.softmin(features(x), -1),
    "attention": attention,
    "scaled_dot_product": lambda x: F.scaled_dot_product_attention(*heads(x))[:, 0],
    "scaled_dot_product_causal": lambda x: F.scaled_dot_product_attention(*heads(x), is_causal=True)[:, 0],
    "multihead_attention": self_attention,
    "encoder_layer": lambda x: ENCODER((features(x).unflatten(-1, (3, 2)) @ MIXED[:2, :4]).tanh()),
    "bilinear": lambda x: BILINEAR(features(x), features(x).sin()),
    "linear": lambda x: F.linear(features(x) ** 2, MIXED, MIXED[0]),
    "gru_cell": lambda x: GRU(features(x), features(x)[:, :4]),
    "fourier": fourier,
    "embedding": embedding,
    "loop": loop,
    # arithmetic
    "sum_of_products": lambda x: 2 * features(x) * features(x).flip(-1) - features(x) / 3 + 1,
    "broadcast": lambda x: features(x)[..., None] * x[..., None, :] + x[..., :1, None],
    "add_alpha": lambda x: torch.add(features(x), x[..., :1], alpha=2) * torch.sub(1, x[..., :1], alpha=3),
    "division": lambda x: features(x) / positive(x.flip(-1)),
    "division_of_number": lambda x: 2 / (3 + features(x)),
    "division_broadcast": lambda x: features(x) / positive(x)[..., :1],
    "reciprocal": lambda x: torch.reciprocal(features(x) + 3),
    "negative_base_cubed": lambda x: features(x) ** 3,
    "negative_base_real_whole": lambda x: features(x) ** 3.0,
    "negative_power": lambda x: (features(x) - 4) ** -2,
    "real_power": lambda x: positive(x) ** 2.5,
    "negative_real_power": lambda x: positive(x) ** -0.3,
    "power_zero": lambda x: features(x) ** 0 + x[..., :1],
    "power_one": lambda x: features(x) ** 1,
    "power_of_tensor": lambda x: features(x) ** torch.tensor([0.0, 1, 2, 3, 4, 5], dtype=x.dtype),
    "power_of_integers": lambda x: features(x) ** torch.arange(6),
    "exponent_depends_on_x": lambda x: positive(x) ** features(x).flip(-1),
    "exponential_of_number": lambda x: 1.7 ** features(x),
    "float_power": lambda x: torch.float_power(positive(x), 1.5),
    "remainder": lambda x: torch.remainder(3 * features(x), 1.3) ** 2,
    "fmod": lambda x: torch.fmod(3 * features(x), 1.3) ** 2,
    "floor": lambda x: features(x) * torch.floor(5 * features(x)),
    "addcmul": lambda x: torch.addcmul(features(x), x[..., :1], features(x), value=0.3),
    "addcdiv": lambda x: torch.addcdiv(features(x), x[..., :1], positive(x), value=0.3),
    "lerp": lambda x: torch.lerp(features(x), features(x).flip(-1), 0.3),
    "lerp_of_x": lambda x: torch.lerp(features(x), features(x).flip(-1), x[..., :1]),
    # entry by entry
    "sqrt": lambda x: torch.sqrt(positive(x)),
    "rsqrt": lambda x: torch.rsqrt(positive(x)),
    "square": lambda x: torch.square(features(x)),
    "exp": lambda x: torch.exp(features(x)),
    "exp2": lambda x: torch.exp2(features(x)),
    "expm1": lambda x: torch.expm1(features(x)),
    "log": lambda x: torch.log(positive(x)),
    "log2": lambda x: torch.log2(positive(x)),
    "log10": lambda x: torch.log10(positive(x)),
    "log1p": lambda x: torch.log1p(positive(x)),
    "abs": lambda x: torch.abs(features(x)) ** 3,
    "sign": lambda x: torch.sign(features(x)) * features(x) ** 2,
    "erf": lambda x: torch.erf(features(x)),
    "erfc": lambda x: torch.erfc(features(x)),
    "erfinv": lambda x: torch.erfinv(features(x) / 4),
    "lgamma": lambda x: torch.lgamma(positive(x)),
    "digamma": lambda x: torch.digamma(positive(x)),
    "sin": lambda x: torch.sin(3 * features(x)),
    "cos": lambda x: torch.cos(3 * features(x)),
    "tan": lambda x: torch.tan(features(x) / 3),
    "asin": lambda x: torch.asin(features(x) / 4),
    "acos": lambda x: torch.acos(features(x) / 4),
    "atan": lambda x: torch.atan(features(x)),
    "atan2": lambda x: torch.atan2(features(x), positive(x).flip(-1)),
    "sinh": lambda x: torch.sinh(features(x)),
    "cosh": lambda x: torch.cosh(features(x)),
    "asinh": lambda x: torch.asinh(features(x)),
    "acosh": lambda x: torch.acosh(1 + positive(x)),
    "atanh": lambda x: torch.atanh(features(x) / 4),
    "sinc": lambda x: torch.sinc(features(x)),
    "hypot": lambda x: torch.hypot(features(x), positive(x)),
    "logaddexp": lambda x: torch.logaddexp(features(x), features(x).flip(-1)),
    "xlogy": lambda x: torch.xlogy(features(x), positive(x).flip(-1)),
    "logit": lambda x: torch.logit(torch.sigmoid(features(x)) * 0.9 + 0.05),
    "deg2rad": lambda x: torch.deg2rad(features(x) ** 2),
    # reductions
    "sum": lambda x: (features(x) ** 3).sum(-1),
    "mean": lambda x: (table(x) ** 3).mean((-2, -1), keepdim=True),
    "variance": lambda x: features(x).var(-1),
    "population_variance": lambda x: table(x).var((1, 2), correction=0),
    "std": lambda x: features(x).std(-1, keepdim=True),
    "var_mean": lambda x: torch.stack(torch.var_mean(features(x), -1)).movedim(0, -1) ** 2,
    "norm": lambda x: features(x).norm(dim=-1),
    "norm_1": lambda x: features(x).norm(p=1, dim=-1) ** 2,
    "norm_3": lambda x: torch.linalg.vector_norm(features(x), 3, -1),
    "norm_infinity": lambda x: torch.linalg.vector_norm(features(x), float("inf"), -1) ** 2,
    "frobenius": lambda x: torch.linalg.matrix_norm(table(x)),
    "normalize": lambda x: F.normalize(features(x), dim=-1),
    "cosine_similarity": lambda x: F.cosine_similarity(features(x), ROWS[0], dim=-1),
    "pairwise_distance": lambda x: F.pairwise_distance(features(x), ROWS[:1]),
    "cdist": lambda x: torch.cdist(features(x)[:, None], ROWS)[:, 0],
    "logsumexp": lambda x: torch.logsumexp(features(x), -1),
    "logsumexp_two_axes": lambda x: table(x).logsumexp((1, 2), keepdim=True),
    "prod": lambda x: features(x).prod(-1),
    "prod_with_zeros": lambda x: torch.cat([features(x)[:, :3], 0 * x[:, :1], x[:, :1] - x[:, :1]], -1).prod(-1),
    "prod_with_zero_slope": lambda x: torch.cat([features(x)[:, :3], x - x.detach()], -1).prod(-1),
    "cumsum": lambda x: features(x).cumsum(-1) ** 2,
    "cumprod": lambda x: features(x).cumprod(-1),
    "cumprod_with_zero": lambda x: torch.cat([x[:, :1], x[:, :1] - x[:, :1].detach(), features(x)], -1).cumprod(-1),
    "logcumsumexp": lambda x: torch.logcumsumexp(features(x), -1),
    "amax": lambda x: features(x).amax(-1) ** 2,
    "amin": lambda x: table(x).amin((1, 2)) ** 2,
    "max": lambda x: table(x).max(-1).values ** 2,
    "min": lambda x: features(x).min(-1, keepdim=True)[0] ** 2,
    "median": lambda x: features(x).median(-1).values ** 2,
    "cummax": lambda x: features(x).cummax(-1).values ** 2,
    "trace": lambda x: matrix(x).diagonal(dim1=-2, dim2=-1).sum(-1) ** 2,
    # moving and choosing entries
    "concatenation": lambda x: torch.cat([x.sin(), torch.ones_like(x), features(x)], -1) ** 2,
    "stacking": lambda x: torch.stack([x.sin(), x, x.cos()], -2),
    "hstack": lambda x: torch.hstack([x, x**2]),
    "slicing": lambda x: features(x)[..., 1:5:2] * features(x)[..., -2:],
    "advanced_indexing": lambda x: features(x)[:, INDEX] ** 2,
    "two_indices": lambda x: table(x)[:, torch.tensor([0, 1, 1]), torch.tensor([2, 0, 1])] ** 2,
    "boolean_mask": lambda x: features(x)[:, MASK] ** 2,
    "gather": lambda x: features(x).gather(-1, INDEX.expand(x.shape[0], 4)) ** 2,
    "index_select": lambda x: features(x).index_select(-1, INDEX) ** 2,
    "take_along_dim": lambda x: torch.take_along_dim(features(x), INDEX[None], -1) ** 2,
    "scatter": lambda x: features(x).scatter(-1, DISTINCT.expand(x.shape), x.exp()) ** 2,
    "scatter_value": lambda x: features(x).scatter(-1, DISTINCT.expand(x.shape), 1.5) ** 2,
    "scatter_add": lambda x: features(x).scatter_add(-1, INDEX[:3].expand(x.shape), x.exp()) ** 2,
    "scatter_reduce": lambda x: features(x).scatter_reduce(-1, INDEX[:3].expand(x.shape), x.exp(), "sum") ** 2,
    "index_add": lambda x: features(x).index_add(-1, INDEX[:3], x.exp(), alpha=2) ** 2,
    "index_copy": lambda x: features(x).index_copy(-1, INDEX[1:2], x[:, :1].exp()) ** 2,
    "index_fill": lambda x: features(x).index_fill(-1, INDEX[:2], 0.5) ** 2,
    "index_put": lambda x: features(x).index_put((torch.arange(x.shape[0]), INDEX[: x.shape[0]]), x[:, 0].exp()) ** 2,
    "masked_fill": lambda x: features(x).masked_fill(MASK, 0.5) ** 2,
    "masked_fill_by_x": lambda x: features(x).masked_fill(features(x) > 0.2, -1.0) ** 2,
    "in_place": in_place,
    "in_place_indexed": in_place_indexed,
    "reshape": lambda x: features(x).reshape(-1, 3, 2).sin().view(-1, 6),
    "flatten": lambda x: table(x).sin().flatten(1),
    "transpose": lambda x: table(x).transpose(1, 2) @ table(x).sin(),
    "permute": lambda x: matrix(x).permute(0, 2, 1) * matrix(x),
    "expand": lambda x: x[..., None].expand(-1, 3, 4) * x[..., None, :1],
    "squeeze": lambda x: features(x)[:, :1, None].squeeze(-1).unsqueeze(1) ** 2,
    "chunk": lambda x: torch.mul(*features(x).chunk(2, -1)),
    "split": lambda x: torch.mul(*features(x).split([3, 3], -1)),
    "tensor_split": lambda x: torch.mul(*torch.tensor_split(features(x), 2, -1)),
    "unbind": lambda x: torch.sin(table(x).unbind(1)[0]) * table(x).unbind(1)[1],
    "movedim": lambda x: table(x).movedim(1, 2).swapaxes(1, 2) ** 2,
    "roll": lambda x: features(x) * features(x).roll(2, -1),
    "roll_two_axes": lambda x: table(x) * table(x).roll((1, 2), (1, 2)),
    "flip": lambda x: features(x) * features(x).flip(-1),
    "rot90": lambda x: matrix(x) * torch.rot90(matrix(x), 1, (1, 2)),
    "tril": lambda x: matrix(x).tril() @ matrix(x),
    "triu": lambda x: matrix(x).triu(1) @ matrix(x),
    "diagonal": lambda x: matrix(x).diagonal(dim1=1, dim2=2) ** 2,
    "diag_embed": lambda x: torch.diag_embed(x.sin()) @ matrix(x),
    "repeat": lambda x: features(x).repeat(1, 2) ** 2,
    "tile": lambda x: features(x).tile(1, 2) ** 2,
    "repeat_interleave": lambda x: features(x).repeat_interleave(2, -1) ** 2,
    "meshgrid": meshed,
    "pad": lambda x: F.pad(features(x), (1, 2), value=0.5) ** 2,
    "pad_reflect": lambda x: F.pad(features(x)[:, None], (2, 1), mode="reflect")[:, 0] ** 2,
    "pad_circular": lambda x: F.pad(features(x)[:, None], (2, 1), mode="circular")[:, 0] ** 2,
    "unfold": lambda x: features(x).unfold(-1, 3, 2) ** 2,
    "where": lambda x: torch.where(features(x) > 0.1, features(x) ** 3, features(x).sin()),
    "where_number": lambda x: torch.where(features(x) > 0.1, features(x) ** 3, 0.5),
    "maximum": lambda x: torch.maximum(features(x), features(x).flip(-1)) ** 2,
    "minimum": lambda x: torch.minimum(features(x), LOW) ** 2,
    "fmax": lambda x: torch.fmax(features(x), features(x).flip(-1)) ** 2,
    "clamp": lambda x: features(x).clamp(-0.2, 0.4) ** 2,
    "clamp_tensor": lambda x: torch.clamp(features(x), LOW, HIGH) ** 2,
    "clamp_by_x": lambda x: torch.clamp(features(x), max=x[..., :1]) ** 2,
    "clamp_min": lambda x: features(x).clamp(min=0.0) ** 2,
    "sort": lambda x: features(x).sort(-1, descending=True).values * torch.arange(6) ** 2 * features(x),
    "topk": lambda x: features(x).topk(3).values ** 2,
    "argmax_one_hot": lambda x: F.one_hot(features(x).argmax(-1), 6) * features(x) ** 2,
    "detach": lambda x: features(x).detach() * features(x),
    # products
    "matmul_of_x": lambda x: table(x) @ matrix(x),
    "matmul_vector": lambda x: (matrix(x) @ x[..., None]).squeeze(-1),
    "constant_matmul_left": lambda x: MIXED[:, :2] @ table(x),
    "einsum": lambda x: torch.einsum("ni,oij,nj->no", features(x), THIRD, features(x)),
    "einsum_of_x": lambda x: torch.einsum("nij,njk,nk->ni", table(x), matrix(x), x),
    "bmm": lambda x: torch.bmm(matrix(x), matrix(x).mT),
    "outer": lambda x: torch.vmap(torch.outer)(x.sin(), features(x)),
    "dot": lambda x: torch.vmap(torch.dot)(x.sin(), x),
    "inner": lambda x: torch.inner(features(x), ROWS) ** 2,
    "baddbmm": lambda x: torch.baddbmm(table(x), table(x), matrix(x), beta=0.5, alpha=2),
    "addmm": lambda x: torch.addmm(MIXED[0], features(x) ** 2, MIXED, beta=2, alpha=0.5),
    "kron": lambda x: torch.vmap(torch.kron)(x.sin(), x),
    "cross": lambda x: torch.linalg.cross(x.sin(), x.cos()),
    "tensordot": lambda x: torch.tensordot(features(x) ** 2, THIRD, ([1], [1])),
    "matrix_power": lambda x: torch.linalg.matrix_power(matrix(x), 3),
    "multi_dot": lambda x: torch.chain_matmul(features(x) ** 2, MIXED, MIXED[:, :2]),
    "conv1d": lambda x: F.conv1d(features(x)[:, None], ROWS[:2, None, :3], padding=1).tanh(),
    "conv2d": lambda x: CONVOLUTION(table(x)[:, None]),
    "conv_transpose": lambda x: TRANSPOSED(table(x)).sin(),
    "conv_with_weight_of_x": lambda x: F.conv1d(features(x)[None], x[:, None], padding=1, groups=x.shape[0])[0],
    "avg_pool": lambda x: F.avg_pool1d(features(x)[:, None], 2)[:, 0] ** 2,
    "max_pool": lambda x: F.max_pool1d(features(x)[:, None], 2)[:, 0] ** 2,
    "adaptive_pool": lambda x: F.adaptive_avg_pool1d(features(x)[:, None], 2)[:, 0] ** 2,
    "interpolate": lambda x: F.interpolate(features(x)[:, None], size=9, mode="linear")[:, 0] ** 2,
    "pixel_shuffle": lambda x: F.pixel_shuffle(features(x)[:, :4, None, None] ** 2, 2),
    # linear algebra
    "det": lambda x: torch.linalg.det(matrix(x)),
    "slogdet": lambda x: torch.linalg.slogdet(matrix(x) - 6 * torch.eye(3, dtype=x.dtype))[1],
    "logdet": lambda x: torch.logdet(matrix(x) @ matrix(x).mT),
    "inverse": lambda x: torch.linalg.inv(matrix(x)),
    "solve": lambda x: torch.linalg.solve(matrix(x), x.sin()),
    "solve_constant_matrix": lambda x: torch.linalg.solve(MIXED + 3 * torch.eye(6), features(x)[..., None] ** 2),
    "solve_right": lambda x: torch.linalg.solve(matrix(x), table(x), left=False),
    "cholesky": lambda x: torch.linalg.cholesky(matrix(x) @ matrix(x).mT + torch.eye(3, dtype=x.dtype)),
    "solve_triangular": lambda x: torch.linalg.solve_triangular(matrix(x).tril(), table(x).mT, upper=False),
    "vander": lambda x: torch.linalg.vander(x.sin(), N=4),
    # shapes, types, constants
    "output_without_axis": lambda x: x.sin().sum(-1),
    "output_of_three_axes": lambda x: torch.einsum("ni,nj,nk->nijk", x, x.sin(), x.cos()),
    "empty_output": lambda x: features(x)[:, :0],
    "integers": integers,
    "linear_in_x": lambda x: 2 * x - 1,
    "identity": lambda x: x,
    "constant": lambda x: torch.ones(x.shape[0], 2, dtype=x.dtype),
    "constant_beside_x": lambda x: torch.stack([torch.ones_like(x[:, 0]), x[:, 0] ** 2], -1),
    "zero_times_x": lambda x: 0 * features(x),
    "comparison_as_number": lambda x: (features(x) > 0).to(x.dtype) * features(x) ** 2,
    "of_float": lambda x: features(x).to(torch.float64).double().type_as(x) ** 2,
}
