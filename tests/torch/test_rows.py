"""Networks that mix rows of x are refused whatever hides it, and those that do not are not, whatever looks like it."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from torch import nn
from torch.nn import functional as F

from jax_settings import compiled
from jetbench import operators
from jetbench.errors import JetbenchError, MixedRows, NetworkFailed, Unsupported
from jetbench.jax import linear_operator as jax_operator
from jetbench.jax import rows as jax_rows
from jetbench.jax.capture import capture
from jetbench.mixing import Undecided
from jetbench.torch import linear_operator as torch_operator
from jetbench.torch import rows as torch_rows

COLUMNS = 3
CPU = torch.device("cpu")
LAPLACIAN = operators.laplacian(dim=COLUMNS)
PRECISIONS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def check_torch(net, rows=(8,), dtype=torch.float64):
    torch_rows.check(net, (*rows, COLUMNS), dtype, CPU)


def check_jax(net, rows=(8,), dtype="float64"):
    x = jnp.zeros((*rows, COLUMNS), dtype)
    jax_rows.check(net, capture(net, x), x, set())


# ---- PyTorch: mixtures ----------------------------------------------------------------------------------------------

PERMUTATION = [1, 0, 3, 2, 5, 4, 7, 6]
MIXING = {
    # NaN is dropped
    "nanmean": lambda y: y**2 - torch.nanmean(y**2, 0, keepdim=True),
    "nansum": lambda y: y * torch.nansum(y.sin()),
    "nan_to_num": lambda y: y.sin() - torch.nan_to_num(y.sin()).mean(0),
    "isnan": lambda y: y + torch.where(y.isnan(), 0, y).sum(0),
    "fmax": lambda y: torch.fmax(y, y.roll(1, 0)),
    "nanmedian": lambda y: y - y.nanmedian(),
    "cumulative": lambda y: y + torch.nan_to_num(y).cumsum(0),
    "attention": lambda y: torch.softmax(torch.nan_to_num(y @ y.mT), -1) @ torch.nan_to_num(y),
    "outside_of_the_domain": lambda y: (y - 3).log() - torch.nanmean((y - 3).log()),
    # comparisons
    "norm_above": lambda y: y**2 * torch.where(y.norm() > 0.5, 2.0, 1.0),
    "norm_below": lambda y: y**2 * torch.where(y.norm() < 1e-3, 2.0, 1.0),
    "mean_negative": lambda y: y * torch.where(y.mean() < 0, 2.0, 1.0),
    "all_large": lambda y: y * torch.where((y > 0.5).all(), 2.0, 1.0),
    "any_large": lambda y: y * torch.where((y > 100).any(), 2.0, 1.0),
    "count": lambda y: y * (y > 0).sum(),
    "python": lambda y: y * 2 if y.norm() > 0.5 else y,
    "loop": lambda y: y / 2 ** sum(1 for k in range(20) if y.abs().max() > 2.0**k),
    # order
    "sort": lambda y: torch.nan_to_num(y).sort(0).values ** 2,
    "rank": lambda y: y * y.argsort(0).argsort(0),
    "best": lambda y: y - y[y[:, 0].argmax()],
    "quantile": lambda y: y - torch.nanquantile(y.double(), 0.5).to(y.dtype),
    "range": lambda y: y / y.abs().amax(0),
    # rows that are moved
    "permuted": lambda y: torch.nan_to_num(y)[PERMUTATION],
    "one_row": lambda y: torch.cat([y[:5], y[5:6] * torch.nan_to_num(y[2:3]), y[6:]]),
    "scattered": lambda y: y + torch.zeros_like(y).index_add(0, torch.tensor(PERMUTATION), torch.nan_to_num(y)),
    # weak, and found by NaN
    "weak": lambda y: y + 1e-10 * y.mean().tanh(),
    "batch_norm": nn.BatchNorm1d(COLUMNS, affine=False, track_running_stats=False),
}
HARD_IN_HALF_PRECISION = ("weak", "norm_below")


@pytest.mark.parametrize("name", MIXING)
def test_torch_refuses_mixtures(name):
    for dtype in PRECISIONS:
        if dtype is not torch.float64 and name in HARD_IN_HALF_PRECISION:
            continue
        with pytest.raises(MixedRows, match="rows"):
            check_torch(MIXING[name], dtype=dtype)


@pytest.mark.parametrize("rows", [(2,), (33,), (4, 8)])
def test_torch_refuses_mixtures_of_any_number_of_rows(rows):
    for name in ("nanmean", "isnan", "norm_above", "nanmedian"):
        with pytest.raises(MixedRows):
            check_torch(MIXING[name], rows)
    with pytest.raises(MixedRows):
        check_torch(lambda y: y - torch.nanmean(y, -2, keepdim=True), rows)


def test_torch_sees_each_pair_of_rows():
    for target in range(5):
        for source in set(range(5)) - {target}:

            def net(y, target=target, source=source):
                added = torch.nan_to_num(y[source])
                return torch.stack([row + added if k == target else row for k, row in enumerate(y)])

            with pytest.raises(MixedRows):
                check_torch(net, (5,))


@pytest.mark.parametrize("method", ["nested", "nested_reverse", "taylor", "collapsed", "forward_laplacian", "apolar"])
@pytest.mark.parametrize("name", ["nanmean", "norm_above", "rank"])
def test_every_torch_method_refuses_mixtures(name, method):
    x = torch.tensor([[0.3, -0.4, 0.1], [-0.6, 0.2, 0.5]], dtype=torch.float64)
    operator = torch_operator(MIXING[name], LAPLACIAN, method)
    for points in (x, 3 * x, x[:1].repeat(2, 1)):
        with pytest.raises(MixedRows):
            operator(points)


# ---- PyTorch: no mixtures -------------------------------------------------------------------------------------------

WEIGHT = torch.randn(COLUMNS, 64, generator=torch.Generator().manual_seed(0))


def chaotic(y):
    for _ in range(60):
        y = 3.9 * y * (1 - y)
    return y


def converged(y):
    """√(1 + y²) by Newton's iteration until all rows have converged."""
    root = torch.ones_like(y)
    tolerance = 8 * torch.finfo(y.dtype).eps
    while not bool(((root * root - 1 - y * y).abs() <= tolerance * (1 + y * y)).all()):
        root = 0.5 * (root + (1 + y * y) / root)
    return root


