"""Two daemons on one PostgreSQL ledger: the leader is frozen, the standby takes over, the frozen
one wakes up and does nothing."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import pytest

from demo import install
from lab.host import Spawned
from tests.lab.conftest import Site

pytestmark = pytest.mark.lab

FROZEN = 60.0  #: seconds
CONFIG = "/etc/burstd/{}.toml"


@pytest.fixture
def pair(site: Site) -> Iterator[Site]:
    """The database, and burstd configured twice for it."""
    site.ctl.start_service("postgres")
    sql = "drop schema public cascade; create schema public"
    site.ctl.run(["psql", "-qU", "burstd", "-c", sql])
    install.install(site.lab, high="0.5", low="0.1")
    text = site.px.read("/etc/burstd/config.toml")
    for number, name in enumerate(("one", "two")):
        state = f'[state]\ndirectory = "/var/lib/burstd/{name}"\n'
        state += 'database = "postgresql://burstd@ctl/burstd"\n'
        api = f'[api]\nmetrics = "127.0.0.1:{9817 + number}"\n'
        site.px.write(CONFIG.format(name), f"{text}\n{state}\n{api}", 0o640, "root:burstd")
    install.start_netd(site.lab)
    yield site
    site.judge("burstd")
    for name in ("one", "two"):
        site.px.end(f"burstd-{name}")
    site.ctl.stop_service("postgres")


def start(site: Site, name: str) -> Spawned:
    log = site.lab.paths.base / f"burstd-{name}.log"
    log.unlink(missing_ok=True)
    argv = ["burstd", "run", "--config", CONFIG.format(name)]
    return site.px.spawn(f"burstd-{name}", argv, "burstd", log)


def test_a_frozen_leader_is_replaced_and_does_nothing_when_it_wakes_up(pair: Site) -> None:
    home = pair.study("standby", increments=12)
    pair.fill()
    one = start(pair, "one")
    pair.until(lambda: "daemon.leading" in one.log.read_text(), "the first leads")
    two = start(pair, "two")
    pair.until(lambda: "daemon.waiting" in two.log.read_text(), "the second stands by")
    job = pair.submit("standby", "date +%s.%N >> starts\nccx -i beam", directory=home)
    pair.until(lambda: pair.stage(job) == "submitted", "it waits for its permit")

    one.signal(signal.SIGSTOP)
    frozen_at = time.monotonic()
    pair.until(lambda: '"epoch": 2' in two.log.read_text(), "the second leads")
    time.sleep(max(0.0, frozen_at + FROZEN - time.monotonic()))
    one.signal(signal.SIGCONT)
    assert 75 == one.wait(20)
    assert "daemon.deposed" in one.log.read_text()

    pair.until(lambda: pair.state(job) == "COMPLETED", "the job ends")
    pair.until(lambda: pair.stage(job) == "settled", "and is settled")
    assert 1 == len(pair.ctl.sh(f"cat {home}/starts", user="alice").splitlines())
    verified = json.loads(pair.px.run(["burst", "audit", "verify", "--json"]).stdout)
    assert verified["whole"]
    told = [
        json.loads(line) for line in pair.px.run(["burst", "audit", "export"]).stdout.splitlines()
    ]
    assert ["permit"] == [record["action"] for record in told if record["action"] == "permit"]
    assert 1 == sum(record["action"] == "effect.submit" for record in told)


def test_a_leader_that_is_stopped_hands_over_and_may_come_back_as_a_standby(pair: Site) -> None:
    one = start(pair, "one")
    pair.until(lambda: "daemon.leading" in one.log.read_text(), "the first leads")
    two = start(pair, "two")
    pair.until(lambda: "daemon.waiting" in two.log.read_text(), "the second stands by")
    assert 0 == one.stop()
    pair.until(lambda: '"epoch": 2' in two.log.read_text(), "the second leads")
    three = start(pair, "one")
    pair.until(lambda: "daemon.waiting" in three.log.read_text(), "the first stands by")
    assert 0 == three.stop()
