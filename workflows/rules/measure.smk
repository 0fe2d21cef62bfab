# One job a curve. `jetbench measure` appends to results/<machine>/<study>/<curve>.jsonl and skips what is there, so that
# whatever is killed loses one point at most. Snakemake deletes the outputs of a failed job: its output is therefore a
# mark beside the records, whose name changes with what the curve's points are.
import hashlib
import json


def mark(curve):
    """The mark of a finished curve; one whose records have been removed is void."""
    points = json.dumps([[point.case.key, point.axis_value] for point in curve.points])
    digest = hashlib.sha256(points.encode()).hexdigest()[:8]
    path = Path(".jetbench", "measured", MACHINE, curve.study, f"{curve.name}.{digest}")
    if path.exists() and not Path(RESULTS, MACHINE, curve.path).exists():
        path.unlink()
    return str(path)


def implementation(wildcards):
    """The module of the curve's method: a new version of it makes Snakemake look whether points are missing."""
    method = CURVES[wildcards.study, wildcards.curve].points[0].case.method
    source = ROOT / "src" / "jetbench" / "torch" / "methods" / f"{method}.py"
    return [str(source)] if source.exists() else []


rule measure:
    input:
        method=implementation,
    output:
        touch(f".jetbench/measured/{MACHINE}/{{study}}/{{curve}}.{{digest}}"),
    log:
        f"logs/{MACHINE}/{{study}}/{{curve}}.{{digest}}.log",
    wildcard_constraints:
        study="[a-z][a-z0-9_]*",
        curve="[^/]+",
        digest="[0-9a-f]{8}",
    retries: 0
    resources:
        measurement=1,
        gpu=int(DEVICE == "cuda"),
    params:
        config=str(CONFIG),
        out=f"{RESULTS}/{MACHINE}",
    message:
        "Measuring {wildcards.study}: {wildcards.curve}"
    shell:
        "jetbench measure --config {params.config:q} --study {wildcards.study} --curve {wildcards.curve:q}"
        " --out {params.out:q} 2>&1 | tee {log:q}"
