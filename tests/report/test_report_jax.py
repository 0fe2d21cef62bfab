"""Both backends in one report: never mixed unsaid, the paper's JAX numbers, and what dense zeros explain."""

from __future__ import annotations

import math

import pytest

from jetbench.report import collect, labels, summary
from jetbench.report.data import Data
from jetbench.report.figures import style
from jetbench.report.registry import TABLES
from jetbench.report.reproduction import dense_zeros, published
from report_records import NESTED, OVERHEAD, SECONDS, record, write

JAX = ("nested", "jax_jet", "taylor", "folx", "collapsed")


def jax_records(methods=JAX):
    return [
        record(operator, dim, method, "compiled", value=value, backend="jax")
        for operator, dim in (("laplacian", 50), ("biharmonic", 5))
        for method in methods
        for value in (1, 8, 32)
    ]


def torch_records():
    methods = ("nested", "taylor", "collapsed")
    return [
        record("laplacian", 50, m, mode, value=v) for m in methods for v in (1, 8) for mode in ("eager", "compiled")
    ]


def data_of(records, folder):
    return Data(collect.read(write(records, folder)), published.load())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return data_of([*torch_records(), *jax_records()], tmp_path_factory.mktemp("results"))


def test_the_jax_table_has_stock_and_zero_aware_taylor_mode_and_the_papers_numbers(data):
    made = TABLES.make("jax", data)
    found = made.frame[made.frame.operator == "Laplacian, D = 50, JAX"].set_index("method")
    assert list(found.index) == [labels.series_label(method) for method in JAX]
    stock, aware = "Standard Taylor (stock jet)", "Standard Taylor"
    assert found.time[stock] == pytest.approx(1e3 * 0.8 * SECONDS * 153)
    assert found.time_ratio[aware] == pytest.approx(1 / NESTED)
    # slopes.csv: jet and folx over nested for the exact Laplacian; the paper has no other Taylor mode in JAX.
    assert found.time_published[stock] == pytest.approx(1.459, abs=1e-3)
    assert found.time_published["Forward Laplacian (folx)"] == pytest.approx(0.498, abs=1e-3)
    assert math.isnan(found.time_published[aware]) and math.isnan(found.time_published["Collapsed Taylor"])
    assert not set(made.frame.operator) - {"Laplacian, D = 50, JAX", "Biharmonic, D = 5, JAX"}


def test_the_papers_biharmonic_by_nested_jets_stands_beside_no_jet_of_order_4(data):
    found = TABLES.make("jax", data).frame.set_index(["operator", "method"])
    biharmonic = found.loc["Biharmonic, D = 5, JAX"]
    assert math.isnan(biharmonic.time_published["Standard Taylor (stock jet)"])
    assert biharmonic.time_published["Forward Laplacian (folx)"] == pytest.approx(0.333, abs=1e-3)


def test_what_dense_zeros_explain_is_told_from_the_data(data, tmp_path):
    told = dense_zeros.sentence(data.records, data.published)
    assert told in TABLES.make("jax", data).notes
    factor = (OVERHEAD + SECONDS * 32 * 153) / (OVERHEAD + SECONDS * 32 * 101)
    share = math.log(factor) / math.log(1.45883)
    assert f"batch 32: stock jet takes {factor * floors('taylor'):.2f} floors" in told
    assert f"a factor of {factor:.2f}; the paper has stock jet at 1.46 of nested" in told
    assert f"explain the whole of the published gap ({share:.2f}" in told
    records = jax_records()
    for made in records:
        if made["method"] == "taylor":
            made["time_over_floor"] *= 1.25
    told = dense_zeros.sentence(data_of(records, tmp_path).records, published.load())
    share = math.log(factor / 1.25) / math.log(1.45883)
    assert 0 < share < 1 and f"explain {100 * share:.0f}% of the published gap ({share:.2f}" in told


def floors(method):
    return record("laplacian", 50, method, "compiled", value=32, backend="jax")["time_over_floor"]


def test_without_one_of_the_two_modes_nothing_is_told(tmp_path):
    data = data_of(jax_records(("nested", "taylor", "collapsed")), tmp_path)
    assert dense_zeros.sentence(data.records, data.published) is None
    assert dense_zeros.sentence(data.records.iloc[:0], data.published) is None


def test_the_compiled_table_is_of_pytorch(data):
    assert set(TABLES.make("compiled", data).frame.operator) == {"Laplacian, D = 50"}


def test_labels_name_the_backend_where_it_is_not_obvious(data):
    found = set(labels.case_labels(data.records).values())
    assert found == {"Laplacian, D = 50, PyTorch", "Laplacian, D = 50, JAX", "Biharmonic, D = 5, JAX"}
    of_torch = data.records[data.records.backend == "torch"]
    assert set(labels.case_labels(of_torch).values()) == {"Laplacian, D = 50"}
    assert labels.series_label("jax_jet_griewank") == "Standard Taylor (stock jet) (Griewank)"


def test_ratios_to_nested_stay_within_a_backend(data):
    own = data.records[(data.records.backend == "jax") & (data.records.method == "collapsed")]
    own = own[(own.operator == "laplacian") & (own.x == 32)]
    nested = data.records[(data.records.backend == "jax") & (data.records.method == "nested")]
    nested = nested[(nested.operator == "laplacian") & (nested.x == 32)]
    assert own.time_over_nested.item() == pytest.approx(own.time_s.item() / nested.time_s.item())


def test_a_row_of_jax_has_no_panel_for_eager_mode(data):
    with style.settings():
        figure = style.draw("batch", data)
    rows = {}
    for axes in figure.axes:
        rows.setdefault(axes.get_subplotspec().rowspan.start, []).append(axes.get_visible())
    assert [rows[row] for row in sorted(rows)] == [[True] * 4, [False, True] * 2, [False, True] * 2]
    titles = [text.get_text() for axes in figure.axes if axes.get_visible() for text in axes.texts]
    assert "Laplacian, D = 50, JAX" in titles


def test_the_figure_of_standard_taylor_mode_shows_measured_and_published_ratios(data):
    with style.settings():
        figure = style.draw("batch_standard_taylor", data)
        figure.draw_without_rendering()
    vectors, ratios = figure.axes[:2]
    assert [bar.get_width() for bar in vectors.patches] == [101, 153, 101, 52, 52]
    assert ratios.patches[3].get_width() == pytest.approx(52 / 101 / NESTED, rel=0.05)
    hollow = {line.get_gid(): line.get_xdata()[0] for line in ratios.lines if line.get_gid()}
    assert hollow["published-jax_jet"] == pytest.approx(1.459, abs=1e-3)
    assert "published-taylor" not in hollow
    assert "dense zeros" in figure._supxlabel.get_text() and "JAX" in figure._supxlabel.get_text()


def test_the_summary_has_a_block_for_each_backend(data):
    from rich.console import Console

    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary.summary(data))
    text = console.export_text()
    assert "Laplacian, D = 50, PyTorch" in text and "Laplacian, D = 50, JAX" in text
