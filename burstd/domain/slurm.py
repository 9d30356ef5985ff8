"""What every Slurm says of itself, on-prem and at a target, and what burstd needs of it.

The texts are those of Slurm 22.05 and 24.11 (``tests/data``); both print the same words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from burstd.domain.findings import Area, Finding

OLDEST = (22, 5)
#: How Slurm's programs write a field that is not set.
NOTHING = frozenset({"", "(null)", "N/A", "None", "Unknown"})
_UNLIMITED = frozenset({"UNLIMITED", "INFINITE", "NONE", "Partition_Limit", "INVALID", "NOT_SET"})
#: sacctmgr(1), AdminLevel: who may hold, move and requeue other people's jobs.
MIGHTY = frozenset({"Operator", "Administrator"})


@dataclass(frozen=True)
class Controller:
    """What ``scontrol show config`` tells of a slurmctld."""

    version: str
    cluster: str
    slurm_user: str
    configuration: str  #: path of slurm.conf on the asking host
    plugstack: str  #: path of plugstack.conf there
    accounted: bool  #: there is a slurmdbd, which knows who is an operator

    @classmethod
    def parse(cls, text: str) -> Controller:
        """Raises ``ValueError`` for a text that is no configuration."""
        found = dict(re.findall(r"^(\w+)\s*= (.*?)\s*$", text, re.MULTILINE))
        try:
            conf, stack = found["SLURM_CONF"], found.get("PlugStackConfig", "(null)")
            beside = f"{conf.rpartition('/')[0]}/plugstack.conf"  # slurm.conf(5), PlugStackConfig
            return cls(
                found["SLURM_VERSION"],
                found["ClusterName"],
                found["SlurmUser"].partition("(")[0],
                conf,
                beside if stack == "(null)" else stack,
                found.get("AccountingStorageType", "").endswith("slurmdbd"),
            )
        except KeyError as error:
            raise ValueError(f"scontrol show config gave no {error}") from error


def record(text: str) -> dict[str, str]:
    """The ``Key=value`` pairs of one ``scontrol show ... -o`` line; a Reason keeps its blanks."""
    pairs = dict(word.split("=", 1) for word in text.split() if "=" in word)
    if reason := re.search(r"\bReason=(.*?)(?: \w+=|$)", text):
        pairs["Reason"] = reason[1].strip()
    return pairs


def controller_time(diagnostics: str) -> int | None:
    """slurmctld's own clock, in the header of sdiag(1); 22.05 and 24.11 print it alike."""
    found = re.search(r"^sdiag output at .*\((\d+)\)", diagnostics, re.MULTILINE)
    return int(found[1]) if found else None


def time_limit(text: str) -> timedelta | None:
    """``[D-]HH:MM:SS``, ``MM:SS`` or ``MM``; ``None`` for UNLIMITED and the like.

    Raises ``ValueError`` for anything else. squeue(1), TIME_LIMIT.
    """
    if text in _UNLIMITED or text in NOTHING:
        return None
    days, dash, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:  # D-HH[:MM[:SS]]
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) == 1:
        hours, minutes, seconds = 0, parts[0], 0
    else:
        hours, minutes, seconds = [0, *parts][-3:]
    return timedelta(days=int(days or 0), hours=hours, minutes=minutes, seconds=seconds)


def release(area: Area, controller: str, commands: str) -> Finding:
    """Does burstd know this Slurm, and do its commands suit it? ``commands``: scontrol -V."""
    theirs, ours = _major(controller), _major(commands)
    seen = f"slurmctld {controller}, commands {commands.split()[-1] if commands else 'unknown'}"
    if theirs is None or ours is None:
        return area.unknown("version", seen, "look at `scontrol --version` by hand")
    if theirs < OLDEST:
        return area.failed("version", seen, "burstd needs Slurm 22.05 or newer: upgrade Slurm")
    if theirs != ours:
        fix = "install the Slurm commands of slurmctld's own release on this machine"
        judged = area.failed if ours > theirs else area.warning  # only older commands are served
        return judged("version", seen, fix)
    return area.ok("version", seen)


def _major(text: str) -> tuple[int, int] | None:
    found = re.search(r"\b(\d\d)\.(\d\d)\.", text)
    return (int(found[1]), int(found[2])) if found else None


def rights(area: Area, account: str, level: str, controller: Controller) -> Finding:
    """May ``account`` change other people's jobs? ``level``: AdminLevel, "" where unknown."""
    if account in {"root", controller.slurm_user}:
        return area.ok("rights", f"{account} is Slurm's own administrator")
    seen = f"{account} has AdminLevel {level or 'None, or no account in slurmdbd'}"
    if level in MIGHTY:
        return area.ok("rights", seen)
    if not controller.accounted:
        seen = f"{account} is neither root nor {controller.slurm_user}, and there is no slurmdbd"
        fix = f"run burstd as {controller.slurm_user}, or set up slurmdbd"
        return area.failed("rights", seen, fix)
    fix = f"sacctmgr add user {account} account=ANY adminlevel=Operator"
    if level:
        fix = f"sacctmgr modify user where name={account} set adminlevel=Operator"
    return area.failed("rights", seen, fix)


def partition_state(area: Area, name: str, shown: dict[str, str]) -> Finding:
    """Does it take jobs? ``shown``: its record, empty where there is none."""
    check = f"partition {name}"
    if not shown:
        fix = f"add PartitionName={name} to slurm.conf, or correct the name in burstd's config.toml"
        return area.failed(check, "there is no such partition", fix)
    state, nodes = shown.get("State", "?"), shown.get("Nodes", "(null)")
    seen = f"{state}, nodes {nodes}, MaxTime {shown.get('MaxTime', '?')}"
    if nodes == "(null)":
        return area.failed(check, seen, f"give partition {name} nodes in slurm.conf")
    return area.judge(
        check, "" if state == "UP" else seen, seen, f"scontrol update partitionname={name} state=up"
    )
