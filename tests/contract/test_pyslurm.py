"""pyslurm's way to slurmctld beside the commands' way: both see the same, none stops burstd."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from burstd.adapters.slurm.claim import ASKED, several_nodes
from burstd.adapters.slurm.worker import Worker
from burstd.domain.jobs import JobIdentity, JobRecord, QueuedJob
from burstd.ports.errors import Rejected
from burstd.testing.contracts.cluster import STRANGE, park_all, who
from lab import Lab
from tests.contract.real import PyslurmCluster, RealCluster, full

pytestmark = pytest.mark.lab

#: Beside those of the contract: what is written in another way than it is kept.
MORE_SHAPES = (
    "--mem=1024 -x n2",
    "--mem=1G",
    "--mem=0",
    "--begin=now+1hour",
    "-t 3-04:05",
    "-t 7",
    "-t 1440",
    "-d singleton",
    "--ntasks-per-socket=1",
    "--ntasks-per-core=1",
    "-N1-2",
    "--qos=normal --account=phys",
)


@pytest.fixture
def pair(lab: Lab, worker: Worker) -> Iterator[tuple[RealCluster, PyslurmCluster]]:
    """One cluster, seen in two ways."""
    hosts = (lab.host("ctl"), lab.host("px"))
    for cluster in full(PyslurmCluster(*hosts, worker=worker)):
        yield RealCluster(*hosts), cluster


def test_both_ways_see_the_same(pair: tuple[RealCluster, PyslurmCluster]) -> None:
    """A site may change from one to the other while bursts are open: what the ledger keeps of a
    job must not change with it."""
    commands, cluster = pair
    first = cluster.submit("--array=1-3,7 --hold --comment='of any ünï|kind'", name=STRANGE)
    shapes = [*cluster.shapes, *MORE_SHAPES]
    shapes += [f"-d afterok:{first}:{first}", f"-d afterany:{first}?afternotok:{first}"]
    for shape in shapes:
        cluster.submit(shape)
    cluster.submit(name="None")
    cluster.heterogeneous()
    cluster.interactive()
    park_all(cluster, [cluster.queue.record(who(cluster, cluster.submit()))])
    park_all(cluster, [cluster.queue.record(who(cluster, cluster.submit("--array=1-3") + "_2"))])

    cluster.wait(lambda: queue(commands) == queue(cluster), 15)
    assert queue(commands) == queue(cluster)
    jobs = commands.queue.observe().jobs
    assert len(shapes) < len(jobs)
    for job in jobs:
        for key in job.elements:
            one = replace(job.identity, key=key)
            assert (one, commands.queue.look(one)) == (one, cluster.queue.look(one))
            assert (one, record(commands, one)) == (one, record(cluster, one))
    assert commands.queue.boot() == cluster.queue.boot()


def queue(cluster: RealCluster) -> list[QueuedJob]:
    """The queue without what time alone changes."""
    jobs = cluster.queue.observe().jobs
    return sorted(
        (replace(j, elapsed=timedelta(), starts=None) for j in jobs), key=lambda j: str(j.key)
    )


def record(cluster: RealCluster, one: JobIdentity) -> tuple[JobRecord, bool] | None:
    """What a claim would keep; the resources asked for only by what they are read for."""
    try:
        kept = cluster.queue.record(one)
    except Rejected:
        return None
    fields = {name: value for name, value in kept.fields.items() if name != ASKED}
    return replace(kept, fields=fields), several_nodes(kept.fields)
