# From records to one tidy table, and from that to every table and figure by its name. A figure of one axis needs only
# the studies along that axis, so that asking for it alone measures nothing else.
from jetbench.report.gallery import FIGURES
from jetbench.report.tables import TABLES

COLLECTED = f"{RESULTS}/records.parquet"
SCOPED = f".jetbench/collected/{MACHINE}/{{scope}}/records.parquet"
AXES = sorted({study["axis"] for study in STUDIES["studies"].values()})


def scope(wildcards):
    """The collected records that a figure needs: those of its axis, or all."""
    axis = wildcards.name.partition("_")[0]
    return SCOPED.format(scope=axis if axis in AXES else "all")


def records(wildcards):
    """What has to be measured first for a scope; without measuring, whatever records there are."""
    if not MEASURE:
        return sorted(str(path) for path in Path(RESULTS).glob("*/*/*.jsonl"))
    axes = AXES if wildcards.get("scope", "all") == "all" else [wildcards.scope]
    return [mark(curve) for curve in CURVES.values() if curve.points[0].axis in axes]


rule collect:
    input:
        records,
    output:
        COLLECTED,
        f"{RESULTS}/records.csv",
        f"{RESULTS}/COLUMNS.md",
    log:
        "logs/collect.log",
    params:
        results=RESULTS,
    message:
        "Collecting all records into {output[0]}"
    shell:
        "jetbench report collect {params.results} --out {params.results} > {log} 2>&1"


rule collect_scope:
    input:
        records,
    output:
        SCOPED,
    log:
        "logs/collect_{scope}.log",
    wildcard_constraints:
        scope="|".join(["all", *AXES]),
    params:
        results=RESULTS,
        out=lambda wildcards, output: str(Path(output[0]).parent),
    message:
        "Collecting records ({wildcards.scope})"
    shell:
        "jetbench report collect {params.results} --out {params.out:q} > {log} 2>&1"


rule table:
    input:
        SCOPED.format(scope="all"),
    output:
        multiext("tables/{name}", ".csv", ".md", ".tex"),
    log:
        "logs/tables/{name}.log",
    wildcard_constraints:
        name="|".join(TABLES),
    params:
        machine=MACHINE,
    message:
        "Table {wildcards.name}"
    shell:
        "jetbench report table {wildcards.name} --records {input:q} --machine {params.machine:q}"
        " --out tables/{wildcards.name} > {log} 2>&1"


rule figure:
    input:
        scope,
    output:
        multiext("figures/{name}", ".pdf", ".png"),
    log:
        "logs/figures/{name}.log",
    wildcard_constraints:
        name="|".join(FIGURES),
    params:
        machine=MACHINE,
    message:
        "Figure {wildcards.name}"
    shell:
        "jetbench report figure {wildcards.name} --records {input:q} --machine {params.machine:q}"
        " --out figures/{wildcards.name} > {log} 2>&1"


rule tables:
    input:
        expand("tables/{name}.{suffix}", name=TABLES, suffix=["csv", "md", "tex"]),


rule figures:
    input:
        expand("figures/{name}.{suffix}", name=FIGURES, suffix=["pdf", "png"]),