def refusing(y):
    if not bool((y.isfinite() & (y.abs() < 50)).all()):
        raise ValueError("Out of range.")
    return y.sin()


def looked_up(y):
    table = torch.linspace(0, 1, 11, dtype=y.dtype)
    return table[(10 * y).long()] * y


SEPARATE = {
    "product": lambda y: y @ WEIGHT.to(y.dtype),
    "layers": lambda y: (y @ WEIGHT.to(y.dtype)).tanh() @ WEIGHT.mT.to(y.dtype),
    "cast": lambda y: (y.bfloat16() @ WEIGHT.bfloat16()).sin().to(y.dtype),
    "guarded": lambda y: torch.where(y > 0, torch.where(y > 0, y, 1).sqrt(), 0),
    "sorted_within": lambda y: y.sort(-1).values,
    "layer_norm": lambda y: F.layer_norm(y, (COLUMNS,)),
    "softmax": lambda y: torch.softmax(5 * y, -1),
    "oscillating": lambda y: (1e6 * (1e6 * y).sin()).sin(),
    "poles": lambda y: (1e3 * y).tan(),
    "chaotic": chaotic,
    "converged": lambda y: converged(y.double()).to(y.dtype),
    "refusing": refusing,
    "looked_up": looked_up,
    "steps": lambda y: (100 * y).round(),
    "overflowing": lambda y: y.exp().exp(),
    "logarithm": lambda y: (y - 3).log(),
    "nan": lambda y: y * torch.nan,
    "nan_in_places": lambda y: torch.where(y > 0.5, torch.nan, y),
    "zeros_times_others": lambda y: torch.eye(len(y), dtype=y.dtype) @ y,
    "dropout": nn.Dropout(0.5),
    "factorized": lambda y: torch.linalg.cholesky(y.double()[:, :, None] * y[:, None] + torch.eye(COLUMNS)).sum(-1),
    "differentiated": lambda y: torch.autograd.grad((y**3).sum(), y, create_graph=True)[0],
    "constant": lambda y: torch.ones(y.shape),
    "whole": lambda y: y.long(),
    "complex": lambda y: torch.exp(1j * y.double()),
}


