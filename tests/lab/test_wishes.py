"""Jobs submitted straight to the burst partition, and what runs on the proxy node: never the
user's code."""

from __future__ import annotations

import pytest

from tests.lab.conftest import Site
from tests.lab.test_stays import nodes

pytestmark = pytest.mark.lab

PROOF = 'cat /proc/sys/kernel/hostname >> "$SLURM_SUBMIT_DIR/ran-on"'


def test_a_wish_that_the_policy_grants_runs_in_the_cloud(site: Site) -> None:
    home = site.study("wish")
    site.start(high="0.5", low="0.1")

    job = site.submit("wish", f"{PROOF}\nccx -i beam", options=("-p", "burst"), directory=home)

    site.until(lambda: site.state(job) == "COMPLETED", "the wish ran")
    assert site.ctl.sh(f"cat {home}/ran-on", user="alice").strip() in {"c1", "c2"}


def test_a_wish_that_the_policy_declines_runs_in_its_home_partition(site: Site) -> None:
    home = site.study("declined")
    site.start(high="50", low="1")

    job = site.submit("declined", f"{PROOF}\nccx -i beam", options=("-p", "burst"), directory=home)

    site.until(lambda: site.state(job) == "COMPLETED", "it ran on-prem")
    assert "high-water mark" in site.why(job)
    assert site.ctl.sh(f"cat {home}/ran-on", user="alice").strip() in {"n1", "n2"}
    assert "n1" in nodes(site, job) or "n2" in nodes(site, job)


def test_while_burstd_is_away_a_stand_in_waits_and_says_so(site: Site) -> None:
    home = site.study("away")
    site.stop()

    job = site.submit("away", f"{PROOF}\nccx -i beam", options=("-p", "burst"), directory=home)

    site.until(lambda: "burstd" in output(site, home, "away"), "a line in the job's output")
    assert "RUNNING" == site.state(job)
    assert "" == site.ctl.sh(f"cat {home}/ran-on 2>/dev/null || true", user="alice")
    site.start(high="0.5", low="0.1")
    site.until(lambda: site.state(job) == "COMPLETED", "it goes on by itself")
    assert site.ctl.sh(f"cat {home}/ran-on", user="alice").strip() in {"c1", "c2"}


def test_while_the_agent_is_missing_a_stand_in_waits_and_says_so(site: Site) -> None:
    home = site.study("bare")
    site.start(high="0.5", low="0.1")
    site.px.sh("mv /usr/local/bin/burst-agent /usr/local/bin/burst-agent.away")
    try:
        job = site.submit("bare", f"{PROOF}\nccx -i beam", options=("-p", "burst"), directory=home)
        site.until(lambda: "burst-agent" in output(site, home, "bare"), "a line in the output")
        assert "" == site.ctl.sh(f"cat {home}/ran-on 2>/dev/null || true", user="alice")
    finally:
        site.px.sh("mv /usr/local/bin/burst-agent.away /usr/local/bin/burst-agent")
    site.until(lambda: site.state(job) == "COMPLETED", "it goes on by itself")


def test_the_users_environment_brings_no_code_onto_the_proxy_node(site: Site) -> None:
    home = site.study("preload")
    site.write("/home/alice/evil/sitecustomize.py", "open('/home/alice/evil/ran', 'w')\n")
    site.start(high="0.5", low="0.1")
    options = (
        "-p",
        "burst",
        "--export=ALL,PYTHONPATH=/home/alice/evil,LD_PRELOAD=/home/alice/x.so",
    )

    job = site.submit("preload", "ccx -i beam", options=options, directory=home)

    site.until(lambda: site.state(job) == "COMPLETED", "it ran")
    assert "" == site.ctl.sh("ls /home/alice/evil/ran 2>/dev/null || true", user="alice")
    assert "ld.so" not in output(site, home, "preload")


def test_interactive_use_of_the_proxy_node_is_refused(site: Site) -> None:
    done = site.ctl.run(["srun", "-p", "burst", "-n1", "hostname"], user="alice", check=False)

    assert 0 != done.returncode
    assert "only batch jobs" in done.stderr
    assert "px" not in done.stdout


def output(site: Site, home: str, name: str) -> str:
    return site.ctl.sh(f"cat {home}/{name}.out 2>/dev/null || true", user="alice")
