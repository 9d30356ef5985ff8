"""What burstd finds when it starts, and what a turn costs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from burstd.adapters.clock import SystemClock
from burstd.adapters.store.sql import SqlStore, open_store
from burstd.app import Settings, build, open_ledger
from burstd.config.read import read
from burstd.domain.burst import Stage
from burstd.domain.targets import TargetName
from burstd.ports.errors import Rejected
from burstd.testing.bursts import identity, plan
from tests.flow.scene import Scene


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A site without any target."""
    key = Ed25519PrivateKey.generate()
    (tmp_path / "ca").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    (tmp_path / "apps").mkdir()
    (tmp_path / "state").mkdir()
    path = tmp_path / "config.toml"
    path.write_text(
        f'[state]\ndirectory = "{tmp_path}/state"\n'
        f'[paths]\nssh_authority = "{tmp_path}/ca"\napplications = "{tmp_path}/apps"\n'
    )
    return Settings(read(path), path, {}, {})


def test_a_target_cannot_be_forgotten_while_it_may_run_something(
    settings: Settings, tmp_path: Path
) -> None:
    """Else every turn would fail on it, for every other burst too."""
    scene = Scene()
    scene.slurm.submit(name="beam", minutes=120)
    scene.slurm.schedule()
    decided = scene.tick()
    assert decided is not None
    store = open_store(tmp_path / "state/ledger.db", "onprem", SystemClock())
    (burst,) = store.record(decided)
    store.close()
    with pytest.raises(Rejected, match=f"burst {burst.id} of job 1 is planned: target 'cloud'"):
        build(settings, open_ledger(settings, SystemClock()), lambda _job: None)


def test_a_ledger_without_open_bursts_needs_no_target(settings: Settings) -> None:
    assert {} == build(settings, open_ledger(settings, SystemClock()), lambda _job: None).sites


def test_a_licence_cannot_be_forgotten_while_a_burst_has_it_booked(
    settings: Settings, tmp_path: Path
) -> None:
    store = open_ledger(settings, SystemClock())
    (placement,) = plan(identity(1)).placements
    booked = replace(placement, target=TargetName(""), licences={"abaqus": 5})
    store.record(replace(plan(), placements=(booked,)))
    with pytest.raises(Rejected, match=r"has booked abaqus: \[licences.abaqus\] must stay"):
        build(settings, store, lambda _job: None)

    with settings.path.open("a") as file:
        file.write('[licences.abaqus]\nsource = "static"\ntotal = 50\n')
    world = build(replace(settings, config=read(settings.path)), store, lambda _job: None)
    assert ["abaqus"] == [name for source in world.licences for name in source.wanted]


def test_a_turn_does_not_read_the_manifests_of_running_bursts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five hundred of some megabytes each, every turn."""
    scene = Scene()
    scene.slurm.submit(name="beam", minutes=120)
    scene.until(Stage.RUNNING)
    read_bodies: list[str] = []
    real = SqlStore.reports

    def reports(self: SqlStore, burst: object) -> object:
        read_bodies.append(str(burst))
        return real(self, burst)  # type: ignore[arg-type]

    monkeypatch.setattr(SqlStore, "reports", reports)
    scene.tick()
    assert [] == read_bodies