@pytest.mark.parametrize("name", SEPARATE)
def test_torch_takes_networks_that_keep_rows_apart(name):
    for dtype in PRECISIONS:
        for rows in ((2,), (8,), (64,)):
            check_torch(SEPARATE[name], rows, dtype)


def test_torch_in_bfloat16_on_cpus():
    """Kernels there pass NaN on to other rows through padding."""
    dtype = torch.bfloat16
    net = nn.Sequential(nn.Linear(5, 64), nn.Tanh(), nn.Linear(64, 1)).to(dtype)
    x = torch.randn(64, 5, dtype=dtype, generator=torch.Generator().manual_seed(0))
    laplacian = operators.laplacian(dim=5)
    found = torch_operator(net, laplacian)(x)
    wanted = torch_operator(copy.deepcopy(net).double(), laplacian, "nested")(x.double())
    assert found.dtype == dtype
    assert (found - wanted).abs().max() < 0.1 * wanted.abs().max()


def test_torch_under_autocast():
    net = nn.Sequential(nn.Linear(COLUMNS, 64), nn.Tanh(), nn.Linear(64, 2))
    with torch.autocast("cpu", torch.bfloat16):
        check_torch(net, (64,), torch.float32)
        with pytest.raises(MixedRows):
            check_torch(lambda y: net(y) + torch.nanmean(net(y)), (64,), torch.float32)


def test_torch_leaves_random_numbers_as_they_were():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    check_torch(nn.Dropout(0.5))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("rows", [(), (1,), (0,), (2, 0)])
def test_torch_takes_few_or_no_rows(rows):
    check_torch(torch.sin, rows)


def test_torch_looks_at_no_values_on_the_device_meta():
    torch_rows.check(lambda y: y - y.mean(0), (4, COLUMNS), torch.float64, torch.device("meta"))


def test_torch_reports_what_the_network_raises_everywhere():
    with pytest.raises(NetworkFailed, match=r"\(8, 3\).*mat1"):
        check_torch(nn.Linear(5, 1).double())
    with pytest.raises(JetbenchError, match="leading axes"):
        check_torch(lambda y: y.sum(0))
    with pytest.raises(JetbenchError, match="one tensor; it returned tuple"):
        check_torch(lambda y: (y, y))


def test_a_loop_that_does_not_end_elsewhere_is_left():
    """Ends where 0 < y < 1, and nowhere else."""

    def net(y):
        z = y
        while bool((z >= 1).any()) or bool((z <= 0).any()) or bool(z.isnan().any()):
            z = z + 0
        return z.sin()

    check_torch(net)


def test_the_number_of_runs():
    """As many as there are sets that tell the rows apart, and one for each of what the rows are changed from."""
    for rows, expected in ((2, 16), (32, 16), (1000, 26)):
        calls = []
        check_torch(lambda y, calls=calls: (calls.append(None), y.sin())[1], (rows,))
        assert len(calls) == expected


def test_no_index_is_made_of_strange_numbers_on_an_accelerator():
    """There an entry that does not exist ends the process."""
    runs = torch_rows._Runs(looked_up, torch.Size((8, COLUMNS)), torch.float64, CPU)
    runs.first()
    runs.device = type("Accelerator", (), {"type": "cuda"})()
    runs._output = lambda points: looked_up(torch.from_numpy(points))
    points = np.full((8, COLUMNS), 0.5)
    assert runs.run(points, is_familiar=True).shape == (8, COLUMNS)
    with pytest.raises(Undecided):
        runs.run(points, is_familiar=False)


# ---- JAX ------------------------------------------------------------------------------------------------------------


