"""The lab is what it says it is: two real sites, a WAN for WireGuard alone, no traces after."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import CommandFailed, Host, Lab, LabError
from lab.paths import Paths
from lab.procs import Process, marked, mounts_below

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
]

# One brick, pulled at one face: a real solution in a tenth of a second.
DECK = """\
*NODE, NSET=ALL
1,0,0,0
2,1,0,0
3,1,1,0
4,0,1,0
5,0,0,1
6,1,0,1
7,1,1,1
8,0,1,1
*ELEMENT, TYPE=C3D8, ELSET=BRICK
1,1,2,3,4,5,6,7,8
*MATERIAL, NAME=STEEL
*ELASTIC
210000,0.3
*SOLID SECTION, ELSET=BRICK, MATERIAL=STEEL
*BOUNDARY
1,1,3
2,1,3
3,1,3
4,1,3
*STEP
*STATIC
*CLOAD
5,3,100
6,3,100
7,3,100
8,3,100
*NODE PRINT, NSET=ALL
U
*END STEP
"""
APPTAINER = (
    "apptainer -s exec --containall --cleanenv --no-home --net --network none "
    "--bind $PWD --pwd $PWD /scratch/burst/images/calculix.sqfs"
)
BWRAP = (
    "bwrap --ro-bind $MNT / --dev /dev --proc /proc --tmpfs /tmp --bind $PWD /mnt --chdir /mnt "
    "--unshare-all --die-with-parent --clearenv --setenv PATH /usr/bin:/bin"
)


@pytest.fixture(scope="module")
def lab() -> Lab:
    lab = Lab.here()
    lab.up()
    return lab


@pytest.fixture
def open_wan(lab: Lab) -> Iterator[Lab]:
    lab.wan.set()
    yield lab
    lab.wan.set()


def batch(host: Host, user: str, folder: str, options: str, script: str) -> str:
    """Run a batch script to its end in a folder and return the job id."""
    host.run(["mkdir", "-p", folder], user=user)
    host.run(["sh", "-c", "cat > brick.inp"], user=user, cwd=folder, input=DECK)
    text = f"#!/bin/bash\n{script}\n"
    argv = ["sbatch", "--parsable", "--wait", "-o", "out", *options.split()]
    return host.run(argv, user=user, cwd=folder, input=text, check=False).stdout.strip()


def test_a_job_of_alice_runs_a_real_solver_and_is_accounted(lab: Lab) -> None:
    ctl = lab.host("ctl")
    job = batch(ctl, "alice", "/home/alice/brick", "-w n1", "hostname; ccx brick; exit 7")
    assert ctl.read("/home/alice/brick/out").startswith("n1\n")
    asked = ["sacct", "-XnP", "-j", job, "-o", "user,account,state,exitcode"]
    assert ctl.run(asked).stdout == "alice|phys|FAILED|7:0\n"


def test_a_user_of_the_cloud_runs_the_same_solver_in_a_container(lab: Lab) -> None:
    home, away = "/home/alice/same", "/scratch/burst/runs/same"
    batch(lab.host("ctl"), "alice", home, "-w n2", "ccx brick")
    runtimes = lab.container_runtimes()
    script = (
        f"{APPTAINER} ccx brick; mv brick.dat apptainer.dat\n" if "apptainer" in runtimes else ""
    ) + (
        "MNT=$(mktemp -d); squashfuse /scratch/burst/images/calculix.sqfs $MNT\n"
        f"{BWRAP} ccx brick; mv brick.dat bwrap.dat; fusermount3 -u $MNT"
    )
    batch(lab.host("cctl"), "cae01", away, "-w c1", script)
    expected = lab.share("onprem", f"{home}/brick.dat").read_bytes()
    assert b"displacements" in expected
    for runtime in runtimes:
        assert expected == lab.share("cloud", f"{away}/{runtime}.dat").read_bytes()


def test_there_is_no_solver_and_no_home_of_the_site_in_the_cloud(lab: Lab) -> None:
    c1 = lab.host("c1")
    assert c1.run(["sh", "-c", "command -v ccx"], check=False).returncode != 0
    assert c1.sh("ls /home") == ""


def test_the_sites_do_not_trust_each_other(lab: Lab) -> None:
    token = lab.host("ctl").run(["munge", "-n"], user="alice").stdout
    assert "STATUS:" in lab.host("px").run(["unmunge"], input=token).stdout
    assert lab.host("login").run(["unmunge"], input=token, check=False).returncode != 0


def test_burstd_is_an_operator_and_alice_is_not(lab: Lab) -> None:
    ctl, px = lab.host("ctl"), lab.host("px")
    job = ctl.run(
        ["sbatch", "--parsable", "--begin=now+1hour", "--wrap=true"], user="bob"
    ).stdout.strip()
    try:
        px.run(
            ["scontrol", "update", f"jobid={job}", "partition=burst", "extra=burst=x"],
            user="burstd",
        )
        shown = ctl.run(["scontrol", "show", "job", job]).stdout
        assert "Partition=burst" in shown
        assert "Extra=burst=x" in shown
        with pytest.raises(CommandFailed):
            ctl.run(["scontrol", "hold", job], user="alice")
    finally:
        ctl.run(["scancel", job])


def test_the_proxy_node_takes_a_job_of_any_size(lab: Lab) -> None:
    # What it runs there is not asked: with the SPANK plugin installed that is burstd's agent.
    ctl = lab.host("ctl")
    shape = ["-p", "burst", "-n", "4000", "--mem-per-cpu=200G", "--wrap=sleep 100"]
    job = ctl.run(["sbatch", "--parsable", *shape], user="alice").stdout.strip()
    try:
        asked, end = ["squeue", "-h", "-j", job, "-o", "%T %N %C"], time.monotonic() + 10
        while "PENDING" in (seen := ctl.run(asked).stdout) and time.monotonic() < end:
            time.sleep(0.1)
        assert seen == "RUNNING px 4000\n"
    finally:
        ctl.run(["scancel", job])


def test_a_spawned_program_of_burstd_has_no_privileges(lab: Lab, tmp_path: Path) -> None:
    px, log = lab.host("px"), tmp_path / "log"
    assert px.spawn("test-none", ["cat", "/proc/self/status"], "burstd", log).wait(10) == 0
    caps = ("net_admin",)
    assert px.spawn("test-net", ["cat", "/proc/self/status"], "burst-net", log, caps).wait(10) == 0
    none, net = log.read_text().split("Name:")[1:]
    assert {int(value, 16) for value in re.findall(r"Cap\w+:\s+(\w+)", none)} == {0}
    assert {int(value, 16) for value in re.findall(r"Cap\w+:\s+(\w+)", net)} == {1 << 12}
    assert "NoNewPrivs:\t1" in none


def test_a_spawned_program_is_killed_by_its_name(lab: Lab, tmp_path: Path) -> None:
    px = lab.host("px")
    sleeper = px.spawn("test-sleeper", ["sleep", "1000"], "burstd", tmp_path / "log")
    with pytest.raises(LabError, match="runs already"):
        px.spawn("test-sleeper", ["sleep", "1000"], "burstd", tmp_path / "log")
    while not sleeper.pid:
        time.sleep(0.01)
    px.kill("test-sleeper", signal.SIGKILL)
    assert sleeper.wait(10) == -signal.SIGKILL


def test_a_command_that_takes_too_long_is_ended_with_its_children(lab: Lab) -> None:
    n1 = lab.host("n1")
    for seconds in (0.5, *(n / 1000 for n in range(0, 20, 2))):  # also while it only begins
        with pytest.raises(subprocess.TimeoutExpired):
            n1.run(["sh", "-c", "sleep 987 & sleep 987"], timeout=seconds)
    time.sleep(0.5)
    assert n1.run(["pgrep", "-f", "sleep 987"], check=False).stdout == ""


def test_a_killed_service_is_started_again_by_up(lab: Lab) -> None:
    n2 = lab.host("n2")
    n2.stop_service("slurmd", signal.SIGKILL)
    assert lab.health() == ["slurmd on n2 does not run"]
    lab.up()
    assert lab.health() == []


def test_the_service_user_adds_a_peer_without_being_root(lab: Lab) -> None:
    login = lab.host("login")
    script = (
        "key=$(wg genkey | wg pubkey); wg genpsk | wg set wg0 peer $key preshared-key /dev/stdin "
        "allowed-ips 10.200.0.77/32 && wg show wg0 allowed-ips && wg set wg0 peer $key remove"
    )
    assert "10.200.0.77/32" in login.sh(script, user="burst")
    assert login.run(["wg", "show", "wg0"], user="cae01", check=False).returncode != 0


# Port 51820 is all that passes. These talk from that port, to a port that is free at the far end.
LISTEN = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
s.bind(("198.51.100.20", 5001))
"""
ECHO = LISTEN + "while True: s.sendto(*s.recvfrom(2000))"
TALK = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("198.51.100.10", int(sys.argv[1])))
s.settimeout(float(sys.argv[2]))
start = time.monotonic()
s.sendto(b"in the clear", ("198.51.100.20", 5001))
try:
    s.recv(100)
    print(time.monotonic() - start)
