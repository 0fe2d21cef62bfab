"""Nested methods against interpolated plain values, in which no derivative rule takes part.

Every formula of `jetbench.torch.corrected` is run through both methods, and with a gradient.
"""

import math
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import library
from torch.nn import functional as F

from coverage_table.interpolation import CENTRED
from jetbench.errors import Unsupported
from jetbench.operators.problem import as_operator
from jetbench.operators.symbol import variables
from jetbench.torch import linear_operator, trusted
from jetbench.torch.corrected import FORMULAS
from jetbench.torch.corrected.formulas import formula
from jetbench.torch.corrected.network import _operations
from jetbench.torch.reference import evaluate
from torch_cases import sine

D64 = torch.float64
(T,) = variables(1)
METHODS = ("nested", "nested_reverse")
aten = torch.ops.aten


def three(y):
    """(N, 3)"""
    return torch.cat([y, y**2 + 0.3, torch.sin(2 * y)], -1)


def square(y):
    """(N, 3, 3), not symmetric, far from singular"""
    return three(y)[:, :, None] * torch.cos(three(y))[:, None] + 3 * torch.eye(3, dtype=y.dtype)


def gram(y):
    return square(y) @ square(y).mT


def lower(y):
    return square(y).tril()


def scattered(y, **options):
    place = torch.tensor([[2, 0, 2]])
    return torch.full((len(y), 4), 1.5, dtype=y.dtype).scatter_reduce(1, place, three(y), "prod", **options)


def with_zeros(y):
    """(N, 4): its second and third entries vanish at 1/2"""
    return torch.cat([y + 1, y - 0.5, y**2 - 0.25, torch.exp(y)], -1)


