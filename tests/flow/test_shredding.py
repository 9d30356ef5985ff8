"""What lies in a bucket is swept away, and the site gives its word on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from burstd.adapters.vault import FileVault
from burstd.api.desk import Desk
from burstd.api.figures import figures
from burstd.cli import client
from burstd.cli.burst import app
from burstd.core.audit import to_json
from burstd.domain.burst import Stage
from burstd.domain.keys import Per
from burstd.domain.requests import Request, RequestKind
from burstd.ports.bucket import Bucket, Swept
from burstd.shell.keyring import Sweeper, key_of
from burstd.testing.contracts.bucket import send
from tests.contract.s3 import S3Server
from tests.flow.conftest import ME, Serve
from tests.flow.passing import A, R, a_scene, addresses, left, shred, ticket, with_passage
from tests.flow.scene import Scene


@pytest.fixture
def scene(tmp_path: Path, serve: Serve, server: S3Server) -> Scene:
    return a_scene(tmp_path, serve, server)


def test_what_a_burst_has_left_is_gone_once_it_is_over(scene: Scene, server: S3Server) -> None:
    left(scene, A, R)
    sweeper = Sweeper()
    sweeper.sweep(scene.world)
    assert 2 == len(server.everything())
    scene.store.request(scene.burst().id, Request(RequestKind.CANCEL, "root"))
    scene.agents.asleep = False
    scene.turn(6)
    assert scene.burst().stage.final
    sweeper.sweep(scene.world)
    assert [] == server.everything()
    (record,) = scene.store.shreds(f"burst:{scene.burst().id}")
    assert (2, "burstd") == (record.detail["objects"], record.actor)
    sweeper.sweep(scene.world)
    assert 1 == len(scene.store.shreds(f"burst:{scene.burst().id}"))

    (one,) = json.loads(shred("1", "--json"))["certificates"]
    assert one == record.detail
    assert ["key.destroyed", "effect.remove", "shredded"] == [
        r.action for r in scene.store.audit()
        if r.action in {"key.destroyed", "effect.remove", "shredded"}
    ]  # fmt: skip


def test_what_comes_back_by_an_old_address_goes_too(scene: Scene, server: S3Server) -> None:
    (late,) = addresses(scene, put=[A])["put"]
    CliRunner().invoke(app, ["quarantine", "add", "1"])
    assert 1 == len(json.loads(shred("1", "--json"))["certificates"])
    send("PUT", late, b"late")
    sweeper = Sweeper()
    sweeper.sweep(scene.world)
    assert 1 == len(server.everything())
    assert "nothing of anybody" in shred("--list")
    scene.clock.forward(seconds=4300)
    sweeper.sweep(scene.world)
    assert [] == server.everything()
    assert () == scene.store.seal_keys()


def test_while_a_human_must_look_it_stays(scene: Scene, server: S3Server) -> None:
    left(scene, A)
    CliRunner().invoke(app, ["quarantine", "add", "1", "--why", "odd"])
    assert Stage.QUARANTINED is scene.burst().stage
    Sweeper().sweep(scene.world)
    assert 1 == len(server.everything())
    found = json.loads(shred("1", "--why", "looked", "--json"))
    assert (1, "looked", ME) == tuple(found["certificates"][0][n] for n in ("objects", "why", "by"))
    assert [] == server.everything()


def test_an_open_burst_keeps_its_key(scene: Scene, server: S3Server) -> None:
    left(scene, A)
    assert "1 open bursts may need it (jobs 1)" in shred("1", code=3)
    assert 1 == len(server.everything())
    assert scene.store.seal_keys()[0].wrapped


def test_a_bucket_that_is_away_delays_the_removal_only(
    scene: Scene, server: S3Server, tmp_path: Path
) -> None:
    left(scene, A)
    CliRunner().invoke(app, ["quarantine", "add", "1"])
    with_passage(scene, server.elsewhere(), tmp_path)
    done = CliRunner().invoke(app, ["shred", "1"])
    assert 3 == done.exit_code and "its objects are still there" in done.output
    assert None is scene.store.seal_keys()[0].wrapped
    assert "destroyed" in shred("--list")
    desk = Desk(scene.world, scene.memory, frozenset(), scene.clock.now())
    assert {("eu", "living"): 0, ("eu", "destroyed"): 1} == figures(desk).keys
    with_passage(scene, server.opened("burstd/"), tmp_path)
    Sweeper().sweep(scene.world)
    assert [] == server.everything()
    assert json.loads(shred("1", "--json"))["certificates"][0]["by"] == ME


def test_a_shared_key_outlives_its_bursts_and_old_packs_go(
    scene: Scene, server: S3Server, tmp_path: Path
) -> None:
    with_passage(scene, server.opened("burstd/"), tmp_path, Per.USER)
    left(scene, A, R)
    first = ticket(scene)["seal"]
    scene.store.request(scene.burst().id, Request(RequestKind.CANCEL, "root"))
    scene.agents.asleep = False
    scene.turn(6)
    scene.slurm.submit(user=ME, name="plate", minutes=120)
    scene.until(Stage.STAGING_IN, "2")
    burst = scene.burst("2")
    assert first == key_of(burst, scene.world.passages["eu"], scene.world).key.hex()
    assert "burst shred --list" in shred("1", code=client.NEGATIVE)  # not: there is nothing
    sweeper = Sweeper()
    scene.clock.forward(seconds=700)
    sweeper.sweep(scene.world)
    assert [A[-64:]] == [name[-64:] for name in server.everything()]  # the result has come home
    scene.clock.forward(days=3650)  # of the server's clock nobody knows
    sweeper.sweep(scene.world)
    assert 1 == len(server.everything())  # it may still be asked for
    scene.store.request(burst.id, Request(RequestKind.CANCEL, "root"))
    scene.turn(6)
    scene.link.ensure_up()
    scene.clock.forward(seconds=700)
    sweeper.sweep(scene.world)
    assert [] == server.everything()
    assert scene.store.seal_keys()[0].wrapped
    found = json.loads(shred("--user", ME, "--json"))["certificates"]
    assert [f"user:{ME}"] == [one["scope"] for one in found]


@dataclass
class Overtaken:
    """A bucket of which the daemon removes the same objects while we do."""

    bucket: Bucket
    meanwhile: Callable[[], None]

    def remove(self, below: str) -> Swept:
        first, self.meanwhile = self.meanwhile, lambda: None
        first()
        return self.bucket.remove(below)


def test_who_comes_second_shows_the_certificate_of_the_log(
    scene: Scene, server: S3Server, tmp_path: Path
) -> None:
    left(scene, A)
    CliRunner().invoke(app, ["quarantine", "add", "1"])
    bucket: Any = Overtaken(server.opened("burstd/"), lambda: Sweeper().sweep(scene.world))
    with_passage(scene, bucket, tmp_path)
    (given,) = json.loads(shred("1", "--json"))["certificates"]
    (record,) = scene.store.shreds(f"burst:{scene.burst().id}")
    assert (1, record.detail) == (given["objects"], given)


def test_who_is_no_operator_shreds_nothing(scene: Scene, serve: Serve) -> None:
    left(scene, A)
    serve(scene, operator=False)
    for words in (["1"], ["--user", ME], ["--list"]):
        assert "only an operator" in shred(*words, code=client.PERMISSION)
    assert scene.store.seal_keys()[0].wrapped


def test_whose_files_is_to_be_said(scene: Scene) -> None:
    for words in ([], ["1", "--user", ME], ["--user", ME, "--account", "crash"]):
        assert "one of JOB, --user and --account" in shred(*words, code=client.USAGE)
    assert "sealed with a key of its own" in shred("--account", "nobody", code=client.NEGATIVE)
    assert "knows no job" in shred("77", code=client.NOT_FOUND)


def test_the_certificate_is_checked_with_the_chain(
    scene: Scene, tmp_path: Path, server: S3Server
) -> None:
    left(scene, A)
    CliRunner().invoke(app, ["quarantine", "add", "1"])
    shred("1")
    log = tmp_path / "audit.jsonl"
    records = [to_json(record) for record in scene.store.audit()]
    log.write_text("\n".join(map(json.dumps, records)))
    done = CliRunner().invoke(app, ["audit", "verify", str(log), "--json"])
    by = json.loads(done.output)["certificates_by"]
    signed = FileVault(tmp_path / "site.key").sign(b"")
    assert (0, [signed.public_key]) == (done.exit_code, by)


def test_one_that_somebody_else_signed_is_not_the_sites(scene: Scene, tmp_path: Path) -> None:
    scene.store.tell("shredded", "", {"certificate": "deletion", "public_key": "00" * 32,
                                      "signature": "00" * 64})  # fmt: skip
    log = tmp_path / "audit.jsonl"
    log.write_text("\n".join(json.dumps(to_json(record)) for record in scene.store.audit()))
    done = CliRunner().invoke(app, ["audit", "verify", str(log)])
    assert 3 == done.exit_code and "is not signed by its key" in done.output


def test_a_ledger_that_may_be_a_copy_sweeps_nothing(scene: Scene, server: S3Server) -> None:
    left(scene, A)
    CliRunner().invoke(app, ["quarantine", "add", "1"])
    head = replace(scene.store.head(), seq=10**6)
    scene.store.suspect("the file beside the ledger", head)
    for words in (["1"], ["--user", ME]):
        assert "SAFE mode" in shred(*words, code=client.NEGATIVE)
    assert scene.store.seal_keys()[0].wrapped
    scene.store.destroy_key(scene.store.seal_keys()[0].place, "root", "")
    Sweeper().sweep(scene.world)
    assert 1 == len(server.everything())
    scene.store.accept("root")
    Sweeper().sweep(scene.world)
    assert [] == server.everything()
