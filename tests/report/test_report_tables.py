"""What the tables say, against numbers worked out by hand, and whether LaTeX would accept them."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from jetbench.errors import JetbenchError
from jetbench.report import collect, labels
from jetbench.report.data import Data
from jetbench.report.registry import TABLES
from jetbench.report.reproduction import published
from jetbench.report.tables.layout import Field, Table, decimals, escape
from report_records import NESTED, SECONDS, failure, record, sweep, write


def data_of(records, folder):
    return Data(collect.read(write(records, folder)), published.load())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    records = sweep(("nested", "taylor", "collapsed", "apolar"))
    for made in records:
        if made["method"] == "nested" and made["operator"] == "biharmonic" and made["axis_value"] == 64:
            made.update(failure("oom", "needed 90_000 MiB, 100% of {all}"))
    return data_of(records, tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    return Data(collect.read(tmp_path_factory.mktemp("empty")), published.load())


def rows(name, data, **where):
    frame = TABLES.make(name, data).frame
    for key, value in where.items():
        frame = frame[frame[key] == value]
    return frame.set_index("method")


def test_the_main_table_has_slopes_and_ratios_worked_out_by_hand(data):
    found = rows("main", data, operator="Laplacian, D = 50", per="datum")
    assert list(found.index) == ["Nested", "Standard Taylor", "Collapsed Taylor", "Apolar Taylor"]
    assert found.time["Collapsed Taylor"] == pytest.approx(1e3 * SECONDS * 52)
    assert found.time["Nested"] == pytest.approx(1e3 * SECONDS * 101 * NESTED)
    assert found.time_ratio["Collapsed Taylor"] == pytest.approx(52 / 101 / NESTED)
    assert found.time_ratio["Nested"] == 1
    assert found.memory_differentiable_ratio["Standard Taylor"] == pytest.approx(1 / NESTED, rel=1e-5)
    # slopes.csv: collapsed over nested, eager Laplacian.
    assert found.time_published["Collapsed Taylor"] == pytest.approx(0.477, abs=1e-3)
    assert pd.isna(found.time_published["Apolar Taylor"])


def test_published_biharmonic_numbers_stand_beside_the_papers_directions_only(data):
    found = rows("main", data, operator="Biharmonic, D = 5", per="datum")
    assert found.time_published["Collapsed Taylor (Griewank)"] == pytest.approx(0.552, abs=1e-3)
    assert pd.isna(found.time_published["Collapsed Taylor"])
    assert found.points["Nested"] == 3 and found.points["Collapsed Taylor"] == 4


def test_the_compiled_table_holds_compiled_points_only(data):
    found = rows("compiled", data, operator="Laplacian, D = 50", per="datum")
    assert found.time["Collapsed Taylor"] == pytest.approx(0.8e3 * SECONDS * 52)
    assert found.time_published["Collapsed Taylor"] == pytest.approx(0.482, abs=2e-2)


def test_the_rank_table_has_the_rank_study_and_each_rank(data):
    found = rows("rank", data, mode="eager").reset_index()
    assert list(dict.fromkeys(found.operator)) == [
        "Weighted Laplacian, D = 50",
        "Weighted Laplacian, D = 50, rank 0.5 D",
        "Weighted Laplacian, D = 50, rank 0.1 D",
    ]
    per_rank = found[found.per == "rank ratio"].set_index("method")
    assert per_rank.time["Standard Taylor"] == pytest.approx(1e3 * SECONDS * 32 * 2 * 50)
    assert per_rank.time_published.notna()["Collapsed Taylor"]


def test_the_predicted_table_shows_counted_and_measured_ratios(data):
    found = rows("predicted", data, operator="Biharmonic, D = 5", per="datum", mode="eager")
    assert found.vectors["Apolar Taylor"] == 27
    assert found.predicted["Apolar Taylor"] == pytest.approx(27 / 101)
    assert found.time["Apolar Taylor"] == pytest.approx(27 / 101)
    assert found.predicted["Collapsed Taylor (Griewank)"] == pytest.approx(107 / 141)
    assert found.time_published["Collapsed Taylor (Griewank)"] == pytest.approx(0.764, abs=1e-3)


def test_the_gradient_table_compares_with_the_gradient_of_nested(data):
    found = rows("gradient", data, operator="Laplacian, D = 50", per="datum", mode="eager")
    assert found.gradient_time["Collapsed Taylor"] == pytest.approx(3e3 * SECONDS * 52)
    assert found.gradient_time_ratio["Collapsed Taylor"] == pytest.approx(52 / 101 / NESTED)


def test_the_operators_table_takes_the_largest_size_that_most_methods_reached(data):
    found = rows("operators", data, operator="Biharmonic, D = 5", mode="eager")
    assert set(found.batch) == {32}
    assert found.vectors["Apolar Taylor"] == 27
    assert found.over_floor_vectors["Collapsed Taylor"] == pytest.approx(77 / 27)
    assert found.flops_over_network["Collapsed Taylor"] == 77
    laplacian = rows("operators", data, operator="Laplacian, D = 50", mode="eager")
    assert set(laplacian.batch) == {64}


def test_an_operators_study_replaces_the_other_points(tmp_path):
    records = [*sweep(("nested", "taylor")), record("helmholtz", 3, "taylor", study="operators", value=16)]
    frame = TABLES.make("operators", data_of(records, tmp_path)).frame
    assert frame.operator.tolist() == ["Helmholtz, D = 3"]


def test_the_dimension_table_goes_through_the_dimensions(data):
    found = TABLES.make("dimension", data).frame
    found = found[(found.operator == "Biharmonic") & (found["mode"] == "eager") & (found.method == "Apolar Taylor")]
    assert dict(zip(found.dim, found.vectors, strict=True)) == {2: 9, 5: 27, 10: 77, 20: 252}


def test_public_libraries_stand_beside_the_method_that_does_the_same(tmp_path):
    ours = [record(method="collapsed", mode="compiled", backend="jax", value=value) for value in (1, 8)]
    theirs = [record(method="folx", mode="compiled", backend="jax", value=value) for value in (1, 8)]
    for made in theirs:
        made |= {"time_s": 2 * made["time_s"], "time_interval_s": [2 * t for t in made["time_interval_s"]]}
    alone = record(method="jax_jet", mode="compiled", backend="jax", value=8)
    found = TABLES.make("peers", data_of([*ours, *theirs, alone], tmp_path)).frame
    (row,) = found.itertuples()
    assert (row.package, row.counterpart) == ("Forward Laplacian (folx)", "Collapsed Taylor")
    assert row.time == pytest.approx(2) and row.time_low < 2 < row.time_high
    assert row.memory_differentiable == pytest.approx(1) and row.vectors == row.vectors_partner == 52 and row.batch == 8


def test_the_status_table_names_what_failed_where_and_why(data):
    found = TABLES.make("status", data)
    row = found.frame[(found.frame.method == "Nested") & (found.frame["mode"] == "eager")].iloc[0]
    assert row.status == "oom" and row["at"] == "batch 64" and "90_000 MiB" in row.reason
    unsupported = found.frame[found.frame.status == "unsupported"]
    assert set(unsupported["at"]) == {"samples 1, 4, 16, 48"}
    assert "2 oom" in found.notes[0]


def test_rows_of_unknown_methods_and_operators_come_after_the_known_ones(tmp_path):
    methods = ["zeta", "apolar", "alpha", "nested"]
    records = [record(o, 50, m, value=v) for o in ("zoo", "laplacian") for m in methods for v in (1, 2, 3)]
    frame = TABLES.make("main", data_of(records, tmp_path)).frame
    assert frame.method.tolist() == ["Nested", "Apolar Taylor", "Alpha", "Zeta"] * 2
    assert list(dict.fromkeys(frame.operator)) == ["Laplacian, D = 50", "Zoo, D = 50"]


def test_cases_that_would_read_the_same_are_told_apart(tmp_path):
    records = [record(value=v, dtype=d) for v in (1, 2) for d in ("float32", "float64")]
    frame = TABLES.make("main", data_of(records, tmp_path)).frame
    assert sorted(frame.operator) == ["Laplacian, D = 50 (dtype float32)", "Laplacian, D = 50 (dtype float64)"]


@pytest.mark.parametrize("name", TABLES)
def test_latex_is_well_formed(name, data):
    check_latex(TABLES.make(name, data))


@pytest.mark.parametrize("name", TABLES)
def test_without_records_every_table_says_so(name, nothing, tmp_path):
    made = TABLES.make(name, nothing)
    check_latex(made)
    if name in ("reproduction", "reproduction_compact", "vectors"):  # published and counted numbers need no records
        assert len(made.frame)
        return
    assert "No data" in made.latex() and "No data" in made.markdown()
    written = made.write(tmp_path / name)
    assert [path.suffix for path in written] == [".csv", ".md", ".tex"]
    assert pd.read_csv(written[0]).empty


def check_latex(made: Table):
    lines = [line for line in made.latex().splitlines() if not line.startswith("%")]
    text = "\n".join(lines)
    unescaped = re.sub(r"\\[\\{}%&$#_]", "", text)
    assert unescaped.count("{") == unescaped.count("}")
    assert unescaped.count("$") % 2 == 0 and "%" not in unescaped and "#" not in unescaped
    assert text.isascii()
    environment = "longtable" if made.long else "tabular"
    assert lines[0].startswith(rf"\begin{{{environment}}}{{") and lines[-1] == rf"\end{{{environment}}}"
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert lines.count(rule) == 1
    assert r"\hline" not in text
    spec = lines[0].partition("}{")[2].removesuffix("}")
    kinds = re.findall(r"l|S\[table-format=-?\d+(?:\.\d+)?(?:e-?\d)?(?:\(\d+\))?\]", spec)
    assert " ".join(kinds) == spec and len(kinds) == len(made.fields)
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    numbers = re.compile(r"-?\d+(\.\d+)?(\(\d+\))?(e[-+]\d+)?")
    for line in body:
        if line in (r"\addlinespace", r"\endhead", "") or line.startswith(r"\multicolumn"):
            continue
        assert line.endswith(r" \\")
        cells = re.split(r"(?<!\\)&", line.removesuffix(r" \\"))
        assert len(cells) == len(kinds)
        for kind, cell in zip(kinds, cells, strict=True):
            assert kind == "l" or cell.strip() == "{--}" or numbers.fullmatch(cell.strip()), cell


def test_latex_does_not_repeat_leading_words_within_a_block():
    frame = pd.DataFrame({"operator": list("AAA"), "method": list("xyx"), "cost": [1, 1, 2], "block": [1, 1, 2]})
    fields = [Field(name, name, "text") for name in ("operator", "method")] + [Field("cost", "cost", "integer")]
    lines = Table("T", fields, frame, block="block").latex().splitlines()
    found = [line for line in lines if line.startswith(("A", " &"))]
    assert found == [r"A & x & 1 \\", r" & y & 1 \\", r"A & x & 2 \\"]


def test_csv_markdown_and_latex_say_the_same_number():
    frame = pd.DataFrame({"name": ["a|b & c"], "cost": [0.58341], "cost_low": [0.5521], "cost_high": [0.6142]})
    made = Table("T", [Field("name", "Name", "text"), Field("cost", "Cost", interval=True)], frame)
    assert "0.58341,0.5521,0.6142" in made.csv()
    assert "| a\\|b & c | 0.583 [0.552, 0.614] |" in made.markdown()
    assert r"a|b \& c & 0.583(32) \\" in made.latex()
    assert "S[table-format=1.3(2)]" in made.latex()


@pytest.mark.parametrize(
    ("value", "half", "expected"),
    [(0.5834, float("nan"), 3), (12.34, float("nan"), 1), (1234.0, float("nan"), 0), (0.5834, 0.21, 2), (0.6, 2.1, 1)],
)
def test_numbers_show_three_digits_and_no_more_than_their_uncertainty_allows(value, half, expected):
    assert decimals(value, half) == expected


def test_an_uncertainty_is_never_rounded_down():
    frame = pd.DataFrame({"cost": [2.0], "cost_low": [1.98989], "cost_high": [2.01011]})
    assert "2.00(2)" in Table("T", [Field("cost", "Cost", interval=True)], frame).latex()


def test_text_is_escaped_for_latex():
    assert escape("50% of a_b & {c} #1 $") == r"50\% of a\_b \& \{c\} \#1 \$"
    assert escape("≤ D² – “x”") == r"$\le$ D\textsuperscript{2} -- ``x''"
    assert escape("snow ☃") == "snow ?"


def test_one_format_can_be_asked_for(data, tmp_path):
    assert TABLES.make("main", data).write(tmp_path / "main.tex") == [tmp_path / "main.tex"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["main.tex"]


def test_an_unknown_table_names_those_there_are(data):
    with pytest.raises(JetbenchError, match="main, compiled"):
        TABLES.make("mian", data)


def test_small_ratios_do_not_read_zero():
    assert [labels.ratio_text(value) for value in (1.0, 0.426, 0.0426, 0.0026)] == ["1.00", "0.43", "0.043", "0.0026"]


def test_labels_follow_one_order():
    assert labels.ranked(["b", "collapsed", "nested", "a"], labels.SERIES) == ["nested", "collapsed", "a", "b"]
    assert labels.series_label("some_new_method") == "Some new method"