except TimeoutError:
    print("silence")
"""
BLAST = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("198.51.100.10", 51820))
end = time.monotonic() + 1.0
while time.monotonic() < end:
    s.sendto(bytes(1400), ("198.51.100.20", 5001))
    time.sleep(0.0002)
"""
COUNT = LISTEN + (
    "size = len(s.recv(2000)); start = time.monotonic(); s.settimeout(0.3)\n"
    "try:\n"
    "    while time.monotonic() - start < 0.6: size += len(s.recv(2000))\n"
    "except TimeoutError: pass\n"
    "print(size * 8 / (time.monotonic() - start))\n"
)


def talk(lab: Lab, port: int, patience: float = 2.0) -> str:
    """Send one datagram from px and say how long the echo took."""
    return lab.host("px").run(["python3", "-c", TALK, str(port), str(patience)]).stdout.strip()


@pytest.fixture
def echo(open_wan: Lab, tmp_path: Path) -> Iterator[Lab]:
    login = open_wan.host("login")
    program = login.spawn("test-echo", ["python3", "-c", ECHO], "root", tmp_path / "echo.log")
    while not login.sh("ss -Hlun sport = :5001"):
        time.sleep(0.02)
    yield open_wan
    program.stop()


def test_nothing_but_wireguards_port_passes_the_wan(echo: Lab, tmp_path: Path) -> None:
    assert talk(echo, 51820) != "silence"
    dropped = echo.wan.dropped()
    with echo.wan.capture(tmp_path / "wan.pcap") as pcap:
        assert talk(echo, 5001, 0.3) == "silence"
        connect = "timeout 0.5 bash -c '</dev/tcp/198.51.100.20/51820'"
        assert echo.host("px").run(["sh", "-c", connect], check=False).returncode != 0
    assert echo.wan.dropped() >= dropped + 2
    assert pcap.read_bytes().count(b"in the clear") == 1


