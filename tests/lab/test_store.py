"""What is kept of inputs at a target, by whom, and for whom."""

from __future__ import annotations

import time

import pytest

from tests.lab.conftest import Site

pytestmark = pytest.mark.lab

STORES = "/scratch/burst/stores"
MEMBERS = "mesh:x:3001:cae01,cae02,burst"
SIZE, SLOW = 20_000_000, "5mbit"


def kept(site: Site) -> int:
    """Bytes of all packs."""
    found = f"find {STORES} -name '*.pack' -printf '%s\\n'"
    return sum(map(int, site.lab.host("login").sh(found).split()))


def test_members_of_a_group_send_what_they_share_once(site: Site) -> None:
    login = site.lab.host("login")
    login.sh(f"grep -q '^mesh:' /etc/group || echo {MEMBERS} >> /etc/group; rm -rf {STORES}/*")
    home = site.study("shared")
    code = f"import random,sys;sys.stdout.buffer.write(random.Random(5).randbytes({SIZE}))"
    site.ctl.sh(f"python3 -c '{code}' > {home}/made.bin", user="alice")
    site.ctl.sh(
        "rm -rf /home/bob/shared /home/bob/mesh; cp -r /home/alice/mesh /home/alice/shared "
        "/home/bob/ && chown -R bob:bob /home/bob/shared /home/bob/mesh"
    )
    body = "sha256sum made.bin > sums.txt\nccx -i beam"
    site.start(high="0.5", low="0.1", target='store_group = "mesh"')

    for user, before in (("alice", 0), ("bob", SIZE)):
        there = f"/home/{user}/shared"
        job = site.submit("shared", body, options=("-p", "burst"), directory=there, user=user)
        site.until(lambda job=job: site.state(job) == "COMPLETED", "it ends")  # type: ignore[misc]
        assert "made.bin: OK" in site.ctl.sh(f"cd {there} && sha256sum -c sums.txt", user=user)
        assert before <= kept(site) < SIZE * 1.1
    assert "shared" == login.sh(f"ls {STORES}").strip()
    files = login.sh(f"stat -c '%U %G %a' {STORES}/shared {STORES}/shared/*.pack").splitlines()
    assert ["burst mesh 2770", "cae01 mesh 660"] == sorted(set(files) - {"cae02 mesh 660"})


def listed(site: Site) -> list[str]:
    """What ``burst jobs`` says of jobs whose inputs are on their way."""
    told = site.px.run(["burst", "jobs"], user="alice").stdout.splitlines()
    return [line for line in told if "staging_in" in line]


@pytest.mark.parametrize("cut", [False, True])
def test_jobs_that_are_forwarded_together_send_what_they_share_once(site: Site, cut: bool) -> None:
    """Also where the line is cut for a while in the middle of it."""
    site.lab.host("login").sh(f"rm -rf {STORES}/*")
    code = f"import random,sys;sys.stdout.buffer.write(random.Random(6).randbytes({SIZE}))"
    site.start(high="0.5", low="0.1")
    if cut:
        site.lab.wan.set(rate=SLOW)
    homes = [site.study(f"variant{number}") for number in range(3)]
    for home in homes:
        site.ctl.sh(f"python3 -c '{code}' > {home}/mesh.bin", user="alice")
        site.ctl.sh(f"cd {home} && sha256sum mesh.bin > told", user="alice")
    body = "sha256sum mesh.bin | cmp - told && ccx -i beam"
    jobs = [
        site.submit(home.rpartition("/")[2], body, options=("-p", "burst"), directory=home)
        for home in homes
    ]
    if cut:
        site.until(lambda: any("%" in line for line in listed(site)), "it is told how far")
        site.until(
            lambda: any("wait for what another job is just sending" in site.why(j) for j in jobs),
            "it is told what the others wait for",
        )
        site.until(lambda: SIZE * 0.3 < kept(site), "a part of it has come")
        assert kept(site) < SIZE * 0.9
        site.lab.wan.set(rate=SLOW, cut=True)
        time.sleep(20)
        site.lab.wan.set(rate="20mbit")
    for job in jobs:
        site.until(lambda job=job: site.state(job) == "COMPLETED", "it ends")  # type: ignore[misc]
    assert SIZE <= kept(site) < SIZE * 1.1
