"""The seam for whoever knows how many licences are free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from burstd.domain.licences import Pool


class LicenceSource(Protocol):
    """A licence server, Slurm, or what the configuration says."""

    @property
    def wanted(self) -> Mapping[str, str]:
        """The pools that it is to tell of, with the name in Slurm of those that Slurm keeps."""

    def pools(self) -> Mapping[str, Pool]:
        """The state of those pools now, by name; what it can't tell of for certain is missing.

        Never shows more free than there is. Raises ``Transient`` where it can't be asked.
        """
