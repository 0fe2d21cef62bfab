"""Every operator acts on plane waves as its equation says, L e^{k·x} = p(σ(x)ᵀk) e^{k·x}, and solves its equation."""

import contextlib
import copy
import json
import pickle
from math import exp, factorial, pi, sin

import numpy as np
import pytest
import torch

import jetbench.torch  # noqa: F401 - registers its tensors
from jetbench import operators
from jetbench.operators import REGISTRY, load, make, zoo
from jetbench.operators.problem import Operator, as_operator
from jetbench.operators.symbol import variables

K = np.array([0.7, -1.1, 0.4, 1.6])
X = np.array([0.3, 1.2, -0.5, 0.8])
SQUARE, SPATIAL = K @ K, K[1:] @ K[1:]


def factor_at(operator, x):
    """σ(x) as an array (D, R)."""
    if operator.factor is None:
        return np.eye(operator.dim)
    return operator.factor(x) if callable(operator.factor) else operator.factor


def wave_response(operator, k, x):
    """Output name → L e^{k·x} / e^{k·x} at x."""
    zeta = factor_at(operator, x).T @ k
    return {name: float(symbol(zeta)) for name, symbol in operator.symbols.items()}


def apply_second_order(operator, x, value, gradient, hessian):
    """L f at x from f, ∇f and ∇²f, for one symbol of degree 2."""
    sigma, parts = factor_at(operator, x), operator.symbols[""].parts
    total = np.trace(sigma @ parts[2].quadratic_form() @ sigma.T @ hessian)
    for exponents, coefficient in operator.symbols[""].terms.items():
        if sum(exponents) == 1:
            total += coefficient * sigma[:, exponents.index(1)] @ gradient
        elif sum(exponents) == 0:
            total += coefficient * value
    return total


LOWER = np.eye(3) + np.tril(np.ones((3, 3)), -1) / 6
ASSETS = 0.2**2 * (np.full((3, 3), 0.3) + 0.7 * np.eye(3))
DRIFTED = -X[1:] @ K[1:]
QUADRATIC = LOWER + np.outer(X[1:], X[1:]) / 4

