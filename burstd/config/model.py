"""What may stand in ``config.toml``. The text under each field is its documentation."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from burstd.config.places import BucketTable, LinkTable, TargetTable
from burstd.config.table import ExistingPath, Table
from burstd.config.units import (
    Account,
    Budget,
    CoreHoursValue,
    Cron,
    Directories,
    Duration,
    Period,
    Periodical,
    PressureValue,
    Size,
)
from burstd.domain.policy import HardMark, Mode, Order


def _database(text: str) -> str:
    """Whether psycopg is installed and can reach it shows later."""
    if text:
        url = urlsplit(text)
        if url.scheme != "postgresql" or not url.path.strip("/"):
            raise ValueError("expected postgresql://USER@HOST/DATABASE")
        if url.password is not None:
            raise ValueError(
                "a password does not belong in the configuration: write it into a file as "
                "pgpass(5) wants it and add ?passfile=FILE"
            )
    return text


DatabaseUrl = Annotated[str, AfterValidator(_database)]


STAYS = "stays"  #: ``policy.unlabelled``


class SiteTable(Table):
    """The on-prem cluster."""

    cluster: str = "onprem"
    """Slurm's ClusterName."""
    burst_partition: str = "burst"
    """Partition of the proxy nodes, where stand-ins run."""
    home_partition: str = "batch"
    """Where a job goes that was submitted straight to the burst partition and is declined."""
    poll: Duration = Field(default="30s", validate_default=True)
    """Time between two looks at the queue."""
    lost_after: Duration = Field(default="10m", validate_default=True)
    """A job that neither slurmctld nor accounting knows any more is given up after this."""
    scheduler: Literal["commands", "pyslurm"] = "commands"
    """How slurmctld is asked: by squeue and scontrol, or by pyslurm (docs/pyslurm.md)."""
    pyslurm_python: str = ""
    """Interpreter that has pyslurm; empty: burstd's own."""


class ClassTable(Table):
    """Data that are treated alike."""

    targets: tuple[str, ...] | None = None
    """Where they may go, at most; an empty list: nowhere. Left out: anywhere."""


class LabelTable(Table):
    """The jobs whose data are of a class: those that meet all that is given. Of several classes, a
    job may only go where all of them may."""

    data_class: str = Field(default="internal", alias="class")
    """One of [policy.classes]."""
    accounts: tuple[Account, ...] = ()
    """Slurm accounts."""
    partitions: tuple[str, ...] = ()
    """Partitions that the job may start in."""
    users: tuple[str, ...] = ()
    """Users."""
    paths: tuple[Directories, ...] = ()
    """Patterns of the directory that the job works in; ``*`` matches a slash too."""


class PressureTable(Table):
    """A part of the queue with marks of its own: its jobs leave too while the whole is quiet."""

    high: PressureValue = Field(default="1000 core-hours", validate_default=True)
    """They begin to leave when what waits of them reaches this. In GPU-hours: of jobs that ask for
    GPUs."""
    low: PressureValue = Field(default="400 core-hours", validate_default=True)
    """They stop when it falls below this."""
    partitions: tuple[str, ...] = ()
    """Partitions that the job may start in; empty: any of policy.partitions."""
    accounts: tuple[Account, ...] = ()
    """Slurm accounts; empty: all."""
    qos: tuple[str, ...] = ()
    """Qualities of service; empty: all."""


class BudgetTable(Table):
    """A cap beside the site's: for some accounts or users, or for another period."""

    amount: Periodical = Field(default="100 EUR/week", validate_default=True)
    """Most that may be spent, worst cases of open bursts included. Periods are UTC's; a week begins
    on Monday."""
    accounts: tuple[Account, ...] = ()
    """Slurm accounts whose bursts it pays, all together; empty: all."""
    users: tuple[str, ...] = ()
    """Users whose bursts it pays, all together; empty: all."""
    soft: float = Field(default=1.0, gt=0, le=1)
    """From this part of it on no new burst begins."""


class WindowTable(Table):
    """When jobs may leave: from each of these moments on, for so long."""

    start: Cron = "0 18 * * mon-fri"
    """crontab(5): minute, hour, day of the month, month, day of the week; in UTC. A day must fit
    both of its fields."""
    length: Duration = Field(default="12h", validate_default=True)
    """For how long."""


