# The paper, from whatever records there are of the best machine. It needs latexmk; without it, a run of all leaves the paper out.
import shutil

PAPER = "paper/jetbench.pdf"
SOURCES = sorted(str(path) for path in (ROOT / "paper").iterdir() if path.suffix in (".tex", ".bib", ".sty"))
TOOLS = sorted(str(path) for path in (ROOT / "paper" / "tools").glob("*.py"))
LATEX = shutil.which("latexmk") is not None


rule paper:
    input:
        records=SCOPED.format(scope="all"),
        sources=SOURCES,
        code=DRAWING + TOOLS,
    output:
        PAPER,
    log:
        "logs/paper.log",
    params:
        root=str(ROOT),
        results=RESULTS,
    message:
        "The paper: values, tables and figures from the records, then LaTeX"
    shell:
        "PYTHONPATH={params.root:q}${{PYTHONPATH:+:$PYTHONPATH}} python -m paper.tools --records {input.records:q}"
        " --results {params.results:q}"
        " --out {output:q} > {log} 2>&1 || {{ cat {log} >&2; exit 1; }}"