WAVES = [
    ("laplacian", {}, {"": SQUARE}),
    ("weighted_laplacian", {}, {"": K @ np.diag([1, 2, 3, 4]) @ K}),
    ("weighted_laplacian", {"rank": 2}, {"": K[0] ** 2 + 2 * K[1] ** 2}),
    ("weighted_laplacian", {"rank": 0.75}, {"": K[0] ** 2 + 2 * K[1] ** 2 + 3 * K[2] ** 2}),
    ("weighted_laplacian", {"matrix": np.outer(K, X) + np.outer(X, K)}, {"": 2 * SQUARE * (X @ K)}),
    ("weighted_laplacian", {"matrix": [[1, 2], [2, -1]], "dim": 2}, {"": K[0] ** 2 + 4 * K[0] * K[1] - K[1] ** 2}),
    ("weighted_laplacian", {"matrix": lambda x: x[..., :, None] * x[..., None, :]}, {"": (X @ K) ** 2}),
    ("weighted_laplacian", {"factor": np.outer(X, [1.0, 2.0])}, {"": 5 * (X @ K) ** 2}),
    (
        "weighted_laplacian",
        {"factor": np.stack([X, K], axis=1), "signature": [1, -2]},
        {"": (X @ K) ** 2 - 2 * SQUARE**2},
    ),
    ("weighted_laplacian", {"factor": lambda x: x[..., :, None] * np.eye(4)}, {"": (X * K) @ (X * K)}),
    ("weighted_laplacian", {"factor": lambda x: x[..., :, None], "signature": [-3]}, {"": -3 * (X @ K) ** 2}),
    ("biharmonic", {}, {"": SQUARE**2}),
    ("triharmonic", {}, {"": SQUARE**3}),
    ("mixed_partial", {}, {"": K[0] ** 2 * K[1] ** 2}),
    ("mixed_partial", {"exponents": [1, 0, 3]}, {"": K[0] * K[2] ** 3}),
    ("mixed_partial", {"dim": 1}, {"": K[0] ** 2}),
    ("anisotropic_plate", {}, {"": 3 * K[0] ** 4 + 2 * 2.5 * K[0] ** 2 * K[1] ** 2 + 2 * K[1] ** 4}),
    ("anisotropic_plate", {"d11": 1, "d12": 1, "d22": 1, "d66": 0}, {"": (K[0] ** 2 + K[1] ** 2) ** 2}),
    ("helmholtz", {"wavenumber": 3}, {"": SQUARE + 9}),
    ("heat", {"diffusivity": 0.5}, {"": K[0] - 0.5 * SPATIAL}),
    ("wave", {"speed": 2}, {"": K[0] ** 2 - 4 * SPATIAL}),
    ("kolmogorov_backward", {}, {"": K[0] + DRIFTED + 0.5 * K[1:] @ QUADRATIC @ QUADRATIC.T @ K[1:]}),
    ("fokker_planck", {}, {"": K[0] + DRIFTED - 0.5 * K[1:] @ LOWER @ LOWER.T @ K[1:] - 3}),
    (
        "fokker_planck",
        {"drift": lambda x: 2 * x[..., :3], "diffusion": lambda x: x[..., :3, None], "noise": 1, "reaction": 5},
        {"": K[0] + 2 * X[:3] @ K[1:] - 0.5 * (X[:3] @ K[1:]) ** 2 + 5},
    ),
    (
        "black_scholes",
        {},
        {"": K[0] + 0.5 * (X * K)[1:] @ ASSETS @ (X * K)[1:] + 0.05 * X[1:] @ K[1:] - 0.05},
    ),
    ("kdv", {}, {"u": 1, "u_t": K[0], "u_x": K[1], "u_xxx": K[1] ** 3}),
    (
        "kadomtsev_petviashvili",
        {"sign": -1},
        {"u": 1, "u_x": K[1], "u_xx": K[1] ** 2, "linear": K[0] * K[1] + K[1] ** 4 - 3 * K[2] ** 2},
    ),
    (
        "kuramoto_sivashinsky",
        {},
        {"linear": K[0] + SPATIAL + SPATIAL**2, "u_x1": K[1], "u_x2": K[2], "u_x3": K[3]},
    ),
    (
        "cahn_hilliard",
        {"gamma": 0.1, "dim": 2},
        {"u": 1, "linear": K[0] + K[1] ** 2 + 0.1 * K[1] ** 4, "laplacian": K[1] ** 2, "u_x1": K[1]},
    ),
    ("burgers", {"viscosity": 0.2}, {"u": 1, "linear": K[0] - 0.2 * SPATIAL, "u_x1": K[1], "u_x2": K[2], "u_x3": K[3]}),
    ("navier_stokes", {"dim": 3}, {"u": 1, "u_t": K[0], "laplacian": K[1:3] @ K[1:3], "u_x1": K[1], "u_x2": K[2]}),
    ("hessian_diagonal", {"dim": 2}, {"u_x0x0": K[0] ** 2, "u_x1x1": K[1] ** 2}),
    ("hessian", {"dim": 2}, {"u_x0x0": K[0] ** 2, "u_x0x1": K[0] * K[1], "u_x1x1": K[1] ** 2}),
    ("linear_elasticity", {"dim": 2}, {"u_x0x0": K[0] ** 2, "u_x0x1": K[0] * K[1], "u_x1x1": K[1] ** 2}),
    (
        "gradient_of_laplacian",
        {"dim": 2},
        {"laplacian_x0": K[0] * (K[:2] @ K[:2]), "laplacian_x1": K[1] * (K[:2] @ K[:2])},
    ),
]


@pytest.mark.parametrize(("name", "options", "expected"), WAVES, ids=[f"{w[0]}-{i}" for i, w in enumerate(WAVES)])
def test_plane_waves(name, options, expected):
    operator = make(name, **{"dim": 4, **options})
    found = wave_response(operator, K[: operator.dim], X[: operator.dim])
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, rel=1e-13)


def test_every_operator_is_tested_on_plane_waves():
    known = {name for name, function in REGISTRY.items() if function.source == zoo.__file__}
    assert known == {name for name, _, _ in WAVES}


def test_elasticity_combines_the_hessian_of_a_vector_field():
    """u = a e^{k·x}: μ|k|²a + (λ + μ)k(k·a)."""
    operator = operators.linear_elasticity(dim=3, lame_lambda=2.0, lame_mu=0.3)
    k, a = K[:3], np.array([[1.0, -2.0, 0.5], [0.2, 0.4, 3.0]])
    parts = {name: value * a for name, value in wave_response(operator, k, X[:3]).items()}
    assert operator.combine(parts) == pytest.approx(0.3 * (k @ k) * a + 2.3 * (a @ k)[:, None] * k, rel=1e-13)
    assert operator.components == 3
    with pytest.raises(ValueError, match="3 outputs; got 2"):
        operator.combine({name: part[..., :2] for name, part in parts.items()})


