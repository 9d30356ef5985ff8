"""A full disk on either side parks the burst; with room again it goes on by itself."""

from __future__ import annotations

import json

import pytest

from tests.lab.conftest import Site

pytestmark = pytest.mark.lab

RUNS = "/scratch/burst/runs"


def test_a_full_far_end_parks_the_burst_and_loses_nothing(site: Site) -> None:
    login = site.lab.host("login")
    home = site.study("big")
    site.write(f"{home}/load.inp", "** ballast\n" * 400_000)  # 4.4 MB
    login.sh(f"mount -t tmpfs -o size=1m,mode=1777 tmpfs {RUNS}")
    try:
        site.fill()
        site.start(high="0.5", low="0.1")
        job = site.submit("big", "cat load.inp > /dev/null\nccx -i beam", directory=home)
        site.until(
            lambda: "full" in site.ctl.sh(f"cat {home}/big.out || true", user="alice"), "it says so"
        )
        assert "staging_in" == stage(site, job)
    finally:
        login.sh(f"umount {RUNS}")

    site.until(lambda: site.state(job) == "COMPLETED", "it went on by itself")


def test_a_full_home_parks_the_landing_and_loses_nothing(site: Site) -> None:
    home = site.study("home")
    site.fill()
    site.start(high="0.5", low="0.1")
    job = site.submit("home", "ccx -i beam\nsleep 4", directory=home)
    site.until(lambda: stage(site, job) == "running", "it runs away")
    # What the agent sees on the proxy host, and only it, is a small file system now.
    site.px.sh(f"mount -t tmpfs -o size=64k,mode=777 tmpfs {home}")
    try:
        out = f"cat {home}/home.out || true"
        site.until(lambda: "No space" in site.ctl.sh(out, user="alice"), "the job's output says so")
        assert "staging_out" == stage(site, job)
        site.px.sh(f"mount -o remount,size=64m {home}")
        site.until(lambda: site.state(job) == "COMPLETED", "it went on by itself")
        names = site.px.sh(f"ls -A {home}").split()
    finally:
        site.px.sh(f"umount {home}")

    assert {"beam.frd", "beam.dat", "beam.sta"} <= set(names)
    assert [] == [name for name in names if name.startswith(".burst-")]


def stage(site: Site, job: str) -> str:
    out = site.px.run(["burst", "show", job, "--json"], user="alice", check=False).stdout
    return str(json.loads(out)["burst"]["stage"]) if out else ""
