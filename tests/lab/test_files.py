"""What a job writes elsewhere: while it runs, when its user asks for it, and in the end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.conftest import Site

pytestmark = pytest.mark.lab

BODY = """\
(
  cd results
  echo one > one.txt
  head -c 3000000 /dev/zero > zeros.bin
  ln -s one.txt latest
  ln zeros.bin again.bin
  ln -s /etc/passwd elsewhere
  for step in $(seq 1 40); do echo "$step" >> steps.csv; sleep 0.5; done
)
ccx -i beam
"""


def test_files_come_when_they_are_asked_for_and_all_of_them_in_the_end(site: Site) -> None:
    home = site.study("files")
    site.ctl.sh(f"mkdir {home}/results", user="alice")  # which holds no input
    site.start(high="0.5", low="0.1")
    job = site.submit("files", BODY, options=("-p", "burst"), directory=home)
    site.until(lambda: site.stage(job) == "running", "it runs in the cloud")

    found = pull(site, job, "results/*.txt", f"{home}/results/steps.csv", "none")
    assert [f"{home}/results/one.txt", f"{home}/results/steps.csv"] == [
        file["path"] for file in found["files"]
    ]
    assert "one" == look(site, f"cat {home}/results/one.txt")
    assert look(site, f"head -1 {home}/results/steps.csv") == "1"
    assert ["nothing was brought"] == [
        note[:19] for note in pull(site, job, "/etc/passwd")["notes"]
    ]

    site.until(lambda: site.state(job) == "COMPLETED", "it ends")
    assert "40" == look(site, f"tail -1 {home}/results/steps.csv")
    assert "one.txt" == look(site, f"readlink {home}/results/latest")
    assert "none" == look(site, f"test -L {home}/results/elsewhere || echo none")
    assert "3000000" == look(site, f"stat -c %s {home}/results/zeros.bin")
    assert 1 == len(set(look(site, f"stat -c %i {home}/results/*.bin").splitlines()))
    assert int(look(site, f"stat -c %b {home}/results/zeros.bin")) * 512 < 1_000_000


ON_DEMAND = """\
mkdir big
head -c 30000000 /dev/urandom > big/part1.bin
echo kept > big/part2.bin
sha256sum big/part1.bin > sums.txt
ccx -i beam
"""


def test_what_is_on_demand_remains_is_fetched_and_goes_in_its_time(site: Site) -> None:
    profile = "/opt/burstd/src/plugins/apps/calculix.toml"
    site.px.sh(
        "mkdir -p /etc/burstd/apps && "
        f"sed '/^live/a on_demand = [\"big/*\"]' {profile} > /etc/burstd/apps/calculix.toml"
    )
    site.start(
        high="0.5", low="0.1", applications="/etc/burstd/apps", terms='on_demand_age = "60s"'
    )
    homes = [site.study(name) for name in ("fetched", "forgotten")]
    jobs = [
        site.submit(home.rpartition("/")[2], ON_DEMAND, options=("-p", "burst"), directory=home)
        for home in homes
    ]
    for job, home in zip(jobs, homes, strict=True):
        site.until(lambda job=job: site.state(job) == "COMPLETED", "it ends")  # type: ignore[misc]
        assert "sums.txt" == look(site, f"cd {home}; ls -d big/* sums.txt 2>/dev/null || true")
    stay = f"2 files, 30.0 MB, stay at cloud for 60 seconds: burst pull {jobs[0]} lists them"
    assert stay in look(site, f"cat {homes[0]}/fetched.out")

    assert 2 == len(pull(site, jobs[0])["remains"]["files"])
    found = pull(site, jobs[0], "big/part1*")
    assert [f"{homes[0]}/big/part1.bin"] == [file["path"] for file in found["files"]]
    assert "big/part1.bin: OK" == look(site, f"cd {homes[0]} && sha256sum -c sums.txt")

    site.until(lambda: pull(site, jobs[1])["remains"] is None, "nobody has asked for the others")
    login = site.lab.host("login")
    site.until(lambda: 1 == len(login.sh("ls /scratch/burst/runs").split()), "they go")
    pull(site, jobs[0], "big")
    assert "kept" == look(site, f"cat {homes[0]}/big/part2.bin")


def pull(site: Site, job: str, *globs: str) -> dict[str, Any]:
    argv = ["burst", "pull", job, *globs, "--json"]
    found: dict[str, Any] = json.loads(site.px.run(argv, user="alice", check=False).stdout)
    return found


def look(site: Site, command: str) -> str:
    return site.ctl.sh(command, user="alice").strip()


#: Slurm signals what a script has started before the script itself, which so must not end with it.
SLOW_HOME = """\
trap 'echo the last words; exit 143' TERM
ccx -i beam
mkdir -m 750 big nothing
head -c 80000000 /dev/urandom > big/part.bin
sha256sum big/part.bin > sums.txt
echo written
while :; do sleep 600 & wait; done
"""


def test_a_cancelled_job_whose_results_take_longer_than_its_killwait_loses_none(
    site: Site,
) -> None:
    site.start(high="0.5", low="0.1")
    home = site.study("cancelled")
    job = site.submit("cancelled", SLOW_HOME, options=("-p", "burst"), directory=home)
    out = f"{home}/cancelled.out"
    site.until(lambda: "written" in look(site, f"cat {out} 2>/dev/null || true"), "it writes")
    site.lab.wan.set(rate="8mbit")  # 80 s for what KillWait gives half a minute for
    try:
        site.ctl.run(["scancel", job], user="alice")
        site.until(lambda: site.stage(job) == "settled", "it is over, and its end is durable")
        assert "CANCELLED" == site.state(job)
        assert "sums.txt" != look(site, f"cd {home}; ls big/part.bin 2>/dev/null || true")
        remark = ["sacct", "-n", "-X", "-P", "-j", job, "-o", "AdminComment"]
        assert "results=cloud" in site.ctl.run(remark).stdout
    finally:
        site.lab.wan.set()

    argv = ["burst", "pull", job]
    assert "never came home and remain at cloud" in site.px.run(argv, user="alice").stdout
    assert f"{home}/big/part.bin" in {file["path"] for file in pull(site, job, "*")["files"]}
    assert "big/part.bin: OK" == look(site, f"cd {home} && sha256sum -c sums.txt")
    assert "750" == look(site, f"stat -c %a {home}/nothing")
    said = look(site, f"cat {home}/burst-*.out").splitlines()
    assert ["written", "the last words"] == said[-2:]
    assert [] == json.loads(site.px.run([*argv, "--json"], user="alice").stdout)["notes"]