def test_the_stationary_density_solves_the_fokker_planck_equation():
    """b = −x with constant σ: a normal density of covariance ½σσᵀ."""
    precision = np.linalg.inv(0.5 * LOWER @ LOWER.T)
    slope = precision @ X[1:]
    value = exp(-0.5 * X[1:] @ slope)
    gradient = np.concatenate([[0], -slope]) * value
    hessian = np.zeros((4, 4))
    hessian[1:, 1:] = (np.outer(slope, slope) - precision) * value
    terms = apply_second_order(operators.fokker_planck(dim=4), X, value, gradient, hessian)
    assert abs(terms) < 1e-13 * value * np.abs(hessian).max()


def test_an_exchange_of_assets_solves_the_black_scholes_equation():
    """V = S₁S₂ exp(−(r + ρv²)t)."""
    rate, covariance = 0.05, 0.3 * 0.2**2
    value = X[1] * X[2] * exp(-(rate + covariance) * X[0])
    gradient = np.array([-(rate + covariance), 1 / X[1], 1 / X[2], 0]) * value
    hessian = np.zeros((4, 4))
    hessian[1, 2] = hessian[2, 1] = value / (X[1] * X[2])
    hessian[0] = hessian[:, 0] = 1e3  # time enters to first order only
    assert abs(apply_second_order(operators.black_scholes(dim=4), X, value, gradient, hessian)) < 1e-12


def test_the_generator_of_a_squared_distance():
    """f = |x|² under dX = b dt + σ dW: 2b·x + tr(σσᵀ)."""
    gradient, hessian = np.concatenate([[0], 2 * X[1:]]), 2 * np.diag([0.0, 1, 1, 1])
    found = apply_second_order(operators.kolmogorov_backward(dim=4), X, X[1:] @ X[1:], gradient, hessian)
    assert found == pytest.approx(-2 * X[1:] @ X[1:] + np.trace(QUADRATIC @ QUADRATIC.T))


@pytest.mark.parametrize(
    ("name", "wave_vector"),
    [
        ("laplacian", [1j, 1, 0]),
        ("helmholtz", [0.6j, 0, 0.8j]),
        ("heat", [-5.0, 1j, 2j]),
        ("wave", [1.0, 0.6, 0.8]),
        ("biharmonic", [1j, 1, 0]),
    ],
)
def test_exact_solutions_are_annihilated(name, wave_vector):
    assert abs(make(name, dim=3).symbols[""](wave_vector)) < 1e-15


def test_radial_polynomials_of_the_polyharmonic_operators():
    """Δ^m |x|^{2m} = 2^m m! D (D + 2) … (D + 2m − 2): apply the symbol to the polynomial by its coefficients."""
    for name, m, dim in (("laplacian", 1, 5), ("biharmonic", 2, 5), ("triharmonic", 3, 3)):
        symbol = make(name, dim=dim).symbols[""]
        found = sum(c * c * np.prod([factorial(e) for e in exponents]) for exponents, c in symbol.terms.items())
        assert found == 2**m * factorial(m) * np.prod([dim + 2 * i for i in range(m)])


def test_the_soliton_solves_the_kdv_equation():
    """u = ½c sech²(½√c (x − ct)), with its derivatives from sums of plane waves e^{−n√c(x − ct)}, x > ct."""
    c = 1.7
    place = np.array([0.1, 2.0])
    root = c**0.5
    outputs = dict.fromkeys(operators.kdv().symbols, 0.0)
    for n in range(1, 60):
        amplitude = 2 * c * (-1) ** (n + 1) * n
        k = n * root * np.array([c, -1.0])
        for name, value in wave_response(operators.kdv(), k, place).items():
            outputs[name] += amplitude * value * exp(k @ place)
    assert outputs["u"] == pytest.approx(0.5 * c / np.cosh(0.5 * root * (place[1] - c * place[0])) ** 2)
    assert abs(outputs["u_t"] + 6 * outputs["u"] * outputs["u_x"] + outputs["u_xxx"]) < 1e-12


def test_a_sine_decays_by_the_heat_equation():
    kappa, wave = 0.3, 2 * pi
    symbol = operators.heat(dim=2, diffusivity=kappa).symbols[""]
    assert symbol([0, 0]) == 0
    assert abs(symbol([-kappa * wave**2, 1j * wave]) * sin(1)) < 1e-12


