"""What an on-prem Slurm must be for stand-ins (docs/install.md), judged from its own texts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from burstd.domain import slurm
from burstd.domain.findings import Area, Finding

#: States and flags of scontrol(1), "show node", in which no job starts.
_AWAY = frozenset(
    {
        "DOWN", "DRAIN", "DRAINED", "DRAINING", "ERROR", "FAIL", "FUTURE", "INVALID_REG",
        "NOT_RESPONDING", "POWERED_DOWN", "POWERING_DOWN", "UNKNOWN",
    }
)  # fmt: skip


def burst_partition(area: Area, name: str, shown: dict[str, str]) -> Iterator[Finding]:
    """Its record, empty where there is none."""
    yield slurm.partition_state(area, name, shown)
    if not shown:
        return
    wrong = {
        key: (shown[key], right)
        for key, right in (("MaxTime", "UNLIMITED"), ("PreemptMode", "OFF"))
        if shown.get(key, right) != right
    }
    check = f"limits of {name}"
    if wrong:
        seen = ", ".join(f"{key} is {found}" for key, (found, _) in wrong.items())
        words = " ".join(f"{key}={right}" for key, (_, right) in wrong.items())
        fix = f"write {words} into its line in slurm.conf, then scontrol reconfigure"
        yield area.failed(check, f"{seen}: stand-ins would be ended", fix)
    else:
        yield area.ok(check, "MaxTime UNLIMITED, PreemptMode OFF")
    if (qos := shown.get("QoS", "N/A")) != "N/A":
        fix = f"take QOS={qos} from its line in slurm.conf unless that QOS has no limits"
        yield area.warning(f"QOS of {name}", f"{qos} may hold stand-ins back", fix)


def proxies(area: Area, nodes: list[dict[str, str]]) -> Finding:
    """The records of the burst partition's nodes."""
    check = "proxy nodes"
    away = [node for node in nodes if trouble(node.get("State", "UNKNOWN"))]
    names = ",".join(node.get("NodeName", "?") for node in away)
    if not away:
        states = ", ".join(f"{node.get('NodeName')} {node.get('State')}" for node in nodes)
        return area.ok(check, states)
    seen = "; ".join(
        f"{node.get('NodeName')} is {node.get('State')}"
        + (f", {node['Reason']}" if node.get("Reason") else "")
        for node in away
    )
    fix = f"see that slurmd runs there, then scontrol update nodename={names} state=resume"
    if len(away) < len(nodes):
        return area.warning(check, f"{len(away)} of {len(nodes)} take no jobs: {seen}", fix)
    return area.failed(check, seen, fix)


def trouble(state: str) -> bool:
    """True for a node that starts no job; ``*`` marks one that does not answer."""
    return "*" in state or bool(_AWAY & set(state.split("+")))


def cluster(area: Area, configured: str, controller: slurm.Controller) -> Finding:
    """Jobs are known by the cluster's name, too."""
    wrong = f"slurmctld calls it {controller.cluster}, the configuration {configured}"
    fix = f'write cluster = "{controller.cluster}" under [site] in config.toml'
    trouble = wrong if configured != controller.cluster else ""
    return area.judge("cluster", trouble, configured, fix)


def credential(area: Area, decoded: str) -> Finding:
    """What unmunge(1) printed of a credential made just now on this machine."""
    found = dict(re.findall(r"^(\w+):\s+(.*)$", decoded, re.MULTILINE))
    times = [re.search(r"\((\d+)\)", found.get(name, "")) for name in _TIMES]
    if "Success" not in found.get("STATUS", "") or None in times:
        seen = " ".join(decoded.split())[:200] or "unmunge was silent"
        return area.failed("munge", seen, MUNGED)
    made, read = (int(time[1]) for time in times if time)
    seen = f"a credential was made and read back, {read - made} s old, TTL {found.get('TTL')} s"
    if abs(read - made) > 5:
        return area.warning("munge", seen, "the clock was set meanwhile, or munged is very slow")
    return area.ok("munge", seen)


_TIMES = ("ENCODE_TIME", "DECODE_TIME")
MUNGED = "systemctl restart munge; its log is /var/log/munge/munged.log"
