"""The paper: no quantity typed by hand, values from records with their origin, no text without its data."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from paper.tools import build, check
from paper.tools.__main__ import main
from paper.tools.values import COUNTED, values

from jetbench.errors import JetbenchError
from jetbench.report import collect
from jetbench.report.data import Data, best_machine
from jetbench.report.reproduction import published
from report_records import record, sweep, write

ROOT = Path(__file__).resolve().parents[2]
SOURCE = (ROOT / "paper" / "main.tex").read_text()
needs_latex = pytest.mark.skipif(
    shutil.which("latexmk") is None, reason="latexmk is not installed; .ci/run installs the Debian packages"
)


def data_of(records, folder):
    return Data(collect.read(write(records, folder)), published.load())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return data_of(sweep(("nested", "taylor", "collapsed", "apolar")), tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    return Data(collect.read(tmp_path_factory.mktemp("empty")), published.load())


# --- numbers typed by hand


def document(text: str) -> str:
    return f"\\documentclass[10pt]{{article}}\n\\begin{{document}}\n{text}\n\\end{{document}}\n"


@pytest.mark.parametrize(
    "text",
    [
        "It takes 0.26 of the time.",
        "It takes $0.26$ of the time.",
        "It is $2\\times$ as fast.",
        "It is $>5$ floors.",
        "Needs 27 vectors.",
        "Needs $27$ vectors.",
        "We set $D = 5$ here.",
        "A formula $x + 27y$ of counts.",
        "It is three times faster.",
        "It takes half the time.",
        "Twice as fast as nested.",
        "A gain of four to five times.",
        "The footnote\\footnote{measured at 8 ms}.",
        "A caption: \\resultfigure{batch}{1}{Time at batch 64.}",
        "Both: \\ifresult{a/b}{takes 12 s}{}.",
        "\\section{Results on 2 cores}",
        "\\[ T = 3.5 \\]",
    ],
)
def test_a_quantity_typed_by_hand_is_found(text):
    (complaint,) = check.typed_numbers(document(text))
    assert complaint.startswith("main.tex:3: typed by hand")


@pytest.mark.parametrize(
    "text",
    [
        "The value \\val{biharmonic/collapsed/eager/batch2} and \\finding{apolar}.",
        "Published in 2025 \\citep{dangel2025collapsing}, see \\cref{sec:one1,fig:batch2}.",
        "In float64 on an H200, by TF32.",
        "$p(\\xi)=(\\xi\\cdot\\xi)^2$, $1+(K-1)R+1$, $u_{112}$, $K=2$, $\\xi_1^2\\xi_2$, $a=b=0$, $1$.",
        "\\begin{equation}\\label{eq:jet2} 4g\\cdot t+2|H|^2 \\end{equation}",
        "Nested, applied twice. One of them; two kinds of steps; half of a page. % 27 in a comment",
        "\\vspace{2ex}\\includegraphics[width=0.5\\textwidth]{a27.pdf}\\resultfigure{batch}{0.5}{Time.}",
        "For \\texttt{jetbench --dim 5} and \\url{https://arxiv.org/abs/2505.13644}.",
    ],
)
def test_mathematics_years_names_and_references_may_have_digits(text):
    assert check.typed_numbers(document(text)) == []


def test_lines_are_those_of_the_file():
    text = document("One.\n\n$x^2$ % 3\n\nIt is 7.")
    assert check.typed_numbers(text) == [
        "main.tex:7: typed by hand: 'One. It is 7.'. Take it from values.tex, by \\val."
    ]


def test_the_paper_has_none_and_cites_every_figure_and_table():
    assert check.source(SOURCE) == []
    assert len(check.used_values(SOURCE)) > 30


def test_tables_typed_by_hand_and_figures_not_cited_are_found():
    told = check.source(document("\\begin{tabular}{l}a\\end{tabular}\n\\resultfigure{batch}{1}{Time.}"))
    assert len(told) == 2 and "tabular is typed by hand" in told[0] and "fig:batch is not cited" in told[1]


def test_the_log_tells_undefined_references_and_wide_boxes():
    told = check.log(
        "LaTeX Warning: Reference `fig:a' on page 1 undefined on input line 3.\n"
        "Package natbib Warning: Citation `b' on page 1 undefined on input line 4.\n"
        "Overfull \\hbox (4.9pt too wide) in paragraph at lines 1--2\n"
        "Overfull \\hbox (5.1pt too wide) in alignment at lines 3--4\n"
    )
    assert [bool(re.search(name, "\n".join(told))) for name in ("fig:a", "`b'", r"4\.9pt", r"5\.1pt")] == [1, 1, 0, 1]


# --- values


def test_counted_values_are_those_of_the_mathematics(nothing):
    found = values(nothing)
    assert found["counted/biharmonic/apolar"].tex == "27"
    assert found["counted/biharmonic/polarization/collapsed"].tex == "77"
    assert found["counted/biharmonic/griewank/taylor"].tex == "141"
    assert found["counted/mixed/hilbert"].tex == "1, 2, 2, 1"


def test_every_value_names_its_origin(data):
    found = values(data)
    assert all(value.source for value in found.values())
    measured = {name: v for name, v in found.items() if v.source not in (COUNTED, "published")}
    assert len(measured) > 40
    assert all("cpu-test" in value.source for value in measured.values())
    assert found["biharmonic/apolar/eager/over-floor"].source.endswith("batch 64")


def test_without_records_nothing_measured_is_claimed(nothing):
    assert {value.source for value in values(nothing).values()} == {COUNTED, "published"}


def test_the_paper_is_about_a_gpu_before_a_cpu_and_never_about_a_smoke_run(tmp_path):
    write([record(method=m, value=v) for m in ("nested", "taylor") for v in (1, 8)], tmp_path, "cpu-a")
    write([record(value=8, widths=[16, 16], started_at="2026-06-01T00:00:00+00:00")], tmp_path, "cpu-a-smoke")
    assert best_machine(collect.read(tmp_path)) == "cpu-a"
    write([record(value=8, device="cuda", started_at="2025-01-01T00:00:00+00:00")], tmp_path, "h200")
    assert best_machine(collect.read(tmp_path)) == "h200"
    h100 = [record(method=m, value=8, device="cuda", started_at="2024-01-01") for m in ("nested", "taylor")]
    write(h100, tmp_path, "h100")
    assert best_machine(collect.read(tmp_path)) == "h100", "of two GPUs that of more points"


def test_other_types_and_networks_beside_the_published_ones_change_no_value(tmp_path):
    records = [record(method=m, value=v) for m in ("nested", "collapsed") for v in (1, 8)]
    other = [record(method=m, value=64, dtype="float32") for m in ("nested", "taylor", "collapsed", "apolar")]
    other += [record(method=m, value=64, widths=[64, 64]) for m in ("nested", "taylor", "collapsed", "apolar")]
    alone, beside = (values(data_of(r, tmp_path / n)) for r, n in ((records, "alone"), (records + other, "beside")))
    chosen = [name for name in alone if name.startswith("laplacian/")]
    assert len(chosen) > 5 and {name: alone[name] for name in chosen} == {name: beside[name] for name in chosen}
    assert beside["laplacian/dtype"].tex == "float64" and "laplacian/taylor/eager/over-nested" not in beside


def test_all_commits_are_told_the_main_one_first(tmp_path):
    records = [record(value=1, machine="a"), record(value=8, machine="b"), record(value=16, machine="b")]
    write(records, tmp_path)
    described = {name: {"code": {"commit": name * 40}} for name in ("a", "b", "c")}
    (tmp_path / "cpu-test" / "machine.json").write_text(json.dumps(described))
    found = values(Data(collect.read(tmp_path), published.load()), tmp_path)
    assert found["machine/commits"].tex == rf"\texttt{{{'b' * 10}}} and \texttt{{{'a' * 10}}}"
    assert "machine/several-commits" in found


def test_absolute_times_are_shown_of_a_gpu_only(tmp_path):
    for device, wanted in (("cpu", False), ("cuda", True)):
        records = [record(method=m, value=v, device=device) for m in ("nested", "collapsed") for v in (1, 8, 64)]
        build.generate(data_of(records, tmp_path / device), "\\resulttable{main}{A}", tmp_path / f"made-{device}")
        assert ("[ms]" in (tmp_path / f"made-{device}" / "tables" / "main.tex").read_text()) == wanted


def test_what_is_generated_is_what_the_text_names_and_the_records_show(data, nothing, tmp_path):
    text = "\\resultfigure{overview}{1}{A}\\resultfigure{stock}{1}{B}\\resulttable{main}{C}\\val{records/ok}"
    found = build.generate(data, text, tmp_path / "all")
    assert "figure/overview" in found and "table/main" in found and "figure/stock" not in found
    values_tex = (tmp_path / "all" / "values.tex").read_text()
    assert "\\jetbenchvalue{counted/biharmonic/apolar}{27}% counted" in values_tex
    assert [path.name for path in (tmp_path / "all" / "figures").iterdir()] == ["overview.pdf"]
    origins = (tmp_path / "all" / "origins.tex").read_text()
    assert "records/ok" in origins and "cpu-test" in origins and "counted/" not in origins
    none = build.generate(nothing, text, tmp_path / "none")
    assert "figure/overview" not in none and "table/main" not in none


def test_the_figures_and_tables_of_the_paper_exist():
    assert len(build._named(SOURCE, "resultfigure")) > 8 and len(build._named(SOURCE, "resulttable")) > 3


def test_values_outside_a_switch_exist_in_any_case(nothing):
    """What stands in no \\ifresult would be an error without records."""
    outside = SOURCE
    while (start := outside.find("\\ifresult{")) >= 0:
        end = start + len("\\ifresult")
        for _ in range(3):
            end = check._closing(outside, outside.index("{", end), "{", "}")
        outside = outside[:start] + outside[end:]
    captions = re.sub(r"\\result(?:figure|table)\{.*?\n\n", "", outside, flags=re.DOTALL)
    assert set(check.used_values(captions)) <= set(values(nothing))


def test_an_unknown_figure_is_told(nothing, tmp_path):
    with pytest.raises(JetbenchError, match="overveiw"):
        build.generate(nothing, "\\resultfigure{overveiw}{1}{Vectors.}", tmp_path)


def test_the_command_without_records_says_how_to_collect_them(tmp_path, capsys):
    assert main(["--records", str(tmp_path / "records.parquet")]) == 2
    assert "jetbench report collect" in capsys.readouterr().err


@needs_latex
def test_the_paper_is_built_without_records_and_passes_its_checks(nothing, tmp_path):
    """No undefined value or reference where nothing was measured; `make paper` builds it from the committed records."""
    complaints = build.build(nothing, tmp_path / "out.pdf", tmp_path / "work")
    assert complaints == []
    assert 100_000 < (tmp_path / "out.pdf").stat().st_size < 2**20


@needs_latex
def test_what_latex_cannot_build_is_told_in_a_line(nothing, tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    shutil.copy(ROOT / "paper" / "jetbench.sty", folder)
    text = "\\documentclass{article}\\usepackage{jetbench}\n\\begin{document}\n\\val{no/such}\n\\end{document}\n"
    (folder / "main.tex").write_text(text)
    with pytest.raises(JetbenchError, match="No value `no/such' was generated"):
        build.build(nothing, tmp_path / "out.pdf", tmp_path / "work", folder)