@pytest.mark.parametrize("name", REGISTRY)
def test_dim_alone_makes_an_operator(name):
    for dim in {REGISTRY[name].min_dim, 3, 5}:
        operator = make(name, dim=dim)
        assert isinstance(operator, Operator)
        assert (operator.name, operator.dim, dict(operator.options)) == (name, dim, {})
        assert operator.is_single or "" not in operator.symbols
    assert make(name).options == operator.options


@pytest.mark.parametrize("name", REGISTRY)
def test_dimensions_that_make_no_sense_are_refused(name):
    for dim in (REGISTRY[name].min_dim - 1, 2.0, "3", True):
        with pytest.raises(ValueError, match=f"{name}: dim must be a whole number, at least"):
            make(name, dim=dim)


@pytest.mark.parametrize("name", REGISTRY)
def test_docstrings_have_formula_use_and_source(name):
    text = REGISTRY[name].__doc__
    assert ":" in text.splitlines()[0], "the first line is 'formula: field of use.'"
    assert "Source: " in text


VARYING = [
    operators.kolmogorov_backward(dim=4),
    operators.fokker_planck(dim=4),
    operators.black_scholes(dim=4),
    operators.weighted_laplacian(dim=4, matrix=lambda x: x[..., :, None] * x[..., None, :]),
]


@pytest.mark.parametrize("operator", VARYING, ids=lambda operator: operator.name)
@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_factors_take_any_leading_axes_in_numpy_and_torch(operator, leading):
    points = np.random.default_rng(0).normal(size=(*leading, 4))
    found = operator.factor(points)
    assert found.shape == (*leading, 4, operator.variables)
    for index in np.ndindex(leading):
        assert np.allclose(found[index], operator.factor(points[index]), rtol=1e-14)
    for dtype in (torch.float64, torch.float32):
        of_torch = operator.factor(torch.tensor(points, dtype=dtype))
        assert of_torch.dtype == dtype
        assert np.allclose(of_torch.numpy(), found, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("weighted_laplacian", {"rank": np.int64(2)}),
        ("weighted_laplacian", {"matrix": np.eye(4)}),
        ("weighted_laplacian", {"factor": np.ones((4, 2)), "signature": (1, -1)}),
        ("mixed_partial", {"exponents": (1, 2)}),
        ("black_scholes", {"volatility": (0.1, 0.2, 0.3), "rate": 0.01}),
        ("heat", {"diffusivity": 2}),
    ],
)
def test_options_go_through_json_and_make_the_operator_again(name, options):
    operator = make(name, dim=4, **options)
    stored = json.loads(json.dumps(dict(operator.options)))
    assert set(stored) == set(options)
    again = make(name, dim=4, **stored)
    assert again.symbols == operator.symbols
    assert again.options == operator.options
    assert np.allclose(factor_at(again, X), factor_at(operator, X))


def test_functions_among_the_options_are_recorded_by_name():
    operator = operators.weighted_laplacian(4, factor=lambda x: x[..., :, None], signature=[1])
    assert "lambda" in json.loads(json.dumps(dict(operator.options)))["factor"]


def test_defaults_are_not_recorded():
    assert operators.heat(dim=3, diffusivity=1.0).options == {}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("laplacain", {}, "Unknown operator 'laplacain'; allowed: .*laplacian.*Did you mean 'laplacian'?"),
        ("heat", {"kappa": 1}, "unknown option 'kappa'; allowed: dim, diffusivity"),
        ("weighted_laplacian", {"rank": 0}, "between 1 and 4"),
        ("weighted_laplacian", {"rank": 5}, "between 1 and 4"),
        ("weighted_laplacian", {"rank": 1.5}, "at most 1"),
        ("weighted_laplacian", {"rank": "full"}, "count"),
        ("weighted_laplacian", {"rank": 2, "matrix": np.eye(4)}, "one of"),
        ("weighted_laplacian", {"signature": [1]}, "together with a factor"),
        ("weighted_laplacian", {"matrix": np.eye(3)}, "symmetric of shape"),
        ("weighted_laplacian", {"matrix": np.triu(np.ones((4, 4)))}, "symmetric"),
        ("weighted_laplacian", {"factor": np.ones((3, 2))}, "factor must have shape"),
        ("mixed_partial", {"exponents": [1] * 5}, "at most 4 exponents"),
        ("mixed_partial", {"exponents": [1, -1]}, "Exponents"),
        ("black_scholes", {"correlation": [[1, 2], [2, 1]]}, "correlation"),
        ("black_scholes", {"correlation": -0.9}, "positive semidefinite"),
        ("black_scholes", {"volatility": [0.1, 0.2]}, "volatility must be"),
        ("fokker_planck", {"noise": 0}, "number of columns"),
        ("heat", {"diffusivity": "large"}, "diffusivity must be a finite number; got 'large'"),
        ("helmholtz", {"wavenumber": float("nan")}, "wavenumber must be a finite number"),
    ],
)
def test_wrong_names_and_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **{"dim": 4, **options})


