"""The report as one HTML file that needs no network: pictures, interactive curves, all records, machines, provenance.

The scripts of plotly and of DataTables (by itables) are written into the file.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from jetbench.errors import JetbenchError
from jetbench.report import columns, labels
from jetbench.report.data import Data, NoData
from jetbench.report.figures import style
from jetbench.report.phrases import answers
from jetbench.report.registry import FIGURES, FINDINGS, TABLES
from jetbench.report.tables.layout import Table

DPI = 130
CONFIG = {"displaylogo": False, "responsive": True}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 0 auto; padding: 1rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ddd; } h3 { margin-bottom: 0.3rem; }
nav a { margin-right: 1rem; } figure { margin: 1rem 0 2rem; } figure img { max-width: 100%; }
figcaption { color: #444; font-size: 0.92rem; } details { font-size: 0.85rem; color: #555; }
table { font-size: 0.82rem; } table.plain { border-collapse: collapse; }
table.plain td, table.plain th { border: 1px solid #ddd; padding: 0.2rem 0.5rem; text-align: left; }
table.plain td { vertical-align: top; }
.missing { color: #777; } .lead { font-size: 1.05rem; } #shown { color: #777; font-size: 0.8rem; }
"""
# Links such as report.html#filter=apolar open the table filtered; the line at the end tells what the browser shows.
SCRIPT = """
window.addEventListener("load", () => {
  const wanted = decodeURIComponent((location.hash.match(/filter=([^&]*)/) || ["", ""])[1]);
  let tries = 0, typed = false;
  const look = () => {
    const box = document.querySelector("#table input[type=search]");
    if (box && wanted && !typed) {
      box.value = wanted;
      for (const kind of ["input", "keyup", "search"]) box.dispatchEvent(new Event(kind, {bubbles: true}));
      typed = true;
    }
    const images = [...document.images].filter(image => image.complete && image.naturalWidth > 100).length;
    const plots = document.querySelectorAll(".js-plotly-plot .main-svg .scatterlayer").length;
    const rows = document.querySelectorAll("#table .dt-container tbody tr").length;
    document.getElementById("shown").textContent =
      `Shown: ${images} figures, ${plots} interactive plots, ${rows} rows of the table.`;
    if (++tries < 20) setTimeout(look, 250);
  };
  look();
});
"""


def report(
    data: Data, results: Path | None = None, config: Path | None = None, machines: list[str] | None = None
) -> str:
    """The whole file as text.

    Args:
        results: folder of the machine.json files.
        config: the configuration that was measured, if the caller knows it.
        machines: names of all machines of which there are records.

    Raises:
        JetbenchError: plotly or itables is not installed.
    """
    try:
        import itables
        import plotly.io
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise JetbenchError(
            f"The HTML report needs {error.name}: pip install --constraint constraints.txt 'jetbench[report]'."
        ) from error
    described = _descriptions(results, data)
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>jetbench report</title>",
        f"<meta name='viewport' content='width=device-width'><link rel='icon' href='data:,'><style>{STYLE}</style>",
        f"<script>{get_plotlyjs()}</script></head><body>",
        *_summary(data, machines or []),
        "<h2 id='findings'>Findings</h2>",
        *_findings(data, described, config),
        "<h2 id='curves'>Interactive curves</h2>",
        "<p>Hover for values; click a name to hide it, twice to show it alone.</p>",
    ]
    for axis, plot in interactive(data):
        parts.append(f"<h3>{html.escape(_plain(labels.AXES[axis]))}</h3>")
        parts.append(plotly.io.to_html(plot, full_html=False, include_plotlyjs=False, config=CONFIG))
    parts.append("<h2 id='figures'>All figures</h2>")
    for name in FIGURES:
        if name != "overview" and name not in FINDINGS:
            parts += _figure(name, data, described, config)
    parts += [
        "<h2 id='records'>All records</h2><p>Click on a column to sort; filter with the box above or those below.</p>",
        f"<div id='table'>{_records(data, itables)}</div>",
        "<h2 id='failures'>What failed, and why</h2>",
        _plain_table(TABLES.make("status", data)),
        "<h2 id='machine'>Machine</h2>",
        *_machines(described),
        f"<p id='shown'></p><script>{SCRIPT}</script></body></html>",
    ]
    return "\n".join(parts)


