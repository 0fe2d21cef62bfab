"""Findings beyond the paper: sentences and figures from records with known costs, and none without them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jetbench.report import collect, counts, recommend
from jetbench.report.costs import paired
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.findings import accuracy, compiling, floor, randomization, stock, training, winners
from jetbench.report.phrases import answers
from jetbench.report.registry import FIGURES, FINDINGS
from jetbench.report.reproduction import published
from report_records import OVERHEAD, SAMPLING, SECONDS, record, sweep, vectors, write

BOTH = ("torch", "jax")


def data_of(records, folder, runs=()):
    return Data(collect.read(write(records, folder)), published.load(), pd.DataFrame(runs))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return data_of(sweep(("nested", "taylor", "collapsed", "apolar")), tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    return data_of([], tmp_path_factory.mktemp("nothing"))


def run(problem, method, step_s, memory, reached=True, **changes):
    steps = 20
    made = {"key": f"{problem}-{method}", "machine": "cpu-test", "problem": problem, "method": method, "status": "ok"}
    made |= {"dim": 2, "device": "cpu", "mode": "eager", "dtype": "float64", "points": 8, "target": 0.1}
    made |= {"losses": list(np.geomspace(1, 0.1, steps)), "seconds": [step_s] * steps, "step_s": step_s}
    made |= {"seconds_to_target": steps * step_s if reached else None, "step_memory_bytes": memory}
    return made | changes


def test_every_finding_has_a_figure_of_its_name():
    assert set(FINDINGS) <= set(FIGURES)


def test_no_finding_is_told_without_records(nothing):
    assert answers(nothing) == {}


@pytest.mark.parametrize("name", [name for name in FINDINGS if name not in ("stock", "training")])
def test_every_sentence_names_the_machine(name, data):
    assert "cpu-test" in FINDINGS[name].make(data)


def test_pairs_are_ratios_at_the_same_place_with_intervals_around_them(data):
    found = paired(data.records, "series", "apolar", "collapsed")
    row = found[(found.study == "batch") & (found.operator == "biharmonic") & (found.x == 8)].iloc[0]
    assert row.time == pytest.approx((OVERHEAD + SECONDS * 8 * 27) / (OVERHEAD + SECONDS * 8 * 77))
    assert row.vectors_ratio == pytest.approx(27 / 77) and row.low < row.time < row.high
    assert paired(data.records, "series", "apolar", "no such").empty


@pytest.mark.parametrize(
    ("order", "dim", "expected"), [(4, 5, (27, 77)), (2, 50, (52, 52)), (4, 3, (14, 29)), (6, 3, (30, 127))]
)
def test_counted_vectors(order, dim, expected):
    found = counts.per_datum(counts.polyharmonic(order, dim))
    assert (found["apolar"], found["collapsed"]) == expected


def test_the_crossing_with_randomized_methods_is_where_both_cost_the_same(data):
    """t(S) = overhead + c · batch · (S + 2) meets overhead + c · batch · 52 at S = 50 for the Laplacian."""
    found = randomization.crossings(data)
    row = found[(found.operator == "laplacian") & (found["mode"] == "eager")].iloc[0]
    assert row.samples_by_vectors == pytest.approx(50) and row.samples_by_time == pytest.approx(50)
    assert "more than 50 samples" in randomization.sentence(data)
    assert "50 by counting vectors, beyond those measured" in randomization.sentence(data)


def test_the_price_of_an_error_follows_from_the_error_of_one_direction(data):
    """An error of 0.2 by one direction needs (0.2 / 0.01)² = 400 of them for a hundredth."""
    found = accuracy.prices(data)
    row = found[(found.operator == "laplacian") & (found["mode"] == "eager")].iloc[0]
    assert row.unit == pytest.approx(SAMPLING) and row.wanted == pytest.approx(400)
    exact, wanted = (OVERHEAD + SECONDS * 32 * vectors for vectors in (52, 402))
    assert row.wanted_over_exact == pytest.approx(wanted / exact)
    sentence = accuracy.sentence(data)
    assert "48 of the normal directions leave a relative error of 3%" in sentence
    assert f"1% would take about 400 of them, {wanted / exact:.2g} times" in sentence


def test_accuracy_is_drawn_for_each_estimator_and_priced_where_both_kinds_were_timed(data, tmp_path):
    kind = {"study": "accuracy", "axis": "samples", "estimator": "coordinate"}
    records = [record(value=value, **kind) for value in (1, 10)]
    alone = data_of(records, tmp_path)
    assert accuracy.sentence(alone) is None and randomization.crossings(alone).empty
    with style.settings():
        lone, both = FIGURES["accuracy"].make(alone), FIGURES["accuracy"].make(data)
    (curve,) = [line for line in lone.axes[0].get_lines() if line.get_gid() == "measured-coordinate"]
    assert curve.get_ydata() == pytest.approx([SAMPLING, SAMPLING / 10**0.5])
    markers = [line.get_ydata() for axes in both.axes for line in axes.get_lines() if line.get_gid() == "exact"]
    assert markers == [pytest.approx([3e-15], rel=1e-9, abs=0)], "the biharmonic was not timed exactly at this batch"


def test_what_is_measured_for_its_accuracy_has_no_slopes(tmp_path):
    kind = {"study": "accuracy", "axis": "samples", "estimator": "rademacher"}
    own = data_of([record(value=value, **kind) for value in (1, 10, 25)], tmp_path)
    assert own.slopes.empty


def test_the_floor_is_told_of_every_method(data):
    points = floor.largest(data)
    assert {"nested", "taylor", "collapsed", "apolar"} <= set(points.series)
    assert not points.axis.isin(["width", "depth"]).any()
    own = points[(points.operator == "biharmonic") & (points.dim == 5) & (points["mode"] == "eager")]
    assert own.set_index("series").time_over_floor["apolar"] == own.time_over_floor.min()


def test_networks_and_precisions_stand_on_lines_of_their_own(tmp_path):
    records = [record(method=m, value=8) for m in ("nested", "collapsed")]
    records += [record(method="collapsed", value=8, study="precision", dtype="float32")]
    records += [record(method="collapsed", value=8, study="networks", network="attention")]
    points = floor.largest(data_of(records, tmp_path))
    lines = set(floor.subjects(points))
    assert lines == {
        "Laplacian D = 50, MLP, float64",
        "Laplacian D = 50, MLP, float32",
        "Laplacian D = 50, attention, float64",
    }


def test_snapshot_studies_are_no_curves(tmp_path):
    records = [record(method=m, value=8, study="precision", dtype="float32") for m in ("nested", "collapsed")]
    with style.settings(), pytest.raises(NoData):
        FIGURES["batch"].make(data_of(records, tmp_path))


def test_compiling_saves_what_the_records_say(data):
    found = compiling.measured(data)
    assert found.time.to_numpy() == pytest.approx(0.8)
    assert "0.80 to 0.80 for collapsed Taylor" in compiling.sentence(data)


def test_the_winner_is_the_fastest_and_clear_where_intervals_part(data, tmp_path):
    found = winners.winners(data)
    row = found[(found.study == "batch") & (found.operator == "biharmonic") & (found.axis_value == 64)].iloc[0]
    assert row.winner == "apolar" and row.clear and row.ratio > 2
    tie = [record(method=m, value=8) for m in ("nested", "collapsed", "taylor")]
    tie[2] |= {"time_s": tie[1]["time_s"] * 1.001, "time_interval_s": [t * 1.001 for t in tie[1]["time_interval_s"]]}
    (row,) = winners.winners(data_of(tie, tmp_path)).itertuples()
    assert row.winner == "collapsed" and not row.clear


def test_sentences_and_figures_stay_short_however_much_was_measured(tmp_path):
    records = sweep(("nested", "taylor", "collapsed", "apolar"))
    kinds = [{"dtype": dtype, "backend": backend} for dtype in ("float64", "float32") for backend in BOTH]
    several = [each | kind for each in records for kind in kinds]
    kept = [each for number, each in enumerate(several) if number % 7]
    own = data_of(kept, tmp_path)
    assert all(len(sentence) < 1200 for sentence in answers(own).values())
    found = randomization.chosen(own)
    assert len(found) == found.operator.nunique() and set(found["mode"]) == {"eager"}
    with style.settings():
        for name in ("winners", "randomization", "apolar", "floor"):
            assert FIGURES[name].make(own).get_size_inches()[1] < 14


def test_a_winner_that_changes_is_told_with_the_size(tmp_path):
    slow = {"time_s": 1.0, "time_interval_s": [0.99, 1.01]}
    records = [record(method=m, value=v) for m in ("nested", "collapsed") for v in (1, 8, 64)]
    records[3] |= slow  # collapsed at 1
    sentence = winners.sentence(data_of(records, tmp_path))
    assert "nested wins at batch 1 and collapsed Taylor from batch 8 on (Laplacian, PyTorch eager)" in sentence
    assert "nested once" in sentence


def test_stock_implementations_are_compared_where_there_are_some(data, tmp_path):
    assert stock.sentence(data) is None
    ours = [record(method="taylor", mode="compiled", backend="jax", value=v) for v in (1, 8)]
    records = list(ours)
    for made in ours:
        stock_record = record(method="jax_jet", mode="compiled", backend="jax", value=made["axis_value"], vectors=150)
        slower = {"time_s": 1.5 * made["time_s"], "time_interval_s": [1.5 * t for t in made["time_interval_s"]]}
        records.append(stock_record | slower)
    own = data_of(records, tmp_path)
    assert stock.measured(own).time.to_numpy() == pytest.approx(1.5)
    assert "takes 1.50" in stock.sentence(own)
    with style.settings():
        assert len(FIGURES["stock"].make(own).axes) == 2


def test_training_is_told_in_units_of_nested(tmp_path):
    runs = [run("poisson", "nested", 0.04, 400), run("poisson", "collapsed", 0.02, 100)]
    runs += [run("plate", "nested", 0.1, 300, False), run("plate", "apolar", 0.02, 300, False)]
    own = data_of([record(value=8)], tmp_path, runs)
    sentence = training.sentence(own)
    assert "wall time to the same loss is 0.50 by collapsed Taylor and the peak memory 0.25" in sentence
    assert "time of a step is 0.20 by apolar Taylor" in sentence
    with style.settings():
        figure = FIGURES["training"].make(own)
    assert [axes.get_xlabel() for axes in figure.axes] == ["Wall time [s]", "Wall time [s]", "Problem"]
    failed = [run("poisson", "nested", 0.04, 400, status="oom"), run("poisson", "collapsed", 0.02, 100)]
    assert training.sentence(data_of([record(value=8)], tmp_path / "b", failed)) is None


def test_training_records_travel_with_the_collected_table(tmp_path):
    runs = pd.DataFrame([run("poisson", "nested", 0.04, 400)])
    collect.write_training(runs, tmp_path)
    assert collect.load_training(tmp_path / "records.parquet", "cpu-test").to_dict("records") == runs.to_dict("records")
    assert collect.load_training(tmp_path / "records.parquet", "other").empty
    collect.write_training(runs.iloc[:0], tmp_path)
    assert collect.load_training(tmp_path / "records.parquet", None).empty


# --- the rule of thumb


def size(operator="biharmonic", order=4, dim=5, widths=(768, 768, 512, 512), batch=32):
    return recommend.Size(operator, order, dim, widths, 1, batch)


def count(operator, dim):
    return lambda backend, series: vectors(operator, dim, series, dim * dim if operator == "biharmonic" else dim)


def test_a_rule_recovers_known_coefficients():
    matrix = np.column_stack([np.ones(6), [1, 2, 5, 9, 20, 40], [3, 1, 4, 1, 5, 9]]).astype(float)
    seconds = matrix @ [2.0, 0.5, 0.25]
    assert recommend.fitted(matrix, seconds) == pytest.approx([2.0, 0.5, 0.25])
    assert recommend.typical_error(matrix, seconds) < 1e-6


def test_the_ranking_is_that_of_the_costs_behind_the_records(data):
    records = data.records[data.records["mode"] == "eager"]
    records = records.assign(network_flops=2.0 * 1e6 * records.batch.astype(float))
    found = recommend.ranking(records, size(), "float64", count("biharmonic", 5))
    assert [line.series for line in found][:2] == ["apolar", "collapsed"]
    seconds = {line.series: line.seconds for line in found}
    assert seconds["nested"] == max(seconds[name] for name in ("nested", "taylor", "collapsed", "apolar"))
    assert all(line.records >= recommend.LEAST for line in found)
    assert recommend.advice(found).startswith("Take Apolar Taylor, eager.")
    both = pd.concat([records, records.assign(backend="jax", time_s=1.1 * records.time_s)])
    found = recommend.ranking(both, size(), "float64", count("biharmonic", 5))
    assert recommend.advice(found).startswith("Take Apolar Taylor, torch, eager. The next method, Apolar Taylor, jax,")


def test_the_ranking_says_when_it_extrapolates(data):
    far = recommend.ranking(data.records, size(batch=4096, widths=(4096,)), "float64", count("biharmonic", 5))
    assert any("batch 4.1e+03 is outside" in text for text in far[0].beyond)
    assert "extrapolates" in recommend.advice(far)
    other = recommend.ranking(data.records, size("triharmonic", 6, 5), "float64", count("biharmonic", 5))
    assert "triharmonic was not measured nor another of order 6" in other[0].beyond


def test_without_records_of_a_type_the_ranking_says_what_to_do(data):
    with pytest.raises(recommend.JetbenchError, match=r"float16.*jetbench compare"):
        recommend.ranking(data.records, size(), "float16", count("biharmonic", 5))
