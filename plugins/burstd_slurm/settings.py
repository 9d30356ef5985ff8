"""The ``[targets.NAME.settings]`` table of a Slurm target."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_SIZES = {"MiB": 1, "GiB": 1024, "TiB": 1024**2}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    text = str(value)
    if text[:-1].isdigit() and text[-1:] in _UNITS:
        return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    raise ValueError("expected a duration like '30s', '15m', '24h' or '2d'")


def _mebibytes(value: object) -> int:
    number, _, unit = str(value).strip().partition(" ")
    if number.isdigit() and unit in _SIZES:
        return int(number) * _SIZES[unit]
    raise ValueError("expected a size like '4000 MiB', '500 GiB' or '2 TiB'")


class SlurmTargetSettings(BaseModel):
    """A cluster of its own: other user ids, other paths, its own munge key and accounting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    """Login node, by its address inside the link."""
    port: int = Field(default=22, ge=1, le=65535)
    known_hosts: Path
    """File with the login node's host key."""
    service_user: str = "burst"
    """Account that polls, starts and cancels: a Slurm operator there. Owns ``root``."""
    root: PurePosixPath
    """Directory on the far cluster's shared file system, with runs/ (mode 1777) in it."""
    partition: str
    """Partition that runs the work."""
    account: str | None = None
    """Account to charge there, if it needs one."""
    users: dict[str, str]
    """On-prem user to far user; who is not listed cannot burst there."""
    runtimes: tuple[str, ...] = ("apptainer", "bwrap")
    """Container runtimes in order of preference; the first that is there is used."""
    python: str = "python3"
    """Python 3.9 or newer on the far nodes."""
    max_nodes: int = Field(default=1, ge=1)
    max_cores: int = Field(default=1, ge=1)
    max_time: Annotated[timedelta, BeforeValidator(_duration)] = timedelta(days=1)
    """Longest time limit that is sent there."""
    node_cores: int | None = Field(default=None, ge=1)
    """Cores of the partition's largest node: a job that asks for more on one stays."""
    node_memory: Annotated[int, BeforeValidator(_mebibytes)] | None = None
    """Memory of that node that jobs can have, like "500 GiB" (RealMemory in slurm.conf is MiB)."""
    max_gpus: int = Field(default=0, ge=0)
    """Most GPUs of one job; 0: jobs that ask for GPUs stay."""
    gpu_types: tuple[str, ...] = ()
    """Their types, as gres.conf there has them. A job that names another one stays."""
    store_limit: Annotated[int, BeforeValidator(_mebibytes)] = 200 * 1024
    """Size up to which inputs of one user are kept in ``root`` for later jobs, like "200 GiB"; what
    was not used for longest goes first. "0 GiB": none is kept once a job's inputs are there."""
    store_group: Annotated[str, Field(pattern="^[a-z_][a-z0-9_-]*$")] | None = None
    """Unix group there whose members have one store of inputs together; ``service_user`` must be in
    it, and who is can read what any of them has sent. Left out: each account has its own."""
    store_age: Annotated[timedelta, BeforeValidator(_duration)] = timedelta(days=30)
    """Inputs that no job has used for so long are removed there; whole days."""
