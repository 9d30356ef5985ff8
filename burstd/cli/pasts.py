"""Where ``burst simulate`` has a site's past from: a file, stdin, or the Slurm of this machine."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from burstd.cli.own import BadChoice

if TYPE_CHECKING:
    from burstd.rehearsal.history import History

PATIENCE = 900.0  #: seconds; a year of a large site's jobs takes slurmdbd minutes


@dataclass(frozen=True)
class Source:
    """What the command line says of it: one of ``swf``, ``sacct`` and ``days``."""

    swf: Path | None = None
    sacct: Path | None = None  #: ``-``: stdin
    days: int | None = None
    partitions: str = ""  #: of ``days``, separated by commas; empty: all
    procs: int | None = None

    def read(self, burst_partition: str) -> tuple[History, tuple[str, ...]]:
        """The past, and what had to be assumed. Raises ``BadChoice``, ``NotLog``, ``OSError``."""
        from burstd.rehearsal.sacct import read as read_sacct
        from burstd.rehearsal.swf import read

        if sum(given is not None for given in (self.swf, self.sacct, self.days)) != 1:
            raise BadChoice("give one past: --days N, --sacct FILE or --swf FILE")
        if self.partitions and self.days is None:
            raise BadChoice("--partition goes with --days; a file has the jobs that it has")
        if self.days is not None:
            return self._asked(self.days, burst_partition)
        if self.swf is not None:
            return read(self.swf, self.procs), ()
        if self.sacct is None or str(self.sacct) == "-":
            return read_sacct(sys.stdin, "stdin", self.procs, burst_partition), ()
        with self.sacct.open(errors="replace") as lines:
            return read_sacct(lines, self.sacct.name, self.procs, burst_partition), ()

    def _asked(self, days: int, burst_partition: str) -> tuple[History, tuple[str, ...]]:
        """Of Slurm's own programs, as who calls us may ask them."""
        from burstd.adapters.slurm.commands import Slurm
        from burstd.adapters.slurm.records import size
        from burstd.ports.errors import PortError
        from burstd.rehearsal.sacct import asking, read

        slurm, words = Slurm(deadline=PATIENCE), tuple[str, ...]()
        try:
            if (procs := self.procs) is None:
                chosen = ["-p", self.partitions] if self.partitions else ["-a"]
                answer = slurm.run(["sinfo", "-h", "-N", *chosen, "-o", "%N|%R|%C|%t"])
                nodes, procs = size(answer, burst_partition)
                words = (f"assumed: {procs} processors, of {nodes} nodes that are not down now",)
            # Those that left count as well: they are of the burst partition by now.
            wanted = f"{self.partitions},{burst_partition}" if self.partitions else ""
            answer = slurm.run(asking(days, wanted))
        except PortError as error:
            raise BadChoice(f"Slurm could not be asked: {error}") from error
        name = "the last day" if days == 1 else f"the last {days} days"
        return read(answer.split("\n"), name, procs, burst_partition), words
