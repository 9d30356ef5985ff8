"""One suite for licence sources: the simulated one, each format's command, and Slurm's own."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from burstd.adapters.licences.command import PARSERS, CommandSource, Feature
from burstd.adapters.slurm.licences import SlurmLicences
from burstd.ports.licences import LicenceSource
from burstd.testing.contracts.licences import LicenceContract, LicenceServer
from burstd.testing.licences import SimulatedLicences
from burstd.testing.simulators import SimulatedCommands, SimulatedSlurm, SteppedClock

TOTALS = {"abaqus": 50, "cae": 4}
WANTED = (*TOTALS, "unheard")


@dataclass
class Simulated:
    source: SimulatedLicences = field(
        default_factory=lambda: SimulatedLicences({**TOTALS, "unheard": 9}, silent={"unheard"})
    )

    def check_out(self, name: str, count: int) -> None:
        self.source.used[name] = self.source.used.get(name, 0) + count

    def go_away(self) -> None:
        self.source.up = False


def flexnet(totals: Mapping[str, int], used: Mapping[str, int]) -> str:
    return "".join(
        f"Users of {n}:  (Total of {t} license{'s'[: t != 1]} issued;  "
        f"Total of {used[n]} license{'s'[: used[n] != 1]} in use)\n\n"
        for n, t in totals.items()
    )


def rlm(totals: Mapping[str, int], used: Mapping[str, int]) -> str:
    return "\tcsci license pool status on lic3 (port 63133)\n\n" + "".join(
        f"\t{n} v3.0\n\t\tcount: {t}, # reservations: 0, inuse: {used[n]}, exp: permanent\n"
        "\t\tobsolete: 0, min_remove: 120, total checkouts: 26\n"
        for n, t in totals.items()
    )


def lmx(totals: Mapping[str, int], used: Mapping[str, int]) -> str:
    return "".join(
        f"{'-' * 40}\nFeature: {n} Version: 21.0 Vendor: ALTAIR\n"
        "Start date: NONE Expire date: 2031-01-31\n"
        "Key type: EXCLUSIVE License sharing: CUSTOM VIRTUAL\n\n"
        f"{used[n]} of {t} license(s) used{':'[: used[n]]}\n"
        for n, t in totals.items()
    )


Written = Callable[[Mapping[str, int], Mapping[str, int]], str]


@dataclass
class Commanded:
    """A licence server whose status command prints a file in one vendor's words."""

    form: str
    written: Written
    answer: Path
    used: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.check_out("abaqus", 0)

    @property
    def source(self) -> LicenceSource:
        program = f"print(open({str(self.answer)!r}).read())"
        features = {name: Feature(name) for name in WANTED}
        return CommandSource((sys.executable, "-c", program), PARSERS[self.form], features)

    def check_out(self, name: str, count: int) -> None:
        self.used[name] += count
        self.answer.write_text(self.written(TOTALS, self.used))

    def go_away(self) -> None:
        self.answer.unlink()


@dataclass
class InSlurm:
    """Licences of a simulated Slurm's own, that running jobs use."""

    slurm: SimulatedSlurm = field(default_factory=lambda: SimulatedSlurm(SteppedClock()))

    def __post_init__(self) -> None:
        self.slurm.licences = {f"{name}@lic": total for name, total in TOTALS.items()}
        self.slurm.slots = 9

    @property
    def source(self) -> LicenceSource:
        names = {name: f"{name}@lic" for name in WANTED}
        return SlurmLicences(SimulatedCommands(controller=self.slurm), names, {})

    def check_out(self, name: str, count: int) -> None:
        self.slurm.submit(Licenses=f"{name}@lic:{count}")
        self.slurm.schedule()

    def go_away(self) -> None:
        self.slurm.up = False


class TestSimulatedLicences(LicenceContract):
    @pytest.fixture
    def server(self) -> LicenceServer:
        return Simulated()


class TestCommand(LicenceContract):
    @pytest.fixture(params=[flexnet, rlm, lmx], ids=lambda written: written.__name__)
    def server(self, request: pytest.FixtureRequest, tmp_path: Path) -> LicenceServer:
        written: Written = request.param
        return Commanded(request.param.__name__, written, tmp_path / "answer")


class TestSlurm(LicenceContract):
    @pytest.fixture
    def server(self) -> LicenceServer:
        return InSlurm()
