"""The identity behind every rule of the pass: the sum that it makes equals the one carried out, by numbers."""

import ast
from pathlib import Path

import numpy as np
import pytest

import jetbench.collapse
from jetbench.collapse import cost, diagonal
from jetbench.collapse.build import Builder
from jetbench.collapse.cost import computed_apart
from jetbench.collapse.graph import Node, live
from jetbench.collapse.ops import OPS
from jetbench.collapse.pull import collapse
from jetbench.collapse.rebuild import without_summed_products
from jetbench.collapse.rules import candidate, direct, step
from jetbench.collapse.steps import RULES
from jetbench.collapse.weights import Weights, ordered


def joined(value, labels):
    """The diagonal in numpy."""
    letters = "".join("abcdefghij"[label] for label in labels)
    return np.einsum(f"{letters}->{''.join(dict.fromkeys(letters))}", value)


def evaluated(node, inputs):
    """The value of a node in numpy; the plain meaning of each op."""
    values = {}
    for n in live([node]):
        x = [values[o] for o in n.operands]
        a = n.attributes
        match n.op:
            case "input":
                values[n] = inputs[a[0]]
            case "fill":
                values[n] = np.asarray(a[0], float)
            case "identity":
                values[n] = np.eye(n.shape[0])
            case "diagonal":
                values[n] = joined(x[0], a[0])
            case "view":
                kept = [i for i in a[0] if i is not None]
                moved = np.transpose(
                    np.squeeze(x[0], tuple(i for i in range(x[0].ndim) if i not in kept)),
                    [sorted(kept).index(i) for i in kept],
                )
                shape = [1 if i is None else x[0].shape[i] for i in a[0]]
                values[n] = np.broadcast_to(moved.reshape(shape), n.shape)
            case "scale":
                values[n] = a[0] * x[0]
            case "combine":
                values[n] = a[0] * x[0] + a[1] * x[1]
            case "product":
                letters = "abcdefghij"
                left, right = ("".join(letters[i] for i in ls) for ls in a[:2])
                values[n] = np.einsum(f"{left},{right}->{letters[: a[2]]}", *x)
            case "reduce":
                values[n] = x[0].sum(a[0])
            case "weigh":
                values[n] = np.tensordot(np.array(a[1]), x[0], (0, a[0]))
            case "map":
                values[n] = {"sin": np.sin, "where": lambda m, u, v: np.where(m > 0, u, v)}[a[0]](*x)
            case "solve":
                values[n] = np.linalg.solve(x[0], x[1].reshape(*x[1].shape[: a[1] + 1], -1)).reshape(n.shape)
            case "split" | "merge" | "reshape":
                values[n] = x[0].reshape(n.shape)
            case "along":
                kind, axis, static, _ = a
                if kind == "slice":
                    values[n] = x[0][(slice(None),) * axis + (slice(*static),)]
                elif kind == "concatenate":
                    values[n] = np.concatenate(x, axis)
                elif kind == "gather":
                    values[n] = np.take(x[0], x[1].astype(int), axis)
                else:
                    values[n] = np.pad(x[0], [static if i == axis else (0, 0) for i in range(x[0].ndim)])
        assert values[n].shape == n.shape, n
    return values[node]


SHAPES = [
    (4, 3, 5),
    (4, 3, 5),
    (3, 5),
    (4, 6),
    (4,),
    (2,),
    (5, 2),
    (4, 3, 4, 3),
    (3,),
    (3, 4),
    (4, 3, 4),
    (4, 2, 3, 4),
    (4, 3, 3, 4),
    (6, 4, 4),
    (4, 5),
    (4, 4),
]


@pytest.fixture
def made():
    b = Builder()
    generator = np.random.default_rng(0)
    nodes = [b.graph.make("input", (), (i,), shape, "float64", i) for i, shape in enumerate(SHAPES)]
    values = [generator.standard_normal(shape) for shape in SHAPES]
    values[5] = np.array([2.0, 0.0])
    return b, nodes, values


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


