"""burstd is killed at every call by which it removes what lies in a bucket, and begins again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from burstd.adapters.vault import FileVault
from burstd.core.audit import verify
from burstd.domain.burst import Stage
from burstd.domain.keys import Per
from burstd.domain.requests import Request, RequestKind
from burstd.shell.keyring import LAPSED, Sweeper, key_of
from burstd.shell.world import Passage, World
from burstd.testing.simulators import in_file
from tests.contract.s3 import S3Server
from tests.flow.conftest import ME
from tests.flow.scene import CLOUD, Killed, Scene

CALLS = frozenset({"destroy_key", "shredded", "forget_key", "remove", "tell"})


@dataclass
class Fuse:
    """Kills at the ``at``-th of the moments before and after each call."""

    at: int
    passed: int = 0

    def burn(self) -> None:
        self.passed += 1
        if self.passed == self.at:
            raise Killed

    def around(self, seam: Any) -> Any:
        fuse = self

        class Around:
            def __getattr__(self, name: str) -> Any:
                found = getattr(seam, name)
                if name not in CALLS:
                    return found

                def call(*words: Any, **more: Any) -> Any:
                    fuse.burn()
                    try:
                        return found(*words, **more)
                    finally:
                        fuse.burn()

                return call

        return Around()


def world_of(scene: Scene, server: S3Server, key: Path) -> World:
    bucket = server.opened("burstd/")
    passage = Passage("eu", bucket, FileVault(key), Per.BURST, LAPSED, "bucket cae", scene.link)
    sites: Any = scene.world.sites
    sites[CLOUD] = replace(sites[CLOUD], passage="eu")
    return replace(scene.world, passages={"eu": passage})


def fused(world: World, fuse: Fuse) -> World:
    passage = world.passages["eu"]
    passages = {"eu": replace(passage, bucket=fuse.around(passage.bucket))}
    return replace(world, store=fuse.around(world.store), passages=passages)


def test_whenever_it_is_killed_all_is_gone_in_the_end_and_said_once(
    endpoint: str, tmp_path: Path
) -> None:
    key = tmp_path / "site.key"
    key.touch(0o600)
    key.write_text("ab" * 32)
    for at in range(1, 100):
        place = tmp_path / str(at)
        place.mkdir()
        server = S3Server(endpoint, "AKID", "secret", place, checks_signatures=False)
        scene = Scene(database=in_file(place / "ledger.db"))
        scene.slurm.submit(user=ME, name="beam", minutes=120)
        burst = scene.until(Stage.STAGING_IN)
        world = world_of(scene, server, key)
        mine = key_of(burst, world.passages["eu"], world)
        server.write(f"burstd/{mine.place}/packs/{'a' * 64}", b"sealed")
        Sweeper().sweep(world)
        assert 1 == len(server.everything())  # it is open
        scene.store.request(burst.id, Request(RequestKind.CANCEL, "root"))
        scene.turn(6)

        fuse = Fuse(at)
        try:
            Sweeper().sweep(fused(world, fuse))
            scene.clock.forward(seconds=LAPSED.total_seconds() + 1)
            Sweeper().sweep(fused(world, fuse))
        except Killed:
            pass
        scene.start()
        world = world_of(scene, server, key)
        for _ in range(3):
            Sweeper().sweep(world)
            scene.clock.forward(seconds=LAPSED.total_seconds() + 1)
        assert [] == server.everything(), at
        assert () == scene.store.seal_keys(), at
        assert 1 == len(scene.store.shreds(f"burst:{burst.id}")), at
        assert verify(scene.store.audit())
        if fuse.passed < at:
            assert at > 12
            return
    raise AssertionError("it was killed each time")