class PolicyTable(Table):
    """When jobs leave, and which."""

    mode: Mode = Mode.OBSERVE
    """"observe": decide, record, touch nothing. "approve": promise the money and wait for
    burst approve. "auto": do it."""
    high: CoreHoursValue = Field(default="5000 core-hours", validate_default=True)
    """Bursting starts when the pending core-hours that may leave reach this."""
    low: CoreHoursValue = Field(default="2000 core-hours", validate_default=True)
    """Bursting stops when they fall below this."""
    partitions: tuple[str, ...] = ("batch",)
    """Partitions whose jobs may leave."""
    reasons: tuple[str, ...] = ("Resources", "Priority")
    """Slurm's pending reasons that count as pressure."""
    users: tuple[str, ...] = ()
    """Users who may burst; empty: everyone with an account at a target."""
    accounts: tuple[Account, ...] = ()
    """Accounts that may burst; empty: all."""
    modes: tuple[Literal["prefer", "require"], ...] = ("prefer",)
    """What users may ask for with #BURST mode= beside auto and never. "prefer": to leave before
    others. "require": to leave without pressure."""
    budget: Budget = Field(default="1000 EUR/month", validate_default=True)
    """Most that may be spent in a calendar month, worst cases of open bursts included."""
    hard: HardMark = HardMark.FINISH
    """What becomes of jobs that run elsewhere when a budget was lowered below what is promised to
    them: "finish": they run on. "checkpoint-and-return": those whose scripts say #BURST
    checkpoint= save their state, stop, and go on here."""
    min_age: Duration = Field(default="5m", validate_default=True)
    """A job must have been submitted this long ago, whatever it has waited for since."""
    history: Duration = Field(default="30d", validate_default=True)
    """How far back accounting is asked for what users ran, to tell how long their jobs will run.
    "0s": time limits count as they are."""
    strategy: Literal["threshold", "waiting", "marginal"] = "marginal"
    """Which of them leave first: the oldest; who has waited long for its size; or whose leaving
    spares most waiting for a core-hour (docs/policy.md)."""
    steer: bool = False
    """Let nobody leave below the price at which the month's budget lasts: docs/policy.md. Not for
    strategy threshold."""
    cooldown: Duration = Field(default="0s", validate_default=True)
    """After bursts have begun no others do for so long."""
    step: float = Field(default=1.0, gt=0, le=1)
    """Of what is above the low mark at most this part leaves in one cycle."""
    order: Order = Order.COST
    """Of several targets where a job fits: "cost": the cheapest, by what it is expected to run
    there. "time": where it is over first. "deadline": the cheapest where it meets its user's
    #BURST deadline=."""
    start_delay: Duration = Field(default="5m", validate_default=True)
    """How long a job that leaves takes to begin at a target where none has run yet."""
    sold_out_after: Duration = Field(default="1h", validate_default=True)
    """A target where a job of ours has waited this long for its cores gets no others."""
    links: bool = True
    """Symbolic links among results come home where they lead below their own directory, by a
    relative path; others never do."""
    veto: bool = True
    """Let who will be over sooner here stay, even if it starts as late as estimates have ever been
    wrong: docs/policy.md."""
    theta: float = Field(default=0.2, ge=0, le=1)
    """For marginal: how much more an hour of a large job's waiting counts than a small one's."""
    min_core_hours: CoreHoursValue = Field(default="0 core-hours", validate_default=True)
    """A job that asks for less stays: sending it is not worth it."""
    max_cores: int | None = Field(default=None, ge=1, examples=[1024])
    """A job that asks for more stays."""
    max_time: Duration | None = Field(default=None, examples=["2d"])
    """A job with a longer time limit stays."""
    max_output: Size = Field(default="50 GB", validate_default=True)
    """What a job's results may come to where a target charges egress: so much is reserved, and
    larger ones wait for burst approve JOB."""
    unlabelled: str = STAYS
    """What a job is that no label covers: one of [policy.classes], or "stays"."""
    blackouts: tuple[Period, ...] = ()
    """Days on which no job leaves, in UTC: "2026-12-24" or "2026-12-24..2027-01-01"."""
    pressures: dict[str, PressureTable] = Field(default_factory=dict)
    """Parts of the queue with marks of their own."""
    budgets: dict[str, BudgetTable] = Field(default_factory=dict)
    """Caps beside that one."""
    classes: dict[str, ClassTable] = Field(default_factory=dict)
    """What may leave, and to where."""
    labels: tuple[LabelTable, ...] = Field(default_factory=tuple)
    """Whose data are of which class."""
    windows: tuple[WindowTable, ...] = Field(default_factory=tuple)
    """When jobs may leave; none: always."""
    max_open_bursts: int = Field(default=500, ge=0)
    """Bursts under way at once."""
    max_new_per_tick: int = Field(default=50, ge=1)
    """Bursts begun in one cycle."""


