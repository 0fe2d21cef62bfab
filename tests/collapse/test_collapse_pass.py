"""What the pass makes of whole computations: where sums and diagonals rest, what is folded, and what it costs."""

import ast
from pathlib import Path

import numpy as np
import pytest

import jetbench.collapse
from collapse_nodes import evaluated, joined
from jetbench.collapse import cost, diagonal
from jetbench.collapse.build import Builder
from jetbench.collapse.graph import live
from jetbench.collapse.ops import OPS
from jetbench.collapse.pull import collapse
from jetbench.collapse.rebuild import without_summed_products
from jetbench.collapse.rules import step
from jetbench.collapse.steps import RULES


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
