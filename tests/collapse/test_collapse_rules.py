"""The identity behind every rule of the pass: the sum that it makes equals the one carried out, by numbers."""

import numpy as np
import pytest

from collapse_nodes import evaluated, joined
from jetbench.collapse import diagonal
from jetbench.collapse.cost import computed_apart
from jetbench.collapse.graph import Node, live
from jetbench.collapse.pull import collapse
from jetbench.collapse.rules import candidate, direct, step
from jetbench.collapse.steps import RULES
from jetbench.collapse.weights import Weights, ordered

NODES = {
    "view": lambda b, x: b.permute(x[0], (2, 0, 1)),
    "repeated": lambda b, x: b.broadcast(x[2], (4, 3, 5)),
    "scale": lambda b, x: b.scale(x[0], -2.5),
    "combine": lambda b, x: b.combine(x[0], x[1], 2, -3),
    "reduce": lambda b, x: b.reduce(x[0], (1,)),
    "weigh": lambda b, x: b.weigh(x[0], 1, (1.0, -1.0, 2.0)),
    "product": lambda b, x: b.multiply(x[0], b.broadcast(x[2], (4, 3, 5))),
    "both": lambda b, x: b.multiply(x[0], x[1]),
    "factor": lambda b, x: b.multiply(b.multiply(x[0], b.broadcast(x[2], (4, 3, 5))), x[1]),
    "factor_of_two": lambda b, x: b.contract(
        [(b.multiply(x[0], b.broadcast(x[2], (4, 3, 5))), "rnk"), (x[14], "rk")], "rnk"
    ),
    "weights": lambda b, x: b.contract([(x[0], "rnk"), (x[4], "r")], "rnk"),
    "matrix": lambda b, x: b.contract([(x[0], "rnk"), (x[6], "kh")], "rnh"),
    "batch": lambda b, x: b.contract([(x[0], "rnk"), (x[1], "rmk")], "rnm"),
    "map": lambda b, x: b.map("where", [b.broadcast(x[2], (4, 3, 5)), x[0], x[1]], "float64", (), (1, 2)),
    "split": lambda b, x: b.reshape(x[3], (4, 2, 3)),
    "merge": lambda b, x: b.reshape(x[0], (4, 15)),
    "merged": lambda b, x: b.reshape(x[0], (12, 5)),
    "slice": lambda b, x: b.slice(x[0], 0, 1, 3),
    "other_slice": lambda b, x: b.slice(x[0], 1, 0, 2),
    "concatenate": lambda b, x: b.concatenate([x[0], x[1]], 0),
    "other_concatenate": lambda b, x: b.concatenate([x[0], x[1]], 2),
    "pad": lambda b, x: b.along("pad", (x[0],), 0, 7, (1, 2)),
    "gather": lambda b, x: b.along("gather", (x[0], x[5]), 1, 2, linear=(0,)),
    "diagonal": lambda b, x: b.diagonal(x[7], (0, 1, 0, 2)),
    "partly_diagonal": lambda b, x: b.diagonal(x[7], (0, 1, 0, 1)),
    "solve": lambda b, x: b.solve((x[15],), x[0], "linear", 0, ()),
    "solve_slice": lambda b, x: b.slice(b.solve((x[15],), x[0], "linear", 0, ()), 1, 0, 2),
    "solve_each": lambda b, x: b.solve((x[13],), b.permute(x[13], (0, 2, 1)), "linear", 1, ()),
    "solve_repeated": lambda b, x: b.solve((x[15],), b.view(x[10], (0, None, 2, 1), (4, 2, 4, 3)), "linear", 0, ()),
    "solve_merged": lambda b, x: b.solve((x[15],), b.reshape(x[0], (4, 15)), "linear", 0, ()),
}


WEIGHTS = {
    "vector": lambda axes, ndim: [(axis,) for axis in axes],
    "joint": lambda axes, ndim: [(*axes, None)],
    "of_each": lambda axes, ndim: [(*(a for a in range(ndim) if a not in axes), *axes[:1]), *((a,) for a in axes[1:])],
}
"""Of the weights: which axes of the value theirs go with. None is added up, and those that are not summed over stay."""