def test_drift_and_diffusion_of_wrong_shape_are_refused_at_the_point():
    with pytest.raises(ValueError, match="b\\(x\\) must have shape"):
        operators.fokker_planck(dim=4, drift=lambda x: x).factor(X)
    with pytest.raises(ValueError, match="σ\\(x\\)"):
        operators.kolmogorov_backward(dim=4, diffusion=lambda x: x[..., 1:, None]).factor(X)


@pytest.fixture
def registry():
    """The registry, put back as it was after the test."""
    before = dict(REGISTRY)
    yield REGISTRY
    REGISTRY.clear()
    REGISTRY.update(before)


USER_FILE = """
from jetbench.operators import operator
from jetbench.symbol import variables


@operator
def screened_poisson(dim, kappa=1.0):
    '''Δu − κ²u.'''
    xi = variables(dim)
    return xi @ xi - kappa**2


@operator(min_dim=2)
def first_parts(dim=2):
    '''u_x and u_y.'''
    x, y = variables(dim)[:2]
    return {"u_x": x, "u_y": y}
"""


def test_a_file_of_ones_own_adds_operators(registry, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(USER_FILE)
    assert load(path) == ("screened_poisson", "first_parts")
    operator = make("screened_poisson", dim=2, kappa=3)
    assert operator.symbols[""]([1.0, 2.0]) == 5 - 9
    assert (operator.name, dict(operator.options)) == ("screened_poisson", {"kappa": 3})
    assert list(make("first_parts").symbols) == ["u_x", "u_y"]
    with pytest.raises(ValueError, match="at least 2"):
        make("first_parts", dim=1)
    with pytest.raises(ValueError, match="dim"):
        make("screened_poisson")


def test_loading_again_replaces(registry, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(USER_FILE)
    load(path)
    path.write_text(USER_FILE.replace("- kappa**2", "+ kappa**2"))
    load(str(path))
    assert make("screened_poisson", dim=2, kappa=3).symbols[""]([1.0, 2.0]) == 5 + 9


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ValueError, "registers no operator"),
        (USER_FILE.replace("screened_poisson", "laplacian"), ValueError, "an operator laplacian already"),
        (USER_FILE.replace("dim, kappa=1.0", "kappa"), TypeError, "function of dim"),
        (USER_FILE.replace("kappa=1.0", "kappa"), TypeError, "needs a default"),
        (USER_FILE.replace("kappa=1.0", "**options"), TypeError, "named options"),
    ],
)
def test_files_that_cannot_be_used_are_refused(registry, tmp_path, text, error, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(error, match=message):
        load(path)


def test_a_missing_file_and_one_that_is_no_python_are_refused(registry, tmp_path):
    with pytest.raises(FileNotFoundError, match="no operators file"):
        load(tmp_path / "absent.py")
    (tmp_path / "mine.txt").write_text(USER_FILE)
    with pytest.raises(ValueError, match=r"ending in \.py"):
        load(tmp_path / "mine.txt")


def test_what_is_no_symbol_is_refused(registry):
    @operators.operator
    def broken(dim):
        return variables(dim)

    with pytest.raises(TypeError, match="Variables"):
        broken(2)


def test_a_dictionary_of_symbols_is_checked():
    """What is given is named: that it is empty, or which output is not a symbol."""
    with pytest.raises(ValueError, match="empty; give at least one output"):
        as_operator({})
    with pytest.raises(TypeError, match="got a float for 'u_t'"):
        as_operator({"u": variables(2)[0], "u_t": 1.0})


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_operators_can_be_copied_and_pickled(name: str) -> None:
    for dim in range(1, 6):
        with contextlib.suppress(ValueError):
            operator = make(name, dim=dim)
            break
    for other in (copy.deepcopy(operator), pickle.loads(pickle.dumps(operator))):
        assert (other.name, other.dim, other.components) == (operator.name, operator.dim, operator.components)
        assert dict(other.symbols) == dict(operator.symbols) and dict(other.options) == dict(operator.options)
