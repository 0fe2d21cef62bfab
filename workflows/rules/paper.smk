# The paper, from whatever records there are of the best machine. It needs latexmk, and goes without it in a run of all.
import shutil

PAPER = "paper/jetbench.pdf"
SOURCES = sorted(str(path) for path in (ROOT / "paper").iterdir() if path.suffix in (".tex", ".bib", ".sty"))
LATEX = shutil.which("latexmk") is not None


rule paper:
    input:
        records=SCOPED.format(scope="all"),
        sources=SOURCES,
        code=DRAWING,
    output:
        PAPER,
    log:
        "logs/paper.log",
    params:
        sources=str(ROOT / "paper"),
        results=RESULTS,
    message:
        "The paper: values, tables and figures from the records, then LaTeX"
    shell:
        "jetbench report paper --records {input.records:q} --sources {params.sources:q} --results {params.results:q}"
        " --out {output:q} > {log} 2>&1 || {{ cat {log} >&2; exit 1; }}"