CHANNELS = torch.tensor([0.5, -1.0, 2.0], dtype=D64), torch.tensor([0.3, 0.9, 1.4], dtype=D64)
SPECIAL = torch.special
POLYNOMIALS = [f"{shifted}chebyshev_polynomial_{kind}" for shifted in ("", "shifted_") for kind in "tuvw"]
POLYNOMIALS += ["legendre_polynomial_p", "laguerre_polynomial_l", "hermite_polynomial_h", "hermite_polynomial_he"]
CASES = {
    "native_layer_norm": lambda y: torch.native_layer_norm(three(y), [3], CHANNELS[0], None, 0.25)[0],
    "layer_norm": lambda y: F.layer_norm(three(y), (3,), *CHANNELS),
    "rms_norm": lambda y: F.rms_norm(three(y), (3,), CHANNELS[0]),
    "group_norm": lambda y: F.group_norm(torch.cat([three(y), three(2 * y)], -1)[..., None], 2, eps=1.0),
    "instance_norm": lambda y: F.instance_norm(torch.stack([three(y), three(y).exp()], 1)),
    "batch_norm": lambda y: F.batch_norm(three(y), *CHANNELS, CHANNELS[1]),
    "batch_norm_in_evaluation": lambda y: aten._native_batch_norm_legit_no_training(
        three(y), *CHANNELS, CHANNELS[0], CHANNELS[1], 0.1, 0.5
    )[0],
    "batch_norm_of_batch": lambda y: F.batch_norm(three(y)[0, :, None], None, None, training=True, eps=0.5),
    "weight_norm": lambda y: torch._weight_norm(square(y)[0], three(y).mT, 0),
    "glu": lambda y: F.glu(torch.cat([three(y), y], -1)),
    "silu": lambda y: F.silu(3 * y),
    "celu": lambda y: F.celu(y - 3, 0.7),
    "hardsigmoid": lambda y: F.hardsigmoid(y) ** 3,
    "det": lambda y: torch.linalg.det(square(y)),
    "slogdet": lambda y: torch.linalg.slogdet(square(y) - 6 * torch.eye(3, dtype=D64))[1],
    "solve": lambda y: torch.linalg.solve(square(y), three(y)[..., None]),
    "solve_right": lambda y: torch.linalg.solve(square(y), three(y)[:, None], left=False),
    "householder_product": lambda y: torch.linalg.householder_product(square(y)[..., :2], three(y)[:, :2]),
    "cholesky_of_old": lambda y: torch.cholesky(gram(y)),
    "cholesky_inverse": lambda y: torch.cholesky_inverse(lower(y)),
    "cholesky_solve": lambda y: torch.cholesky_solve(three(y)[..., None], lower(y).mT, upper=True),
    "solve_triangular": lambda y: torch.linalg.solve_triangular(square(y), square(y), upper=True, unitriangular=True),
    "triangular_solve": lambda y: torch.triangular_solve(three(y)[..., None], square(y), transpose=True)[0],
    "vector_norm": lambda y: torch.linalg.vector_norm(three(y), dim=-1),
    "vector_norm_3": lambda y: torch.linalg.vector_norm(three(y), 3, dim=-1),
    "vector_norm_4": lambda y: torch.linalg.vector_norm(three(y), 4, dim=-1),
    "vector_norm_1": lambda y: torch.linalg.vector_norm(three(y), 1, dim=-1),
    "vector_norm_infinity": lambda y: torch.linalg.vector_norm(three(y), -math.inf, dim=-1) ** 3,
    "matrix_norm": lambda y: torch.linalg.matrix_norm(square(y)),
    "norm": lambda y: aten.norm.Scalar(three(y)) + aten.norm.ScalarOpt_dim(three(y), None, [-1], True),
    "norm_of_type": lambda y: (
        aten.norm.ScalarOpt_dtype(three(y), 3, dtype=D64)
        * aten.norm.ScalarOpt_dim_dtype(three(y), 2, [-1], False, dtype=D64)
    ),
    "complex_norm": lambda y: torch.linalg.vector_norm(torch.complex(three(y), y**3), dim=-1),
    "normalize": lambda y: F.normalize(three(y), dim=-1),
    "cosine_similarity": lambda y: F.cosine_similarity(three(y), CHANNELS[0], dim=-1),
    "dist": lambda y: torch.dist(three(y), CHANNELS[0] + 3, 3),
    "cdist": lambda y: torch.cdist(three(y)[:, None], CHANNELS[1][None, None] - 3, 3),
    "euclidean_dist": lambda y: torch.cdist(
        three(y)[:, None], torch.stack(CHANNELS)[None], compute_mode="use_mm_for_euclid_dist"
    ),
    "pdist": lambda y: torch.pdist(square(y)[0]),
    "renorm": lambda y: torch.renorm(torch.cat([three(y), 9 * three(y)]), 2, 0, 1.5),
    "var": lambda y: torch.var(three(y), -1),
    "std": lambda y: torch.std(square(y), (1, 2), correction=0),
    "var_mean": lambda y: torch.cat(torch.var_mean(three(y), -1)),
    "std_mean": lambda y: torch.cat(torch.std_mean(three(y), -1, keepdim=True)),
    "prod": lambda y: with_zeros(y).prod(-1) + square(y).prod(),
    "prod_of_rows": lambda y: square(y).prod(1, keepdim=True),
    "cumprod": lambda y: torch.cumprod(with_zeros(y), -1),
    "logcumsumexp": lambda y: torch.logcumsumexp(torch.cat([900 * y, 30 * y, -30 * y, 900 * y + y**2], -1), -1) / 900,
    "scatter_reduce": scattered,
    "scatter_reduce_others": lambda y: scattered(y, include_self=False),
    "index_reduce": lambda y: torch.ones(3, dtype=D64).index_reduce(0, torch.tensor([1, 1, 2]), three(y)[0], "prod"),
    "atan2": lambda y: torch.atan2(three(y), y + 1),
    "hypot": lambda y: torch.hypot(three(y), y + 1),
    "logaddexp": lambda y: torch.logaddexp(three(y), -y) + torch.logaddexp2(three(y), 2 * y),
    "sinc": lambda y: torch.sinc(3 * (y - 0.5)) + torch.sinc(y),
    "slice_scatter": lambda y: aten.slice_scatter(square(y), three(y)[:, None], 1, 2, 2**63 - 1) ** 2,
    "select_scatter": lambda y: aten.select_scatter(square(y), three(y), 1, -2) ** 2,
    "index_fill": lambda y: square(y).index_fill(1, torch.tensor([0, 2]), y[0, 0] ** 3) ** 2,
    "copy": lambda y: aten.copy(square(y), three(y)[:, None]) * three(y),
    "conjugate": lambda y: (torch.complex(three(y), y**3).conj() * torch.complex(y, y.exp())).imag,
    "polar": lambda y: torch.view_as_real(torch.polar(y - 0.5, 3 * y)),
    "spherical_bessel": lambda y: SPECIAL.spherical_bessel_j0(4 * y) + SPECIAL.spherical_bessel_j0(y - 0.5),
    **{
        name.format(n): lambda y, name=name, n=n: getattr(SPECIAL, name.format(n))(torch.cat([y, 5 * y], -1))
        for n in (0, 1)
        for name in ("bessel_j{}", "bessel_y{}", "modified_bessel_i{}", "modified_bessel_k{}", "i{}", "i{}e")
    },
    "scaled_bessel_0": lambda y: SPECIAL.scaled_modified_bessel_k0(torch.cat([y, 5 * y], -1)),
    "scaled_bessel_1": lambda y: SPECIAL.scaled_modified_bessel_k1(torch.cat([y, 5 * y], -1)),
    "bessel_at_0": lambda y: SPECIAL.bessel_j1(y - 0.5) + SPECIAL.i1(y - 0.5) + SPECIAL.i0(y - 0.5),
    **{name: lambda y, name=name: getattr(SPECIAL, name)(0.9 * y, 4) for name in POLYNOMIALS},
    "degrees": lambda y: SPECIAL.hermite_polynomial_he(y, torch.tensor([0, 1, 3, 5])),
}
RIGHT = {
    "tanh": torch.tanh,
    "product": lambda y: three(y) @ square(y),
    "softmax": lambda y: torch.softmax(5 * three(y), -1),
    "cholesky": lambda y: torch.linalg.cholesky(gram(y)),
    "inverse": lambda y: torch.linalg.inv(square(y)),
    "logsumexp": lambda y: torch.logsumexp(three(y), -1),
    "erf": lambda y: torch.erf(y) * torch.lgamma(y + 1),
    "convolution": lambda y: F.conv1d(three(y)[:, None], square(y)[0, :, None]),
    "softplus": lambda y: F.softplus(three(y), beta=2.0) * F.mish(y) + F.gelu(y),
    "gather": lambda y: three(y).gather(-1, torch.tensor([[2, 0]])) ** torch.arange(1, 3),
    "complex": lambda y: torch.fft.fft(three(y) ** 2).abs(),
    "xlogy": lambda y: torch.xlogy(y - 0.5, y + 1) + torch.special.entr(y),
    "clamp": lambda y: torch.clamp(three(y), CHANNELS[0] - 1.0, CHANNELS[1]) ** 2 + y.floor(),
    "attention": lambda y: F.scaled_dot_product_attention(*[square(k * y)[:, None] for k in (1, 2, 3)]),
}


