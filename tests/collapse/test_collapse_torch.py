"""`collapse` in PyTorch on code that knows nothing of it: values, exact counts, gradients, compilation."""

import pytest
import torch
from torch.func import hessian, jacfwd, jvp, vmap

from fuzz.collapse.torch import compare
from jetbench import operators
from jetbench.cli import from_file
from jetbench.errors import JetbenchError
from jetbench.measure.backends.torch import counted_flops
from jetbench.networks import NetworkSpec
from jetbench.torch import collapse, linear_operator
from jetbench.torch.corrected.network import corrected
from jetbench.torch.network import build
from jetbench.torch.rewriting import trace

DIM, ROWS = 6, 3
X = torch.linspace(-1, 1, ROWS * DIM, dtype=torch.float64).reshape(ROWS, DIM)


def second(f, x, v):
    return jvp(lambda y: jvp(f, (y,), (v.expand_as(x),))[1], (x,), (v.expand_as(x),))[1]


def stock_laplacian(f):
    return lambda x: vmap(lambda v: second(f, x, v))(torch.eye(x.shape[-1], dtype=x.dtype)).sum(0)


def network(kind="mlp", activation="tanh"):
    return build(NetworkSpec(kind=kind, dim=DIM, widths=(24, 24, 20), activation=activation))


