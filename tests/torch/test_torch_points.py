"""Jets where rules are easily wrong: at zeros, ties, bounds and infinities, and near the ends of a type's range.

True derivatives come from mpmath, by differences of values of high precision; conventions at points where a function is
not smooth are PyTorch's, of first order.
"""

import math

import mpmath as mp
import pytest
import torch
from torch.nn import functional as F

from jetbench.errors import Unsupported
from torch_truth import D64, assert_true, jets, true

INF = math.inf


def row(*columns):
    return torch.cat(columns, -1)


def constant(y, value):
    return torch.full_like(y, value)


def mp_norm(p, *entries):
    return sum(abs(e) ** p for e in entries) ** (mp.mpf(1) / p)


SMOOTH = {
    # casts
    "cast_to_complex": (lambda y: (y.to(torch.complex128) * (1 + 2j)).abs() ** 2, lambda t: 5 * t**2, (0.5, 0.0)),
    "cast_by_type_as": (
        lambda y: (y.type_as(torch.zeros(1, dtype=torch.complex64)) ** 3).real.to(D64),
        lambda t: t**3,
        (0.5,),
    ),
    "complex_cast_back": (lambda y: torch.exp(1j * y).to(D64), mp.cos, (0.3,)),
    # decompositions made for values
    "xlogy": (lambda y: torch.xlogy(y, y + 2), lambda t: t * mp.log(t + 2), (0.0, 0.7)),
    "xlogy_constant": (lambda y: torch.xlogy(torch.zeros_like(y), y), lambda t: mp.mpf(0), (0.0, 0.4)),
    "xlogy_of_number": (
        lambda y: torch.xlogy(2.0, y) + torch.xlogy(y, 3.0),
        lambda t: 2 * mp.log(t) + t * mp.log(3),
        (0.4,),
    ),
    "xlog1py": (lambda y: torch.special.xlog1py(y, 2 * y), lambda t: t * mp.log1p(2 * t), (0.0, 0.7)),
    "entr": (torch.special.entr, lambda t: -t * mp.log(t), (0.3, 2.0)),
    "smooth_l1": (lambda y: F.smooth_l1_loss(y, 0 * y, reduction="none", beta=0.5), lambda t: t**2, (0.0, 0.3, -0.4)),
    "huber": (lambda y: F.huber_loss(y, 0 * y.detach(), reduction="none", delta=2.0), lambda t: t**2 / 2, (0.0, 1.5)),
    "huber_beyond": (
        lambda y: F.huber_loss(y, 0 * y, reduction="none", delta=0.5),
        lambda t: abs(t) / 2 - 0.125,
        (1.5, -3.0),
    ),
    "soft_margin": (
        lambda y: F.soft_margin_loss(y, -torch.ones_like(y), reduction="none"),
        lambda t: t + mp.log1p(mp.exp(-t)),
        (0.0, 800.0),
    ),
    "logaddexp_at_a_tie": (lambda y: torch.logaddexp(y, -y), lambda t: mp.log(2 * mp.cosh(t)), (0.0, 0.3, 500.0)),
    "logaddexp2_at_a_tie": (lambda y: torch.logaddexp2(y, -y), lambda t: mp.log(2**t + 2**-t, 2), (0.0, 0.3)),
    "mse": (lambda y: F.mse_loss(y, torch.ones_like(y), reduction="none"), lambda t: (t - 1) ** 2, (1.0,)),
    "bce_with_logits": (
        lambda y: F.binary_cross_entropy_with_logits(y, 0.3 * torch.ones_like(y), reduction="none"),
        lambda t: 0.7 * t + mp.log1p(mp.exp(-t)) if t > -40 else -0.3 * t + mp.exp(t),
        (0.0, 300.0, -300.0),
    ),
    "poisson": (
        lambda y: F.poisson_nll_loss(y, torch.ones_like(y), reduction="none"),
        lambda t: mp.exp(t) - t,
        (0.0, 1.0),
    ),
    "kl_div": (
        lambda y: F.kl_div(y, y * y + 1, reduction="none"),
        lambda t: (t * t + 1) * (mp.log(t * t + 1) - t),
        (0.0, 1.0),
    ),
    "lerp": (lambda y: torch.lerp(y**2, y, y), lambda t: t**2 + t * (t - t**2), (0.5, 0.0)),
    "logit": (torch.logit, lambda t: mp.log(t / (1 - t)), (0.5, 1e-3)),
    "mish": (F.mish, lambda t: t * mp.tanh(mp.log1p(mp.exp(t))), (0.0, -1.0, 25.0, -30.0)),
    "celu": (lambda y: F.celu(y, 0.7), lambda t: t if t > 0 else 0.7 * mp.expm1(t / 0.7), (500.0, -0.3, -900.0)),
    "frac": (lambda y: torch.frac(y) ** 3, lambda t: (t - 2) ** 3, (2.5, 2.0)),
    "nan_to_num": (lambda y: torch.nan_to_num(y**3), lambda t: t**3, (0.5,)),
    "copysign": (lambda y: torch.copysign(y**3, constant(y, -1.0)), lambda t: -abs(t**3), (0.5, -0.5)),
    "ldexp": (lambda y: torch.ldexp(y**2, torch.tensor(3)), lambda t: 8 * t**2, (0.0, 0.5)),
    # norms and other roots at 0, to even powers
    "gauss_of_norm": (
        lambda y: torch.exp(-(torch.linalg.vector_norm(y, dim=-1, keepdim=True) ** 2)),
        lambda t: mp.exp(-(t**2)),
        (0.0, 0.5),
    ),
    **{
        f"{name}_of_norm": (lambda y, f=f: f(2 * row(y, y).norm(dim=-1)), lambda t, g=g: g(mp.sqrt(8) * t), (0.0, 0.5))
        for name, f, g in (
            ("cos", torch.cos, mp.cos),
            ("cosh", torch.cosh, mp.cosh),
            ("sinc", torch.sinc, mp.sincpi),
            ("bessel", torch.special.bessel_j0, lambda t: mp.besselj(0, t)),
        )
    },
    "cos_of_modulus": (lambda y: torch.cos(y.abs()), mp.cos, (0.0, -0.5)),
    "cos_of_sqrt": (
        lambda y: torch.cos(torch.sqrt(y)),
        lambda t: mp.cos(mp.sqrt(t)) if t >= 0 else mp.cosh(mp.sqrt(-t)),
        (0.0, 0.5),
    ),
    "norm_squared_by_product": (
        lambda y: (n := torch.linalg.vector_norm(row(y, 2 * y), dim=-1)) * n,
        lambda t: 5 * t**2,
        (0.0, 0.5),
    ),
    "norm_squared_moved": (
        lambda y: (
            (torch.linalg.vector_norm(row(y, 2 * y), dim=-1)[:, None, None] / 3)
            .expand(-1, 1, 2)
            .transpose(1, 2)[:, 0]
            .square()
        ),
        lambda t: 5 * t**2 / 9,
        (0.0, 0.5),
    ),
    "norm_with_widths": (
        lambda y: (
            (torch.linalg.vector_norm(row(y, 2 * y), dim=-1, keepdim=True) * torch.tensor([1.0, -2.0], dtype=D64)) ** 4
        ).sum(-1),
        lambda t: 17 * 25 * t**4,
        (0.0, 0.5),
    ),
    "inverse_quadric": (
        lambda y: (1 + torch.linalg.norm(row(y, y**2), dim=-1) ** 2) ** -1,
        lambda t: 1 / (1 + t**2 + t**4),
        (0.0, 0.5),
    ),
    "norm_3_cubed": (
        lambda y: torch.linalg.vector_norm(row(y, y + 1), 3, -1) ** 3,
        lambda t: t**3 + (t + 1) ** 3,
        (0.5,),
    ),
    "sqrt_squared": (lambda y: torch.sqrt(y) ** 2, lambda t: t, (0.0, 0.5)),
    "rsqrt_squared": (lambda y: torch.rsqrt(y) ** 2, lambda t: 1 / t, (0.5,)),
    "hypot_squared": (lambda y: torch.hypot(y, 2 * y) ** 2, lambda t: 5 * t**2, (0.0, 0.5)),
    "modulus_squared": (lambda y: torch.complex(y, 2 * y).abs() ** 2, lambda t: 5 * t**2, (0.0, 0.5)),
    "abs_squared": (lambda y: y.abs() ** 2 + y.abs().square(), lambda t: 2 * t**2, (0.0, -0.5)),
    "std_squared": (lambda y: row(y, -y, 2 * y).std(-1) ** 2, lambda t: mp.mpf(7) / 3 * t**2, (0.0, 0.5)),
    # vector norms of every order
    **{
        f"norm_{p}": (
            lambda y, p=p: torch.linalg.vector_norm(row(y, y + 2), p, -1),
            lambda t, p=p: mp_norm(p, t, t + 2),
            (1.0, -0.7),
        )
        for p in (0.5, 1.5, 2, 3, 4, -1, -2.5)
    },
    "norm_least": (lambda y: torch.linalg.vector_norm(row(y, y + 2), -INF, -1), lambda t: abs(t), (1.0, -0.7)),
    "norm_largest": (
        lambda y: torch.linalg.vector_norm(row(y, y + 2) ** 2, INF, -1),
        lambda t: (t + 2) ** 2,
        (1.0, -0.7),
    ),
    "norm_count": (lambda y: torch.linalg.vector_norm(row(y, y + 2), 0, -1) * y, lambda t: 2 * t, (1.0,)),
    "normalize_at_zero": (lambda y: F.normalize(row(y, 0 * y), dim=-1)[:, :1], lambda t: t / 1e-12, (0.0,)),
    # running and masked sums of exponentials
    "logcumsumexp": (lambda y: torch.logcumsumexp(row(y - 1000, y, 2 * y), -1)[:, 0], lambda t: t - 1000, (0.3,)),
    "logcumsumexp_last": (
        lambda y: torch.logcumsumexp(row(y - 1000, y, 2 * y, y + 900, -y), -1)[:, 2],
        lambda t: mp.log(mp.exp(t) + mp.exp(2 * t)),
        (0.3, 0.0),
    ),
    "logsumexp_padded": (
        lambda y: torch.logsumexp(row(y, 2 * y, constant(y, -INF)), -1),
        lambda t: mp.log(mp.exp(t) + mp.exp(2 * t)),
        (0.0, 0.5),
    ),
    "logsumexp_all_masked": (
        lambda y: torch.logsumexp(row(y, y).masked_fill(y > -9, -INF), -1).exp(),
        lambda t: mp.mpf(0),
        (0.5,),
    ),
    "softmax_masked": (
        lambda y: torch.softmax(row(y, 2 * y, constant(y, -INF)), -1)[:, 0],
        lambda t: 1 / (1 + mp.exp(t)),
        (0.0, 0.5),
    ),
    "attention_fully_masked": (
        lambda y: F.scaled_dot_product_attention(
            *[row(y, y)[:, :, None]] * 3, attn_mask=torch.tensor([[True, True], [False, False]])
        )[:, 1, 0],
        lambda t: mp.mpf(0),
        (0.5,),
    ),
    "log_of_tiny": (lambda y: torch.log(torch.exp(y - 600)), lambda t: t - 600, (1.0, 0.0)),
    "sqrt_of_tiny": (lambda y: torch.sqrt(1e-300 * y**4), lambda t: 1e-150 * t**2 * 1e0, (1.0,)),
    "quotient_of_huge": (lambda y: (1e200 * y) / (1e200 * (y + 1)), lambda t: t / (t + 1), (1.0, 0.0)),
    "quotient_of_tiny": (lambda y: (1e-200 * y) / (1e-200 * (y + 1)), lambda t: t / (t + 1), (1.0, 0.0)),
    "power_of_huge": (lambda y: (1e200 * y) ** 0.5 * (1e200 * y) ** -0.5 * y, lambda t: t, (1.0,)),
    # whole powers at 0
    "powers_at_zero": (lambda y: y**0 + y**1 + y**2.0 + y**3 + y**4.0, lambda t: t + t**2 + t**3 + t**4, (0.0,)),
    "tensor_powers": (
        lambda y: (y ** torch.arange(5)).sum(-1) + (y ** torch.arange(5.0).double()).sum(-1),
        lambda t: 2 * (1 + t + t**2 + t**3 + t**4),
        (0.0, -0.5),
    ),
    "power_of_zero": (lambda y: torch.zeros(1, dtype=D64) ** (y + 1) + 0 * y, lambda t: mp.mpf(0), (0.5,)),
    "power_of_jets": (lambda y: (y + 1) ** (y * y), lambda t: (t + 1) ** (t * t), (0.5, 0.0)),
    "float_power": (lambda y: torch.float_power(y, 3), lambda t: t**3, (0.0, -0.5)),
    # products with zeros
    "prod": (lambda y: row(y, 2 * y, y + 1, y**2).prod(-1), lambda t: 2 * t**4 * (t + 1), (0.0, 0.5)),
    "cumprod": (lambda y: row(y, 2 * y, y + 1, y).cumprod(-1)[:, 3], lambda t: 2 * t**3 * (t + 1), (0.0, 0.5)),
    "prod_in_other_type": (lambda y: row(y, y).float().prod(-1, dtype=D64), lambda t: t * t, (0.5,)),
    # bounds, far from which nothing may overflow
    **{
        name: (f, g, points)
        for name, f, g, points in (
            ("tanh", torch.tanh, mp.tanh, (0.0, 30.0, -400.0)),
            ("sigmoid", torch.sigmoid, lambda t: 1 / (1 + mp.exp(-t)), (0.0, 30.0, -800.0, 800.0)),
            ("silu", F.silu, lambda t: t / (1 + mp.exp(-t)), (0.0, -30.0, -800.0, 800.0)),
            ("gelu", F.gelu, lambda t: t * mp.ncdf(t), (0.0, -30.0, 50.0, -1e3)),
            (
                "gelu_tanh",
                lambda y: F.gelu(y, approximate="tanh"),
                lambda t: t * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (t + 0.044715 * t**3))) / 2,
                (0.0, 1.0, -30.0, 1e3, -1e3),
            ),
            ("softplus", F.softplus, lambda t: mp.log1p(mp.exp(t)) if t < 100 else t, (0.0, -30.0, 19.0, 500.0)),
            ("logsigmoid", F.logsigmoid, lambda t: -mp.log1p(mp.exp(-t)), (0.0, 30.0, -600.0, 600.0)),
            ("elu", F.elu, lambda t: t if t > 0 else mp.expm1(t), (800.0, -0.5, -800.0)),
            ("atan", torch.atan, mp.atan, (0.0, 1.0, -3.0, 1e200)),
            ("asinh", torch.asinh, mp.asinh, (0.0, 1.0, -3.0, 1e200)),
            ("acosh", torch.acosh, mp.acosh, (1.1, 3.0, 1e200)),
            ("asin", torch.asin, mp.asin, (0.0, 0.5, -0.99)),
            ("acos", torch.acos, mp.acos, (0.0, 0.5)),
            ("atanh", torch.atanh, mp.atanh, (0.0, 0.5, -0.99)),
            ("log1p", torch.log1p, mp.log1p, (0.0, 1e-12, -0.75)),
            ("expm1", torch.expm1, mp.expm1, (0.0, 1e-12, -800.0)),
            ("erf", torch.erf, mp.erf, (0.0, 10.0, -40.0)),
            ("erfc", torch.erfc, mp.erfc, (0.0, 10.0)),
            ("erfinv", torch.erfinv, mp.erfinv, (0.0, 0.5)),
            ("sinc", lambda y: torch.sinc(2 * y), lambda t: mp.sincpi(2 * t), (0.0, 0.01, 0.35, 0.5, 3.0)),
            ("lgamma", torch.lgamma, lambda t: mp.log(abs(mp.gamma(t))), (0.5, 1.0, 30.0, -0.5)),
            ("digamma", torch.digamma, mp.digamma, (0.5, 1.0, -0.5)),
            ("polygamma", lambda y: torch.special.polygamma(2, y), lambda t: mp.polygamma(2, t), (0.5, 3.0)),
            ("exp2", torch.exp2, lambda t: 2**t, (0.0, -2000.0)),
            ("tan", torch.tan, mp.tan, (0.0, 1.0)),
            ("hardswish", F.hardswish, lambda t: t * (t + 3) / 6, (0.0, 2.5)),
            ("tanhshrink", F.tanhshrink, lambda t: t - mp.tanh(t), (0.0, 50.0)),
        )
    },
    # very large and small lengths
    "hypot": (lambda y: torch.hypot(y, 2 * y + 1), lambda t: mp.sqrt(t**2 + (2 * t + 1) ** 2), (0.0, 0.5)),
    "atan2": (lambda y: torch.atan2(y, y * y + 1), lambda t: mp.atan2(t, t * t + 1), (0.0, 0.5, -3.0)),
    "atan2_left": (lambda y: torch.atan2(y, constant(y, -1.0)), lambda t: mp.atan2(t, -1), (0.5, -3.0)),
    "angle": (lambda y: torch.complex(y, y * y + 1).angle(), lambda t: mp.atan2(t * t + 1, t), (0.0, 0.5)),
    "atan2_on_the_cut": (lambda y: torch.atan2(y, constant(y, -1.0)), lambda t: mp.pi - mp.atan(t), (0.0,)),
    # entries that meet in one place
    "scattered_product": (
        lambda y: (
            row(y, y + 1)
            .scatter_reduce(1, torch.tensor([[1, 1, 0]]).expand(len(y), 3), row(y, 2 * y, y**2), "prod")
            .sum(-1)
        ),
        lambda t: t**3 + 2 * t**2 * (t + 1),
        (0.0, 0.5),
    ),
    "scattered_product_without_self": (
        lambda y: (
            row(y, y + 1, y)
            .index_reduce(1, torch.tensor([1, 1, 0]), row(y, 2 * y, y**2), "prod", include_self=False)
            .sum(-1)
        ),
        lambda t: 3 * t**2 + t,
        (0.0, 0.5),
    ),
    "scattered_extremum": (
        lambda y: (
            row(y, y + 1)
            .scatter_reduce(1, torch.tensor([[1, 1, 0]]).expand(len(y), 3), row(y**2, y**3 + 4, y**3), "amax")
            .sum(-1)
            + row(y, y).index_reduce(1, torch.tensor([0, 0]), row(y**2, y**2), "amin", include_self=False).sum(-1)
        ),
        lambda t: t**3 + 4 + t + t**2 + t,
        (0.5,),
    ),
    # complex numbers where conjugates take part
    "complex_variance": (
        lambda y: row(y + 1j * y**2, 2 * y + 0j, 1j * y).var(-1),
        lambda t: (3 * (5 * t**2 + (t**2) ** 2 + t**2) - 9 * t**2 - (t**2 + t) ** 2) / 6,
        (0.0, 0.5),
    ),
    "hermitian_inverse": (
        lambda y: torch.cholesky_inverse(torch.stack([row(y + 2, 0 * y), row(y, y + 1)], 1))[:, 1, 1],
        lambda t: 1 / (t + 1) ** 2,
        (0.0, 0.5),
    ),
    "complex_power": (lambda y: ((1 + 2j) ** (y + 1j)).imag, lambda t: mp.im(mp.mpc(1, 2) ** (t + 1j)), (0.0, 0.5)),
    "complex_function": (lambda y: torch.tanh(y + 1j).imag, lambda t: mp.im(mp.tanh(t + 1j)), (0.0, 0.5)),
    # multiples
    "remainder": (lambda y: torch.remainder(y, 0.1) ** 2, lambda t: (t - mp.mpf(0.1) * 2) ** 2, (0.3, 0.25)),
    "remainder_of_x": (lambda y: torch.remainder(constant(y, 3.0), y) ** 2, lambda t: (3 - 2 * t) ** 2, (1.25, 1.5)),
    "fmod_of_x": (lambda y: torch.fmod(constant(y, -3.0), y) ** 2, lambda t: (2 * t - 3) ** 2, (1.25,)),
    # branches that are not taken
    "where_nan": (lambda y: torch.where(y > 0, y**2, torch.sqrt(y) + torch.log(y)), lambda t: t**2, (0.5,)),
    "where_of_zero": (lambda y: torch.where(y != 0, y.sin() / y, 1 - y**2 / 6 + y**4 / 120), mp.sinc, (0.0, 0.5)),
    "relu_of_infinite": (lambda y: torch.relu(torch.log(y)) + y, lambda t: t, (0.0,)),
    "clamp_of_infinite": (lambda y: torch.log(y).clamp(min=-100.0) + y, lambda t: t, (0.0,)),
    "maximum_of_infinite": (lambda y: torch.maximum(torch.log(y), y), lambda t: t, (0.0,)),
    "amax_of_infinite": (lambda y: row(torch.log(y), y).amax(-1), lambda t: t, (0.0,)),
    # ties of equal functions
    "ties": (
        lambda y: (
            row(y**2, y**2).amax(-1)
            + row(y**2, y**2).max(-1)[0]
            + torch.maximum(y**2, y**2)[:, 0]
            + row(y**2, y**2).median(-1)[0]
        ),
        lambda t: 4 * t**2,
        (0.5,),
    ),
    "sorted_ties": (
        lambda y: (
            row(y**2, y**2, y).sort(-1)[0][:, 1] + row(y**2, y**2).topk(1)[0][:, 0] + row(y**2, y**2).kthvalue(2)[0]
        ),
        lambda t: 3 * t**2,
        (2.0,),
    ),
    "median_of_all": (
        lambda y: torch.vmap(lambda r: torch.median(r) + torch.nanmedian(r))(row(y**2, y, y + 1)),
        lambda t: 2 * t,
        (0.5,),
    ),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_value(name):
    function, formula, points = SMOOTH[name]
    assert_true(jets(function, points), true(formula, points))


