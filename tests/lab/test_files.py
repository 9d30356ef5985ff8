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
    assert int(look(site, f"stat -c %b {home}/results/zeros.bin")) * 512 < 1_000_000


def pull(site: Site, job: str, *globs: str) -> dict[str, Any]:
    argv = ["burst", "pull", job, *globs, "--json"]
    found: dict[str, Any] = json.loads(site.px.run(argv, user="alice", check=False).stdout)
    return found


def look(site: Site, command: str) -> str:
    return site.ctl.sh(command, user="alice").strip()