def _summary(data: Data, machines: list[str]) -> Iterator[str]:
    yield "<h1>How cheap can a linear PDE operator of a neural network be?</h1>"
    names = {"findings": "Findings", "curves": "Curves", "figures": "Figures", "records": "Records"}
    names |= {"failures": "Failures", "machine": "Machine"}
    yield f"<nav>{''.join(f'<a href=#{key}>{name}</a>' for key, name in names.items())}</nav>"
    yield _picture("overview", data)
    counts = data.records.status.value_counts()
    told_counts = ", ".join(f"{count} {status}" for status, count in counts.items()) or "nothing was measured yet"
    yield f"<p class='lead'>{html.escape(data.place)} {len(data.records)} points: {html.escape(told_counts)}.</p>"
    if len(machines) > 1:
        others = ", ".join(name for name in machines if name not in set(data.records.machine))
        yield f"<p>There are records of other machines too, which are never mixed: {html.escape(others)}.</p>"
    yield f"<p>{html.escape(FIGURES['overview'].caption)}</p>"


def _findings(data: Data, described: dict, config: Path | None) -> Iterator[str]:
    sentences = answers(data)
    for name, finding in FINDINGS.items():
        yield f"<h3>{html.escape(finding.shows)}</h3>"
        if name in sentences:
            yield f"<p class='lead'>{html.escape(sentences[name])}</p>"
        yield from _figure(name, data, described, config, titled=False)


def _figure(name: str, data: Data, described: dict, config: Path | None, titled: bool = True) -> Iterator[str]:
    if titled:
        yield f"<h3>{html.escape(_title(name))}</h3>"
    yield f"<figure id='figure-{name}'>{_picture(name, data)}"
    yield f"<figcaption>{html.escape(FIGURES[name].caption)}</figcaption>"
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in provenance(name, data, described, config))
    yield f"<details><summary>Where it comes from</summary><ul>{lines}</ul></details></figure>"


def _title(name: str) -> str:
    """A figure's name as a heading."""
    words = name.replace("_", " ")
    return (words[:1].upper() + words[1:]).replace("jax", "JAX")


def _picture(name: str, data: Data) -> str:
    with style.settings():
        try:
            drawn: Figure = FIGURES.make(name, data)
        except NoData as missing:
            return f"<p class='missing'>{html.escape(str(missing))}</p>"
        stream = io.BytesIO()
        drawn.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    encoded = base64.b64encode(stream.getvalue()).decode()
    return f"<img alt='{html.escape(FIGURES[name].shows, quote=True)}' src='data:image/png;base64,{encoded}'>"


def provenance(name: str, data: Data, described: dict, config: Path | None) -> list[str]:
    """What a figure was made from: records, machine, versions, commit, configuration, command."""
    axis = name.partition("_")[0]
    records = data.records[data.records.axis == axis] if axis in labels.AXES else data.records
    if name == "training":
        told_of = [f"{len(data.training)} training runs"]
    else:
        told_of = [f"{len(records)} records in {records.source.nunique()} files"]
    identities = list(dict.fromkeys(records.machine_id.dropna()))
    for identity in identities:
        about = described.get(identity) or {}
        code = about.get("code") or {}
        versions = ", ".join(f"{key} {value}" for key, value in (about.get("versions") or {}).items())
        dirty = " with local changes" if code.get("dirty") else ""
        told_of.append(
            f"machine {identity}: commit {code.get('commit') or 'unknown'}{dirty}; {versions or 'no versions'}"
        )
    if len(records):
        told_of.append(f"measured {records.started_at.min()} to {records.started_at.max()}")
    if config is not None and config.is_file():
        digest = hashlib.sha256(config.read_bytes()).hexdigest()[:12]
        told_of.append(f"configuration {config.name}, SHA-256 {digest}…")
    told_of.append(f"made by: jetbench report figure {name}")
    return told_of


