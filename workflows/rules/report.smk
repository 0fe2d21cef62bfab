# From records to one tidy table, and from that to every table and figure by its name.
from jetbench.report.registry import FIGURES, TABLES

COLLECTED = f"{RESULTS}/records.parquet"
# Each machine has folders of its own.
TABLE = f"tables/{MACHINE}/{{name}}"
FIGURE = f"figures/{MACHINE}/{{name}}"
# What draws: after an edit, tables, figures and paper are made anew.
DRAWING = sorted(str(path) for path in (ROOT / "src" / "jetbench" / "report").rglob("*.py"))


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
        out=lambda wildcards, output: str(Path(output[0]).parent),
    message:
        "Collecting all records into {output[0]}"
    shell:
        "jetbench report collect {params.results:q} --out {params.out:q} > {log} 2>&1 || {{ cat {log} >&2; exit 1; }}"


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
        "jetbench report collect {params.results:q} --out {params.out:q} > {log} 2>&1 || {{ cat {log} >&2; exit 1; }}"


rule table:
    input:
        code=DRAWING,
        records=SCOPED.format(scope="all"),
    output:
        report(f"{TABLE}.csv", category="Tables", labels={"table": "{name}"}),
        f"{TABLE}.md",
        f"{TABLE}.tex",
    log:
        "logs/tables/{name}.log",
    wildcard_constraints:
        name="|".join(TABLES),
    params:
        machine=MACHINE,
        out=lambda wildcards, output: str(Path(output[0]).with_suffix("")),
    message:
        "Table {wildcards.name}"
    shell:
        "jetbench report table {wildcards.name} --records {input.records:q} --machine {params.machine:q}"
        " --out {params.out} > {log} 2>&1 || {{ cat {log} >&2; exit 1; }}"


rule figure:
    input:
        code=DRAWING,
        records=collected,
    output:
        f"{FIGURE}.pdf",
        report(f"{FIGURE}.png", caption="../report/figure.rst", category="Figures", labels={"figure": "{name}"}),
    log:
        "logs/figures/{name}.log",
    wildcard_constraints:
        name="|".join(FIGURES),
    params:
        machine=MACHINE,
        out=lambda wildcards, output: str(Path(output[0]).with_suffix("")),
        caption=lambda wildcards: FIGURES[wildcards.name].caption,
    message:
        "Figure {wildcards.name}"
    shell:
        "jetbench report figure {wildcards.name} --records {input.records:q} --machine {params.machine:q}"
        " --out {params.out} > {log} 2>&1 || {{ cat {log} >&2; exit 1; }}"


rule html:
    input:
        code=DRAWING,
        records=SCOPED.format(scope="all"),
    output:
        "report.html",
    log:
        "logs/html.log",
    params:
        results=RESULTS,
        config=str(CONFIG),
    message:
        "The report, in one HTML file"
    shell:
        "jetbench report html --records {input.records:q} --results {params.results:q} --config {params.config:q}"
        " --out {output:q} > {log} 2>&1 || {{ cat {log} >&2; exit 1; }}"


rule tables:
    input:
        expand(f"{TABLE}.{{suffix}}", name=TABLES, suffix=["csv", "md", "tex"]),


rule figures:
    input:
        expand(f"{FIGURE}.{{suffix}}", name=FIGURES, suffix=["pdf", "png"]),


# `snakemake figure_width` and `snakemake table_main` make one of them, whatever the machine is called.
for _kind, _names, _path, _suffixes in [
    ("table", TABLES, TABLE, ["csv", "md", "tex"]),
    ("figure", FIGURES, FIGURE, ["pdf", "png"]),
]:
    for _name in _names:

        rule:
            name:
                f"{_kind}_{_name}"
            input:
                expand(f"{_path}.{{suffix}}", name=_name, suffix=_suffixes),
