# One job for several curves, on one GPU of a batch system. Each curve has the mark that a job of its own would have made,
# so that it does not matter in which way it was measured, nor how curves were bundled before.
from jetbench.measure.bundles import bundles

# Jobs that meet unstable points or a slow compiler still end in time; one that does not goes on when it is run again.
SHARE_OF_TIME = 0.5

for number, bundle in enumerate(bundles(CURVES.values(), STUDIES, SHARE_OF_TIME * JOB_MINUTES)):

    rule:
        name:
            f"measure_{bundle[0].study}_{number}"
        input:
            sources(bundle),
        output:
            [mark(curve.study, curve.name) for curve in bundle],
        log:
            f"logs/{MACHINE}/{bundle[0].study}/bundle_{number}.log",
        threads: 1
        resources:
            gpu=int(DEVICE == "cuda"),
        params:
            config=str(CONFIG),
            out=f"{RESULTS}/{MACHINE}",
            device=DEVICE,
            study=bundle[0].study,
            curves=[curve.name for curve in bundle],
        message:
            f"Measuring {len(bundle)} curves of {bundle[0].study}"
        shell:
            "jetbench measure --config {params.config:q} --study {params.study} --curve {params.curves:q}"
            " --out {params.out:q} --device {params.device} 2>&1 | tee {log:q} && touch {output:q}"