NAN = math.nan
EDGES = {  # function, point, derivatives of order 1, 2, … as far as given
    "abs": (torch.abs, 0.0, (0, 0)),
    "abs_cubed": (lambda y: y.abs() ** 3, 0.0, (0, 0)),
    "relu": (torch.relu, 0.0, (0, 0)),
    "leaky_relu": (lambda y: F.leaky_relu(y, 0.1), 0.0, (0.1, 0)),
    "prelu": (lambda y: F.prelu(y, torch.tensor([0.1], dtype=D64)), 0.0, (0.1, 0)),
    "relu6": (F.relu6, 6.0, (0, 0)),
    "hardtanh": (F.hardtanh, 1.0, (0, 0)),
    "clamp": (lambda y: y.clamp(-1, 1) ** 2, 1.0, (2, 2)),
    "clamp_min": (lambda y: y.clamp_min(0.0), 0.0, (1, 0)),
    "elu": (F.elu, 0.0, (1, 0)),
    "celu": (lambda y: F.celu(y, 0.5), 0.0, (1, 0)),
    "sign": (lambda y: torch.sign(y) + torch.sgn(y) + torch.floor(y) + torch.heaviside(y, y.detach()), 0.0, (0, 0)),
    "maximum": (lambda y: torch.maximum(y, 3 * y) + torch.minimum(y, 3 * y), 0.0, (4, 0)),
    "amax": (lambda y: row(y, 3 * y, -y, y - 1).amax(-1), 0.0, (1, 0)),
    "copysign": (lambda y: torch.copysign(y, y + 1), 0.0, (0, 0)),
    "frexp": (lambda y: torch.frexp(y)[0] * 2.0 ** torch.frexp(y)[1], 3.0, (1, 0)),
    "smooth_l1_as_l1": (lambda y: F.smooth_l1_loss(y, 0 * y, reduction="none", beta=0.0), 0.0, (0, 0)),
    "smooth_l1_at_the_bend": (lambda y: F.smooth_l1_loss(y, 0 * y, reduction="none"), 1.0, (1, 0)),
    "nansum": (lambda y: row(y, constant(y, NAN)).nansum(-1) ** 2, 2.0, (4, 2)),
    "sqrt": (torch.sqrt, 0.0, (INF, -INF)),
    "power_1.5": (lambda y: y**1.5, 0.0, (0, INF)),
    "power_0.5": (lambda y: y**0.5, 0.0, (INF, -INF)),
    "reciprocal": (torch.reciprocal, 0.0, (-INF, INF)),
    "log": (torch.log, 0.0, (INF, -INF)),
    "log1p": (torch.log1p, -1.0, (INF, -INF)),
    "entr": (torch.special.entr, 0.0, (INF, -INF)),
    "erfinv": (torch.erfinv, 1.0, (INF, INF)),
    "asin": (torch.asin, 1.0, (INF,)),
    "atanh": (torch.atanh, 1.0, (INF,)),
    "y_log_y": (lambda y: torch.xlogy(y, y), 0.0, (NAN,)),
    "norm": (lambda y: torch.linalg.vector_norm(row(y, 2 * y), dim=-1), 0.0, (NAN, NAN)),
    "root_of_squares": (lambda y: torch.sqrt(y**2), 0.0, (NAN, NAN)),
    "sqrt_of_negative": (lambda y: torch.sqrt(y) ** 2, -1.0, (NAN,)),
    "std": (lambda y: row(y, y).std(-1), 0.5, (NAN, NAN)),
    "var_of_one": (lambda y: y.var(-1), 0.5, (NAN, NAN)),
    "hypot": (lambda y: torch.hypot(y, 2 * y), 0.0, (NAN, NAN)),
    "atan2": (lambda y: torch.atan2(y, 2 * y), 0.0, (NAN, NAN)),
    "modulus": (lambda y: torch.complex(y, 2 * y).abs(), 0.0, (NAN, NAN)),
    "softmax_fully_masked": (lambda y: torch.softmax(row(y, y).masked_fill(y > -9, -INF), -1)[:, 0], 0.0, (NAN,)),
    "tanh_at_infinity": (torch.tanh, INF, (0, 0)),
    "sigmoid_at_infinity": (torch.sigmoid, -INF, (0, 0)),
    "atan_at_infinity": (torch.atan, -INF, (0, 0)),
    "asinh_at_infinity": (torch.asinh, INF, (0, 0)),
    "sqrt_at_infinity": (torch.sqrt, INF, (0, 0)),
    "log_at_infinity": (torch.log, INF, (0, 0)),
    "inverse_at_infinity": (lambda y: 1 / y, -INF, (0, 0)),
    "exp_at_infinity": (torch.exp, -INF, (0, 0)),
    "erf_at_infinity": (torch.erf, INF, (0, 0)),
    "softplus_at_infinity": (F.softplus, -INF, (0, 0)),
}


