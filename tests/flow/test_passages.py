"""Files that pass through a bucket: keys, and addresses for agents."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from burstd.api.passages import Passages, Wish
from burstd.cli import client
from burstd.domain.burst import BurstId, Stage
from burstd.far import seal
from burstd.ports.bucket import Bucket, Stored
from burstd.ports.errors import Unreachable
from burstd.shell.keyring import key_of
from burstd.testing.contracts.bucket import send
from tests.contract.s3 import S3Server
from tests.flow.conftest import ME, Serve
from tests.flow.passing import A, B, R, a_scene, addresses, left, ticket, with_passage
from tests.flow.scene import CLOUD, Scene


@pytest.fixture
def scene(tmp_path: Path, serve: Serve, server: S3Server) -> Scene:
    return a_scene(tmp_path, serve, server)


def test_an_agent_gets_the_key_of_its_burst_and_single_addresses(
    scene: Scene, server: S3Server
) -> None:
    key = ticket(scene)["seal"]
    assert seal.KEY == len(bytes.fromhex(key))
    assert key == ticket(scene)["seal"]
    found = addresses(scene, put=[A, R], get=[A, R])
    for address, name in zip(found["put"], (A, R), strict=True):
        assert 200 == send("PUT", address, name.encode())[0]
    for address, name in zip(found["get"], (A, R), strict=True):
        assert (200, name.encode()) == send("GET", address)
    (kept,) = scene.store.seal_keys()
    place, id = kept.place, scene.burst().id
    assert server.everything() == [
        f"burstd/{place}/packs/{'a' * 64}",
        f"burstd/{place}/results/{id}/{'c' * 64}",
    ]
    assert (f"burst:{id}", "eu") == (kept.scope, kept.bucket)
    assert key not in str(kept) and ME not in place
    opened = key_of(scene.burst(), scene.world.passages["eu"], scene.world)
    assert opened.key.hex() == key and repr(opened.key) not in repr(opened)


def test_a_pack_that_lies_there_is_not_left_again_unless_it_is_bad(scene: Scene) -> None:
    left(scene, A)
    scene.clock.forward(seconds=200)
    assert [True, False] == [one is None for one in addresses(scene, put=[A, B])["put"]]
    assert [False] == [one is None for one in addresses(scene, put=[A], bad=[A])["put"]]
    assert 404 == send("GET", addresses(scene, get=[A])["get"][0])[0]


@pytest.mark.parametrize("name", ["packs/../x", "packs/" + "A" * 64, "x/" + "a" * 64, "", R + "/"])
def test_other_names_have_no_address(scene: Scene, name: str) -> None:
    for verb in ("put", "get", "bad"):
        with pytest.raises(client.Answerless):
            addresses(scene, **{verb: [name]})


def test_over_the_line_there_are_none(scene: Scene) -> None:
    sites: Any = scene.world.sites
    sites[CLOUD] = replace(sites[CLOUD], passage="")
    assert ticket(scene)["seal"] is None
    with pytest.raises(client.Answerless, match="pass through no bucket"):
        addresses(scene, put=[A])


def test_a_sites_key_that_can_not_be_used_keeps_jobs_waiting(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "site.key").chmod(0o644)
    with pytest.raises(client.Answerless, match="chmod 600") as caught:
        ticket(scene)
    assert client.UNREACHABLE == caught.value.code
    assert Stage.STAGING_IN is scene.burst().stage


@dataclass
class Hanging:
    """A bucket that does not answer the first who lists it, until it is let go."""

    bucket: Bucket
    asked: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def listed(self, below: str) -> Iterator[Stored]:
        if not self.asked.is_set():
            self.asked.set()
            assert self.go.wait(60)
        return self.bucket.listed(below)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bucket, name)


def test_a_list_that_takes_long_holds_up_nobody_elses(
    scene: Scene, server: S3Server, tmp_path: Path
) -> None:
    hanging: Any = Hanging(server.opened("burstd/"))
    with_passage(scene, hanging, tmp_path)
    other = replace(scene.burst(), id=BurstId("b-other"))
    passages, wish = Passages(), Wish(put=[A])
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(passages.addresses, scene.burst(), wish, scene.world)
        assert hanging.asked.wait(60)
        second = threads.submit(passages.addresses, other, wish, scene.world)
        done = wait([second], 5).done
        hanging.go.set()
    assert {second} == done
    assert first.result().keys() == second.result().keys()


def test_a_bucket_that_is_away_keeps_jobs_waiting(
    scene: Scene, server: S3Server, tmp_path: Path
) -> None:
    with_passage(scene, server.elsewhere(), tmp_path)
    with pytest.raises(client.Answerless) as caught:
        addresses(scene, put=[A])
    assert client.UNREACHABLE == caught.value.code


def test_a_bucket_that_is_away_is_not_asked_by_everybody_one_after_the_other(
    scene: Scene, server: S3Server, tmp_path: Path
) -> None:
    asked = list[str]()

    class Away:
        def listed(self, below: str) -> Iterator[Stored]:
            asked.append(below)
            raise Unreachable("it hangs")

    with_passage(scene, cast(Bucket, Away()), tmp_path)
    for _ in range(3):
        with pytest.raises(client.Answerless, match="it hangs"):
            addresses(scene, put=[A])
    assert 1 == len(asked)
    with_passage(scene, server.opened("burstd/"), tmp_path)
    scene.clock.forward(seconds=11)
    assert addresses(scene, put=[A])["put"]
