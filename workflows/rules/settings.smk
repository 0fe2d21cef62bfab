# What to measure and where: the preset's curves, the machine's name, the folders. Reads, never measures.
from pathlib import Path

from snakemake.exceptions import WorkflowError

from jetbench.errors import ConfigError
from jetbench.measure import case, machine, nvidia, sweep
from jetbench.measure import config as studies

PRESETS = ("smoke", "cpu", "gpu", "paper")
SETTINGS = ("preset", "machine", "measure")
ROOT = Path(workflow.basedir)

unknown = set(config) - set(SETTINGS)
if unknown:
    raise WorkflowError(f"Unknown --config key {sorted(unknown)[0]!r}; allowed are {', '.join(SETTINGS)}.")

# A profile that says how long a job may take is one of a batch system, whose nodes have a GPU even where this one has none.
ASKED = workflow.resource_settings.default_resources or {}
JOB_MINUTES = getattr(ASKED["runtime"], "value", ASKED["runtime"]) if "runtime" in ASKED else None

PRESET = str(config.get("preset", "gpu" if JOB_MINUTES or nvidia.has_cuda() else "cpu"))
OWN = PRESET.endswith((".yaml", ".json"))
if PRESET not in PRESETS and not OWN:
    raise WorkflowError(
        f"There is no preset {PRESET!r}; allowed are {', '.join(PRESETS)}, and the path of a config (.yaml or .json)."
    )

CONFIG = Path(PRESET).absolute() if OWN else ROOT / "workflows" / "config" / f"{PRESET}.yaml"
try:
    STUDIES = studies.load(CONFIG)
    DEVICE = STUDIES.get("device", "auto")
    DEVICE = "cuda" if JOB_MINUTES and DEVICE == "auto" else case.resolve_device(DEVICE)
    CURVES = {(curve.study, curve.name): curve for curve in case.curves(STUDIES, device=DEVICE)}
except ConfigError as error:
    raise WorkflowError(str(error)) from error

RESULTS = "results"
# Presets of other sizes have a folder of their own, so that no figure mixes them.
SUFFIX = "" if PRESET in ("cpu", "gpu") else f"-{CONFIG.stem}"
try:
    MACHINE = sweep.check_name(
        str(config.get("machine", ("cluster" if JOB_MINUTES else machine.name(DEVICE)) + SUFFIX)), "--config machine"
    )
except ConfigError as error:
    raise WorkflowError(str(error)) from error
# One measurement at a time, as any two would disturb each other; where GPUs are given (profiles/multi-gpu), one on each.
ANY_GPU = DEVICE == "cuda" and "gpu" in workflow.global_resources
GPUS = min(workflow.global_resources["gpu"].value, len(nvidia.visible_gpus())) if ANY_GPU else 1
workflow.global_resources["measurement"] = max(1, GPUS)
MEASURE = str(config.get("measure", True)).lower() not in ("false", "no", "0")
