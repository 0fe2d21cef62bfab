"""Records as a table: what scripts and notebooks read the results with. It needs the extra `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jetbench.errors import JetbenchError

if TYPE_CHECKING:
    import pandas as pd


def load(folder: str | Path = "results") -> pd.DataFrame:
    """All records of a folder, one row a measured point.

    Args:
        folder: of results, with `<machine>/<study>/*.jsonl`, or of one machine. Rows of two machines must not be
            combined; the column `machine` tells them apart.

    Returns:
        A table with the columns of `jetbench.report.columns.COLUMNS`, each of which has a name, a type, a unit and a
        meaning; `jetbench report collect` writes them to COLUMNS.md. The most important ones:

        - the place: `machine`, `study`, `axis`, `axis_value`;
        - the case: `operator`, `dim`, `method`, `mode`, `batch`, `dtype`, `device`;
        - what was measured: `status` (ok, or why not), `vectors`, `time_s` in seconds (a median) with the ends of its
          95% interval, `time_low_s` and `time_high_s`, `time_over_floor`, `time_over_nested`,
          `memory_differentiable_bytes`, `memory_nondifferentiable_bytes`, `relative_error`.

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
    if (folder / "machine.json").is_file() or any(folder.glob("*/*.jsonl")):
        return collect.machines_in([folder.resolve()])
    return collect.read(folder)
