"""What every method owes for every operator, as found in the registries: values, refusals in words, counts."""

from functools import cache

import pytest
import torch

from contract_cases import COUNTED, ESTIMATORS, made
from jetbench import operators
from jetbench.errors import Unsupported
from jetbench.measure.backends.torch import counted_flops
from jetbench.networks import NetworkSpec
from jetbench.operators import estimators
from jetbench.operators.problem import Problem, as_operator
from jetbench.operators.symbol import variables
from jetbench.torch import METHODS, linear_operator, reference
from jetbench.torch.network import build

ROWS = 3
#: Methods that need not do every operator.
PARTIAL = ("forward_laplacian", "stock_rewrite", *(name for name, method in METHODS.items() if method.package))


@cache
def network(operator_name):
    operator = made(operator_name)
    spec = NetworkSpec(dim=operator.dim, widths=(5, 4), outputs=operator.components or 2)
    return build(spec)


@cache
def point(operator_name):
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(ROWS, made(operator_name).dim, generator=generator, dtype=torch.float64)
    return 0.2 + x


def outputs(values):
    return dict(values) if isinstance(values, dict) else {"": values}


@cache
def expected(operator_name, kind):
    """Forward mode nested K times, with the directions that every method is given."""
    operator, x = made(operator_name), point(operator_name)
    op = linear_operator(network(operator_name), operator, "collapsed", ESTIMATORS[kind])
    draws = op.draw(x, None if kind == "exact" else 7)
    values = reference.evaluate(network(operator_name), operator, x, op.problem, draws)
    return draws, outputs(operator.combine(values) if operator.combine else values)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize("name", operators.REGISTRY)  # all methods in turn, so that one process has what they share
def test_values_agree_with_nested_forward_mode(method, name, kind):
    operator, x = made(name), point(name)
    try:
        op = linear_operator(network(name), operator, method, ESTIMATORS[kind])
    except Unsupported as refusal:
        sentence = str(refusal)
        assert sentence == METHODS[method].unsupported(Problem(operator, ESTIMATORS[kind]))
        assert sentence.endswith(".") and sentence[0].isupper() and len(sentence.split()) > 5
        assert not (kind == "exact" and method not in PARTIAL), f"exact values must be possible: {sentence}"
        return
    draws, values = expected(name, kind)
    found = outputs(op.evaluate(x, draws))
    assert list(found) == list(values)
    for output, value in values.items():
        assert found[output].shape == value.shape
        scale = value.abs().max().clamp_min(1e-3)
        assert (found[output] - value).abs().max() <= 1e-11 * scale, output
    seed = None if kind == "exact" else 7
    assert all(torch.equal(a, b) for a, b in zip(op.draw(x, seed), draws, strict=True))


@pytest.mark.parametrize("scheme", ["polarization", "griewank"])
@pytest.mark.parametrize("name", [name for name in operators.REGISTRY if made(name).order > 2])
@pytest.mark.parametrize("method", METHODS)
def test_both_schemes_of_directions_give_the_same(method, name, scheme):
    operator, x = made(name), point(name)
    reason = METHODS[method].unsupported(Problem(operator, scheme=scheme))
    if reason is not None:
        assert method in PARTIAL
        return
    found = outputs(linear_operator(network(name), operator, method, directions=scheme)(x))
    for output, value in expected(name, "exact")[1].items():
        assert (found[output] - value).abs().max() <= 1e-11 * value.abs().max().clamp_min(1e-3)


# ---- counts ---------------------------------------------------------------------------------------------------------

WIDTH = 8


def executed_vectors(operator, method, estimator=None, directions="polarization"):
    """Products with the matrix of a hidden layer, per datum: what one more hidden layer adds to all operations."""
    totals = []
    for hidden in (2, 3):
        net = build(NetworkSpec(dim=operator.dim, widths=(WIDTH,) * hidden, outputs=operator.components or 1))
        op = linear_operator(net, operator, method, estimator, directions)
        x = torch.rand(ROWS, operator.dim, dtype=torch.float64)
        draws = op.draw(x, None if estimator is None else 0)
        op.evaluate(x, draws)
        totals.append(counted_flops(lambda op=op, x=x, draws=draws: op.evaluate(x, draws)))
    vectors, rest = divmod(totals[1] - totals[0], 2 * ROWS * WIDTH**2)
    assert rest == 0
    return vectors


