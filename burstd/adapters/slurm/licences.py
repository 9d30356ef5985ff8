"""Port ``LicenceSource`` by ``scontrol show licenses``: Slurm's own licences and slurmdbd's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from burstd.adapters.slurm.commands import Slurm
from burstd.domain.licences import Pool
from burstd.ports.errors import PortError, Transient, Unreachable

_LINE = re.compile(
    r"^LicenseName=(\S+) Total=(\d{1,12}) Used=(\d{1,12}) Free=(\d{1,12})"
    r"(?: Reserved=(\d{1,12}))? Remote=(?:yes|no)\b",
    re.MULTILINE | re.ASCII,
)


def parse(text: str) -> dict[str, tuple[int, int]]:
    """Total, and what can't be had of it, by name.

    Of slurmdbd's licences Slurm may count fewer free than total less used (LastDeficit: others use
    them); what its reservations keep is not free for everybody.
    """
    found = {}
    for name, *numbers in _LINE.findall(text):
        total, used, free, reserved = (int(n or 0) for n in numbers)
        found[name] = total, max(used, total - free) + reserved
    return found


@dataclass(frozen=True)
class SlurmLicences:
    """``names``: in Slurm, by the name of the pool; ``kept``: what bursts leave to others."""

    slurm: Slurm
    names: Mapping[str, str]
    kept: Mapping[str, int]

    @property
    def wanted(self) -> Mapping[str, str]:
        return self.names

    def pools(self) -> Mapping[str, Pool]:
        try:
            counts = parse(self.slurm.run(["scontrol", "show", "licenses", "-o"]))
        except Transient:
            raise
        except PortError as error:  # a question that fails, for whatever reason, tells nothing
            raise Unreachable(str(error)) from error
        return {
            name: Pool(name, *counts[theirs], self.kept.get(name, 0), theirs)
            for name, theirs in self.names.items()
            if theirs in counts
        }
