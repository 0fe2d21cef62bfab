# One job a curve; it ends well also where points fail, since a failed point is a record. All that may run side by side
# take all cores, so that nothing is drawn beside them.


rule measure:
    input:
        method=implementation,
    output:
        f".jetbench/measured/{MACHINE}/{{study}}/{{curve}}.{{digest}}",
    log:
        f"logs/{MACHINE}/{{study}}/{{curve}}.{{digest}}.log",
    wildcard_constraints:
        study="[a-z][a-z0-9_]*",
        curve="[^/]+",
        digest="[0-9a-f]{8}",
    threads: max(1, workflow.cores // workflow.global_resources["measurement"].value)
    resources:
        measurement=1,
        gpu=int(DEVICE == "cuda"),
    params:
        config=str(CONFIG),
        out=f"{RESULTS}/{MACHINE}",
        device=f"--device {DEVICE}" + (" --any-gpu" if ANY_GPU else ""),
    message:
        "Measuring {wildcards.study}: {wildcards.curve}"
    shell:
        "jetbench measure --config {params.config:q} --study {wildcards.study} --curve {wildcards.curve:q}"
        " --out {params.out:q} {params.device} 2>&1 | tee {log:q} && touch {output:q}"
