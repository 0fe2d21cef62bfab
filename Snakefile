# The whole workflow: measure every curve of a preset, then tables and figures from the records.
#   snakemake --cores                              the preset that fits this machine
#   snakemake --cores --config preset=smoke        smoke, cpu, gpu, paper or the path of a config
#   snakemake --cores figure_batch                 one figure (table_main: or table) and what it needs
#   snakemake --cores paper                        the paper, where LaTeX is installed
#   snakemake --cores --config measure=false       only draw what has been measured
#   snakemake --profile profiles/slurm             on a cluster; profiles/multi-gpu: on all GPUs of this machine
# Settings of all rules: profiles/default/config.yaml.
from snakemake.utils import min_version

min_version("9.20")


include: "workflows/rules/settings.smk"
include: "workflows/rules/inputs.smk"


if JOB_MINUTES:

    include: "workflows/rules/measure_bundles.smk"

else:

    include: "workflows/rules/measure.smk"


include: "workflows/rules/train.smk"
include: "workflows/rules/report.smk"
include: "workflows/rules/paper.smk"


# What draws takes seconds, less than a job in a queue.
localrules:
    all,
    collect,
    collect_scope,
    table,
    figure,
    html,
    paper,
    tables,
    figures,


# Without outputs, it is never up to date: the summary is printed also where nothing had to be done.
rule all:
    default_target: True
    input:
        records,
        rules.tables.input,
        rules.figures.input,
        PAPER if LATEX else [],
        collected=COLLECTED,
    params:
        machine=MACHINE,
    shell:
        "jetbench report summary --records {input.collected} --machine {params.machine:q}"


onstart:
    if not LATEX:
        print(
            "latexmk is not installed: everything but paper/jetbench.pdf is made (docs/install.md names the packages)."
        )


onerror:
    print("Finished measurements are kept: running again goes on from there. Logs are in the folder logs.")
