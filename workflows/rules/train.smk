# Training networks to the same loss, one job for all: methods of a problem take turns in one process.


rule train:
    input:
        [str(ROOT / "src" / "jetbench" / "training" / name) for name in ("problem.py", "loop.py")],
    output:
        TRAINED,
    log:
        f"logs/{MACHINE}/training.log",
    threads: 1 if JOB_MINUTES else workflow.cores
    resources:
        measurement=1,
        gpu=int(DEVICE == "cuda"),
    params:
        config=str(CONFIG),
        out=f"{RESULTS}/{MACHINE}",
    message:
        "Training a network with each method"
    shell:
        "jetbench train --config {params.config:q} --out {params.out:q} 2>&1 | tee {log:q} && touch {output:q}"