def apart(y):
    """Of each row by itself, by a gather, so that nothing can be proved without running it."""
    return jnp.take_along_axis(y, jnp.argsort(y, -1), -1)


JAX_MIXING = {
    "nanmean": lambda y: y**2 - jnp.nanmean(y**2, 0, keepdims=True),
    "nan_to_num": lambda y: jnp.sin(y) - jnp.nan_to_num(jnp.sin(y)).mean(0),
    "isnan": lambda y: y + jnp.where(jnp.isnan(y), 0, y).sum(0),
    "fmax": lambda y: jnp.fmax(y, jnp.roll(y, 1, 0)),
    "nanmedian": lambda y: y - jnp.nanmedian(y).astype(y.dtype),
    "attention": lambda y: jax.nn.softmax(jnp.nan_to_num(y @ y.T), -1) @ jnp.nan_to_num(y),
    "norm_above": lambda y: y**2 * jnp.where(jnp.linalg.norm(y) > 0.5, 2.0, 1.0).astype(y.dtype),
    "all_large": lambda y: y * jnp.where((y > 0.5).all(), 2.0, 1.0).astype(y.dtype),
    "count": lambda y: y * (y > 0).sum(),
    "branch": lambda y: lax.cond(y.sum() > 0, jnp.sin, jnp.cos, y),
    "loop": lambda y: lax.while_loop(lambda s: (abs(s) > 0.1).any(), lambda s: s / 2, y),
    "endless": lambda y: lax.while_loop(lambda s: (s < 1e9).all(), lambda s: s * 1, y) + jnp.nanmean(y, 0),
    "rank": lambda y: y * y.argsort(0).argsort(0).astype(y.dtype),
    "best": lambda y: y - y[y[:, 0].argmax()],
    "permuted": lambda y: y[np.array(PERMUTATION)],
    "weak": lambda y: apart(y) + 1e-10 * jnp.tanh(y.mean()),
}
JAX_SEPARATE = {
    "product": lambda y: apart(y) @ WEIGHT.numpy().astype(y.dtype),
    "guarded": lambda y: apart(jnp.where(y > 0, jnp.sqrt(jnp.where(y > 0, y, 1)), 0)),
    "oscillating": lambda y: apart(jnp.sin(1e6 * jnp.sin(1e6 * y))),
    "chaotic": lambda y: apart(chaotic(y)),
    "logarithm": lambda y: apart(jnp.log(y - 3)),
    "nan": lambda y: apart(y) * jnp.nan,
    "zeros_times_others": lambda y: jnp.eye(len(y), dtype=y.dtype) @ y,
    "scan": lambda y: lax.scan(lambda c, _: (apart(jnp.tanh(c * 0.9 + y)), None), y, None, length=3)[0],
    "endless_by_row": jax.vmap(lambda y: lax.while_loop(lambda s: (s < 1e9).all(), lambda s: s * 1, y)),
    "convolution": lambda y: lax.conv_general_dilated(y[:, None], jnp.ones((2, 1, 2), y.dtype), (1,), "SAME"),
}


@pytest.mark.parametrize("name", JAX_MIXING)
def test_jax_refuses_mixtures(name):
    for dtype in ("float64", "bfloat16") if name in ("nanmean", "norm_above", "rank") else ("float64",):
        with pytest.raises(MixedRows, match="rows"):
            check_jax(JAX_MIXING[name], dtype=dtype)


@pytest.mark.parametrize("name", JAX_SEPARATE)
def test_jax_takes_networks_that_keep_rows_apart(name):
    for dtype in ("float64", "bfloat16"):
        check_jax(JAX_SEPARATE[name], dtype=dtype)


def test_jax_where_nan_and_infinity_are_errors():
    with jax.debug_nans(True), jax.debug_infs(True):
        for name in ("scan", "guarded", "endless_by_row"):
            check_jax(JAX_SEPARATE[name])
        for name in ("nanmean", "norm_above"):
            with pytest.raises(MixedRows):
                check_jax(JAX_MIXING[name])
        value = jax.jit(jax_operator(JAX_SEPARATE["scan"], LAPLACIAN))(jnp.full((2, COLUMNS), 0.3))
        assert jnp.isfinite(value).all()


