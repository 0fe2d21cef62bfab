"""Many short points in one process: do its memory and the time of a point grow? `python .ci/soak.py [POINTS]`

The points are of two batches in turn, so that nothing is new after the first. Growth is from the second tenth of the
points to the last. More than 5% in the process's resident memory ends with status 1; times (of the processor, in the
process) are told only, since they depend on what else runs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from statistics import median

import psutil

from jetbench.measure.case import Case, Point, resolve_device
from jetbench.measure.supervisor import Setup, Supervisor

MOST = 0.05
BUDGET = {"point_s": 0.01, "first_call_s": 60, "samples_min": 3, "samples_max": 5}


def main(count: int) -> int:
    """Run the soak and print what grew; the exit status."""
    device = resolve_device("auto")
    cases = [Case("laplacian", 5, "collapsed", widths=(32, 32), batch=batch, device=device) for batch in (4, 8)]
    memory, spent = [], []
    with Supervisor(Setup("torch", device, 1, BUDGET)) as supervisor:
        for number in range(count):
            record = supervisor.measure(Point(cases[number % 2], "soak", "batch", cases[number % 2].batch))
            if record["status"] != "ok":
                print(f"Point {number}: {record['status']}, {record['reason']}")
                return 1
            (worker,) = psutil.Process().children()
            memory.append(worker.memory_info().rss)
            spent.append(sum(worker.cpu_times()[:2]))
    tenth = max(count // 10, 2)
    before, after = median(memory[tenth : 2 * tenth]), median(memory[-tenth:])
    early, late = (spent[2 * tenth] - spent[tenth]) / tenth, (spent[-1] - spent[-tenth - 1]) / tenth
    growth = after / before - 1
    print(
        f"{count} points in one process on {device}: memory {before / 2**20:.1f} → {after / 2**20:.1f} MiB "
        f"({growth:+.2%}), processor time of a point {early:.3f} → {late:.3f} s ({late / early - 1:+.1%})."
    )
    return int(growth > MOST)


if __name__ == "__main__":
    # A measurement of anything else on this device has to wait for a long time; a soak is not one.
    os.environ.setdefault("JETBENCH_LOCKS", tempfile.mkdtemp())
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
