# What to measure and where: the preset's curves, the machine's name, the folders. Reads, never measures.
from pathlib import Path

from snakemake.exceptions import WorkflowError

from jetbench.errors import ConfigError
from jetbench.measure import case, machine
from jetbench.measure import config as studies

PRESETS = ("smoke", "cpu", "gpu", "paper")
SETTINGS = ("preset", "machine", "measure")
ROOT = Path(workflow.basedir)

unknown = set(config) - set(SETTINGS)
if unknown:
    raise WorkflowError(f"Unknown --config key {sorted(unknown)[0]!r}; allowed are {', '.join(SETTINGS)}.")
PRESET = config.get("preset", "gpu" if machine.has_cuda() else "cpu")
if PRESET not in PRESETS:
    raise WorkflowError(f"There is no preset {PRESET!r}; allowed are {', '.join(PRESETS)}.")

CONFIG = ROOT / "workflows" / "config" / f"{PRESET}.yaml"
try:
    STUDIES = studies.load(CONFIG)
    DEVICE = case.resolve_device(STUDIES.get("device", "auto"))
    CURVES = {(curve.study, curve.name): curve for curve in case.curves(STUDIES)}
except ConfigError as error:
    raise WorkflowError(str(error)) from error

RESULTS = "results"
# Presets of other sizes have a folder of their own, so that no figure mixes them.
MACHINE = config.get("machine", machine.name(DEVICE) + ("" if PRESET in ("cpu", "gpu") else f"-{PRESET}"))
MEASURE = str(config.get("measure", True)).lower() not in ("false", "no", "0")
