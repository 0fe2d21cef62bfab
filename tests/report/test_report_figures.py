"""What is drawn, by its artists: curves, intervals, colours, labels, failures, published points. Not the pixels."""

from __future__ import annotations

import functools
import itertools

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from jetbench import methods
from jetbench.errors import JetbenchError
from jetbench.report import collect, labels
from jetbench.report.data import Data
from jetbench.report.figures import style
from jetbench.report.registry import FIGURES
from jetbench.report.reproduction import published
from jetbench.report.reproduction.overlay import GROUPS
from report_records import failure, record, sweep, write

METHODS = ("nested", "taylor", "collapsed", "apolar")
MEASURED = [
    name for name in FIGURES if name not in ("hilbert", "apolar", *GROUPS)
]  # those count, or show published points
#: They need other records: test_report_findings.py, test_report_jax.py.
ELSEWHERE = ("stock", "training", "batch_standard_taylor")


def data_of(records, folder):
    return Data(collect.read(write(records, folder)), published.load())


@pytest.fixture(autouse=True)
def look():
    with style.settings():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    records = sweep(METHODS)
    for made in records:
        if made["method"] == "taylor" and made["operator"] == "biharmonic" and made["axis_value"] == 64:
            made.update(failure("oom", "needed 90 GiB"))
    return data_of(records, tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def drawn(data):
    """Name → the figure of `data`, drawn once."""

    @functools.cache
    def make(name):
        with style.settings():
            return style.draw(name, data)

    return make


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    return Data(collect.read(tmp_path_factory.mktemp("empty")), published.load())


def tagged(figure, prefix):
    """Gid → the artists that carry it, for those that begin with `prefix`."""
    found = {}
    for artist in figure.findobj(lambda a: str(a.get_gid() or "").startswith(prefix)):
        found.setdefault(artist.get_gid(), []).append(artist)
    for axes in figure.axes:
        for container in axes.containers:
            if str(getattr(container, "get_gid", lambda: "")() or "").startswith(prefix):
                found.setdefault(container.get_gid(), []).append(container)
    return found


def panels(figure):
    return [axes for axes in figure.axes if axes.axison]


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ELSEWHERE])
def test_every_figure_is_drawn_with_labelled_axes(name, drawn):
    figure = drawn(name)
    assert not tagged(figure, "no-data")
    assert panels(figure)
    rows = {axes.get_subplotspec().rowspan.start for axes in panels(figure)}
    for axes in panels(figure):
        if axes.get_subplotspec().rowspan.start == max(rows):
            assert axes.get_xlabel()
    assert any(axes.get_ylabel() or axes.get_yticklabels() for axes in panels(figure))
    assert figure.legends or name in ("overview", "apolar")
    assert name not in MEASURED or "cpu-test (Synthetic CPU)" in " ".join(figure._supxlabel.get_text().split())
    figure.draw_without_rendering()


@pytest.mark.parametrize("name", MEASURED)
def test_without_records_there_is_a_placeholder_and_a_warning(name, nothing, tmp_path, caplog):
    paths = style.write(name, nothing, tmp_path / name)
    assert [path.suffix for path in paths] == [".pdf", ".png"]
    assert all(path.stat().st_size > 1000 for path in paths)
    assert tagged(style.draw(name, nothing), "no-data")
    assert name in caplog.text


def test_the_batch_figure_has_a_row_for_each_case_and_a_panel_for_each_mode(drawn):
    figure = drawn("batch")
    assert len(figure.axes) == 5 * 4
    assert [axes.get_title() for axes in figure.axes[:4]] == ["eager", "compiled"] * 2
    assert [axes.get_ylabel() for axes in figure.axes[:4]] == ["Time / floor", "", "Time / nested", ""]
    assert {axes.get_xlabel() for axes in figure.axes[-4:]} == {"Batch size (points)"}
    titles = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert {"Laplacian, D = 50", "Weighted Laplacian, D = 50, rank 0.5 D", "Biharmonic, D = 5"} <= titles


