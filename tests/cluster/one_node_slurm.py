"""A Slurm of one node with two stand-in GPUs, started from Debian's packages for a test and stopped after it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scontrol", "scancel")
GPUS = 2

# No cgroups, accounting or binding, which a container may not have. GPUs are files that always exist; Slurm tells jobs
# which of them they have by CUDA_VISIBLE_DEVICES, and does not otherwise care what they are.
CONFIG = """
ClusterName=jetbench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=300
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why there can be no such Slurm here, in a sentence; None where there can."""
    if os.geteuid() != 0:
        return "A Slurm for tests needs root to start its daemons."
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"There is no {absent[0]}: apt-get install slurmctld slurmd slurm-client munge"
    return None


def node() -> str:
    """The name of the one node."""
    return socket.gethostname().partition(".")[0]


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """Start it with all its files in a folder; the environment variables by which its commands find it.

    Its daemons are ended however the block ends, and with them what jobs left behind.
    """
    host = node()
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    config = CONFIG.format(host=host, folder=folder, ports=_free_ports(2), gpus=GPUS)
    (folder / "slurm.conf").write_text(config)
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
    environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    # Within a job the executor plugin calls srun without the variables of Slurm; elsewhere the config lies in /etc.
    srun = f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n'
    (folder / "srun").write_text(srun)
    (folder / "srun").chmod(0o755)
    munge = ["munged", "--foreground", "--force", "--num-threads=2"]
    munge += [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    daemons: list[subprocess.Popen] = []
    try:
        for command in (
            [*munge, f"--socket={folder}/munge.socket"],
            ["slurmctld", "-D", "-c"],
            ["slurmd", "-D", "-c", "-N", host],
        ):
            with open(folder / f"{command[0]}.out", "wb") as said:
                daemons.append(start(command, {**os.environ, **environment}, said))
            if command[0] == "munged":
                wait_for(lambda: (folder / "munge.socket").exists(), 10, "munged does not listen")
        wait_for(lambda: "idle" in _states(environment), 30, f"the node is not idle; logs are in {folder}")
        yield environment
    finally:
        with suppress(OSError, subprocess.TimeoutExpired):
            run(environment, "scancel", "--user=root", "--full")
            wait_for(lambda: not run(environment, "squeue", "--noheader").strip(), 15, "jobs do not end")
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def start(command: Sequence[object], environment: Mapping[str, str], said: IO) -> subprocess.Popen:
    """A process that ends with this one, even if this one is killed."""
    words = ["setpriv", "--pdeathsig", "KILL", *map(str, command)]
    return subprocess.Popen(words, env=environment, stdout=said, stderr=subprocess.STDOUT)


def run(environment: dict[str, str], *command: str) -> str:
    """What one of Slurm's commands prints."""
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=30)
    return done.stdout


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Return when a condition holds; a TimeoutError that says what did not come about after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"After {seconds:g} s: {what}.")
        time.sleep(0.2)


def state(environment: dict[str, str], job: str) -> str:
    """The state of a job, such as RUNNING; empty where there is none of that number."""
    shown = run(environment, "scontrol", "show", "job", job)
    return shown.partition("JobState=")[2].partition(" ")[0]


def _states(environment: dict[str, str]) -> str:
    return run(environment, "sinfo", "--noheader", "--format=%T")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
