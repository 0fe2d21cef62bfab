"""Records as a table: what scripts and notebooks read the results with. It needs the extra `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jetbench.errors import JetbenchError

if TYPE_CHECKING:
    import pandas as pd


def load(folder: str | Path = "results") -> pd.DataFrame:
    """Return all records of a folder as a table with one row per measured point.

    `jetbench report collect` writes the name, type, unit and meaning of each column to COLUMNS.md. The most important:

    - the place: `machine`, `study`, `axis`, `axis_value`;
    - the case: `operator`, `dim`, `method`, `mode`, `batch`, `dtype`, `device`;
    - the status (`ok`, or why the point was not measured) and the number of `vectors`;
    - the median time `time_s` in seconds, with the ends `time_low_s` and `time_high_s` of its 95% interval;
    - `time_over_floor`, `time_over_nested` and `relative_error`;
    - peak memory, `memory_differentiable_bytes` and `memory_nondifferentiable_bytes`.

    Args:
        folder: a folder of results, with `<machine>/<study>/*.jsonl`, or that of one machine. Do not combine rows of
            two machines; the column `machine` identifies them.

    Returns:
        A table with the columns of `jetbench.report.columns.COLUMNS`.

    Raises:
        JetbenchError: `folder` is not a folder, or the extra `bench` is not installed.

    Example:
        >>> import json, pathlib, tempfile
        >>> from jetbench import results
        >>> study = pathlib.Path(tempfile.mkdtemp(), "my-machine", "batch")
        >>> study.mkdir(parents=True)
        >>> seconds = {"nested": 0.4, "collapsed": 0.1}
        >>> point = {"operator": "laplacian", "axis": "batch", "axis_value": 8, "status": "ok"}
        >>> lines = [json.dumps({**point, "method": m, "time_s": s}) for m, s in seconds.items()]
        >>> _ = (study / "curve.jsonl").write_text("\\n".join(lines))
        >>> records = results.load(study.parents[1])
        >>> records.set_index("method").time_over_nested["collapsed"].item()
        0.25
    """
    try:
        from jetbench.report import collect
    except ModuleNotFoundError as error:
        raise JetbenchError(f"Results need {error.name}: pip install 'jetbench[bench]'.") from error
    folder = Path(folder)
    machines = any(folder.glob("*/machine.json")) or any(folder.glob("*/*/*.jsonl"))
    studies = any(folder.glob("*/*.jsonl"))
    return collect.machines_in([folder.resolve()]) if studies and not machines else collect.read(folder)