def test_a_panel_shows_every_method_at_its_values_with_its_interval(drawn, data):
    axes = drawn("batch").axes[0]
    curves = {c.get_label(): c for c in axes.containers}
    assert list(curves) == [labels.series_label(m) for m in METHODS]
    points = data.records
    points = points[(points.study == "batch") & (points.operator == "laplacian") & (points["mode"] == "eager")]
    for method in METHODS:
        own = points[points.series == method].sort_values("x")
        line, caps, _ = curves[labels.series_label(method)]
        assert line.get_xdata() == pytest.approx(own.x)
        assert line.get_ydata() == pytest.approx(own.time_over_floor)
        assert to_hex(line.get_color()) == to_hex(labels.SERIES[method].colour)
        assert line.get_marker() == labels.SERIES[method].marker
        low, high = (cap.get_ydata() for cap in caps)
        assert low == pytest.approx(own.time_over_floor_low) and high == pytest.approx(own.time_over_floor_high)


def test_the_prediction_is_the_quotient_of_vectors(drawn):
    axes = drawn("batch").axes[0]
    (line,) = [line for line in axes.lines if line.get_gid() == "predicted-taylor"]
    assert line.get_ydata() == pytest.approx(101 / 52)


def test_published_points_are_hollow_in_the_colour_of_their_method(drawn):
    axes = drawn("batch").axes[2]
    hollow = {line.get_gid(): line for line in axes.lines if str(line.get_gid()).startswith("published")}
    assert set(hollow) == {"published-nested", "published-taylor", "published-collapsed"}
    line = hollow["published-collapsed"]
    assert line.get_markerfacecolor() == "none"
    assert to_hex(line.get_markeredgecolor()) == to_hex(labels.SERIES["collapsed"].colour)
    assert list(line.get_xdata()) == [1], "ours reach to 64, and the next published size is 228"
    (edge,) = tagged(drawn("batch"), "beyond-collapsed")["beyond-collapsed"][:1]
    assert list(edge.get_xdata()) == [1] and edge.get_ydata() == pytest.approx([0.48], abs=0.01)
    assert axes.get_xlim()[1] < 200
    assert "on the right edge" in " ".join(drawn("batch")._supxlabel.get_text().split())
    assert any("published" in text.get_text() for text in drawn("batch").legends[0].get_texts())


def test_published_points_are_shown_whole_where_ours_reach_as_far(tmp_path):
    figure = style.draw("batch", data_of([record(method=m, value=v) for m in METHODS for v in (1, 1500)], tmp_path))
    line = tagged(figure, "published-collapsed")["published-collapsed"][0]
    assert len(line.get_xdata()) == 10 and max(line.get_xdata()) == 2048
    assert line.get_ydata()[-1] == pytest.approx(0.48, abs=0.01)
    assert not tagged(figure, "beyond")


def test_without_the_same_network_nothing_published_is_shown(tmp_path):
    records = [record(method=m, value=v, widths=[64, 64]) for m in ("nested", "collapsed") for v in (1, 8, 32)]
    figure = style.draw("batch", data_of(records, tmp_path))
    assert not tagged(figure, "published")
    assert not any("published" in text.get_text() for text in figure.legends[0].get_texts())


def test_a_failed_point_is_a_cross_and_in_the_small_print(drawn):
    figure = drawn("batch")
    crosses = tagged(figure, "failed")
    assert set(crosses) == {"failed-taylor", "failed-taylor_griewank"}
    assert all(list(line.get_xdata()) == [64] and line.get_marker() == "x" for line in crosses["failed-taylor"])
    assert "Standard Taylor eager (1 oom)" in " ".join(figure._supxlabel.get_text().split())
    assert "Apolar Taylor" in drawn("samples")._supxlabel.get_text()


def test_unstable_points_are_counted_in_the_small_print(tmp_path, drawn):
    records = [record(value=v, stable=v > 1) for v in (1, 8, 32)]
    text = style.draw("batch", data_of(records, tmp_path))._supxlabel.get_text()
    assert "1 of 3 points are unstable" in text
    assert "unstable" not in drawn("batch")._supxlabel.get_text()


def test_a_study_where_everything_failed_is_a_placeholder(tmp_path):
    records = [record(value=v, **failure("timeout", "60 s were not enough")) for v in (1, 8)]
    assert tagged(style.draw("batch", data_of(records, tmp_path)), "no-data")


