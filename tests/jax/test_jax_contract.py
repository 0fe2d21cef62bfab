"""What every method in JAX owes for every operator, as found in the registries: values, refusals in words, counts.

Expected values come from nested forward mode in PyTorch with the same weights and directions, which is quicker than
JAX's and compares both backends as well; JAX's own reference has to agree with it, too.
"""

from functools import cache

import jax
import numpy as np
import pytest
import torch

from contract_cases import COUNTED, ESTIMATORS, made
from jax_settings import compiled
from jetbench import operators
from jetbench.errors import Unsupported
from jetbench.jax import METHODS, linear_operator, reference
from jetbench.jax.counting import counted_flops
from jetbench.jax.network import build
from jetbench.networks import NetworkSpec
from jetbench.operators.problem import Problem
from jetbench.torch import network as torch_network
from jetbench.torch import reference as torch_reference

ROWS = 2
PEERS = ("jax_jet", "folx")
JETS = ("taylor", "collapsed", "forward_laplacian", "apolar")


@cache
def specification(name):
    return NetworkSpec(dim=made(name).dim, widths=(5, 4), outputs=made(name).components or 2)


@cache
def point(name):
    return 0.2 + np.random.default_rng(1).random((ROWS, made(name).dim))


def outputs(values):
    named = values if hasattr(values, "items") else {"": values}
    return {name: np.asarray(value) for name, value in named.items()}


@cache
def expected(name, kind):
    """Forward mode nested K times in PyTorch, with the directions that every method is given."""
    operator, x = made(name), point(name)
    op = linear_operator(build(specification(name)), operator, "collapsed", ESTIMATORS[kind])
    draws = op.draw(x, None if kind == "exact" else 7)
    given = tuple(torch.tensor(np.asarray(draw)) for draw in draws)
    net = torch_network.build(specification(name))
    with torch.no_grad():
        values = torch_reference.evaluate(net, operator, torch.tensor(x), op.problem, given)
        return draws, outputs(operator.combine(values) if operator.combine else values)


def close(found, wanted):
    assert found.keys() == wanted.keys()
    for output, value in wanted.items():
        assert found[output].shape == value.shape
        assert np.abs(found[output] - value).max() <= 1e-11 * max(np.abs(value).max(), 1e-3), output


def is_quick(method, name, kind):
    """What compiles in a second: jets always; nested derivatives of orders up to 2, and the biharmonic."""
    order = made(name).order
    if kind != "exact":
        return name in ("laplacian", "weighted_laplacian", "kolmogorov_backward") or (order == 4 and kind == "normal")
    return method in (*JETS, "collapsed_rewrite") or order <= 2 or name in ("biharmonic", "mixed_partial")


# All methods in turn, so that one process has the values that they share.
CASES = [
    (method, name, kind)
    for name in operators.REGISTRY
    for kind in ESTIMATORS
    for method in METHODS
    if is_quick(method, name, kind) or METHODS[method].unsupported(Problem(made(name), ESTIMATORS[kind]))
]


@pytest.mark.parametrize(("method", "name", "kind"), CASES)
def test_values_agree_with_nested_forward_mode(method, name, kind):
    operator, x = made(name), point(name)
    try:
        op = linear_operator(build(specification(name)), operator, method, ESTIMATORS[kind])
    except Unsupported as refusal:
        sentence = str(refusal)
        assert sentence == METHODS[method].unsupported(Problem(operator, ESTIMATORS[kind]))
        assert sentence.endswith(".") and len(sentence.split()) > 5
        assert sentence[0].isupper() or sentence.startswith(method)
        is_partial = method in ("forward_laplacian", "stock_rewrite", *PEERS)
        assert is_partial or kind != "exact", f"exact values must be possible: {sentence}"
        return
    draws, values = expected(name, kind)
    close(outputs(compiled(op.evaluate)(x, draws)), values)


@pytest.mark.parametrize("name", ["biharmonic", "kolmogorov_backward", "gradient_of_laplacian"])
def test_the_reference_agrees(name):
    operator = made(name)
    net, (_, values) = build(specification(name)), expected(name, "exact")
    found = compiled(lambda x: reference.evaluate(net, operator, x))(point(name))
    close(outputs(operator.combine(found) if operator.combine else found), values)


