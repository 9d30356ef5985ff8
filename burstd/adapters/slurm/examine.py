"""An on-prem Slurm and this machine's part in it, looked at for ``burst doctor``."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from burstd.adapters.slurm import judge, spank
from burstd.adapters.slurm.commands import Slurm
from burstd.domain import slurm as words
from burstd.domain.findings import CREDENTIALS, Area, Finding, clock
from burstd.ports.errors import PortError

AREA, MUNGE, PROXY = Area("on-prem Slurm"), Area("munge"), Area("proxy node")


@dataclass(frozen=True)
class Site:
    """What the configuration says of it, and under which account burstd runs."""

    cluster: str
    burst_partition: str
    partitions: Sequence[str]  #: the others that must be there
    account: str


@dataclass(frozen=True)
class SlurmExamination:
    """Each question has ``slurm``'s deadline. ``place``: a directory of our own."""

    slurm: Slurm
    site: Site
    now: Callable[[], datetime]
    place: Path

    def __call__(self) -> Iterator[Finding]:
        """Everything, munge first: without it the rest can't be asked."""
        yield self._munge()
        try:
            controller = words.Controller.parse(self._ask("scontrol", "show", "config"))
        except (PortError, ValueError) as error:
            fix = "start slurmctld, and see that `scontrol ping` works on this machine"
            yield AREA.failed("slurmctld", str(error), fix)
            yield AREA.unknown(
                "everything else", "slurmctld was not asked more", "run burst doctor again then"
            )
            return
        yield AREA.ok("slurmctld", f"answers for {controller.cluster}")
        for check in (self._version, self._rights, self._clock, self._partitions, self._proxies):
            try:
                yield from check(controller)
            except (PortError, OSError) as error:
                name = check.__name__.strip("_")
                yield AREA.unknown(name, str(error), "run burst doctor again")

    def _version(self, controller: words.Controller) -> Iterator[Finding]:
        yield words.release(AREA, controller.version, self._ask("scontrol", "-V").strip())
        yield judge.cluster(AREA, self.site.cluster, controller)

    def _rights(self, controller: words.Controller) -> Iterator[Finding]:
        level = ""
        if controller.accounted:
            who = ("user", f"name={self.site.account}")
            argv = ("sacctmgr", "-n", "-P", "show", *who, "format=adminlevel")
            level = self._ask(*argv).strip()
        yield words.rights(AREA, self.site.account, level, controller)

    def _clock(self, _controller: words.Controller) -> Iterator[Finding]:
        before = self.now()
        theirs = words.controller_time(self._ask("sdiag"))
        after = self.now()
        if theirs is None:
            hint = "compare `date +%s` here and on slurmctld's machine"
            yield AREA.unknown("clock of slurmctld", "sdiag printed no time", hint)
            return
        blur = (after - before).total_seconds() / 2
        ahead = theirs + 0.5 - before.timestamp() - blur  # it prints whole seconds, cut off
        yield clock(AREA, "slurmctld", ahead, blur + 0.5, CREDENTIALS)

    def _partitions(self, _controller: words.Controller) -> Iterator[Finding]:
        name = self.site.burst_partition
        yield from judge.burst_partition(AREA, name, self._partition(name))
        for other in self.site.partitions:
            yield words.partition_state(AREA, other, self._partition(other))

    def _partition(self, name: str) -> dict[str, str]:
        try:
            return words.record(self._ask("scontrol", "show", "partition", name, "-o"))
        except PortError as error:
            if "not found" in str(error):
                return {}
            raise

    def _proxies(self, controller: words.Controller) -> Iterator[Finding]:
        nodes = self._partition(self.site.burst_partition).get("Nodes", "(null)")
        if nodes == "(null)":
            return
        shown = self._ask("scontrol", "show", "node", nodes, "-o").splitlines()
        records = [words.record(line) for line in shown]
        yield judge.proxies(AREA, records)
        here = socket.gethostname()
        if any(_same(here, node) for node in records):
            yield spank.examine(PROXY, Path(controller.plugstack))
        else:
            hint = f"run burst doctor there: {nodes}"
            yield PROXY.unknown(spank.CHECK, f"this machine, {here}, is no proxy node", hint)

    def _munge(self) -> Finding:
        """Through a file: a pipe between two programs could outlive its deadline."""
        secret = self.place / "credential"
        try:
            self._ask("munge", "-n", "-o", str(secret))
            return judge.credential(MUNGE, self._ask("unmunge", "-i", str(secret)))
        except PortError as error:
            return MUNGE.failed("munge", str(error), judge.MUNGED)

    def _ask(self, *argv: str) -> str:
        return self.slurm.run(argv)


def _same(host: str, node: dict[str, str]) -> bool:
    return host.partition(".")[0] in {
        node.get(key, "").partition(".")[0] for key in ("NodeHostName", "NodeName")
    }