def test_a_mode_that_was_not_measured_says_so_and_leaves_the_scale_of_its_neighbour_alone(tmp_path):
    records = [record(method=m, value=v) for m in METHODS for v in (1, 8)]
    records += [record("biharmonic", 5, m, mode, value=v) for m in METHODS for v in (1, 8) for mode in labels.MODES]
    figure = style.draw("batch", data_of(records, tmp_path))
    eager, compiled = figure.axes[:2]
    assert [text.get_text() for text in compiled.texts] == ["not measured"]
    assert compiled.get_ylim() == eager.get_ylim() and eager.get_ylim()[0] > 0.8


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize(
    "records",
    [
        [record(method="collapsed", value=v) for v in (1, 8, 32)],
        [record(method="nested", value=8)],
        [record(method=m, value=v, mode="compiled") for m in ("nested", "novel") for v in (1, 8)],
        [record(method="nested", value=8), record(method="taylor", value=8, **failure("mismatch", "off by 3"))],
        [record(m, 5, "collapsed", study="dimension", axis="dimension", value=5) for m in ("laplacian", "biharmonic")],
        [record(value=v, time_over_floor=None, time_over_floor_interval=None, floor_s=None) for v in (1, 8)],
    ],
    ids=["no nested", "one point", "unknown method", "one failed", "one dimension", "no floor"],
)
def test_scarce_records_never_break_a_figure(name, records, tmp_path):
    style.draw(name, data_of(records, tmp_path)).draw_without_rendering()


def test_the_reproduction_scatter_pairs_published_with_measured_ratios(drawn, data):
    figure = drawn("reproduction")
    assert len(figure.axes) == 6
    assert figure.axes[0].get_title() == "Time, eager"
    from jetbench.report.reproduction.scatter import compared

    frame = compared(data)
    assert set(frame.series) == {"taylor", "collapsed", "taylor_griewank", "collapsed_griewank"}
    eager = frame[(frame["mode"] == "eager") & (frame.metric == "time")]
    (container,) = [c for c in figure.axes[0].containers if c[0].get_marker() == labels.SERIES["collapsed"].marker]
    own = eager[eager.series == "collapsed"]
    assert container[0].get_xdata() == pytest.approx(own.published)
    assert container[0].get_ydata() == pytest.approx(own.measured)
    one = own[(own.study == "batch") & (own.operator == "laplacian")].iloc[0]
    assert one.published == pytest.approx(0.477, abs=1e-3)


def test_the_overview_shows_vectors_and_time_of_the_same_size(drawn):
    figure = drawn("overview")
    assert [axes.get_xlabel() for axes in figure.axes] == ["Vectors per datum", "Time / nested"] * 2
    bars = [[bar.get_width() for bar in axes.patches] for axes in figure.axes]
    assert bars[0] == [101, 101, 52, 52] and bars[2] == [101, 101, 77, 27]
    assert bars[1][0] == 1 and bars[1][3] == pytest.approx(52 / 101 / 1.2, rel=0.1)
    assert [to_hex(bar.get_facecolor()) for bar in figure.axes[0].patches] == [
        to_hex(labels.SERIES[method].colour) for method in METHODS
    ]


def test_the_overview_goes_without_apolar(tmp_path):
    figure = style.draw("overview", data_of(sweep(("nested", "taylor", "collapsed"), ("eager",)), tmp_path))
    assert [len(axes.patches) for axes in figure.axes] == [3] * 4


