"""The reproduction: every published slope has its row, its count of vectors and its verdict."""

from __future__ import annotations

import math
import re

import pandas as pd
import pytest

from jetbench import operators
from jetbench.operators import estimators
from jetbench.operators.problem import Problem
from jetbench.report import collect
from jetbench.report.data import Data
from jetbench.report.figures import style
from jetbench.report.registry import TABLES
from jetbench.report.reproduction import published
from jetbench.report.reproduction.comparison import VERDICTS, predicted, reproduction, tally, verdict
from jetbench.report.reproduction.overlay import GROUPS, shares
from jetbench.report.reproduction.page import page
from report_records import NESTED, record, sweep, write


def data_of(records, folder):
    return Data(collect.read(write(records, folder)), published.load())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return data_of(sweep(), tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def frame(data):
    return reproduction(data)


def test_every_published_slope_has_one_row(frame):
    assert len(frame) == 192
    assert not frame.duplicated(
        ["backend", "study", "operator", "estimator", "rank_ratio", "mode", "series", "metric"]
    ).any()
    assert set(frame.verdict) <= set(VERDICTS)
    assert sum(tally(frame).values()) == 192
    assert (frame.verdict == "reference").sum() == 66


def test_measured_ratios_are_those_of_the_records(frame):
    rows = frame[(frame.series == "collapsed") & (frame.metric == "time") & (frame["mode"] == "eager")]
    laplacian = rows[(rows.study == "batch") & (rows.operator == "laplacian")].iloc[0]
    assert laplacian.measured == pytest.approx(52 / 101 / NESTED)
    assert laplacian.published == pytest.approx(0.477, abs=1e-3)
    half = rows[(rows.study == "batch") & (rows.rank_ratio == 0.5)].iloc[0]
    assert half.measured == pytest.approx(27 / 51 / NESTED)


def test_what_was_not_measured_is_said_and_not_filled_in(frame):
    jax = frame[(frame.backend == "jax") & (frame.series != "nested")]
    assert set(jax.verdict) == {"not measured"} and jax.measured.isna().all() and jax.counterpart.isna().all()


def test_predictions_are_the_vectors_that_the_methods_report(data, frame):
    """Against the methods' own counts, as slopes over two sizes."""
    from jetbench.torch import METHODS

    def count(name, row, samples):
        scheme = "griewank" if name.endswith("_griewank") else "polarization"
        options = {"rank": round(row.rank_ratio * row.dim)} if row.rank_ratio == row.rank_ratio else {}
        made = operators.make(row.operator, dim=int(row.dim), **options)
        estimator = estimators.Estimator("normal", samples) if samples else estimators.exact()
        return METHODS[name.removesuffix("_griewank")].vectors(Problem(made, estimator, scheme))

    own = frame[
        (frame.backend == "torch") & (frame["mode"] == "eager") & (frame.metric == "time") & (frame.study != "rank")
    ]
    assert len(own) == 24
    for row in own.itertuples():
        both = []
        for name in (row.series, "nested"):
            exact = row.study == "batch"
            both.append(count(name, row, None) if exact else count(name, row, 9) - count(name, row, 4))
        assert row.predicted == pytest.approx(both[0] / both[1]), row


@pytest.mark.parametrize(
    ("measured", "low", "high", "expected", "told"),
    [
        (0.52, 0.51, 0.53, "agrees", "Within 10%"),
        (0.60, 0.45, 0.75, "agrees", "interval"),
        (0.60, 0.55, 0.65, "differs", "count of vectors"),
        (0.60, -1.0, 2.2, "undecided", "further than 50%"),
        (0.60, math.nan, math.nan, "differs", "Two points"),
        (math.nan, math.nan, math.nan, "not measured", "this machine"),
    ],
)
def test_verdicts(measured, low, high, expected, told):
    row = {"backend": "torch", "series": "collapsed", "metric": "time", "mode": "eager"}
    result = {"measured": measured, "low": low, "high": high, "published": 0.5, "predicted": 0.5, "points": 4}
    assert verdict(row, result | {"counterpart": "collapsed"})[0] == expected
    assert told in verdict(row, result | {"counterpart": "collapsed"})[1]


def test_the_stock_jet_of_jax_is_compared_with_itself_where_measured_and_explained_where_not(tmp_path):
    for methods, counterpart, reason in [
        (("nested", "jax_jet", "taylor"), "jax_jet", False),
        (("nested", "taylor"), "taylor", True),
    ]:
        records = [
            record("laplacian", 50, m, "compiled", value=v, backend="jax") for m in methods for v in (1, 8, 32, 64)
        ]
        frame = reproduction(data_of(records, tmp_path / counterpart))
        row = frame[(frame.backend == "jax") & (frame.operator == "laplacian") & (frame.study == "batch")]
        row = row[(row.series == "jax_jet") & (row.metric == "time")].iloc[0]
        assert row.counterpart == counterpart
        assert ("instantiates zeros" in row.reason) == reason
        assert row.verdict in ("differs", "agrees")


def test_counts_of_jax_are_not_invented():
    row = {
        "backend": "jax",
        "study": "batch",
        "operator": "laplacian",
        "dim": 50,
        "rank_ratio": math.nan,
        "series": "taylor",
    }
    assert math.isnan(predicted(row))


def test_shares_make_nested_one_at_its_largest_position():
    points = pd.DataFrame({"series": ["nested", "nested", "taylor"], "x": [2.0, 8.0, 4.0], "time_s": [1.0, 4.0, 1.0]})
    found = shares(points, "time_s")
    assert list(found["at"]) == [0.25, 1.0, 0.5] and list(found.share) == [0.25, 1.0, 0.25]
    assert shares(points[points.series == "taylor"], "time_s").empty


@pytest.mark.parametrize("name", GROUPS)
def test_published_figures_show_the_published_points_and_ours_where_there_are_some(name, data):
    with style.settings():
        figure = style.draw(name, data)
    gids = {str(line.get_gid()) for axes in figure.axes for line in axes.lines}
    assert any(gid.startswith("published-") for gid in gids)
    assert any(gid.startswith("measured-") for gid in gids) == (name != "published_jax")
    assert ("Nothing of it was measured" in figure._supxlabel.get_text()) == (name == "published_jax")


def test_the_page_tells_all_slopes_and_all_verdicts(data, frame):
    text = page(data, "reproduction.png")
    assert "publishes 192 slopes" in text and "](reproduction.png)" in text
    assert len(re.findall(r"^\| (?:PyTorch|JAX) +\|", text, flags=re.MULTILINE)) == 192
    for name, count in tally(frame).items():
        assert f"| {name} | {count} |" in text


def test_without_published_numbers_there_is_an_empty_table(tmp_path):
    made = TABLES.make("reproduction", Data(collect.read(write(sweep(), tmp_path)), published.empty()))
    assert made.frame.empty and "No data" in made.latex()