@pytest.mark.parametrize("name", ["biharmonic", "mixed_partial"])
@pytest.mark.parametrize("method", ["nested", *JETS])
def test_both_schemes_of_directions_give_the_same(method, name):
    operator, x = made(name), point(name)
    reason = METHODS[method].unsupported(Problem(operator, scheme="griewank"))
    if reason is not None:
        assert method == "forward_laplacian"
        return
    op = linear_operator(build(specification(name)), operator, method, directions="griewank")
    close(outputs(compiled(op.evaluate)(x)), expected(name, "exact")[1])


@pytest.mark.parametrize("kind", ["normal", "rademacher", "coordinate"])
def test_draws_repeat_with_their_seed(kind):
    operator, x = made("laplacian"), point("laplacian")
    op = linear_operator(build(specification("laplacian")), operator, "collapsed", ESTIMATORS[kind])
    first, again, other = (op.draw(x, seed)[0] for seed in (3, 3, 4))
    assert first.shape == (2, *x.shape)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


# ---- counts ---------------------------------------------------------------------------------------------------------

WIDTH = 8


def executed_vectors(operator, method, estimator=None):
    """Products with the matrix of a hidden layer, per datum: what one more hidden layer adds to all operations."""
    totals = []
    # in nets with two hidden layers, the pass may find it cheaper to collapse less
    for hidden in (3, 4) if method.endswith("_rewrite") else (2, 3):
        net = build(NetworkSpec(dim=operator.dim, widths=(WIDTH,) * hidden, outputs=operator.components or 1))
        op = linear_operator(net, operator, method, estimator)
        x = np.random.default_rng(0).random((ROWS, operator.dim))
        totals.append(counted_flops(op.evaluate, x, op.draw(x, None if estimator is None else 0)))
    vectors, rest = divmod(totals[1] - totals[0], 2 * ROWS * WIDTH**2)
    assert rest == 0
    return vectors


@pytest.mark.parametrize("kind", ["exact", "normal"])
@pytest.mark.parametrize("operator", COUNTED.values(), ids=COUNTED)
@pytest.mark.parametrize("method", [method for method in METHODS if method not in PEERS])
def test_vectors_are_what_passes_through_a_hidden_layer(method, operator, kind):
    estimator = None if kind == "exact" else ESTIMATORS[kind]
    problem = Problem(operator, ESTIMATORS[kind])
    if METHODS[method].unsupported(problem) is None:
        assert executed_vectors(operator, method, estimator) == METHODS[method].vectors(problem)
    else:
        assert kind != "exact" or method in ("forward_laplacian", "stock_rewrite")


@pytest.mark.parametrize("name", operators.REGISTRY)
@pytest.mark.parametrize("method", ["nested", *JETS])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_operator_keeps_the_type_of_x(dtype, method, name):
    """Nothing in the algebras promotes: JAX takes numbers of numpy for 64 bits. Only shapes and types are traced."""
    operator = made(name)
    x = jax.ShapeDtypeStruct((ROWS, operator.dim), dtype)
    for estimator in ESTIMATORS.values():
        if METHODS[method].unsupported(Problem(operator, estimator)) is None:
            op = linear_operator(build(specification(name), dtype), operator, method, estimator)
            found = jax.eval_shape(lambda x, op=op, exact=estimator.is_exact: op(x, None if exact else 1), x)
            assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jax.numpy.dtype(dtype)}


@pytest.mark.parametrize("kind", ["mlp", "attention"])
def test_what_all_rows_share_is_multiplied_once(kind):
    """A batch costs no more than rows one by one under vmap, which JAX itself knows to share the seeds."""
    operator = operators.laplacian(dim=6)
    options = {"tokens": 3} if kind == "attention" else {}
    net = build(NetworkSpec(dim=6, widths=(5, 4), outputs=1, kind=kind, **options))
    op = linear_operator(net, operator)
    x = np.random.default_rng(0).random((4, 6))
    batch, single = counted_flops(op.evaluate, x), counted_flops(jax.vmap(op.evaluate), x)
    assert batch <= single < 4 * counted_flops(op.evaluate, x[0])