@pytest.mark.parametrize("rows", [(), (1,), (0,), (2, 0)])
def test_jax_takes_few_or_no_rows(rows):
    check_jax(apart, rows)


@pytest.mark.parametrize("method", ["nested", "collapsed"])
def test_jax_takes_a_branch_chosen_by_x_at_one_point(method):
    """Where the sum over several rows decides, each row depends on the others."""
    operator = jax_operator(lambda y: lax.cond(y.sum() > 0, lambda h: h**2, jnp.ones_like, y), LAPLACIAN, method)
    x = jnp.full(COLUMNS, 0.3)
    np.testing.assert_allclose(operator(x), jnp.full(COLUMNS, 2.0))
    np.testing.assert_allclose(operator(-x), jnp.zeros(COLUMNS))
    with pytest.raises(MixedRows, match="decision"):
        operator(jnp.stack([x, x]))


def test_jax_checks_again_what_has_changed():
    """The network is captured in every call; a mixture that comes later is seen."""
    order = [0, 1, 2]
    operator = jax_operator(lambda y: y[np.array(order)] ** 2, LAPLACIAN)
    x = jnp.full((3, COLUMNS), 0.3)
    np.testing.assert_allclose(operator(x), jnp.full((3, COLUMNS), 2.0))
    order[:] = [1, 0, 2]
    with pytest.raises(MixedRows):
        operator(x)


def test_jax_runs_once_what_it_has_to_run(monkeypatch):
    runs = []
    monkeypatch.setattr(jax_rows, "are_mixed", lambda *_: runs.append(None))
    operator = jax_operator(apart, LAPLACIAN)
    for _ in range(3):
        operator(jnp.full((3, COLUMNS), 0.3))
    assert len(runs) == 1


def test_jax_check_has_no_effects(capsys):
    cell = jax.new_ref(jnp.ones(()))

    def net(y):
        jax.debug.print("printed")
        jax.experimental.io_callback(lambda: print("called"), None)
        cell[...] += 1
        return apart(y) * cell[...]

    check_jax(net)
    jax.effects_barrier()
    assert capsys.readouterr().out == ""
    assert cell[...] == 1


def test_jax_warns_where_it_cannot_look(monkeypatch):
    def fails(function):
        raise NotImplementedError("no such device")

    monkeypatch.setattr(jax_rows, "compiled_quickly", lambda _: fails)
    with pytest.warns(UserWarning, match="could not run the network .* no such device"):
        check_jax(apart)


def test_jax_with_a_batch_that_is_a_symbol():
    def network(y):
        return apart(jnp.tanh(y @ WEIGHT.numpy()[:, :4]))

    (batch,) = jax.export.symbolic_shape("batch")
    shape = jax.ShapeDtypeStruct((batch, COLUMNS), "float64")
    x = np.random.default_rng(0).random((5, COLUMNS))
    exported = jax.export.export(jax.jit(jax_operator(network, LAPLACIAN)))(shape)
    np.testing.assert_allclose(exported.call(x), compiled(jax_operator(network, LAPLACIAN, "nested"))(x), rtol=1e-12)
    with pytest.raises(MixedRows):
        jax.export.export(jax.jit(jax_operator(JAX_MIXING["nanmean"], LAPLACIAN)))(shape)
    with pytest.raises(Unsupported, match=r"\(batch, 3\)"):
        jax.export.export(jax.jit(jax_operator(network, LAPLACIAN, "stock_rewrite")))(shape)


# ---- JAX: devices and vmap ------------------------------------------------------------------------------------------

METHODS = ("nested", "nested_reverse", "taylor", "collapsed", "forward_laplacian", "apolar", "collapsed_rewrite")
WEIGHTS = np.sin(np.arange(12.0)).reshape(COLUMNS, 4)
POINTS = np.cos(np.arange(6.0)).reshape(2, COLUMNS)


def layers(x, w):
    return jnp.tanh(x @ w).sum(-1, keepdims=True)