@pytest.mark.parametrize("method", ["taylor", "collapsed"])
@pytest.mark.parametrize("name", EDGES)
def test_edge(name, method):
    function, point, expected = EDGES[name]
    orders = tuple(range(1, len(expected) + 1))
    found = jets(function, (point,), orders, method=method)[0].tolist()
    assert found == pytest.approx(expected, nan_ok=True), (found, expected)


def scaled(function, size):
    return lambda y: function(y, size) / size


LENGTHS = {  # homogeneous functions of (y, size), and their slope at y = size
    "hypot": (lambda y, size: torch.hypot(y, 2 * y), math.sqrt(5)),
    "hypot_of_constant": (lambda y, size: torch.hypot(y, constant(y, size)), math.sqrt(0.5)),
    "atan2": (lambda y, size: torch.atan2(y, constant(y, size)) * size, 0.5),
    "atan2_of_constant": (lambda y, size: torch.atan2(constant(y, size), -y) * size, 0.5),
    "norm": (lambda y, size: torch.linalg.vector_norm(row(y, 2 * y), dim=-1), math.sqrt(5)),
    "norm_3": (lambda y, size: torch.linalg.vector_norm(row(y, y), 3, -1), 2 ** (1 / 3)),
    "modulus": (lambda y, size: torch.complex(y.float(), 2 * y.float()).abs(), math.sqrt(5)),
    "quotient": (lambda y, size: size * (y / (y + size)), 0.25),
    "logarithm": (lambda y, size: size * torch.log(y), 1.0),
}


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize(
    ("size", "dtype"),
    [(1e200, D64), (1e-200, D64), (1e25, torch.float32), (1e-25, torch.float32), (1024.0, torch.float16)],
)
def test_lengths_near_the_ends_of_the_range(size, dtype, name):
    function, slope = LENGTHS[name]
    if name == "modulus" and dtype == D64:
        size = 1e25 if size > 1 else 1e-25
    found = jets(lambda y: function(y, size), (size,), (1,), dtype)
    assert found.item() == pytest.approx(
        slope, rel=1e-9 if dtype == D64 and name != "modulus" else 1e-5 if dtype != torch.float16 else 4e-3
    )