def test_identity_matrices_are_resolved(made):
    """Σ_j δ_ij x_ij = x_ii, as a contraction and as a sum of a product; δ_ii = 1."""
    b, inputs, values = made
    eye, x = b.identity(4, "float64"), inputs[7]
    contracted = b.contract([(eye, "ij"), (x, "injm")], "nmj")
    masked = b.reduce(b.contract([(eye, "ij"), (x, "injm")], "injm"), (0,))
    for node, order in ((contracted, (1, 2, 0)), (masked, (1, 0, 2))):
        assert not any(n.op == "identity" for n in live([node]))
        expected = joined(values[7], (0, 1, 0, 2)).transpose(order)
        np.testing.assert_allclose(evaluated(node, values), expected, rtol=1e-12)
    trace = b.contract([(x, "injm"), (eye, "ij")], "nm")
    np.testing.assert_allclose(evaluated(trace, values), joined(values[7], (0, 1, 0, 2)).sum(0), rtol=1e-12)
    assert b.diagonal(eye, (0, 0)).operands[0].attributes[0] == 1


def test_a_diagonal_of_what_is_needed_anyway_is_taken_there(made):
    b, inputs, _ = made
    outer = b.map("sin", [b.contract([(inputs[0], "ink"), (inputs[1], "jnk")], "ijnk")], "float64")
    trace = b.reduce(b.diagonal(outer, (0, 0, 1, 2)), (0,))
    both = collapse(b, [outer, trace])
    assert not both.has_changed and both.outputs == (outer, trace)
    assert [rest.reason for rest in both.left] == ["this value is needed in full anyway"]
    alone = collapse(b, [trace])
    assert alone.before.operations == (4 * 4 * 2 + 4) * 15 and alone.after.operations == (4 * 2 + 4) * 15
    assert ["renaming" in rest.reason for rest in alone.diagonals] == [True]


def test_a_diagonal_of_a_diagonal_is_taken_with_it(made):
    """x_iijj: four axes become two at once."""
    b, inputs, values = made
    outer = b.contract([(b.map("sin", [inputs[4]], "float64"), "i"), (inputs[4], "j")], "ij")
    four = b.map("sin", [b.contract([(outer, "ij"), (outer, "kl")], "ijkl")], "float64")
    inner = b.map("sin", [b.diagonal(four, (0, 0, 1, 2))], "float64")
    trace = b.reduce(b.diagonal(inner, (0, 1, 1)), (0, 1))
    result = collapse(b, [trace])
    np.testing.assert_allclose(evaluated(result.outputs[0], values), evaluated(trace, values), rtol=1e-12)
    assert not any(node.op == "diagonal" for node in live(result.outputs))
    assert {rest.source for rest in result.diagonals} == {node for node in live([trace]) if node.op == "diagonal"}


def test_small_factors_are_multiplied_first(made):
    """x + 2·x·z = x·(1 + 2·z) and (x·z)·w = x·(z·w): one operation for each entry of x in place of two or three."""
    b, inputs, values = made
    x, z, w = inputs[0], b.broadcast(inputs[2], (4, 3, 5)), b.broadcast(inputs[8], (4, 5, 3))
    w = b.permute(w, (0, 2, 1))
    large, z_alone, w_alone = values[0], values[2], values[8][:, None]
    for node, expected in (
        (b.combine(x, b.multiply(x, z), 1, 2), large * (1 + 2 * z_alone)),
        (b.combine(b.multiply(z, x), x, 3, -1), large * (3 * z_alone - 1)),
        (b.multiply(b.multiply(x, z), w), large * (z_alone * w_alone)),
    ):
        np.testing.assert_allclose(evaluated(node, values), expected, rtol=1e-12)
        assert cost.of([node]).operations <= large.size + 2 * z_alone.size