@pytest.mark.parametrize("name", operators.REGISTRY)
@pytest.mark.parametrize("method", [m for m in METHODS if not m.startswith("nested")])
def test_vectors_are_what_passes_through_a_hidden_layer(method, name):
    operator = made(name)
    for estimator in (None, ESTIMATORS["normal"]):
        problem = Problem(operator, estimator or estimators.exact())
        if METHODS[method].unsupported(problem) is None:
            assert executed_vectors(operator, method, estimator) == METHODS[method].vectors(problem)


XI = variables(3)


@pytest.mark.parametrize("kind", ["exact", "normal"])
@pytest.mark.parametrize("operator", COUNTED.values(), ids=COUNTED)
@pytest.mark.parametrize("method", ["nested", "nested_reverse"])
def test_vectors_of_nested_methods_are_what_passes_through_a_hidden_layer(method, operator, kind):
    estimator = None if kind == "exact" else ESTIMATORS[kind]
    problem = Problem(operator, ESTIMATORS[kind])
    if METHODS[method].unsupported(problem) is None:
        assert executed_vectors(operator, method, estimator) == METHODS[method].vectors(problem)
    else:
        assert kind != "exact"


def vectors(operator, method, estimator=None, directions="polarization"):
    return METHODS[method].vectors(Problem(operator, estimator or estimators.exact(), directions))


@pytest.mark.parametrize("dim", [1, 2, 5, 50])
def test_counts_for_the_laplacian(dim):
    operator = operators.laplacian(dim=dim)
    assert vectors(operator, "taylor") == 1 + 2 * dim
    for method in ("collapsed", "forward_laplacian", "apolar"):
        assert vectors(operator, method) == dim + 2
    assert vectors(operator, "nested_reverse") == 2 * (1 + dim)
    samples = estimators.rademacher(3)
    assert vectors(operator, "taylor", samples) == 1 + 2 * 3
    assert vectors(operator, "collapsed", samples) == 3 + 2


@pytest.mark.parametrize(
    ("operator", "apolar", "polarization", "griewank", "standard"),
    [
        (operators.biharmonic(dim=3), 14, 29, 38, 49),
        (operators.biharmonic(dim=5), 27, 77, 107, 141),
        (operators.biharmonic(dim=50), 1377, 7502, 11177, 14901),
        (operators.triharmonic(dim=3), 30, None, None, None),
        (XI[0] ** 3, 4, 4, None, None),
        (XI[0] ** 2 * XI[1], 6, 8, None, None),
        (XI[0] ** 2 * XI[1] ** 2, 9, 14, None, None),
        (operators.mixed_partial(dim=4, exponents=(1, 1, 1, 1)), 16, 26, None, None),
    ],
)
def test_counts_of_the_design(operator, apolar, polarization, griewank, standard):
    """All directions share one sum; the paper sums its three groups apart, which is two vectors more."""
    operator = as_operator(operator)
    assert vectors(operator, "apolar") == apolar
    if polarization is not None:
        assert vectors(operator, "collapsed") == polarization
    if griewank is not None:
        assert vectors(operator, "collapsed", directions="griewank") == griewank
        assert vectors(operator, "taylor", directions="griewank") == standard


@pytest.mark.parametrize("dim", [2, 4])
def test_the_heat_operator_needs_no_vector_for_time(dim):
    """The drift is folded into a seed: D + 2 vectors for D space coordinates."""
    operator = operators.heat(dim=dim + 1)
    assert vectors(operator, "collapsed") == vectors(operator, "apolar") == dim + 2


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_counts_for_a_weighted_laplacian_follow_its_rank(rank):
    operator = operators.weighted_laplacian(dim=6, rank=rank)
    assert vectors(operator, "taylor") == 1 + 2 * rank
    assert vectors(operator, "collapsed") == vectors(operator, "apolar") == rank + 2


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_counts_for_random_directions_of_the_biharmonic(samples):
    operator, estimator = operators.biharmonic(dim=4), estimators.normal(samples)
    assert vectors(operator, "taylor", estimator) == 1 + 4 * samples
    assert vectors(operator, "collapsed", estimator) == 1 + 3 * samples + 1
