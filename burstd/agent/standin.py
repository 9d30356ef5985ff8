"""Who this stand-in is, from what Slurm gave it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: What a script may ask of its job on-prem; the far cluster's own ids mean nothing to the user.
_OF_THE_JOB = (
    "SLURM_JOB_ID",
    "SLURM_JOBID",
    "SLURM_JOB_NAME",
    "SLURM_JOB_ACCOUNT",
    "SLURM_JOB_QOS",
    "SLURM_JOB_USER",
    "SLURM_JOB_UID",
    "SLURM_CLUSTER_NAME",
    "SLURM_SUBMIT_DIR",
    "SLURM_SUBMIT_HOST",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_COUNT",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_MAX",
    "SLURM_ARRAY_TASK_STEP",
    "SLURM_RESTART_COUNT",
)


@dataclass(frozen=True)
class StandIn:
    """``argv``: the batch script as slurmd spooled it, then the user's arguments."""

    job: str  #: as users write it: 12 or 12_3
    restarts: int
    script: Path
    arguments: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    merged: bool  #: stderr goes to stdout's file

    @property
    def exports(self) -> dict[str, str]:
        """The SLURM_ variables with their on-prem values."""
        return {name: self.environment[name] for name in _OF_THE_JOB if name in self.environment}


def _directory() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was removed; another one of its name may be there, or come
        return Path(os.readlink("/proc/self/cwd").removesuffix(" (deleted)"))  # noqa: PTH115


def this_one(argv: Sequence[str], environment: Mapping[str, str]) -> StandIn:
    """Raises ``SystemExit`` where this is not a Slurm batch job."""
    job = environment.get("SLURM_JOB_ID")
    if job is None or not argv:
        raise SystemExit("burst-agent is started by Slurm in place of a batch script, not by hand")
    array = environment.get("SLURM_ARRAY_JOB_ID")
    if array is not None:
        job = f"{array}_{environment['SLURM_ARRAY_TASK_ID']}"
    out, err = os.fstat(1), os.fstat(2)
    return StandIn(
        job=job,
        restarts=int(environment.get("SLURM_RESTART_COUNT", "0")),
        script=Path(argv[0]),
        arguments=tuple(argv[1:]),
        directory=_directory(),
        environment=dict(environment),
        merged=(out.st_dev, out.st_ino) == (err.st_dev, err.st_ino),
    )