def test_a_length_near_the_ends_of_the_range_has_a_second_derivative():
    """hypot(y, s)'' = s²/r³; atan2(y, s)'' = −2sy/r⁴."""
    size = 1e-100
    found = jets(lambda y: torch.hypot(y, constant(y, size)), (size,), (2,))
    assert found.item() == pytest.approx(size**2 / (math.sqrt(2) * size) ** 3)
    found = jets(lambda y: torch.atan2(y, constant(y, size)), (size,), (2,))
    assert found.item() == pytest.approx(-0.5 / size**2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    "function",
    [
        *(torch.tanh, torch.sigmoid, torch.atan, torch.erf, F.softplus, F.mish, F.elu, F.logsigmoid, F.hardswish),
        *(F.silu, F.gelu, lambda y: F.gelu(y, approximate="tanh"), F.softsign, F.tanhshrink),
    ],
)
def test_activations_are_straight_lines_far_from_zero(function, dtype):
    """At ±60,000, in types whose squares overflow there."""
    found = jets(function, (6e4, -6e4), dtype=dtype).double()
    assert found.isfinite().all()
    assert (found[:, 1:].abs() < 1e-3).all()
    slopes = (found[:, 0] - torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=D64)).abs().amax(-1)
    assert slopes.min() < 1e-3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_normalization_squares_in_single_precision(dtype):
    def normalized(y):
        entries = row(y, 2 * y, constant(y, 400.0))
        return F.layer_norm(entries, (3,))[:, 0] + entries.std(-1) / 400

    found, expected = jets(normalized, (512.0,), (1,), dtype), jets(normalized, (512.0,), (1,))
    assert found.item() == pytest.approx(expected.item(), rel=0.02)


def test_bits_taken_for_another_type_are_refused():
    with pytest.raises(Unsupported, match="view_as_complex"):
        jets(lambda y: row(y, y).view(torch.complex128).view(D64), (0.5,))