class ImageTable(Table):
    """A container image."""

    file: ExistingPath = Path("/var/lib/burstd/images/calculix.sqfs")
    """SIF or squashfs file on this machine; its SHA-256 is its name at the targets."""


class LicenceTable(Table):
    """A licence that solvers check out, and who knows how many are free (docs/licences.md)."""

    source: Literal["command", "slurm", "static"] = "command"
    """"command": the licence server's status command. "slurm": a licence of Slurm's, that jobs name
    by sbatch -L. "static": nobody; ``total`` are set aside for bursts."""
    command: tuple[str, ...] = ()
    """The status command and its arguments, run without a shell, like
    ["lmutil", "lmstat", "-a", "-c", "27000@licences"]."""
    format: Literal["flexnet", "rlm", "lmx"] = "flexnet"
    """What it writes: that of lmutil lmstat, rlmutil rlmstat or lmxendutil -licstat."""
    deadline: Duration = Field(default="10s", validate_default=True, le=timedelta(seconds=30))
    """It must have ended by then; at most 30s, for everything else waits meanwhile."""
    feature: str = ""
    """The licence's name at its source; empty: the name of this table."""
    total: int = Field(default=0, ge=0)
    """How many there are for bursts; of source "static" only."""
    keep: int = Field(default=0, ge=0)
    """So many stay free for others: what starts on-prem checks its licences out later."""


class StateTable(Table):
    """Where burstd keeps what it must not forget."""

    directory: Path = Path("/var/lib/burstd")
    """Ledger, keys of this process; owned by burstd, mode 0700, on a local file system."""
    database: DatabaseUrl = ""
    """The ledger in PostgreSQL, for a pair of daemons of which one leads (docs/availability.md):
    postgresql://USER@HOST/DATABASE?passfile=FILE. Empty: a file in ``directory``."""
    decisions: Duration = Field(default="30d", validate_default=True, le=timedelta(days=36_500))
    """How long each decision is kept in ``directory``/decisions, with all that it was made from
    (docs/decisions.md); at most 36500d. "0s": none are."""


class ApiTable(Table):
    """Who can ask burstd, and where."""

    socket: Path = Path("/run/burstd/burstd.sock")
    """Unix socket of the commands and of the agents; callers are known by their user id."""
    metrics: str = "127.0.0.1:9817"
    """host:port of /metrics for Prometheus; empty: none."""
    operators: tuple[str, ...] = ("root",)
    """Users who see every job; others see their own."""


class PathsTable(Table):
    """Files that come with the installation."""

    applications: ExistingPath = Path("/usr/share/burstd/apps")
    """Directory of application profiles (*.toml)."""
    ssh_authority: ExistingPath = Path("/etc/burstd/ca")
    """burstd's SSH authority key (ed25519, mode 0600); targets trust its public half."""
    netd: Path = Path("/run/burst-netd/netd.sock")
    """burst-netd's socket."""


class Config(Table):
    """The whole file."""

    site: SiteTable = SiteTable()
    policy: PolicyTable = PolicyTable()
    state: StateTable = StateTable()
    api: ApiTable = ApiTable()
    paths: PathsTable
    links: dict[str, LinkTable] = Field(default_factory=dict)
    buckets: dict[str, BucketTable] = Field(default_factory=dict)
    targets: dict[str, TargetTable] = Field(default_factory=dict)
    images: dict[str, ImageTable] = Field(default_factory=dict)
    licences: dict[str, LicenceTable] = Field(default_factory=dict)