def test_a_cut_stops_what_runs_and_heals(echo: Lab) -> None:
    echo.wan.set(cut=True)
    assert talk(echo, 51820, 0.3) == "silence"
    echo.wan.set()
    assert talk(echo, 51820) != "silence"


def test_a_delay_acts_in_both_directions(echo: Lab) -> None:
    echo.wan.set(delay="40ms")
    assert 0.08 <= float(talk(echo, 51820))
    echo.wan.set()
    # Of several: a machine that is busy delays some of them itself.
    assert min(float(talk(echo, 51820)) for _ in range(10)) < 0.08


def test_a_rate_limits_what_passes(open_wan: Lab, tmp_path: Path) -> None:
    open_wan.wan.set(rate="8mbit")
    log = tmp_path / "count.log"
    counter = open_wan.host("login").spawn("test-count", ["python3", "-c", COUNT], "root", log)
    while not open_wan.host("login").sh("ss -Hlun sport = :5001"):
        time.sleep(0.02)
    open_wan.host("px").run(["python3", "-c", BLAST])
    assert counter.wait(5) == 0
    assert 6e6 < float(log.read_text()) < 10e6


def test_a_rate_that_is_none_is_refused_in_words(lab: Lab) -> None:
    with pytest.raises(LabError, match="'fast' is no rate"):
        lab.wan.set(rate="fast")


@pytest.fixture
def second(lab: Lab) -> Iterator[Lab]:
    """A lab beside the lab: its own hosts over the same built roots."""
    checkout = lab.paths.checkout / "build" / "lab-test"
    shutil.rmtree(checkout, ignore_errors=True)
    paths = Paths(checkout)
    paths.base.mkdir(parents=True)
    for made in (lab.paths.cache, lab.paths.images):
        (paths.base / made.name).symlink_to(made)
    second = Lab(paths)
    yield second
    second.down()
    shutil.rmtree(checkout)


UP = """
import sys; from pathlib import Path; from lab import Lab; from lab.paths import Paths
Lab(Paths(Path(sys.argv[1]).parent.parent)).up()
"""


def namespaces_of(lab: Lab) -> set[str]:
    """All namespaces of a lab's processes that are not ours."""
    kinds = ("mnt", "net", "pid", "uts", "ipc")
    ours = {str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in kinds}
    pids = [process.pid for process, _ in marked(lab.paths.base)]
    return {str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for pid in pids for kind in kinds} - ours


def living_in(namespaces: set[str]) -> set[Process]:
    """All processes in any of them, whoever started them."""
    found = set[Process]()
    for link in Path("/proc").glob("[0-9]*/ns/*"):
        with contextlib.suppress(OSError):
            if str(link.readlink()) in namespaces and (one := Process.of(int(link.parts[2]))):
                found.add(one)
    return found


def test_an_interrupted_up_is_started_again_and_down_leaves_nothing(lab: Lab, second: Lab) -> None:
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    base = second.paths.base
    with subprocess.Popen(
        [sys.executable, "-c", UP, str(base)], cwd=lab.paths.checkout
    ) as interrupted:
        while not (second.paths.state / "hosts.json").exists() and interrupted.poll() is None:
            time.sleep(0.01)
        interrupted.kill()
    assert marked(base)
    assert not second.is_up()

    second.up()
    assert second.health() == []
    namespaces = namespaces_of(second)
    assert len(namespaces) >= 55
    inside = living_in(namespaces)
    assert len(inside) >= 30
    second.host("wan").first.signal(signal.SIGKILL)
    second.down()

    assert marked(base) == []
    # Not by the namespaces: a kernel gives their numbers again, to another lab's container.
    assert [process for process in inside if process.alive()] == []
    assert mounts_below(base) == []
    again = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert links == again
    assert lab.health() == []


def test_a_further_lab_shares_what_is_slow_to_make_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LAB", raising=False)
    first = Lab.here().paths
    monkeypatch.setenv("LAB", "other")
    other = Lab.here().paths
    assert (first.cache, first.images) == (other.cache, other.images)
    assert {first.base, first.run, first.state}.isdisjoint({other.base, other.run, other.state})
    monkeypatch.setenv("LAB", "../other")
    with pytest.raises(LabError, match="no name of a lab"):
        Lab.here()