def flat(f):
    """(N, 1) → (N, 2): two sums of its entries with different weights."""

    def function(y):
        entries = f(y).reshape(1, -1)
        k = torch.arange(entries.shape[1], dtype=D64)
        return torch.stack([(entries * k.cos()).sum(-1), (entries * (1 + k).sin()).sum(-1)], -1)

    return function


def truth(f, point):
    """d^k/dt^k f for k = 0 … 4 and errors, (5, 2)"""
    points = [torch.full((1, 1), point + t, dtype=D64) for t in CENTRED.steps]
    with torch.no_grad():
        return CENTRED.derivatives(torch.cat([f(x) for x in points]).numpy())


@cache
def truth_of(name):
    return truth(flat((CASES | RIGHT)[name]), 0.5)


@pytest.mark.parametrize("name", [*CASES, *RIGHT])
def test_derivatives(name):
    """To fourth order through norms and what is made of them, whose derivatives PyTorch cannot nest, and products."""
    f, (values, errors) = flat((CASES | RIGHT)[name]), truth_of(name)
    x = torch.tensor([[0.5]], dtype=D64)
    highest = 4 if any(word in name for word in ("norm", "std", "dist", "cosine", "prod", "tanh")) else 3
    for k, method in ((2, "nested_reverse"), (highest, "nested")):
        found = linear_operator(f, T**k, method)(x).numpy()
        assert abs(found - values[k]).max() <= 2e-7 * abs(values[k]).max() + 4 * errors[k].max(), (method, k)
    assert errors[:4].max() < 1e-4 * max(1, abs(values[:4]).max())


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_derivatives(name):
    """∂_s ∂_t f(st) at s = 1 is f′ + t f″."""
    f, (values, errors) = flat(CASES[name]), truth_of(name)
    scale = torch.ones((), dtype=D64, requires_grad=True)
    y = linear_operator(lambda x: f(scale * x), T, "nested")(torch.tensor([[0.5]], dtype=D64))
    (found,) = torch.autograd.grad(y.sum(), scale)
    true = (values[1] + 0.5 * values[2]).sum()
    assert abs(found.item() - true) <= 1e-6 * max(1, abs(true)) + 4 * errors[:3].max()