def agrees(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", ["mlp", "residual_mlp", "layernorm_mlp", "attention"])
@pytest.mark.parametrize("code", ["stock", "taylor"])
def test_laplacian_has_the_count_of_the_forward_laplacian(kind, code):
    net = network(kind)
    by_hand = linear_operator(net, operators.laplacian(dim=DIM), "collapsed")
    if code == "stock":
        function = stock_laplacian(corrected(net))
    else:
        function = linear_operator(net, operators.laplacian(dim=DIM), "taylor").evaluate
    collapsed = collapse(function)
    agrees(collapsed(X), by_hand(X))
    agrees(collapsed(X), function(X))
    assert counted_flops(lambda: collapsed(X)) <= 1.02 * counted_flops(lambda: by_hand(X))
    assert counted_flops(lambda: collapsed(X)) == collapsed.explain(X).result.after.products


@pytest.mark.parametrize("activation", ["sin", "gelu", "softplus", "relu_squared"])
def test_activations(activation):
    net = network(activation=activation)
    collapsed = collapse(stock_laplacian(net))
    agrees(collapsed(X), linear_operator(net, operators.laplacian(dim=DIM), "collapsed")(X))
    assert collapsed.explain(X).result.has_changed


def test_biharmonic_from_four_jets():
    operator, x = operators.biharmonic(dim=3), X[:, :3]
    net = build(NetworkSpec(dim=3, widths=(16, 16)))
    by_hand = linear_operator(net, operator, "collapsed")
    collapsed = collapse(linear_operator(net, operator, "taylor").evaluate)
    torch.testing.assert_close(collapsed(x), by_hand(x), rtol=1e-9, atol=1e-9)
    assert counted_flops(lambda: collapsed(x)) <= counted_flops(lambda: by_hand(x))


WEIGHTS = torch.linspace(-1, 2, DIM, dtype=torch.float64)
WEIGHTED = {
    "vector": lambda v: (WEIGHTS[:, None, None] * v).sum(0),
    "einsum": lambda v: torch.einsum("r,rnc->nc", WEIGHTS, v),
    "tensordot": lambda v: torch.tensordot(WEIGHTS, v, 1),
    "mean": lambda v: v.mean(0),
    "random": lambda v: v[:2].mean(0),
    "signs": lambda v: v[:2].sum(0) - v[2:].sum(0),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_weighted_sums(name):
    net = network()

    def function(x):
        return WEIGHTED[name](vmap(lambda v: second(net, x, v))(torch.eye(DIM, dtype=x.dtype)))

    collapsed = collapse(function)
    agrees(collapsed(X), function(X))
    result = collapsed.explain(X).result
    assert result.after.products < 0.7 * result.before.products


def test_sums_over_two_axes_of_directions():
    """Σ_uv ∂_u ∂_v f = ∂_s ∂_s f with s = Σ_u u: R² second derivatives become one."""
    net, eye = network(), torch.eye(DIM, dtype=torch.float64)

    def mixed(x, u, v):
        return jvp(lambda y: jvp(net, (y,), (u.expand_as(x),))[1], (x,), (v.expand_as(x),))[1]

    def function(x):
        return vmap(lambda u: vmap(lambda v: mixed(x, u, v))(eye))(eye).sum((0, 1))

    collapsed = collapse(function)
    agrees(collapsed(X), function(X))
    result = collapsed.explain(X).result
    assert result.after.products < 0.15 * result.before.products


TRACES = {
    "trace": vmap(torch.trace),
    "diagonal": lambda h: h.diagonal(dim1=-2, dim2=-1).sum(-1),
    "diag": vmap(lambda h: torch.diag(h).sum()),
    "einsum": lambda h: torch.einsum("bii->b", h),
    "identity": lambda h: torch.einsum("ij,bij->b", torch.eye(DIM, dtype=h.dtype), h),
    "one by one": lambda h: torch.stack([torch.trace(one) for one in h]),
    "weighted diagonal": lambda h: (WEIGHTS * h.diagonal(dim1=-2, dim2=-1)).sum(-1),
    "weighted einsum": lambda h: torch.einsum("i,bii->b", WEIGHTS, h),
}


def hessians(f, x):
    return vmap(jacfwd(jacfwd(lambda z: f(z[None])[0, 0])))(x)


@pytest.mark.parametrize("name", TRACES)
def test_trace_of_a_hessian(name):
    net = network()
    by_hand = linear_operator(net, operators.laplacian(dim=DIM), "collapsed")

    def function(x):
        return TRACES[name](hessians(net, x))

    collapsed = collapse(function)
    agrees(collapsed(X), function(X))
    assert counted_flops(lambda: collapsed(X)) <= counted_flops(lambda: by_hand(X))


MATRIX = torch.linspace(-1, 2, DIM * DIM, dtype=torch.float64).sin().reshape(DIM, DIM)
MATRICES = {
    "einsum": lambda x, h: torch.einsum("ij,...ij", MATRIX, h),
    "product": lambda x, h: (MATRIX * h).sum((-1, -2)),
    "trace of a product": lambda x, h: vmap(torch.trace)(MATRIX @ h),
    "factors": lambda x, h: torch.einsum("bij,ik,jk->b", h, MATRIX, MATRIX),
    "of each point": lambda x, h: torch.einsum("bij,bij->b", x[:, :, None] * x.cos()[:, None], h),
    "of each point under vmap": lambda x, h: vmap(lambda p, one: (torch.outer(p, p.cos()) * one).sum())(x, h),
}


@pytest.mark.parametrize("name", MATRICES)
def test_a_hessian_weighted_with_a_matrix(name):
    """Σ_ij A_ij ∂_i ∂_j: the vectors of the forward Laplacian, and A times the derivatives before each function."""
    net = network()

    def function(x):
        return MATRICES[name](x, hessians(net, x))

    collapsed = collapse(function)
    agrees(collapsed(X), function(X))
    layers = 2 * ROWS * (DIM * 24 + 24 * 24 + 24 * 20 + 20)
    weighting = 2 * ROWS * DIM * DIM * (24 + 24 + 20) + 2 * DIM**3
    flops = counted_flops(lambda: collapsed(X))
    assert flops == collapsed.explain(X).result.after.products
    assert flops <= (DIM + 2) * layers + weighting < 0.4 * counted_flops(lambda: function(X))


def test_weights_of_each_point():
    """Σ_r w_r(x) ∂_r²: each point has weights of its own; the vectors are those of the forward Laplacian."""
    net = corrected(network())

    def function(x):
        seconds = vmap(lambda v: second(net, x, v))(torch.eye(DIM, dtype=x.dtype))
        return torch.einsum("nr,rnc->nc", x.sin(), seconds)

    collapsed, plain = collapse(function), collapse(stock_laplacian(net))
    agrees(collapsed(X), function(X))
    assert counted_flops(lambda: collapsed(X)) == counted_flops(lambda: plain(X))


@pytest.mark.parametrize("kind", ["mlp", "residual_mlp", "layernorm_mlp", "attention"])
def test_trace_of_a_hessian_has_the_count_of_the_forward_laplacian(kind):
    net = corrected(network(kind))
    by_hand = linear_operator(network(kind), operators.laplacian(dim=DIM), "collapsed")
    collapsed = collapse(lambda x: TRACES["trace"](hessians(net, x)))
    stock = collapse(stock_laplacian(net))
    agrees(collapsed(X), by_hand(X)[:, 0])
    assert counted_flops(lambda: collapsed(X)) <= 1.02 * counted_flops(lambda: by_hand(X))
    assert counted_flops(lambda: collapsed(X)) == counted_flops(lambda: stock(X))
    assert collapsed.explain(X).result.after.operations == stock.explain(X).result.after.operations


def test_trace_of_a_hessian_in_a_matrix():
    """Two axes of coordinates: the directions' axes are split, and merged again."""
    net, x = network(), X.reshape(ROWS, 2, 3)

    def function(x):
        h = vmap(jacfwd(jacfwd(lambda z: net(z.reshape(1, DIM))[0, 0])))(x)
        return torch.einsum("nabab->n", h), vmap(torch.trace)(h.reshape(ROWS, DIM, DIM))

    collapsed = collapse(function)
    for found in collapsed(x):
        agrees(found, TRACES["trace"](hessians(net, X)))
    flat = collapse(lambda x: TRACES["trace"](hessians(net, x)))
    assert counted_flops(lambda: collapsed(x)) == counted_flops(lambda: flat(X))


def test_trace_of_a_hessian_in_training_and_explained(tmp_path):
    net = network()
    collapsed = collapse(lambda x: TRACES["trace"](hessians(net, x)))
    weights = [layer.weight for layer in net.layers]
    expected = torch.autograd.grad(stock_laplacian(net)(X).square().sum(), weights)
    for a, b in zip(torch.autograd.grad(collapsed(X).square().sum(), weights), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)
    explanation = collapsed.explain(X)
    assert "it is a renaming" in str(explanation) and "rests at" in str(explanation)
    explanation.draw(tmp_path / "graphs.svg")
    assert "#009e73" in (tmp_path / "graphs.svg").read_text().lower()


@pytest.mark.parametrize("axes", [(0, 2), (1, 3), (-1, 1)])
def test_a_diagonal_of_what_is_unknown_stays(axes):
    x = torch.linspace(-1, 1, 144, dtype=torch.float64).reshape(4, 3, 4, 3)

    def function(x):
        whole = x.cumprod(1)
        return whole.diagonal(0, *axes), torch.einsum("abab->ba", whole), whole.diagonal(1, 0, 2)

    collapsed = collapse(function)
    for found, expected in zip(collapsed(x), function(x), strict=True):
        agrees(found, expected)
    assert "stays: nothing is known of how this operation" in str(collapsed.explain(x))


def test_a_whole_hessian_is_left_unchanged_and_its_trace_by_reverse_mode_saves_the_entries_beside_the_diagonal():
    net = network()
    assert not collapse(lambda x: hessians(net, x)).explain(X).result.has_changed

    def by_reverse_mode(x):
        return vmap(hessian(lambda z: net(z[None])[0, 0]))(x)

    assert not collapse(by_reverse_mode).explain(X).result.has_changed
    explained = collapse(lambda x: TRACES["trace"](by_reverse_mode(x))).explain(X)
    assert explained.result.before.products - explained.result.after.products == ROWS * 2 * DIM * DIM * 24
    assert "it is a renaming" in str(explained) and "it could be pulled up to" in str(explained)


def _filled(x):
    zeros = x.new_zeros(DIM, DIM)
    diagonal = zeros.diagonal()
    diagonal.fill_(2)
    return x @ zeros + diagonal


def _filled_behind_a_view(x):
    zeros = x.new_zeros(DIM, DIM)
    flat = zeros.view(-1)
    zeros.diagonal().fill_(2)
    return x @ zeros, flat.sum()


def _filled_twice(x):
    zeros = x.new_zeros(DIM, DIM)
    zeros.diagonal().fill_(2)
    zeros.diagonal(1).fill_(3)
    return x @ zeros


def _added_to_what_is_filled(x):
    zeros = x.new_zeros(DIM, DIM)
    zeros.diagonal().fill_(2)
    zeros.add_(1)
    return x @ zeros


def _squeezed(x):
    y = (x @ x.new_ones(DIM, 1)) * 2
    alias = y.view(-1)
    y.squeeze_(-1)
    y.add_(1)
    return y * alias


@pytest.mark.parametrize(
    "function", [_filled, _filled_behind_a_view, _filled_twice, _added_to_what_is_filled, _squeezed]
)
def test_what_works_in_place(function):
    found, expected = collapse(function)(X), function(X)
    for a, b in zip(*((v if isinstance(v, tuple) else (v,)) for v in (found, expected)), strict=True):
        agrees(a, b)


def test_a_stock_laplacian_is_traced_once(monkeypatch):
    """What `vmap` and `jacfwd` do in place is put right in the graph, without a second trace."""

    def refused(*_, **__):
        raise AssertionError("traced a second time")

    monkeypatch.setattr(trace, "functionalize", refused)
    net = network()
    agrees(collapse(stock_laplacian(net))(X)[:, 0], collapse(lambda x: TRACES["trace"](hessians(net, x)))(X))


def test_gradients_in_the_parameters_and_new_parameters():
    net = network()
    function = stock_laplacian(net)
    collapsed = collapse(lambda x: stock_laplacian(net)(x))
    for _ in range(2):
        expected = torch.autograd.grad(function(X).square().sum(), list(net.parameters()), allow_unused=True)
        found = torch.autograd.grad(collapsed(X).square().sum(), list(net.parameters()), allow_unused=True)
        for a, b in zip(found, expected, strict=True):
            # the last bias has no influence; without a gradient or with one that is zero
            a, b = (torch.zeros(1).double() if g is None else g for g in (a, b))
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)
        for layer in net.layers:
            layer.weight = torch.nn.Parameter(layer.weight.detach() * 0.9)


def test_what_cannot_be_collapsed_is_left_unchanged_and_explained():
    def function(x):
        return torch.softmax(x, -1).cumprod(-1)

    collapsed = collapse(function)
    agrees(collapsed(X), function(X))
    explanation = collapsed.explain(X)
    assert not explanation.result.has_changed
    assert "Nothing to collapse" in str(explanation) and "this function is not linear" in str(explanation)


def test_arguments_in_any_structure_and_random_numbers_anew():
    collapsed = collapse(lambda pair, scale: {"y": pair[0] * scale + pair[1], "n": 3})
    found = collapsed((X, 2 * X), scale=3.0)
    assert found["n"] == 3
    agrees(found["y"], 5 * X)
    noise = collapse(lambda x: torch.rand_like(x) - torch.rand_like(x))
    assert noise(X).abs().max() > 0 and not torch.equal(noise(X), noise(X))


def test_torch_func_applies():
    net = network()
    collapsed = collapse(stock_laplacian(net))
    agrees(vmap(collapsed)(X), stock_laplacian(net)(X))


def test_explanation_names_every_sum_and_draws(tmp_path):
    explanation = collapse(stock_laplacian(network())).explain(X)
    text = str(explanation)
    assert "Collapsed:" in text and "rests at" in text and "matrix product" in text
    explanation.draw(tmp_path / "graphs.svg")
    assert "#009e73" in (tmp_path / "graphs.svg").read_text().lower()


def test_errors():
    with pytest.raises(TypeError, match="takes a function"):
        collapse(3)


def test_backend_of_torch_compile_is_registered():
    assert "jetbench" in torch._dynamo.list_backends(exclude_tags=())


@pytest.mark.parametrize("seed", range(40))
def test_random_functions(seed):
    assert compare(seed) is None


def test_products_with_the_identity_matrix_are_renamings():
    """The first layer takes the unit vectors to its own rows: of the Laplacian, its products are not computed."""
    net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 1)).double()
    x = torch.linspace(-1, 1, 15, dtype=torch.float64).reshape(3, 5)
    function = stock_laplacian(net)
    collapsed = collapse(function)
    agrees(collapsed(x), function(x))
    layers = 2 * 3 * (5 * 7) + 2 * 3 * 7  # of the values, and of the one sum in the last layer
    assert collapsed.explain(x).result.after.products == layers == counted_flops(lambda: collapsed(x))


OWN = """
import torch
from torch.func import jvp, vmap

network = torch.nn.Sequential(torch.nn.Linear(50, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1)).{kind}()

def laplacian(x):
    def second(v):
        v = v.expand_as(x)
        return jvp(lambda y: jvp(network, (y,), (v,))[1], (x,), (v,))[1]

    return vmap(second)(torch.eye(50, dtype=x.dtype)).sum(0)

def wide(x):
    return x.sum(), x.dtype
"""


@pytest.mark.parametrize("kind", ["double", "float"])
def test_a_function_is_explained_in_the_type_of_its_own_tensors(kind, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN.format(kind=kind))
    explained = from_file.explain(f"{path}:laplacian", ["8x50"], "torch", None)
    assert explained.result.after.products == 2 * 8 * (50 * 64 + 64)
    assert {node.dtype for node in explained.outputs} == {{"double": "float64", "float": "float32"}[kind]}
    (whole,) = from_file.explain(f"{path}:wide", ["2x3"], "torch", None).outputs
    assert whole.dtype == "float64"
    with pytest.raises(JetbenchError, match=r"could not be run for 8x50 \(torch, bfloat16\)"):
        from_file.explain(f"{path}:laplacian", ["8x50"], "torch", "bfloat16")