@pytest.mark.parametrize("weights", ["ones", "numbers", *WEIGHTS])
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("name", NODES)
def test_rule_is_an_identity(made, name, axes, weights):
    b, inputs, values = made
    node = NODES[name](b, inputs)
    values, spec = dict(enumerate(values)), {}
    expected = evaluated(node, values)
    if weights in WEIGHTS:
        for key, names in enumerate(WEIGHTS[weights](axes, node.ndim), 100):
            shape = tuple(6 if a is None else node.shape[a] for a in names)
            values[key] = np.random.default_rng(key).standard_normal(shape)
            together = Weights(b.graph.make("input", (), (key,), shape, "float64", key), names)
            spec |= {a: together for a in names if a in axes}
            factors = "".join("z" if a is None else "abcdefghij"[a] for a in names)
            whole = "abcdefghij"[: node.ndim]
            expected = np.einsum(f"{whole},{factors}->{whole}", expected, values[key])
    for axis in axes:
        n = node.shape[axis]
        factors = np.ones(n) if weights == "ones" else np.linspace(-1, 2 + axis, n)
        if weights not in WEIGHTS:
            spec[axis] = None if weights == "ones" else tuple(factors)
            expected = expected * factors.reshape([-1 if i == axis else 1 for i in range(node.ndim)])
    spec, expected = ordered(spec), expected.sum(axes)
    steps = [direct(node, spec), step(node, spec)]
    for found in steps:
        if found is None:
            continue
        taken = [direct(need, need_spec) if need_spec else need for need, need_spec in found.needs]
        parts = [t if isinstance(t, Node) else t.build(b, [need for need, _ in t.needs]) for t in taken]
        result = found.build(b, parts)
        np.testing.assert_allclose(evaluated(result, values), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("kind", ["of_both", "of_each"])
def test_a_sum_with_weights_is_one_of_its_operand(made, name, kind):
    """Σ_ij A_ij x_ij and Σ_i A_ij x_ij, written as a contraction and as a sum of a product."""
    b, inputs, values = made
    node = NODES[name](b, inputs)
    values = dict(enumerate(values)) | {100: np.random.default_rng(100).standard_normal(node.shape[:2])}
    weights = b.graph.make("input", (), (100,), node.shape[:2], "float64", 100)
    labels = tuple(range(node.ndim))
    left = [label for label in labels if label > 1 or (kind == "of_each" and label == 1)]
    contracted = b.contract([(node, labels), (weights, (0, 1))], left)
    summed = b.reduce(b.contract([(node, labels), (weights, (0, 1))], labels), [a for a in labels if a not in left])
    for whole in (contracted, summed):
        result = collapse(b, [whole])
        np.testing.assert_allclose(evaluated(result.outputs[0], values), evaluated(whole, values), rtol=1e-11)
        assert result.after.operations <= result.before.operations


def test_weights_are_passed_through_a_layer(made):
    """Σ_ij A_ij φ(x)·(y_ij W) and the same with an A for each row: the layer sees one vector of each row, exactly."""
    b, inputs, values = made
    hessian, layer = b.graph.make("input", (), (20,), (4, 4, 3, 5), "float64", 20), inputs[6]
    gain = b.map("sin", [b.contract([(inputs[2], "nk"), (layer, "kh")], "nh")], "float64")
    after = b.contract([(b.contract([(hessian, "ijnk"), (layer, "kh")], "ijnh"), "ijnh"), (gain, "nh")], "ijnh")
    for shape, labels in (((4, 4), "ij"), ((3, 4, 4), "nij")):
        weights = b.graph.make("input", (), (30 + len(labels),), shape, "float64", 30 + len(labels))
        weights = b.map("sin", [weights], "float64")
        whole = b.contract([(weights, labels), (after, "ijnh")], "nh")
        result = collapse(b, [whole])
        in_layers = [n for n in live(result.outputs) if n.op == "product" and layer in n.operands]
        assert [n.shape for n in in_layers] == [(3, 2), (3, 2)]
        numbers = dict(enumerate(values)) | {
            k: np.random.default_rng(k).standard_normal(n) for k, n in ((20, hessian.shape), (30 + len(labels), shape))
        }
        np.testing.assert_allclose(evaluated(result.outputs[0], numbers), evaluated(whole, numbers), rtol=1e-11)


def test_products_of_a_network_are_no_weights(made):
    """Σ_k u_nk ∂_r u_nk, as in layer norm, is not taken for a sum with weights u: they have u in common."""
    b, inputs, _ = made
    u = b.map("sin", [inputs[2]], "float64")
    slope = b.contract([(inputs[0], "rnk"), (b.map("sin", [u], "float64"), "nk")], "rnk")
    assert computed_apart(u, slope) is None and computed_apart(u, inputs[0]) == 1
    assert candidate(b.contract([(u, "nk"), (slope, "rnk")], "nr")) is None
    assert candidate(b.contract([(u, "nk"), (inputs[0], "rnk")], "nr")) is not None


def test_every_rule_is_tested(made):
    b, inputs, _ = made
    assert set(RULES) <= {node.op for make in NODES.values() for node in live([make(b, inputs)])}


DIAGONALS = {
    "view": (lambda b, x: b.permute(x[7], (3, 0, 1, 2)), (0, 1, 0, 2)),
    "view_of_one": (lambda b, x: b.broadcast(x[8], (4, 3, 3)), (0, 1, 1)),
    "view_of_none": (lambda b, x: b.view(x[8], (None, 0, None), (4, 3, 4)), (0, 1, 0)),
    "view_of_both": (lambda b, x: b.broadcast(x[7], (2, 4, 3, 4, 3)), (0, 1, 2, 1, 2)),
    "scale": (lambda b, x: b.scale(b.map("sin", [x[7]], "float64"), 2.5), (0, 1, 0, 2)),
    "combine": (lambda b, x: b.combine(x[7], b.map("sin", [x[7]], "float64"), 2, -3), (0, 1, 0, 1)),
    "map": (lambda b, x: b.map("sin", [x[7]], "float64"), (0, 1, 2, 1)),
    "map_of_two": (lambda b, x: b.map("where", [b.broadcast(x[9], (4, 3, 4)), x[10], x[10]], "float64"), (0, 1, 0)),
    "outer": (lambda b, x: b.contract([(x[0], "ink"), (x[1], "jnk")], "ijnk"), (0, 0, 1, 2)),
    "matrix": (lambda b, x: b.contract([(x[0], "ink"), (x[1], "jnk")], "nij"), (0, 1, 1)),
    "one_factor": (lambda b, x: b.contract([(x[7], "injm"), (x[9], "mk")], "injk"), (0, 1, 0, 0)),
    "vector": (lambda b, x: b.contract([(x[7], "injm"), (x[4], "j")], "injm"), (0, 1, 0, 2)),
    "reduce": (lambda b, x: b.reduce(x[7], (1,)), (0, 0, 1)),
    "weigh": (lambda b, x: b.weigh(x[7], 1, (1.0, -1.0, 2.0)), (0, 0, 1)),
    "diagonal": (lambda b, x: b.diagonal(x[7], (0, 1, 0, 2)), (0, 1, 1)),
    "split": (lambda b, x: b.reshape(x[13], (2, 3, 4, 4)), (0, 1, 2, 2)),
    "split_parts": (lambda b, x: b.reshape(b.map("sin", [x[10]], "float64"), (2, 2, 3, 2, 2)), (0, 1, 2, 0, 1)),
    "split_in_part": (lambda b, x: b.reshape(b.map("sin", [x[10]], "float64"), (2, 2, 3, 2, 2)), (0, 0, 1, 2, 3)),
    "split_across": (lambda b, x: b.reshape(b.map("sin", [x[10]], "float64"), (2, 2, 3, 2, 2)), (0, 1, 2, 1, 0)),
    "merge": (lambda b, x: b.reshape(b.map("sin", [x[7]], "float64"), (12, 12)), (0, 0)),
    "merge_beside": (lambda b, x: b.merge(x[11], (1, 2, 1)), (0, 1, 0)),
    "merge_differently": (lambda b, x: b.reshape(b.map("sin", [x[12]], "float64"), (12, 12)), (0, 0)),
    "slice": (lambda b, x: b.slice(x[7], 1, 0, 2), (0, 1, 0, 2)),
    "slice_of_joined": (lambda b, x: b.slice(x[7], 0, 0, 3), (0, 0, 1, 0)),
    "concatenate": (lambda b, x: b.concatenate([x[7], x[7]], 1), (0, 1, 0, 2)),
    "pad": (lambda b, x: b.along("pad", (x[7],), 3, 6, (1, 2)), (0, 1, 0, 2)),
    "gather": (lambda b, x: b.along("gather", (x[7], x[5]), 1, 2, linear=(0,)), (0, 1, 0, 2)),
    "solve": (lambda b, x: b.solve((x[15],), b.map("sin", [x[12]], "float64"), "linear", 0, ()), (0, 1, 1, 2)),
    "solve_trace": (lambda b, x: b.solve((x[15],), b.map("sin", [x[12]], "float64"), "linear", 0, ()), (0, 1, 1, 0)),
    "solve_whole_trace": (lambda b, x: b.solve((x[15],), x[7], "linear", 0, ()), (0, 1, 0, 2)),
}


STOPS = ("split_in_part", "split_across", "merge_differently", "slice_of_joined", "solve_whole_trace")
"""Their axes are no axes of the operand."""


@pytest.mark.parametrize("name", DIAGONALS)
def test_rule_for_diagonals_is_an_identity(made, name):
    b, inputs, values = made
    make, labels = DIAGONALS[name]
    node = make(b, inputs)
    expected = joined(evaluated(node, values), labels)
    np.testing.assert_allclose(evaluated(b.diagonal(node, labels), values), expected, rtol=1e-12)
    found = diagonal.step(node, labels)
    assert (found is None) == (name in STOPS)
    if found is not None:
        result = found.build(b, [b.diagonal(need, need_labels) for need, need_labels in found.needs])
        np.testing.assert_allclose(evaluated(result, values), expected, rtol=1e-12, atol=1e-12)


def test_every_rule_for_diagonals_is_tested(made):
    b, inputs, _ = made
    assert set(diagonal.RULES) <= {make(b, inputs).op for make, _ in DIAGONALS.values()}