def test_small_factors_of_what_is_the_same_for_all_data_are_multiplied_first(made):
    """The derivatives after a first layer: v_rk + v_rk z_nk and its products with others cost one for each entry."""
    b, inputs, values = made
    v, z, w = inputs[14], inputs[2], inputs[8]
    whole, v_alone, z_alone, w_alone = (4, 3, 5), values[14][:, None], values[2], values[8][:, None]
    directions, data = b.view(v, (0, None, 1), whole), b.broadcast(z, whole)
    weights = b.view(w, (None, 0, None), whole)
    for node, expected in (
        (b.combine(directions, b.multiply(directions, data), 2, -1), v_alone * (2 - z_alone)),
        (b.multiply(b.multiply(directions, data), weights), v_alone * (z_alone * w_alone)),
        (b.multiply(data, b.multiply(weights, directions)), v_alone * (z_alone * w_alone)),
    ):
        np.testing.assert_allclose(evaluated(node, values), expected, rtol=1e-12)
        assert cost.of([node]).operations <= expected.size + 2 * z_alone.size


def test_a_sum_of_products_is_one_node_where_nothing_else_needs_them(made):
    b, inputs, values = made
    product = b.multiply(inputs[0], inputs[1])
    total = b.reduce(product, (0,))
    (joined_up,) = without_summed_products(b, [total])
    np.testing.assert_allclose(evaluated(joined_up, values), (values[0] * values[1]).sum(0), rtol=1e-12)
    assert cost.of([joined_up]).operations == cost.of([total]).operations
    assert cost.of([joined_up]).memory < cost.of([total]).memory
    # the product is used elsewhere, or is an output; the sum would be a matrix product
    outer = b.contract([(inputs[14], "rk"), (inputs[2], "nk")], "rnk")
    for outputs in ([total, b.map("sin", [product], "float64")], [total, product], [b.reduce(outer, (2,))]):
        assert without_summed_products(b, outputs) == tuple(outputs)


def test_nonlinear_maps_stop_a_sum(made):
    b, inputs, _ = made
    assert step(b.map("sin", [inputs[0]], "float64"), ((0, None),)) is None


def test_zeros_and_repetitions_are_folded(made):
    b, inputs, _ = made
    zero = b.full(0.0, (4, 3, 5), "float64")
    assert b.multiply(inputs[0], zero).is_zero
    assert b.combine(inputs[0], zero) is inputs[0]
    assert b.multiply(inputs[0], b.full(1.0, (4, 3, 5), "float64")) is inputs[0]
    assert b.contract([(b.broadcast(inputs[2], (4, 3, 5)), "rnk"), (inputs[6], "kh")], "rnh").operands[0].size == 6
    assert b.reshape(b.reshape(inputs[0], (12, 5)), (4, 3, 5)) is inputs[0]
    assert b.slice(b.concatenate([inputs[0], inputs[1]], 0), 0, 4, 8) is inputs[1]


def test_a_value_that_is_needed_anyway_is_summed_where_it_is(made):
    """A sum over features, as in layer norm or softmax, is not passed through the matrix product before it."""
    b, inputs, _ = made
    h = b.contract([(inputs[0], "rnk"), (inputs[6], "kh")], "rnh")
    mean = b.broadcast(b.unsqueeze(b.scale(b.reduce(h, (2,)), 0.5), 2), h.shape)
    centered = b.combine(h, mean, 1, -1)
    result = collapse(b, [b.map("sin", [centered], "float64")])
    assert not result.has_changed and result.outputs[0].operands[0] is centered
    assert [rest.reason for rest in result.stayed]


def test_the_last_layer_of_a_sum_over_directions(made):
    """Σ_r x_r W: R vectors through W become one, exactly."""
    b, inputs, _ = made
    result = collapse(b, [b.reduce(b.contract([(inputs[0], "rnk"), (inputs[6], "kh")], "rnh"), (0,))])
    assert (result.before.products, result.after.products) == (2 * 4 * 3 * 5 * 2, 2 * 3 * 5 * 2)
    assert cost.of(result.outputs) == result.after