def test_a_method_missing_for_one_operator_keeps_its_line_in_the_overview(tmp_path):
    records = [record("laplacian", 50, m) for m in ("nested", "collapsed")]
    records += [record("biharmonic", 5, m) for m in ("nested", "collapsed", "apolar")]
    figure = style.draw("overview", data_of(records, tmp_path))
    assert [[bar.get_width() for bar in axes.patches] for axes in figure.axes[::2]] == [[101, 52, 0], [101, 77, 27]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["101", "52", "not measured"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        "Nested",
        "Collapsed Taylor",
        "Apolar Taylor",
    ]


def test_the_figure_of_vectors_and_time_shows_counts_and_milliseconds(drawn, data):
    figure = drawn("dimension_vectors")
    assert [axes.get_ylabel() for axes in figure.axes[:4]] == ["Vectors per datum", "", "Time [ms]", ""]
    points = data.records[(data.records.study == "dimension") & (data.records["mode"] == "eager")]
    points = points[(points.operator == "biharmonic") & (points.series == "apolar")].sort_values("x")
    counts, times = (
        next(c for c in axes.containers if c.get_label() == "Apolar Taylor")
        for axes in (figure.axes[4], figure.axes[6])
    )
    assert counts[0].get_ydata().tolist() == [9, 27, 77, 252]
    assert times[0].get_ydata() == pytest.approx(1e3 * points.time_s)
    assert times[1][0].get_ydata() == pytest.approx(1e3 * points.time_low_s)


def test_the_hilbert_figure_counts_what_the_design_lists(drawn):
    panels = drawn("hilbert").axes
    counted = [{line.get_gid(): line.get_ydata().tolist() for line in axes.lines} for axes in panels]
    assert counted[0]["counted-apolar"] == counted[0]["counted-collapsed"] == [1, 5, 1]
    assert counted[1]["counted-apolar"] == [1, 5, 15, 5, 1]
    assert counted[1]["counted-collapsed"] == [1, 25, 25, 25, 1]
    assert counted[1]["counted-taylor"] == [1, 25, 25, 25, 25]
    assert counted[2]["counted-apolar"] == [1, 3, 6, 10, 6, 3, 1]
    assert counted[3]["counted-apolar"] == [1, 4, 6, 4, 1]
    assert counted[3]["counted-collapsed"] == [1, 8, 8, 8, 1]
    assert [text.get_text() for text in panels[1].texts] == ["101", "77", "27"]


def test_files_are_the_same_every_time_and_carry_no_date(data, tmp_path):
    first = style.write("width", data, tmp_path / "a" / "width")
    second = style.write("width", data, tmp_path / "b" / "width")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert b"CreationDate" not in first[0].read_bytes()


def test_one_format_can_be_asked_for(data, tmp_path):
    assert style.write("width", data, tmp_path / "width.png") == [tmp_path / "width.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["width.png"]


def test_drawing_leaves_the_callers_settings_alone(nothing, tmp_path):
    before = dict(mpl.rcParams)
    style.write("batch", nothing, tmp_path / "batch.png")
    assert dict(mpl.rcParams) == before


def test_an_unknown_figure_names_those_there_are(nothing):
    with pytest.raises(JetbenchError, match="batch, samples"):
        style.draw("bacth", nothing)


def test_every_method_is_labelled_and_drawn_and_those_of_libraries_have_a_counterpart():
    assert {name.removesuffix(labels.GRIEWANK) for name in labels.SERIES} == set(methods.METHODS)
    assert set(labels.PEERS) == {name for name, method in methods.METHODS.items() if method.package}
    assert all(labels.series_label(name) == method.label for name, method in methods.METHODS.items())


def test_every_known_method_has_a_look_of_its_own():
    assert len({look.colour for look in labels.SERIES.values()}) == len(labels.SERIES)
    assert len({look.marker for look in labels.SERIES.values()}) == len(labels.SERIES)
    spare = [labels.look(name, ["a", "b"]) for name in ("a", "b")]
    assert len({(look.colour, look.marker) for look in [*spare, *labels.SERIES.values()]}) == len(labels.SERIES) + 2


# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
BLINDNESS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def lab(colour, matrix):
    """CIE L*a*b* (D65) of a colour as seen through a simulated colour vision."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(matrix @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    ratio = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", BLINDNESS)
def test_colours_of_methods_are_told_apart_with_any_colour_vision(vision):
    seen = {name: lab(look.colour, BLINDNESS[vision]) for name, look in labels.SERIES.items()}
    distances = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a, b in itertools.combinations(seen, 2)}
    closest = min(distances, key=distances.get)
    assert distances[closest] > 14, (closest, distances[closest])


def test_the_papers_colours_are_kept():
    hue = {name: to_rgb(labels.SERIES[name].colour) for name in ("nested", "taylor", "collapsed")}
    red, green, blue = hue["nested"]
    assert blue > green > red
    red, green, blue = hue["taylor"]
    assert red > green > blue
    red, green, blue = hue["collapsed"]
    assert green > blue > red


@pytest.mark.parametrize(("low", "high"), [(0.2, 1.1), (0.95, 1.3), (0.5, 40), (0.9, 5000), (1.9, 2.1)])
def test_ticks_are_few_and_round(low, high):
    axes = style.new(2).subplots()
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    style.plain_ticks(axes.xaxis, low, high)
    axes.figure.draw_without_rendering()
    ticks = [tick for tick in axes.xaxis.get_ticklocs() if low <= tick <= high]
    assert 3 <= len(ticks) <= 7
    assert all(len(f"{tick:g}".replace(".", "").strip("0")) <= 3 for tick in ticks)
    assert not axes.xaxis.get_ticklocs(minor=True).size