def interactive(data: Data) -> Iterator[tuple[str, object]]:
    """Axis → a plotly figure of time over the floor, one trace a case, method and mode."""
    import plotly.graph_objects as go

    records = data.records[~data.records.study.isin([*labels.SNAPSHOTS])]
    for axis in labels.AXES:
        own = labels.ordered(
            records[(records.axis == axis) & (records.status == "ok") & records.time_over_floor.notna()]
        )
        if own.empty:
            continue
        named = labels.case_labels(own)
        shown = labels.ranked(own.series, labels.SERIES)
        plot = go.Figure()
        for (case, series, mode), curve in own.groupby(["case", "series", "mode"], sort=False):
            look = labels.look(series, shown)
            texts = [
                f"{1e3 * r.time_s:.3g} ms, {r.vectors} vectors"
                + ("" if pd.isna(r.time_over_nested) else f", {labels.ratio_text(r.time_over_nested)} of nested")
                for r in curve.itertuples()
            ]
            plot.add_scatter(
                x=curve.x.tolist(),
                y=curve.time_over_floor.tolist(),
                error_y={
                    "array": (curve.time_over_floor_high - curve.time_over_floor).tolist(),
                    "arrayminus": (curve.time_over_floor - curve.time_over_floor_low).tolist(),
                    "thickness": 1,
                },
                mode="lines+markers",
                name=f"{named[case]}: {labels.series_label(series)}, {mode}",
                line={"color": look.colour, "dash": "dot" if mode == "compiled" else "solid"},
                text=texts,
            )
        # The margin at the top is where the buttons are.
        plot.update_layout(template="plotly_white", height=420, margin={"l": 50, "r": 10, "t": 32, "b": 40})
        plot.update_xaxes(title=_plain(labels.AXES[axis]))
        if axis in labels.LOGARITHMIC:
            positions = sorted(own.x.unique().tolist())
            positions = positions[:: -(-len(positions) // 8)]
            plot.update_xaxes(type="log", tickvals=positions, ticktext=[f"{value:g}" for value in positions])
        plot.update_yaxes(title="Time / floor", type="log")
        yield axis, plot


def _plain(label: str) -> str:
    return label.replace("$", "")


def _records(data: Data, itables: object) -> str:
    frame = data.records[[name for name in columns.SHOWN if name in data.records]]
    if frame.empty:
        return "<p class='missing'>No records.</p>"
    shown = frame.assign(**{n: frame[n].map(_short) for n in frame if frame[n].dtype.kind == "f"})
    texts = {name: shown[name].astype("object").where(shown[name].notna(), "") for name in shown}
    loader = itables.javascript.generate_init_offline_itables_html(itables.options.dt_bundle)
    made = itables.to_html_datatable(
        pd.DataFrame(texts),
        connected=False,
        display_logo_when_loading=False,
        showIndex=False,
        maxBytes=0,
        column_filters="footer",
        scrollX=True,
        pageLength=25,
        allow_html=False,
    )
    return f"{loader}{made}"


def _short(value: float) -> float | None:
    return None if pd.isna(value) else float(f"{value:.4g}")


def _plain_table(table: Table) -> str:
    frame = table.frame[[f.key for f in table.fields]] if len(table.frame) else table.frame
    if not len(frame):
        return "<p>Every point was measured.</p>"
    renamed = frame.rename(columns={f.key: f.header for f in table.fields})
    return renamed.to_html(index=False, classes="plain", border=0, escape=True)


def _descriptions(results: Path | None, data: Data) -> dict:
    """Identity → description, of the machines that the records point to."""
    wanted, found = set(data.records.machine_id.dropna()), {}
    for path in sorted(Path(results or "results").glob("*/machine.json")):
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            continue
        found |= {key: value for key, value in known.items() if key in wanted}
    return found


def _machines(described: dict) -> Iterator[str]:
    if not described:
        yield "<p class='missing'>No machine.json describes it.</p>"
    for identity, about in described.items():
        rows = "".join(
            f"<tr><th>{html.escape(str(key))}</th><td>{html.escape(json.dumps(value, ensure_ascii=False))}</td></tr>"
            for key, value in about.items()
        )
        yield f"<h3>{html.escape(identity)}</h3><table class='plain'>{rows}</table>"