def test_the_pass_is_linear_in_the_size_of_the_graph():
    """Each further layer is asked for as often as the one before: no value is visited more than a few times."""
    visits = []
    for layers in (100, 200):
        b = Builder()
        x = b.graph.make("input", (), (0,), (6, 3, 4), "float64", 0)
        gain = b.graph.make("input", (), (1,), (3, 4), "float64", 1)
        for _ in range(layers):
            x = b.combine(b.multiply(x, b.broadcast(gain, x.shape)), b.scale(x, 0.5))
        result = collapse(b, [b.reduce(x, (0,))])
        assert result.after.operations < result.before.operations
        visits.append(len(b.graph.nodes))
    assert visits[1] <= 2 * visits[0]


IDENTITIES = {
    "one axis": ("ij", "jk", "ik"),
    "the other axis": ("ij", "ik", "jk"),
    "both axes": ("ij", "ij", ""),
    "diagonal": ("ij", "ij", "i"),
    "one axis alone": ("ij", "jk", "k"),
    "both alone": ("ij", "kl", "kl"),
    "beside another sum": ("ij", "jk", "i"),
}


@pytest.mark.parametrize("name", IDENTITIES)
@pytest.mark.parametrize("split", [False, True])
def test_a_sum_with_an_identity_matrix_is_a_renaming(name, split):
    """Nothing is multiplied, also where the axis that is summed over was split in two."""
    mask, labels, out = IDENTITIES[name]
    b, n = Builder(), 6
    x = b.graph.make("input", (), (0,), (n,) * len(labels), "float64", 0)
    terms = [(b.identity(n, "float64"), mask), (x, labels)]
    expected = np.einsum(f"{mask},{labels}->{out}", np.eye(n), value := np.arange(n ** len(labels)).reshape(x.shape))
    if split:
        parted = [label for label in dict.fromkeys(mask + labels) if label not in out]
        parts = dict.fromkeys(parted, (2, 3))
        terms = [
            (
                b.reshape(node, [size for label in term for size in parts.get(label, (n,))]),
                [(label, i) for label in term for i in range(len(parts.get(label, (n,))))],
            )
            for node, term in terms
        ]
        out = [(label, 0) for label in out]
    result = b.contract(terms, out)
    assert not any(node.op == "product" for node in live([result]))
    np.testing.assert_allclose(evaluated(result, {0: value}), expected)


def test_every_op_is_made_somewhere_and_has_a_record():
    package = Path(jetbench.collapse.__file__).parents[1]
    paths = [*package.glob("collapse/*.py"), *package.glob("*/rewriting/*.py")]
    calls = [
        node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)
    ]
    made = set()
    for call in calls:
        name = ast.unparse(call.func).rpartition(".")[2]
        if name in ("make", "_source") and call.args:
            made |= {
                n.value for n in ast.walk(call.args[0]) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            }
    assert made == set(OPS) - {"input", "constant"} | (made & {"input", "constant"})
    assert {"input", "constant"} <= {op.name for op in OPS.values() if op.is_given}
    assert set(RULES) | set(diagonal.RULES) <= set(OPS)


def test_nodes_made_again_with_the_same_operands_are_the_same():
    b = Builder()
    x, y = b.graph.make("input", (), (0,), (3, 3), "float64"), b.graph.make("input", (), (1,), (3, 3), "float64")
    nodes = [
        b.permute(x, (1, 0)),
        b.scale(x, 2.0),
        b.combine(x, y, 1, -3),
        b.contract([(x, "ij"), (y, "jk")], "ik"),
        b.reduce(x, (0,)),
        b.weigh(x, 0, (1.0, 0.5, 2.0)),
        b.map("sin", (x,), "float64"),
        b.diagonal(x, (0, 0)),
        b.reshape(x, (9,)),
        b.slice(x, 0, 0, 2),
        b.concatenate((x, y), 1),
        b.graph.make("opaque", (x,), ("own",), (2,), "float64"),
        b.solve((x,), y, "triangular", 0, ()),
    ]
    others = {"input", "constant", "fill", "identity", "split", "reshape", "part"}
    assert {node.op for node in nodes} == set(OPS) - others
    for node in nodes:
        swapped = {x: y, y: x}
        other = OPS[node.op].rebuild(b, node, [swapped[o] for o in node.operands])
        assert other is not node and other.shape == node.shape
        assert OPS[node.op].rebuild(b, node, node.operands) is node
