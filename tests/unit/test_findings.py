"""Grades of clocks and disks, and what every Slurm's own texts are worth."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from burstd.adapters.slurm import judge
from burstd.adapters.slurm.spank import Stacked, stacked
from burstd.domain import slurm
from burstd.domain.findings import (
    CERTIFICATES,
    CREDENTIALS,
    GIB,
    Area,
    Finding,
    Grade,
    amount,
    clock,
    room,
)
from burstd.domain.slurm import Controller

AREA = Area("here")
TEXTS = Path(__file__).parent.parent / "data"
VERSIONS = ("22.05", "24.11")


def real(version: str, name: str) -> str:
    return (TEXTS / f"slurm-{version}" / f"{name}.txt").read_text()


def controller(version: str = "24.11") -> Controller:
    return Controller.parse(real(version, "config"))


# --- findings


def test_a_fix_belongs_to_exactly_what_is_not_ok() -> None:
    with pytest.raises(ValueError, match="a fix belongs"):
        Finding("a", "b", Grade.OK, "seen", "a fix")
    for grade in (Grade.WARNING, Grade.FAILED, Grade.UNKNOWN):
        with pytest.raises(ValueError, match="a fix belongs"):
            Finding("a", "b", grade, "seen")


@pytest.mark.parametrize(
    ("ahead", "grade"),
    [
        (0.0, Grade.OK), (5.0, Grade.OK), (-5.0, Grade.OK),
        (5.1, Grade.WARNING), (-60.0, Grade.WARNING), (61.0, Grade.WARNING),
        (300.0, Grade.WARNING), (300.5, Grade.FAILED), (-3600.0, Grade.FAILED),
    ],
)  # fmt: skip
def test_clocks_that_are_five_seconds_apart_warn_and_five_minutes_fail(
    ahead: float, grade: Grade
) -> None:
    found = clock(AREA, "slurmctld", ahead, 0.0, CREDENTIALS)
    assert grade is found.grade
    assert grade is Grade.OK or "chrony" in found.fix


@pytest.mark.parametrize(
    ("ahead", "grade"),
    [(4.0, Grade.OK), (3600.0, Grade.WARNING), (-3600.0, Grade.WARNING), (4000.0, Grade.FAILED)],
)
def test_an_hour_between_two_sites_is_worth_a_warning(ahead: float, grade: Grade) -> None:
    assert grade is clock(AREA, "login", ahead, 0.5, CERTIFICATES).grade


def test_what_was_measured_roughly_is_no_reproach() -> None:
    assert Grade.OK is clock(AREA, "slurmctld", 9.0, 4.5, CREDENTIALS).grade


def test_a_clock_says_in_which_direction_it_is_off() -> None:
    assert "3600 s ahead of" in clock(AREA, "slurmctld", 3600.0, 0.5, CREDENTIALS).seen
    assert "3600 s behind" in clock(AREA, "slurmctld", -3600.0, 0.5, CREDENTIALS).seen


@pytest.mark.parametrize(
    ("free", "size", "grade"),
    [
        (50 * GIB, 100 * GIB, Grade.OK),
        (10 * GIB, 100 * GIB, Grade.OK),
        (10 * GIB - 1, 100 * GIB, Grade.WARNING),
        (GIB - 1, 2 * GIB, Grade.WARNING),
        (100 * 1000**2, 2 * GIB, Grade.WARNING),
        (100 * 1000**2 - 1, 2 * GIB, Grade.FAILED),
        (0, 0, Grade.FAILED),
    ],
)
def test_a_disk_warns_below_a_tenth_or_a_gibibyte_and_fails_below_a_hundred_megabytes(
    free: int, size: int, grade: Grade
) -> None:
    assert grade is room(AREA, "/var", free, size).grade


def test_amounts_are_for_people() -> None:
    assert ["0 B", "1.0 KiB", "84.7 MiB", "3.0 TiB"] == [
        amount(size) for size in (0, 1024, 88_800_000, 3 * 1024**4)
    ]


# --- any Slurm, in its own words


@pytest.mark.parametrize("version", VERSIONS)
def test_a_controllers_configuration_tells_who_it_is(version: str) -> None:
    found = controller(version)
    assert found.version.startswith(version)
    assert {"22.05": "legacy", "24.11": "onprem"}[version] == found.cluster
    assert ("slurm", True) == (found.slurm_user, found.accounted)
    assert "/etc/slurm/plugstack.conf" == found.plugstack


def test_a_plug_stack_elsewhere_is_looked_for_there() -> None:
    text = real("24.11", "config").replace("= (null)", "= /opt/slurm/stack.conf", 1)
    assert "/opt/slurm/stack.conf" == Controller.parse(text).plugstack


def test_what_is_no_configuration_is_refused() -> None:
    with pytest.raises(ValueError, match="SLURM_CONF"):
        Controller.parse("slurm_load_ctl_conf error: Unable to contact slurm controller")


@pytest.mark.parametrize("version", VERSIONS)
def test_sdiag_tells_the_controllers_clock(version: str) -> None:
    (header,) = re.findall(r"^sdiag output at .*\((\d+)\)", real(version, "sdiag"), re.MULTILINE)
    assert int(header) == slurm.controller_time(real(version, "sdiag"))
    assert slurm.controller_time("sdiag: error: Unable to contact slurm controller") is None


@pytest.mark.parametrize(
    ("theirs", "ours", "grade"),
    [
        ("24.11.5", "slurm-wlm 24.11.5", Grade.OK),
        ("22.05.8", "slurm 22.05.8", Grade.OK),
        ("24.11.5", "slurm 24.11.0", Grade.OK),
        ("24.11.5", "slurm 24.05.1", Grade.WARNING),
        ("24.05.1", "slurm 24.11.5", Grade.FAILED),
        ("21.08.8", "slurm 21.08.8", Grade.FAILED),
        ("24.11.5", "", Grade.UNKNOWN),
    ],
)
def test_releases(theirs: str, ours: str, grade: Grade) -> None:
    assert grade is slurm.release(AREA, theirs, ours).grade


@pytest.mark.parametrize(
    ("account", "level", "grade", "fix"),
    [
        ("burstd", "Operator", Grade.OK, ""),
        ("burstd", "Administrator", Grade.OK, ""),
        ("root", "", Grade.OK, ""),
        ("slurm", "None", Grade.OK, ""),
        ("burstd", "None", Grade.FAILED, "sacctmgr modify user where name=burstd"),
        ("burstd", "", Grade.FAILED, "sacctmgr add user burstd"),
    ],
)
def test_rights(account: str, level: str, grade: Grade, fix: str) -> None:
    found = slurm.rights(AREA, account, level, controller())
    assert (grade, True) == (found.grade, found.fix.startswith(fix))


def test_without_accounting_only_slurms_own_users_will_do() -> None:
    text = real("22.05", "config").replace("accounting_storage/slurmdbd", "accounting_storage/none")
    assert "run burstd as slurm" in slurm.rights(AREA, "burstd", "", Controller.parse(text)).fix


@pytest.mark.parametrize(
    ("text", "limit"),
    [("UNLIMITED", None), ("1-00:00:00", timedelta(days=1)), ("00:30:00", timedelta(minutes=30))],
)
def test_a_partitions_longest_time(text: str, limit: timedelta | None) -> None:
    assert limit == slurm.time_limit(text)


# --- the burst partition


def partition(version: str, **changes: str) -> list[Finding]:
    shown = slurm.record(real(version, "partition")) | changes
    return list(judge.burst_partition(AREA, "burst", shown))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_partition_of_the_installation_page_is_well(version: str) -> None:
    assert {Grade.OK} == {found.grade for found in partition(version)}


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        ({"State": "DOWN"}, "scontrol update partitionname=burst state=up"),
        ({"State": "DRAIN"}, "scontrol update partitionname=burst state=up"),
        ({"MaxTime": "1-00:00:00"}, "write MaxTime=UNLIMITED into its line"),
        ({"PreemptMode": "REQUEUE"}, "write PreemptMode=OFF into its line"),
        ({"Nodes": "(null)"}, "give partition burst nodes"),
    ],
)
def test_what_would_end_stand_ins_fails(changes: dict[str, str], fix: str) -> None:
    (failed,) = (f for f in partition("24.11", **changes) if f.grade is Grade.FAILED)
    assert failed.fix.startswith(fix)


def test_a_qos_on_the_partition_is_worth_a_look() -> None:
    assert [Grade.OK, Grade.OK, Grade.WARNING] == [f.grade for f in partition("22.05", QoS="tiny")]


def test_a_partition_that_is_not_there() -> None:
    (found,) = judge.burst_partition(AREA, "burst", {})
    assert (Grade.FAILED, "there is no such partition") == (found.grade, found.seen)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_proxy_node_that_waits_for_stand_ins_is_well(version: str) -> None:
    found = judge.proxies(AREA, [slurm.record(real(version, "node"))])
    assert (Grade.OK, "px IDLE") == (found.grade, found.seen)


@pytest.mark.parametrize("state", ["MIXED", "ALLOCATED", "IDLE", "COMPLETING", "IDLE+POWERED_UP"])
def test_states_in_which_a_stand_in_starts(state: str) -> None:
    assert not judge.trouble(state)


@pytest.mark.parametrize(
    "state", ["DOWN", "DOWN*", "IDLE+DRAIN", "MIXED+DRAIN", "IDLE*", "DOWN+NOT_RESPONDING", "FAIL"]
)
def test_states_in_which_none_starts(state: str) -> None:
    assert judge.trouble(state)


def test_a_drained_proxy_is_named_with_its_reason_and_one_of_two_only_warns() -> None:
    line = real("24.11", "node").replace("State=IDLE", "State=IDLE+DRAIN").rstrip()
    drained = slurm.record(f"{line} Reason=new disk [root@2026-11-24T18:00:00]")
    found = judge.proxies(AREA, [drained])
    assert Grade.FAILED is found.grade
    assert "px is IDLE+DRAIN, new disk [root@2026-11-24T18:00:00]" == found.seen
    assert "scontrol update nodename=px state=resume" in found.fix
    well = slurm.record(real("24.11", "node"))
    assert Grade.WARNING is judge.proxies(AREA, [drained, well]).grade


def test_another_cluster_name_fails() -> None:
    assert Grade.OK is judge.cluster(AREA, "onprem", controller()).grade
    assert Grade.FAILED is judge.cluster(AREA, "other", controller()).grade


# --- munge

CREDENTIAL = """\
STATUS:          Success (0)
ENCODE_HOST:     px (10.71.0.20)
ENCODE_TIME:     2026-11-24 18:46:08 +0000 (1795545968)
DECODE_TIME:     2026-11-24 18:46:08 +0000 (1795545968)
TTL:             300
UID:             burstd (990)
"""


def test_a_credential_that_is_read_back_at_once_is_well() -> None:
    found = judge.credential(AREA, CREDENTIAL)
    assert (Grade.OK, True) == (found.grade, "0 s old, TTL 300 s" in found.seen)


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        (CREDENTIAL.replace("DECODE_TIME:     2026-11-24 18:46:08 +0000 (1795545968)",
                            "DECODE_TIME:     2026-11-24 18:46:48 +0000 (1795546008)"),
         Grade.WARNING),
        (CREDENTIAL.replace("Success (0)", "Expired credential (15)"), Grade.FAILED),
        ("", Grade.FAILED),
    ],
)  # fmt: skip
def test_a_credential_that_is_not(text: str, grade: Grade) -> None:
    assert grade is judge.credential(AREA, text).grade


# --- the plug stack


def test_our_line_is_found_whatever_stands_around_it_and_in_included_files() -> None:
    files = {"plugstack.conf.d/*.conf": ["required /usr/lib/slurm/burst_spank.so agent=/a keep=/k"]}
    text = "# required burst_spank.so\noptional other.so\ninclude plugstack.conf.d/*.conf\n"
    found = list(stacked(text, lambda pattern: iter(files[pattern])))
    assert [Stacked(True, "/usr/lib/slurm/burst_spank.so", ("/a", "/k"))] == found


@pytest.mark.parametrize("text", ["", "\n", "#required /x/burst_spank.so", "required other.so"])
def test_a_stack_without_our_line(text: str) -> None:
    assert [] == list(stacked(text, lambda _: iter(())))
