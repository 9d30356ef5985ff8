"""Licences of which the configuration says how many there are for bursts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from burstd.domain.licences import Pool


@dataclass(frozen=True)
class StaticSource:
    """Port ``LicenceSource``: nobody but open bursts uses them."""

    totals: Mapping[str, Pool]

    @property
    def wanted(self) -> Mapping[str, str]:
        return dict.fromkeys(self.totals, "")

    def pools(self) -> Mapping[str, Pool]:
        return self.totals
