"""burstd killed in the middle, the proxy node's agent killed, burst-netd killed: the job goes on,
once."""

from __future__ import annotations

import signal

import pytest

from burstd.domain.burst import Stage
from demo import install
from tests.lab.conftest import Site
from tests.lab.test_full_disks import stage

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("moment", ["staging_in", "submitted", "running"])
def test_a_killed_burstd_goes_on_where_it_was(site: Site, moment: str) -> None:
    home = site.study("killed", increments=12)
    site.fill()
    site.start(high="0.5", low="0.1")
    job = site.submit("killed", "date +%s.%N >> starts\nccx -i beam\nsleep 5", directory=home)
    site.until(lambda: reached(stage(site, job), moment), moment)

    site.px.kill("burstd", signal.SIGKILL)
    site.until(lambda: not site.px.sh("pgrep -u burstd -f 'burstd run' || true"), "it is dead")
    install.start_burstd(site.lab)

    site.until(lambda: site.state(job) == "COMPLETED", "the job ends")
    site.until(lambda: stage(site, job) == "settled", "and is settled")
    assert 1 == len(site.ctl.sh(f"cat {home}/starts", user="alice").splitlines())


def test_a_killed_burst_netd_is_asked_again_and_the_job_comes_home(site: Site) -> None:
    home = site.study("cut", increments=12)
    site.fill()
    site.start(high="0.5", low="0.1")
    job = site.submit("cut", "date +%s.%N >> starts\nccx -i beam\nsleep 5", directory=home)
    site.until(lambda: stage(site, job) == "running", "it runs away")

    site.px.kill("burst-netd", signal.SIGKILL)
    site.until(lambda: not site.px.sh("pgrep -u burst-net -f burst-netd || true"), "it is dead")
    install.start_netd(site.lab)

    site.until(lambda: site.state(job) == "COMPLETED", "the job ends")
    assert 1 == len(site.ctl.sh(f"cat {home}/starts", user="alice").splitlines())


def test_a_user_who_changed_a_file_meanwhile_finds_both(site: Site) -> None:
    home = site.study("changed", increments=12)
    site.write(f"{home}/notes.txt", "before\n")
    site.fill()
    site.start(high="0.5", low="0.1")
    body = "cat notes.txt\nccx -i beam\necho from the job >> notes.txt\nsleep 3"
    job = site.submit("changed", body, directory=home)
    site.until(lambda: stage(site, job) == "running", "it runs away")
    site.write(f"{home}/notes.txt", "changed by alice\n")

    site.until(lambda: site.state(job) == "COMPLETED", "the job ends")

    names = site.ctl.sh(f"ls -A {home}", user="alice").split()
    copy = next(name for name in names if name.startswith("notes.txt.burst-"))
    assert "changed by alice\n" == site.ctl.sh(f"cat {home}/notes.txt", user="alice")
    assert "before\nfrom the job\n" == site.ctl.sh(f"cat {home}/{copy}", user="alice")
    assert copy in site.ctl.sh(f"cat {home}/changed.out", user="alice")


def reached(now: str, moment: str) -> bool:
    """A short stage may be over before anybody could look."""
    life = [one.value for one in Stage]
    return now in life and life.index(now) >= life.index(moment)