def spread(function, of_x, of_w, **options):
    mesh = jax.make_mesh((1,), ("shards",), axis_types=(AxisType.Auto,))
    return jax.shard_map(function, mesh=mesh, in_specs=(of_x, of_w), out_specs=of_x, **options)


@pytest.mark.parametrize("method", [*METHODS, "stock_rewrite"])
def test_parameters_in_shards(method):
    """Layers whose columns are in shards and whose result is a sum over them; shards that are gathered at each use."""

    def summed(x, w):
        return jax_operator(lambda y: lax.psum(layers(apart(y), w), "shards"), LAPLACIAN, method)(x)

    def gathered(x, w):
        return jax_operator(
            lambda y: layers(apart(y), lax.all_gather(w, "shards", axis=1, tiled=True)), LAPLACIAN, method
        )(x)

    wanted = compiled(jax_operator(lambda y: layers(apart(y), WEIGHTS), LAPLACIAN))(POINTS)
    for function, of_x in ((summed, P()), (gathered, P("shards"))):
        np.testing.assert_allclose(
            compiled(spread(function, of_x, P(None, "shards")))(POINTS, WEIGHTS), wanted, rtol=1e-11
        )


@pytest.mark.parametrize("method", ["nested", "collapsed", "collapsed_rewrite"])
def test_gradients_of_replicated_parameters_where_rows_are_in_shards(method):
    def values(x, w):
        return jax_operator(lambda y: layers(y, w), LAPLACIAN, method)(x)

    found = compiled(jax.grad(lambda w: spread(values, P("shards"), P())(POINTS, w).sum()))(WEIGHTS)
    np.testing.assert_allclose(found, compiled(jax.grad(lambda w: values(POINTS, w).sum()))(WEIGHTS), rtol=1e-11)


def test_rows_spread_by_types():
    """Where axes of a mesh are `Explicit`, an array's type says how it is spread."""
    mesh = jax.make_mesh((1,), ("shards",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        x = jax.device_put(POINTS, jax.NamedSharding(mesh, P("shards")))
        taken = jax_operator(lambda y: jnp.take(y, np.array([2, 1, 0]), -1) ** 2, LAPLACIAN)
        np.testing.assert_allclose(jax.jit(taken)(x), np.full_like(POINTS, 2.0))
        for function in (
            jax_operator(JAX_MIXING["nanmean"], LAPLACIAN),
            jax_operator(JAX_MIXING["all_large"], LAPLACIAN),
        ):
            with pytest.raises(MixedRows):
                function(x)


def test_rows_that_are_mixed_across_devices_are_refused():
    def values(x, w):
        return jax_operator(lambda y: y**2 - lax.pmean(y**2, "shards"), LAPLACIAN)(x)

    with pytest.raises(MixedRows, match="psum"):
        spread(values, P("shards"), P())(POINTS, WEIGHTS)
    with pytest.raises(JetbenchError, match="check_vma"):
        spread(values, P("shards"), P(), check_vma=False)(POINTS, WEIGHTS)


def test_what_vmap_runs_side_by_side():
    """An ensemble may be averaged at the same x; points may not."""
    ensemble = np.stack([WEIGHTS, 2 * WEIGHTS])

    def member(w):
        return jax_operator(lambda y: lax.pmean(layers(y, w), "members"), LAPLACIAN)(POINTS)

    mean = jax_operator(lambda y: (layers(y, ensemble[0]) + layers(y, ensemble[1])) / 2, LAPLACIAN)
    wanted = compiled(mean)(POINTS)
    for found in compiled(jax.vmap(member, axis_name="members"))(ensemble):
        np.testing.assert_allclose(found, wanted, rtol=1e-11)
    mixing = jax_operator(lambda y: y**2 - lax.pmean(y**2, "points"), LAPLACIAN)
    with pytest.raises(MixedRows, match="vmap"):
        jax.vmap(mixing, axis_name="points")(POINTS)
    with pytest.raises(JetbenchError, match=r"jax\.jit"):
        jax.vmap(jax.jit(mixing), axis_name="points")(POINTS)
