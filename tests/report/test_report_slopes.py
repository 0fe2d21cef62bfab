"""Fitted slopes, their intervals, predicted ratios, and the paper's own slopes fitted again."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from jetbench.report import collect, slopes
from jetbench.report.reproduction import published
from jetbench.report.tables import predicted
from report_records import BYTES, NESTED, SECONDS, failure, record, sweep, write


def test_a_line_is_recovered_exactly():
    x = np.array([1.0, 8.0, 32.0, 64.0])
    found = slopes.fit(x, 0.25 + 3.5 * x)
    assert found.slope == pytest.approx(3.5, rel=1e-12)
    assert found.intercept == pytest.approx(0.25, rel=1e-9)
    assert found.low == pytest.approx(3.5) and found.high == pytest.approx(3.5)
    assert found.points == 4


def test_the_interval_is_that_of_the_textbook():
    # x = 1 2 3 4, y = 2 3 5 6: slope 1.4, residual variance 0.1, standard error sqrt(0.1 / 5), t(2, 0.975) = 4.302653.
    found = slopes.fit(np.array([1, 2, 3, 4]), np.array([2, 3, 5, 6]))
    assert found.slope == pytest.approx(1.4)
    assert found.error == pytest.approx(math.sqrt(0.02))
    assert found.high - found.slope == pytest.approx(4.302653 * math.sqrt(0.02), rel=1e-6)
    assert found.slope - found.low == pytest.approx(4.302653 * math.sqrt(0.02), rel=1e-6)


def test_intervals_of_slopes_and_ratios_cover_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(0)
    x, runs = np.array([1.0, 4.0, 8.0, 16.0, 24.0, 32.0]), 2000
    inside = ratio_inside = 0
    for _ in range(runs):
        fits = [slopes.fit(x, 5 + slope * x + generator.normal(0, 1.5, x.shape)) for slope in (3.0, 6.0)]
        inside += fits[0].low <= 3.0 <= fits[0].high
        _, low, high = slopes.ratio(*fits)
        ratio_inside += low <= 0.5 <= high
    assert 0.935 < inside / runs < 0.965  # three standard errors around 0.95
    assert 0.93 < ratio_inside / runs < 0.98  # first-order propagation is a little cautious


def test_too_few_points_give_no_interval_and_one_gives_no_slope():
    two = slopes.fit(np.array([1.0, 3.0]), np.array([2.0, 8.0]))
    assert two.slope == 3.0 and math.isnan(two.low) and math.isnan(two.high)
    assert math.isnan(slopes.fit(np.array([2.0, 2.0]), np.array([1.0, 2.0])).slope)
    assert math.isnan(slopes.fit(np.array([]), np.array([])).slope)
    value, low, high = slopes.ratio(two, two)
    assert (value, low, high) == (1.0, 1.0, 1.0)
    value, low, _ = slopes.ratio(two, slopes.fit(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])))
    assert value == pytest.approx(3.0) and math.isnan(low)


def test_missing_costs_are_left_out():
    found = slopes.fit(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, math.nan, 6.0, 8.0]))
    assert found.slope == pytest.approx(2.0) and found.points == 3


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return collect.read(write(sweep(("nested", "taylor", "collapsed", "apolar")), tmp_path_factory.mktemp("results")))


@pytest.fixture(scope="module")
def table(records):
    index = ["study", "operator", "rank_ratio", "series", "mode", "metric"]
    frame = slopes.slopes(records)
    return frame.assign(rank_ratio=frame.rank_ratio.fillna(0)).set_index(index).sort_index()


@pytest.mark.parametrize(
    ("study", "operator", "rank", "series", "vectors"),
    [
        ("batch", "laplacian", 0, "taylor", 101),
        ("batch", "laplacian", 0, "collapsed", 52),
        ("batch", "weighted_laplacian", 0.5, "collapsed", 27),
        ("batch", "biharmonic", 0, "collapsed", 77),
        ("batch", "biharmonic", 0, "collapsed_griewank", 107),
        ("batch", "biharmonic", 0, "apolar", 27),
        ("samples", "laplacian", 0, "collapsed", 32 * 1),  # batch 32, one vector a sample
        ("samples", "biharmonic", 0, "taylor", 16 * 4),
        ("rank", "weighted_laplacian", 0, "taylor", 32 * 2 * 50),  # per unit of rank over D = 50
    ],
)
def test_slopes_of_synthetic_records(table, study, operator, rank, series, vectors):
    row = table.loc[(study, operator, rank, series, "eager")]
    assert row.slope["time"] == pytest.approx(1e3 * SECONDS * vectors)
    assert row.slope["gradient_time"] == pytest.approx(3e3 * SECONDS * vectors)
    assert row.slope["memory_nondifferentiable"] == pytest.approx(BYTES * vectors / 2**20, rel=1e-5)
    assert row.slope["memory_differentiable"] == pytest.approx(3 * BYTES * vectors / 2**20, rel=1e-5)
    assert row.slope["vectors"] == pytest.approx(vectors)
    nested = table.loc[(study, operator, rank, "nested", "eager")].slope["vectors"]
    assert row.ratio_to_nested["time"] == pytest.approx(vectors / nested / NESTED)
    assert row.unit["time"] == "ms" and row.unit["memory_differentiable"] == "MiB"


def test_failed_points_are_not_fitted(tmp_path):
    records = [record(value=v) for v in (1, 8, 32)] + [record(value=64, **failure("oom", "too much"))]
    row = slopes.slopes(collect.read(write(records, tmp_path))).set_index("metric").loc["time"]
    assert row.points == 3 and row.slope == pytest.approx(1e3 * SECONDS * 52)
    assert math.isnan(row.ratio_to_nested)


def test_no_records_have_no_slopes():
    frame = slopes.slopes(collect.columns.typed(pd.DataFrame(columns=collect.columns.NAMES)))
    assert frame.empty and "ratio_to_nested" in frame


@pytest.fixture(scope="module")
def predictions(records):
    return predicted.predictions(records, published.load())


@pytest.mark.parametrize(
    ("study", "operator", "series", "expected"),
    [
        ("batch", "laplacian", "collapsed", 52 / 101),
        ("batch", "biharmonic", "collapsed", 77 / 101),
        ("batch", "biharmonic", "collapsed_griewank", 107 / 141),
        ("batch", "biharmonic", "apolar", 27 / 101),
        ("samples", "laplacian", "collapsed", 1 / 2),
        ("samples", "biharmonic", "collapsed", 3 / 4),
        ("rank", "weighted_laplacian", "collapsed", 1 / 2),
    ],
)
def test_predicted_ratios_are_quotients_of_vectors_and_what_synthetic_times_show(
    predictions, study, operator, series, expected
):
    frame = predictions
    row = frame[(frame.study == study) & (frame.operator == operator) & (frame.series == series)].iloc[0]
    assert row.predicted == pytest.approx(expected)
    assert row.time == pytest.approx(expected)
    assert row.memory_differentiable == pytest.approx(expected, rel=1e-5)


def test_predictions_carry_the_published_ratio_of_the_same_directions(predictions):
    frame = predictions
    eager = frame[(frame.study == "batch") & (frame.operator == "biharmonic") & (frame["mode"] == "eager")]
    eager = eager.set_index("series")
    # slopes.csv: 0.552 and 0.723 of nested.
    assert eager.time_published["collapsed_griewank"] == pytest.approx(0.7636, abs=1e-3)
    assert math.isnan(eager.time_published["collapsed"]) and math.isnan(eager.time_published["apolar"])


def test_published_files_are_whole():
    points = pd.read_csv(published.FOLDER / "measurements.csv")
    fitted = pd.read_csv(published.FOLDER / "slopes.csv")
    assert len(points) == 640 and len(fitted) == 192
    costs = ["time_best_s", "peak_memory_differentiable_bytes", "peak_memory_nondifferentiable_bytes"]
    assert (points[costs] > 0).all(axis=None)
    assert set(points.method) == {"nested", "taylor", "collapsed", "forward_laplacian"}
    text = (published.FOLDER / "README.md").read_text(encoding="utf-8")
    assert "2505.13644" in text and "RTX 6000" in text


def test_fitting_the_published_points_gives_every_published_slope():
    paper = published.load()
    assert len(paper.points) == 640 and len(paper.slopes) == 192
    for row in paper.slopes.to_dict("records"):
        about = pd.Series({**row, "widths": published.WIDTHS, "activation": "tanh", "dtype": "float64"})
        curve = paper.curves(about)
        curve = curve[curve.series == row["series"]]
        metric = slopes.METRICS[row["metric"]]
        assert len(curve) == 10
        found = slopes.fit(curve.x.to_numpy(), curve[metric.column].to_numpy() * metric.factor).slope
        assert found == pytest.approx(row["slope"], rel=1e-5)
        nested = paper.slope(about, "nested", row["metric"])
        assert row["slope"] / nested.slope == pytest.approx(row["ratio_to_nested"], rel=1e-4)


def test_published_numbers_go_only_with_the_same_network_dtype_rank_and_mode():
    paper = published.load()
    about = pd.Series(record("weighted_laplacian", 50, rank=25) | {"rank_ratio": 0.5, "widths": published.WIDTHS})
    assert len(paper.curves(about)) == 30
    assert set(paper.curves(about).rank_ratio) == {0.5}
    others = {"dtype": "float32", "widths": "64-64", "dim": 10, "backend": "numpy", "rank_ratio": 0.3}
    for name, value in others.items():
        assert paper.curves(pd.Series({**about, name: value})).empty, name
    assert paper.slope(about, "apolar", "time") is None
    assert paper.slope(about, "collapsed", "time").ratio_to_nested == pytest.approx(0.487, abs=1e-3)


def test_a_missing_folder_of_published_numbers_is_no_error(tmp_path, caplog):
    paper = published.load(tmp_path)
    assert paper.points.empty and paper.slopes.empty
    assert str(tmp_path) in caplog.text
    about = pd.Series(record() | {"rank_ratio": math.nan, "widths": published.WIDTHS})
    assert paper.curves(about).empty and paper.slope(about, "nested", "time") is None
