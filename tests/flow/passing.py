"""A job whose files pass through a bucket, and what its agent and an operator ask."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from burstd.adapters.vault import FileVault
from burstd.agent.passage import PACKS, RESULTS
from burstd.cli import client
from burstd.cli.burst import app
from burstd.domain.burst import Stage
from burstd.domain.keys import Per
from burstd.ports.bucket import Bucket
from burstd.shell.world import Passage
from burstd.testing.contracts.bucket import send
from burstd.testing.simulators import in_file
from tests.contract.s3 import S3Server
from tests.flow.conftest import ME, Serve
from tests.flow.scene import CLOUD, Scene

A, B = PACKS + "a" * 64, PACKS + "b" * 64
R = RESULTS + "c" * 64


def a_scene(tmp_path: Path, serve: Serve, server: S3Server) -> Scene:
    """A job of ours whose inputs are on their way to a target with a bucket."""
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    scene.target.users = {ME: "cae01"}
    with_passage(scene, server.opened("burstd/"), tmp_path)
    scene.slurm.submit(user=ME, name="beam", minutes=120)
    scene.until(Stage.STAGING_IN)
    scene.agents.asleep = True
    serve(scene)
    return scene


def with_passage(scene: Scene, bucket: Bucket, tmp_path: Path, per: Per = Per.BURST) -> None:
    key = tmp_path / "site.key"
    key.touch(0o600)
    key.write_text("ab" * 32)
    passage = Passage(
        "eu", bucket, FileVault(key), per, timedelta(days=7), "bucket cae", scene.link
    )
    sites: Any = scene.world.sites
    sites[CLOUD] = replace(sites[CLOUD], passage="eu")
    passages: Any = scene.world.passages
    passages["eu"] = passage


def addresses(scene: Scene, **wish: list[str]) -> dict[str, Any]:
    return client.ask(f"/v1/standins/{scene.burst().id}/addresses", "POST", wish)


def ticket(scene: Scene) -> dict[str, Any]:
    wish = {"public_key": "ssh-ed25519 AAAA"}
    return client.ask(f"/v1/standins/{scene.burst().id}/ticket", "POST", wish)


def left(scene: Scene, *names: str) -> None:
    for name in names:
        (address,) = addresses(scene, put=[name])["put"]
        assert 200 == send("PUT", address, name.encode())[0]


def shred(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["shred", *words])
    assert code == done.exit_code, done.output
    return done.output
