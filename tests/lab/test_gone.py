"""burstd is gone for good: the queue is given back with README's own lines, and nothing else."""

from __future__ import annotations

import re

import pytest

from tests.lab.conftest import Site
from tests.packaging import REPOSITORY

pytestmark = pytest.mark.lab


def by_hand(job: str, partition: str, limit: str, nodes: str) -> list[str]:
    """The lines of README's section, for this job."""
    section = (REPOSITORY / "README.md").read_text().partition("## If burstd is gone for good")[2]
    lines = re.findall(r"^scontrol .*$", section, re.MULTILINE)
    words = {"JOB": job, "PART": partition, "HH:MM:SS": limit, "=N ": f"={nodes} "}
    for word, value in words.items():
        lines = [line.replace(word, value) for line in lines]
    return lines


def test_the_queue_is_given_back_by_hand(site: Site) -> None:
    homes = [site.study(name) for name in ("gone", "both")]
    site.fill()
    site.start(high="0.5", low="0.1")
    site.lab.wan.set(cut=True)
    jobs = [
        site.submit("gone", "hostname > where\nccx -i beam", directory=homes[0]),
        site.submit("both", "hostname > where\nccx -i beam", directory=homes[1], options=("-N2",)),
    ]
    for job in jobs:
        site.until(lambda job=job: site.stage(job) == "staging_in", "it stands in, no further")  # type: ignore[misc]
    site.stop()

    for job, nodes in zip(jobs, ("1", "2"), strict=True):
        lines = by_hand(job, "cae", "01:00:00", nodes)
        assert 3 == len(lines)
        site.ctl.sh(lines[0])
        site.until(lambda job=job: site.state(job) == "PENDING", "its agent has ended")  # type: ignore[misc]
        for line in lines[1:]:
            site.ctl.sh(line)
    site.ctl.run(["scancel", site.ids[0]], user="alice")

    for job, home in zip(jobs, homes, strict=True):
        site.until(lambda job=job: site.state(job) == "COMPLETED", "it runs at home")  # type: ignore[misc]
        assert site.ctl.sh(f"cat {home}/where", user="alice").strip() in {"n1", "n2"}