@pytest.mark.parametrize("size", [1e200, 1e-200])
@pytest.mark.parametrize("method", METHODS)
def test_numbers_at_the_ends_of_the_range(method, size):
    x = torch.tensor([[size]], dtype=D64)

    def derivative(f, order=1):
        return linear_operator(f, T**order, method)(x).item()

    assert derivative(lambda y: torch.atan2(y, torch.full_like(y, size)) * size) == pytest.approx(0.5)
    assert derivative(lambda y: torch.hypot(y, 2 * y)) == pytest.approx(math.sqrt(5))
    assert derivative(lambda y: torch.hypot(y, torch.full_like(y, size)), 2) == pytest.approx(
        2**-1.5 / size, rel=1e-12, abs=0
    )
    assert derivative(lambda y: torch.logaddexp(y / size, 2000 * y / size) * size, 2) == 0


@pytest.mark.parametrize("name", ["select_scatter", "slice_scatter", "index_fill"])
def test_formulas_of_parts_hold_under_vmap(name):
    """As one after the other: values and gradients of what is written in."""
    arguments = {"select_scatter": (1, 0), "slice_scatter": (1, 0, 1), "index_fill": (1, torch.tensor([2, 0]))}[name]
    target, *options = next(op for op in FORMULAS if op._schema.name == f"aten::{name}"), *arguments
    shape = {"select_scatter": (3,), "slice_scatter": (3, 1), "index_fill": ()}[name]
    x, sources = torch.ones(3, 3, dtype=D64), torch.arange(1.0, 3).reshape(2, *[1] * len(shape)).expand(2, *shape)
    sources = sources.double().requires_grad_()

    def written(source):
        order = (x, *options, source) if name == "index_fill" else (x, source, *options)
        return FORMULAS[target](*order)

    weights = torch.arange(18, dtype=D64).reshape(2, 3, 3)
    values = torch.vmap(written)(sources), torch.stack([written(source) for source in sources])
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*[torch.autograd.grad((v * weights).sum(), sources)[0] for v in values])


def test_every_formula_is_tested():
    met = set()
    for f in CASES.values():
        met |= _operations(f, (torch.full((1, 1), 0.5, dtype=D64),), {})
    left = {
        "aten.native_batch_norm.default",  # one of the three is what a device and a version take
        "aten._native_batch_norm_legit.no_stats",
        "aten._fused_rms_norm.default",
    }
    scalars = {op for op in FORMULAS if op._overloadname == "x_scalar" or "polynomial" in op._schema.name}
    assert {str(op) for op in FORMULAS.keys() - met - scalars} <= left


def test_the_list_of_trusted_operations_names_operations():
    names = Path(trusted.__file__).with_suffix(".txt").read_text().split()
    assert names == sorted(set(names))
    assert len(trusted.OPERATIONS) >= 0.97 * len(names)  # versions of PyTorch differ by a few
    assert trusted.OPERATIONS.isdisjoint(FORMULAS)


def test_an_operation_without_derivatives_is_refused_where_it_depends_on_x():
    constant = torch.linspace(0, 1, 3, dtype=D64)
    x = torch.tensor([[0.3]], dtype=D64)
    for method in METHODS:
        with pytest.raises(Unsupported, match=r"aten\.special_airy_ai\.default"):
            linear_operator(torch.special.airy_ai, T**2, method)(x)
        found = linear_operator(lambda y: y**2 * torch.special.airy_ai(constant), T**2, method)(x)
        torch.testing.assert_close(found[0], 2 * torch.special.airy_ai(constant))


def test_a_formula_of_ones_own_is_used():
    operation = aten.special_airy_ai.default
    try:
        formula(operation)(lambda x: x**3)
        found = linear_operator(lambda y: torch.special.airy_ai(2 * y), T**2, "nested")(
            torch.tensor([[0.3]], dtype=D64)
        )
    finally:
        del FORMULAS[operation]
    assert found.item() == pytest.approx(48 * 0.3)


