"""``burst doctor`` on the lab: a healthy site is found well, and each cause that is planted is
named with its cure."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo import install
from lab.host import Host
from lab.lab import Lab

pytestmark = pytest.mark.lab

CONFIG, PLANTED = "/etc/burstd/config.toml", "/etc/burstd/planted.toml"
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
FAKE = "/usr/local/lib/libfaketime.so.1"


@dataclass(frozen=True)
class Told:
    """What one run printed: findings by area and check."""

    code: int
    findings: dict[tuple[str, str], dict[str, str]]
    counts: dict[str, int]

    def grades(self, grade: str) -> set[tuple[str, str]]:
        return {key for key, row in self.findings.items() if row["grade"] == grade}

    def fix(self, area: str, check: str) -> str:
        return self.findings[area, check]["fix"]

    def seen(self, area: str, check: str) -> str:
        return self.findings[area, check]["seen"]


@dataclass(frozen=True)
class Clinic:
    """The lab with burstd installed and at rest, and burst-netd running."""

    lab: Lab

    def host(self, name: str) -> Host:
        return self.lab.host(name)

    @property
    def px(self) -> Host:
        return self.lab.host("px")

    def doctor(self, *options: str, fake: str = "", config: str = CONFIG) -> Told:
        clock = (f"LD_PRELOAD={FAKE}", f"FAKETIME={fake}") if fake else ()
        argv = ["env", *clock, "burst", "doctor", "--json", "--config", config, *options]
        done = self.px.run(argv, user="burstd", check=False, timeout=120)
        return told(done.returncode, done.stdout)

    def plant(self, *changes: tuple[str, str], more: str = "") -> None:
        """Another configuration: words of the real one replaced."""
        text = self.px.read(CONFIG)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.px.write(PLANTED, f"{text}\n{more}", 0o640, "root:burstd")

    def netd(self, verb: str) -> None:
        """What burstd asks of burst-netd."""
        program = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); "
            "s.connect('/run/burst-netd/netd.sock'); s.sendall(sys.argv[1].encode()); "
            "sys.exit('error' in s.makefile().readline())"
        )
        asked = json.dumps({"verb": verb, "link": "cloud"}) + "\n"
        self.px.run(["python3", "-c", program, asked])

    def links(self) -> str:
        return self.px.sh("ls /sys/class/net")


def told(code: int, text: str) -> Told:
    answer: dict[str, Any] = json.loads(text)
    rows = {(row["area"], row["check"]): row for row in answer.pop("findings")}
    return Told(code, rows, answer)


@pytest.fixture(scope="module")
def clinic(_lab: Lab) -> Iterator[Clinic]:
    _lab.up()
    install.stop(_lab)
    _lab.wan.set()
    _lab.host("px").sh("rm -rf /var/lib/burstd/*")
    install.install(_lab)
    install.binary(_lab.host("px"), LIBRARY, FAKE)
    install.start_netd(_lab)
    install.start_burstd(_lab)  # it makes a real ledger
    _lab.host("px").end("burstd")
    clinic = Clinic(_lab)
    yield clinic
    # What was planted is gone, all of it.
    after = clinic.doctor("--open-links")
    assert (0, set()) == (after.code, after.grades("failed"))
    install.stop(_lab)
    _lab.wan.set()
    _lab.host("px").sh(f"rm -f {PLANTED} {FAKE}; rm -rf /var/lib/burstd/*")


def test_a_healthy_site_is_found_well_and_left_as_it_was(clinic: Clinic) -> None:
    look = "ls -lA --full-time /var/lib/burstd; ls /tmp"
    before = clinic.links(), clinic.px.sh(look), clinic.host("login").sh("ls -R /scratch/burst")
    found = clinic.doctor("--open-links")
    after = clinic.links(), clinic.px.sh(look), clinic.host("login").sh("ls -R /scratch/burst")

    assert (0, 0, 0) == (found.code, found.counts["failed"], found.counts["unknown"])
    assert before == after
    areas = {area for area, _ in found.findings}
    assert {
        "munge", "on-prem Slurm", "proxy node", "state", "images", "SSH authority", "link cloud",
        "target cloud",
    } == areas  # fmt: skip
    text = clinic.px.run(["burst", "doctor"], user="burstd").stdout
    assert "  ok       partition burst: UP, nodes px, MaxTime UNLIMITED\n" in text


def test_a_link_that_is_down_stays_down_unless_it_is_asked_for_while_burstd_rests(
    clinic: Clinic,
) -> None:
    found = clinic.doctor()
    assert (0, "burst0" in clinic.links()) == (found.code, False)
    assert {("link cloud", "session"), ("target cloud", "everything else")} == found.grades(
        "unknown"
    )
    install.start_burstd(clinic.lab)
    try:
        answers = "until burst status > /dev/null 2>&1; do sleep 0.1; done"
        clinic.px.run(["timeout", "20", "sh", "-c", answers])
        assert ("link cloud", "session") in clinic.doctor("--open-links").grades("unknown")
        assert "burst0" not in clinic.links()
    finally:
        clinic.px.end("burstd")


def test_what_is_wrong_with_the_on_prem_slurm(clinic: Clinic) -> None:
    ctl, stack = clinic.host("ctl"), clinic.px.read("/etc/slurm/plugstack.conf")
    user = ["sacctmgr", "-i", "modify", "user", "where", "name=burstd", "set"]
    burst = ["scontrol", "update", "partitionname=burst"]
    try:
        ctl.run([*burst, "state=down", "maxtime=60"])
        ctl.run(["scontrol", "update", "nodename=px", "state=drain", "reason=new disk"])
        ctl.run([*user, "adminlevel=none"])
        clinic.px.write("/etc/slurm/plugstack.conf", "")
        found = clinic.doctor()
    finally:
        ctl.run([*burst, "state=up", "maxtime=unlimited"])
        ctl.run(["scontrol", "update", "nodename=px", "state=resume"])
        answers = "until scontrol show node px | grep -q 'State=IDLE '; do sleep 0.2; done"
        ctl.run(["timeout", "60", "sh", "-c", answers])  # asked anew, with the nodes on paper
        ctl.run([*user, "adminlevel=operator"])
        clinic.px.write("/etc/slurm/plugstack.conf", stack)

    slurm = "on-prem Slurm"
    assert 1 == found.code
    assert {
        (slurm, "partition burst"), (slurm, "limits of burst"), (slurm, "proxy nodes"),
        (slurm, "rights"), ("proxy node", "SPANK plugin"),
    } == found.grades("failed")  # fmt: skip
    assert "scontrol update partitionname=burst state=up" == found.fix(slurm, "partition burst")
    assert "MaxTime=UNLIMITED" in found.fix(slurm, "limits of burst")
    assert "new disk" in found.seen(slurm, "proxy nodes")
    assert "nodename=px state=resume" in found.fix(slurm, "proxy nodes")
    assert "adminlevel=Operator" in found.fix(slurm, "rights")
    assert "/etc/slurm/plugstack.conf" in found.fix("proxy node", "SPANK plugin")


def test_names_in_the_configuration_that_slurm_does_not_know(clinic: Clinic) -> None:
    clinic.plant(
        ('cluster = "onprem"', 'cluster = "other"'),
        ('burst_partition = "burst"', 'burst_partition = "cloud"'),
        ('home_partition = "cae"', 'home_partition = "home"'),
    )
    found = clinic.doctor(config=PLANTED)
    assert {"cluster", "partition cloud", "partition home"} == {
        check for _, check in found.grades("failed")
    }
    assert 'cluster = "onprem"' in found.fix("on-prem Slurm", "cluster")


def test_another_machine_than_the_proxy_cannot_tell_of_the_plugin(clinic: Clinic) -> None:
    script = "hostname elsewhere && exec burst doctor --json"
    done = clinic.px.run(["unshare", "--uts", "sh", "-c", script], check=False)  # root may, too
    found = told(done.returncode, done.stdout)
    assert (0, True) == (found.code, ("proxy node", "SPANK plugin") in found.grades("unknown"))
    assert "px" in found.fix("proxy node", "SPANK plugin")
    assert "burstd has AdminLevel Operator" == found.seen("on-prem Slurm", "rights")


def test_a_munged_that_is_gone(clinic: Clinic) -> None:
    clinic.px.stop_service("munged")
    try:
        found = clinic.doctor()
    finally:
        clinic.px.start_service("munged")
    assert 1 == found.code
    assert {("munge", "munge"), ("on-prem Slurm", "slurmctld")} == found.grades("failed")
    assert "restart munge" in found.fix("munge", "munge")


def test_a_slurmctld_that_is_frozen_hangs_nobody(clinic: Clinic) -> None:
    clinic.host("ctl").stop_service("slurmctld", signal.SIGSTOP)
    try:
        found = clinic.doctor()
    finally:
        clinic.host("ctl").stop_service("slurmctld", signal.SIGCONT)
    assert (1, {("on-prem Slurm", "slurmctld")}) == (found.code, found.grades("failed"))
    assert "scontrol ping" in found.fix("on-prem Slurm", "slurmctld")


LOGIN = ("target cloud", "clock of 10.200.0.1")
CONTROLLER = ("on-prem Slurm", "clock of slurmctld")


def test_a_clock_that_is_half_a_minute_off_warns(clinic: Clinic) -> None:
    found = clinic.doctor("--open-links", fake="+30s")
    assert 0 == found.code
    assert {CONTROLLER, LOGIN} == found.grades("warning")
    assert "chrony" in found.fix(*LOGIN)


def test_a_clock_an_hour_off_fails_within_a_cluster_and_leaves_the_way_open(clinic: Clinic) -> None:
    found = clinic.doctor("--open-links", fake="+1h")
    assert (1, {CONTROLLER}, {LOGIN}) == (
        found.code,
        found.grades("failed"),
        found.grades("warning"),
    )
    assert "3600 s behind" in found.seen(*CONTROLLER)
    assert "chronyc makestep" in found.fix(*CONTROLLER)
    assert ("target cloud", "clock of slurmctld") in found.grades("ok")


def test_a_clock_that_is_two_hours_off_closes_the_way(clinic: Clinic) -> None:
    found = clinic.doctor("--open-links", fake="+2h")
    assert ("link cloud", "full packets") in found.grades("failed")
    assert "its clock must be right" in found.fix("link cloud", "full packets")
    assert "burst0" not in clinic.links()


def test_a_state_directory_that_is_small_open_and_damaged(clinic: Clinic) -> None:
    damage = "import sys; f = open(sys.argv[1], 'r+b'); f.seek(4096); f.write(b'\\xa5' * 20000)"
    clinic.px.sh(
        "mkdir -p /mnt/small && mount -t tmpfs -o size=50m,mode=755 tmpfs /mnt/small && "
        "cp /var/lib/burstd/ledger.db /mnt/small && "
        f'python3 -c "{damage}" /mnt/small/ledger.db && chown -R burstd /mnt/small'
    )
    clinic.plant(more='[state]\ndirectory = "/mnt/small"\n')
    try:
        found = clinic.doctor(config=PLANTED)
    finally:
        clinic.px.sh("umount /mnt/small")
    assert 1 == found.code
    assert {"disk space", "directory", "ledger"} <= {check for _, check in found.grades("failed")}
    assert "50.0 MiB" in found.seen("state", "disk space")
    assert "chmod 700 /mnt/small" == found.fix("state", "directory")
    assert "restore the last backup" in found.fix("state", "ledger")


def test_a_ledger_in_postgresql(clinic: Clinic) -> None:
    clinic.host("ctl").start_service("postgres")
    clinic.plant(more='[state]\ndatabase = "postgresql://burstd@ctl/burstd"\n')
    try:
        there = clinic.doctor(config=PLANTED)
    finally:
        clinic.host("ctl").stop_service("postgres")
    gone = clinic.doctor(config=PLANTED)
    assert (0, "ok") == (there.code, there.findings["state", "schema"]["grade"])
    assert (1, {("state", "schema")}) == (gone.code, gone.grades("failed"))
    assert "state.database" in gone.fix("state", "schema")


def test_an_image_that_can_not_be_read_fails_and_one_that_is_missing_is_wrong_configuration(
    clinic: Clinic,
) -> None:
    clinic.px.write("/etc/burstd/image.sqfs", "", 0o600)
    clinic.plant(("/opt/images/calculix.sqfs", "/etc/burstd/image.sqfs"))
    found = clinic.doctor(config=PLANTED)
    assert {("images", "calculix")} == found.grades("failed")
    assert "images.calculix.file" in found.fix("images", "calculix")

    clinic.px.sh("rm /etc/burstd/image.sqfs")
    argv = ["burst", "doctor", "--config", PLANTED]
    done = clinic.px.run(argv, user="burstd", check=False)
    assert (2, "") == (done.returncode, done.stdout)
    assert "there is no file /etc/burstd/image.sqfs" in done.stderr
    assert "Traceback" not in done.stderr


@contextlib.contextmanager
def far_away(clinic: Clinic) -> Iterator[None]:
    """Runs closed, the partition down and short, burst no operator any more."""
    login, cctl = clinic.host("login"), clinic.host("cctl")
    hpc = ["scontrol", "update", "partitionname=hpc"]
    user = ["sacctmgr", "-i", "modify", "user", "where", "name=burst", "set"]
    try:
        login.sh("chmod 755 /scratch/burst/runs")
        cctl.run([*hpc, "state=down", "maxtime=60"])
        cctl.run([*user, "adminlevel=none"])
        yield
    finally:
        login.sh("chmod 1777 /scratch/burst/runs")
        cctl.run([*hpc, "state=up", "maxtime=unlimited"])
        cctl.run([*user, "adminlevel=operator"])


def test_what_is_wrong_at_the_target(clinic: Clinic) -> None:
    clinic.plant(
        ('bob = "cae02"', 'nobodyhere = "nobodythere"'),
        ("max_nodes = 2", 'max_nodes = 2\nruntimes = ["podman"]'),
    )
    with far_away(clinic):
        found = clinic.doctor("--open-links", config=PLANTED)
    cloud = "target cloud"
    assert 1 == found.code
    assert {
        (cloud, "on-prem users"), (cloud, "users"), (cloud, "rights"), (cloud, "partition hpc"),
        (cloud, "directory runs"), (cloud, "container runtime"),
    } == found.grades("failed")  # fmt: skip
    assert {(cloud, "limits of hpc")} == found.grades("warning")
    assert "nobodyhere" in found.seen(cloud, "on-prem users")
    assert "nobodythere (for nobodyhere)" in found.seen(cloud, "users")
    assert "chmod 1777 /scratch/burst/runs" in found.fix(cloud, "directory runs")
    assert "partitionname=hpc state=up" in found.fix(cloud, "partition hpc")
    assert "podman" in found.fix(cloud, "container runtime")


def test_a_root_that_is_small_and_names_that_the_target_does_not_know(clinic: Clinic) -> None:
    clinic.plant(
        ('root = "/scratch/burst"', 'root = "/mnt/small"'),
        ('partition = "hpc"', 'partition = "none"\npython = "python2"'),
    )
    login, cctl = clinic.host("login"), clinic.host("cctl")
    login.sh("mkdir -p /mnt/small && mount -t tmpfs -o size=50m,mode=755 tmpfs /mnt/small")
    try:
        found = clinic.doctor("--open-links", config=PLANTED)
        cctl.stop_service("slurmctld")
        silent = clinic.doctor("--open-links")
    finally:
        cctl.start_service("slurmctld")
        login.sh("umount /mnt/small")
    cloud = "target cloud"
    assert {
        (cloud, "partition none"), (cloud, "directory root"), (cloud, "directory runs"),
        (cloud, "disk space"), (cloud, "container runtime"),
    } == found.grades("failed")  # fmt: skip
    assert "chown burst /mnt/small" in found.fix(cloud, "directory root")
    assert (1, {(cloud, "slurmctld")}) == (silent.code, silent.grades("failed"))


def test_a_burst_netd_that_is_gone(clinic: Clinic) -> None:
    clinic.px.end("burst-netd")
    try:
        found = clinic.doctor("--open-links")
    finally:
        install.start_netd(clinic.lab)
    assert (1, {("link cloud", "burst-netd")}) == (found.code, found.grades("failed"))
    assert "systemctl restart burst-netd" in found.fix("link cloud", "burst-netd")


def test_a_way_that_is_cut(clinic: Clinic) -> None:
    clinic.lab.wan.set(cut=True)
    try:
        found = clinic.doctor("--open-links")
    finally:
        clinic.lab.wan.set()
    assert (1, {("link cloud", "session")}) == (found.code, found.grades("failed"))
    assert "UDP" in found.fix("link cloud", "session")
    assert "burst0" not in clinic.links()


def test_a_way_that_swallows_full_packets(clinic: Clinic) -> None:
    rule = "insert rule bridge wan forward meta length > 1000 drop"
    clinic.netd("enrol")
    clinic.lab.wan.host.run(["nft", *rule.split()])
    try:
        found = clinic.doctor()
    finally:
        clinic.lab.wan.set()
        clinic.netd("down")
    assert {("link cloud", "full packets")} == found.grades("failed")
    assert ("link cloud", "session") in found.grades("ok")
    assert ("link cloud", "gate") in found.grades("ok")
    assert "mtu = 1280" in found.fix("link cloud", "full packets")
    assert "/etc/burstd/netd.toml" in found.fix("link cloud", "full packets")
