# What each kind of job needs first. A curve stands as a mark: `jetbench measure` appends to
# results/<machine>/<study>/<curve>.jsonl and skips what is there, so that whatever is killed loses one point at most, but
# Snakemake deletes the outputs of a failed job. Its output is therefore a mark elsewhere, whose name changes with the points.
import hashlib
import json
from functools import cache

SCOPED = f".jetbench/collected/{MACHINE}/{{scope}}/records.parquet"
DIGEST = hashlib.sha256(json.dumps(STUDIES.get("training"), sort_keys=True).encode()).hexdigest()[:8]
TRAINED = f".jetbench/trained/{MACHINE}/{DIGEST}"
AXES = sorted({study["axis"] for study in STUDIES["studies"].values()})


@cache
def mark(study, name):
    """The mark of a finished curve; one whose records have been removed is void."""
    curve = CURVES[study, name]
    points = json.dumps([[point.case.key, point.axis_value] for point in curve.points])
    digest = hashlib.sha256(points.encode()).hexdigest()[:8]
    path = Path(".jetbench", "measured", MACHINE, curve.study, f"{curve.name}.{digest}")
    recorded = Path(RESULTS, MACHINE, curve.path)
    if workflow.is_main_process and path.exists() and not (recorded.exists() and recorded.stat().st_size):
        path.unlink()
    return str(path)


def trained():
    """The mark of the finished trainings, whose name changes with them; none where there are none to be done."""
    if not MEASURE or not STUDIES.get("training"):
        return []
    if Path(TRAINED).exists() and not Path(RESULTS, MACHINE, "training.jsonl").exists():
        Path(TRAINED).unlink()
    return [TRAINED]


def implementation(wildcards):
    """The module of the curve's method: when it is edited, Snakemake looks whether points of a new version are missing."""
    return sources([CURVES[wildcards.study, wildcards.curve]])


def sources(curves):
    """The modules of some curves' methods."""
    cases = [curve.points[0].case for curve in curves]
    methods = sorted({(case.backend, case.method) for case in cases})
    found = [ROOT / "src" / "jetbench" / backend / "methods" / f"{method}.py" for backend, method in methods]
    return [str(source) for source in found if source.exists()]


def records(wildcards):
    """What has to be measured for a scope, an axis or "all"; without measuring, whatever records there are."""
    if not MEASURE:
        return sorted(str(path) for kind in ("*/*/*.jsonl", "*/training.jsonl") for path in Path(RESULTS).glob(kind))
    axes = AXES if wildcards.get("scope", "all") == "all" else [wildcards.scope]
    marks = [mark(*names) for names, curve in CURVES.items() if curve.points[0].axis in axes]
    return marks + (trained() if axes == AXES else [])


def collected(wildcards):
    """The collected records that a figure needs: those of its axis, so that it alone measures nothing else, or all."""
    axis = wildcards.name.partition("_")[0]
    return SCOPED.format(scope=axis if axis in AXES else "all")