def test_operations_of_other_libraries_are_refused_until_they_have_a_formula():
    """Forward mode takes them for constants, whatever derivative they register."""

    @library.custom_op("jetbench_tests::sine", mutates_args=())
    def sine(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x)

    sine.register_fake(torch.empty_like)
    operation = torch.ops.jetbench_tests.sine.default
    x = torch.tensor([[0.3]], dtype=D64)
    with pytest.raises(Unsupported, match=r"jetbench_tests\.sine"):
        linear_operator(sine, T**2, "nested")(x)
    try:
        formula(operation)(torch.sin)
        found = linear_operator(sine, T**2, "nested")(x)
    finally:
        FORMULAS.pop(operation, None)
    torch.testing.assert_close(found, -x.sin())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("function", "seconds"),
    [
        (lambda y: torch.exp(-(torch.linalg.vector_norm(y, dim=-1, keepdim=True) ** 2)), -2.0),
        (lambda y: torch.exp(-torch.sqrt((y * y).sum(-1, keepdim=True)).square()), -2.0),
        (lambda y: (lambda n: n * n)(y.norm(dim=-1, keepdim=True)), 2.0),
        (lambda y: torch.cat([y, 2 * y], -1).norm(dim=-1) ** 4 + y[:, 0] ** 2, 2.0),
        (lambda y: y.norm(dim=-1), math.nan),
        (lambda y: torch.std(torch.cat([y, -y], -1), -1), math.nan),
    ],
)
def test_norms_that_vanish(method, function, seconds):
    """Even powers are smooth there; the norm itself is not, which NaN says."""
    found = linear_operator(function, T**2, method)(torch.zeros(1, 1, dtype=D64))
    assert found.item() == pytest.approx(seconds, nan_ok=True)


Sine = sine()


class WithoutForward(Sine):
    jvp = torch.autograd.Function.jvp


def test_custom_functions_are_right_or_refused_in_forward_mode():
    """PyTorch takes the derivative of a Function's own `jvp` for 0."""
    x = torch.tensor([[0.3]], dtype=D64)

    def twice(y):
        return Sine.apply(Sine.apply(y))

    values, _ = truth(lambda y: torch.sin(torch.sin(y)), 0.3)
    for k in (1, 2, 3):
        assert linear_operator(twice, T**k, "nested_reverse")(x).item() == pytest.approx(values[k].item(), rel=1e-7)
    assert linear_operator(twice, T**2, "nested")(x).item() == pytest.approx(values[2].item(), rel=1e-7)
    with pytest.raises(Unsupported, match=r"Sine .*nested_reverse"):
        linear_operator(twice, T**3, "nested")(x)
    with pytest.raises(Unsupported, match=r"Sine .*nested_reverse"):
        evaluate(twice, as_operator(T**2), x)
    with pytest.raises(Unsupported, match=r"WithoutForward has no `jvp`"):
        linear_operator(WithoutForward.apply, T**2, "nested")(x)


def in_silence(y):
    with torch.no_grad():
        return y.clone()


@pytest.mark.parametrize("constant", [lambda y: y.data, lambda y: y.detach(), in_silence])
def test_what_counts_as_a_constant(constant):
    """In forward mode too, which itself looks neither at `data` as it should nor at `no_grad`."""
    x = torch.tensor([[0.3]], dtype=D64)

    def function(y):
        return y**2 * constant(y)

    for k, true in ((1, 0.18), (2, 0.6)):
        for method in METHODS:
            with torch.no_grad():
                found = linear_operator(function, T**k, method)(x)
            assert not found.requires_grad
            assert found.item() == linear_operator(function, T**k, method)(x).item() == pytest.approx(true)
        assert evaluate(function, as_operator(T**k), x)[""].item() == pytest.approx(true)


@pytest.mark.parametrize("method", METHODS)
def test_autocast(method):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.LayerNorm(8), torch.nn.Linear(8, 1))
    laplacian = linear_operator(net, variables(2) @ variables(2), method)
    x = torch.rand(3, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert laplacian(x).dtype == net(x).dtype == torch.bfloat16
        rounded = laplacian(x).float()
    assert laplacian(x).dtype == torch.float32
    assert 0 < (rounded - laplacian(x)).abs().max() < 0.05
