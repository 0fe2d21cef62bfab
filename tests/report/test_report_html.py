"""The HTML report: everything is in the one file, and a real browser shows it without network and without errors."""

from __future__ import annotations

import re
import shutil
import subprocess

import pandas as pd
import pytest
from PIL import Image

from jetbench.report import collect, html
from jetbench.report.data import Data
from jetbench.report.registry import FIGURES
from jetbench.report.reproduction import published
from report_records import MACHINE_ID, failure, sweep, write

pytestmark = pytest.mark.long

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium here to look at the report with; .ci/run installs Debian's package chromium"
)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FLAGS += ["--enable-logging=stderr", "--virtual-time-budget=10000", "--host-resolver-rules=MAP * ~NOTFOUND"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    records = sweep(("nested", "collapsed", "apolar"), ("eager",))
    records[-1].update(failure("oom", "needed <90 GiB> & more"))
    return write(records, tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def data(results):
    return Data(collect.read(results), published.load())


@pytest.fixture(scope="module")
def path(data, results, tmp_path_factory):
    made = tmp_path_factory.mktemp("html") / "report.html"
    made.write_text(html.report(data, results, machines=["cpu-test", "h200"]), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def text(path):
    """What stands in the file, without the scripts of libraries and the pictures."""
    whole = re.sub(r"<script.*?</script>|base64,[^\"']*", "", path.read_text(), flags=re.DOTALL)
    return re.sub(r"<style.*?</style>", "", whole, flags=re.DOTALL)


def test_nothing_is_loaded_from_elsewhere(text):
    assert not re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=['\"]?https?:", text)


def test_all_figures_findings_failures_and_other_machines_are_told(text, data):
    for name in FIGURES:
        assert name == "overview" or f"id='figure-{name}'" in text
    assert "What does apolar Taylor mode save" in text and "There are records of other machines too" in text
    assert "needed &lt;90 GiB&gt; &amp; more" in text and "<90 GiB>" not in text
    assert "Synthetic CPU" in text and "No network was trained." in text


def test_every_figure_says_how_to_read_it_and_where_it_comes_from(data):
    assert all(len(figure.caption) > 30 for figure in FIGURES.values())
    described = {MACHINE_ID: {"code": {"commit": "abc123", "dirty": True}, "versions": {"torch": "2.13.0"}}}
    told = "\n".join(html.provenance("width", data, described, None))
    width = (data.records.axis == "width").sum()
    assert f"{width} records in 3 files" in told
    assert "commit abc123 with local changes; torch 2.13.0" in told and "report figure width" in told


def test_the_configuration_is_told_with_its_digest(data, tmp_path):
    (tmp_path / "own.yaml").write_text("preset: own\n")
    assert "own.yaml, SHA-256" in "\n".join(html.provenance("batch", data, {}, tmp_path / "own.yaml"))


def test_interactive_curves_hold_the_records(data):
    plots = dict(html.interactive(data))
    assert list(plots) == ["batch", "samples", "rank", "width", "depth", "dimension"]
    trace = next(t for t in plots["width"].data if "Apolar" in t.name)
    own = data.ok[(data.ok.axis == "width") & (data.ok.series == "apolar")].sort_values("x")
    assert list(trace.x) == pytest.approx(list(own.x)) and list(trace.y) == pytest.approx(list(own.time_over_floor))


def test_without_records_the_report_says_so(tmp_path):
    nothing = Data(collect.read(tmp_path), published.load())
    text = html.report(nothing, tmp_path)
    assert "nothing was measured yet" in text and "No records." in text


def browse(path, tmp_path, *arguments, anchor=""):
    profile = tmp_path / "profile"
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", *arguments, f"file://{path}{anchor}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout


@needs_browser
def test_a_browser_shows_figures_curves_and_a_table_that_filters(path, data, tmp_path):
    shown = browse(path, tmp_path, "--dump-dom", anchor="#filter=apolar")
    images, plots, rows = map(
        int, re.search(r"Shown: (\d+) figures, (\d+) interactive plots, (\d+) rows", shown).groups()
    )
    missing = len(re.findall("<p class=.missing.", shown))
    assert images == len(FIGURES) - missing and images > 15 and plots == 6
    matching = int((data.records.method == "apolar").sum())
    assert f"of {matching} entries (filtered from {len(data.records)} total entries)" in shown
    assert 0 < rows <= 25


@needs_browser
def test_the_picture_comes_first(path, tmp_path):
    browse(path, tmp_path, f"--screenshot={tmp_path / 'shot.png'}", "--window-size=1200,900")
    image = Image.open(tmp_path / "shot.png").convert("RGB")
    colours = {image.getpixel((x, y)) for x in range(0, 1200, 6) for y in range(100, 450, 6)}
    assert (0, 114, 178) in colours  # the blue of nested, in the bars of the overview


def test_the_table_can_be_made_of_any_records(data):
    import itables

    own = Data(data.records.assign(reason="<script>alert(1)</script>"), data.published)
    assert "<script>alert(1)" not in html._records(own, itables)
    assert isinstance(own.records, pd.DataFrame)
