"""A stand-in that ended before its results were home: they remain at the target for its user."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from burstd.agent.api import Api, Denied
from burstd.api.desk import Desk
from burstd.api.figures import figures
from burstd.cli import client
from burstd.cli.burst import app
from burstd.domain.burst import Burst, Stage
from burstd.domain.data import OutputFile, row_of
from burstd.ports import depot
from burstd.ports.depot import Growing
from burstd.ports.errors import Mismatch, Rejected, Unreachable
from burstd.shell.clearing import clear
from burstd.testing.slurm import KILL_WAIT
from tests.flow.conftest import Serve
from tests.flow.scene import CALCULIX, CLOUD, Scene
from tests.flow.test_remains import AGE, Far, entry, fetching, home, pull, scene, ticket

__all__ = ["fetching", "home", "scene"]  # the same site, whose targets keep what remains

RESULTS = ("beam.frd", "beam.dat", "fields/t1.big", "x.tmp")


def results(home: Path) -> dict[str, bytes]:
    return {f"{home}/{name}": name.encode() * 9 for name in RESULTS}


def cancelled(scene: Scene, home: Path, said: bool = True) -> Burst:
    """KillWait is over before anything of it is home."""
    burst = scene.until(Stage.RUNNING)
    scene.turn()
    if said:
        body = {"roots": [str(home)], "marks": {}, "secret": "5e"}
        scene.store.report(burst.id, "staged_in", body)
    scene.agents.asleep = True
    scene.slurm.cancel("1")
    scene.clock.forward(seconds=KILL_WAIT.total_seconds())
    return scene.until(Stage.SETTLED)


@dataclass
class Ended(Far):
    """Its runner's sealed record is there."""

    listed: tuple[OutputFile, ...] = ()
    said: bytes = b""

    def growing(self) -> Growing:
        return Growing(stdout=len(self.said), over=True)

    def read(self, what: str, offset: int, length: int) -> bytes:
        if self.cuts:
            self.cuts -= 1
            raise Unreachable("cut")
        return self.said[offset : offset + length] if what == "stdout" else b""

    def outputs(self, secret: str) -> depot.Ended:
        if secret != "5e":
            raise Mismatch("the seal is another's")
        return depot.Ended(self.listed)


def far(home: Path) -> Ended:
    tree = results(home)
    listed = tuple(entry(path, content) for path, content in tree.items())
    return Ended(tree, listed=(*listed, OutputFile(f"{home}/fields", "dir")))


def listed(scene: Scene, home: Path) -> Burst:
    burst = cancelled(scene, home)
    rows = [row_of(entry(path, content)) for path, content in results(home).items()]
    scene.store.report(burst.id, "listing", {"files": rows})
    return burst


def test_all_of_it_remains_and_the_job_says_where(scene: Scene, home: Path) -> None:
    burst = cancelled(scene, home)
    assert "CANCELLED" == scene.slurm.job("1").state
    assert [] == scene.target.cleaned
    assert burst.remains is not None
    assert burst.stage_since is not None
    assert (True, AGE) == (burst.remains.unlanded, burst.remains.until - burst.stage_since)
    shown = json.loads(CliRunner().invoke(app, ["show", "1", "--json"]).output)["burst"]
    assert shown["remains"]["unlanded"] is True
    assert "burst pull" in shown["cause"]
    assert scene.slurm.comments["1"].endswith(" results=cloud")

    scene.clock.forward(days=7)
    clear(scene.world)
    assert [burst.work_key] == scene.target.cleaned
    pull("beam.frd", code=3)


def test_nothing_is_kept_where_the_target_keeps_nothing(scene: Scene, home: Path) -> None:
    site = scene.world.sites[CLOUD]
    scene.world = replace(scene.world, sites={CLOUD: replace(site, keeps=timedelta())})
    burst = cancelled(scene, home)
    assert (None, [burst.work_key]) == (burst.remains, scene.target.cleaned)


def test_one_that_never_began_leaves_nothing(scene: Scene, home: Path) -> None:
    burst = scene.until(Stage.SUBMITTED)
    scene.agents.asleep = True
    scene.slurm.cancel("1")
    scene.clock.forward(seconds=KILL_WAIT.total_seconds())
    assert scene.until(Stage.SETTLED).remains is None
    assert [burst.work_key] == scene.target.cleaned


def test_what_is_home_does_not_remain(scene: Scene, home: Path) -> None:
    scene.until(Stage.RUNNING)
    scene.turn()
    scene.slurm.cancel("1")
    assert scene.until(Stage.SETTLED).remains is None


def test_who_fetches_looks_first_which_files_there_are(
    scene: Scene, home: Path, fetching: Any, serve: Serve
) -> None:
    apps = {"calculix": replace(CALCULIX, scratch=("*.tmp",), on_demand=("*.big",))}
    scene.world = replace(scene.world, applications=apps)
    serve(scene)
    burst = cancelled(scene, home)
    scene.store.report(burst.id, "remains", {"files": [row_of(entry(f"{home}/t1.big", b""))]})
    found = client.ask("/v1/jobs/1/pull")["remains"]
    assert (True, False, []) == (found["unlanded"], found["listed"], found["files"])
    assert not client.ask("/v1/jobs/1/pull?glob=*", "POST")["remains"]["listed"]

    one, said = fetching(far(home))
    one.look(burst.id)
    assert {"files": 3, "notes": ["1 scratch files, 0.0 MB, were not brought back"]} == said[-1]
    assert () == scene.burst().fetches  # a list costs nothing
    told = pull()
    assert "3 files, 0.0 MB, never came home and remain at cloud until" in told
    assert "x.tmp" not in told

    one.bring(burst.id, [f"{home}/{name}" for name in RESULTS[:2]])
    assert RESULTS[:2] == tuple(sorted((p.name for p in home.iterdir()), reverse=True))
    assert (2, 144) == (scene.burst().fetches[0].files, scene.burst().fetches[0].size)


def test_who_wants_all_gets_links_directories_and_its_output_as_well(
    scene: Scene, home: Path, fetching: Any
) -> None:
    scene.world.rules.policy = replace(scene.world.policy, links=True)
    burst = cancelled(scene, home)
    others = (
        OutputFile(f"{home}/empty", "dir", mode=0o750),
        OutputFile(f"{home}/last", "symlink", target="fields/t1.big"),
        OutputFile(f"{home}/door", "fifo"),
    )
    there = far(home)
    there.listed, there.said = (*there.listed, *others), b"the last words\n"
    one, said = fetching(there)
    one.look(burst.id)
    out = home / f"burst-{burst.id}.out"
    told = [row["path"] for row in client.ask("/v1/jobs/1/pull")["remains"]["files"]]
    assert {str(out), *results(home)} == set(told)

    one.bring(burst.id, [str(out)])  # a part of it: nothing else comes along
    assert [out] == list(home.iterdir())
    assert there.said == out.read_bytes()

    there.cuts = 3
    out.unlink()
    one.bring(burst.id, told)
    assert there.said == out.read_bytes()
    assert results(home)[f"{home}/fields/t1.big"] == (home / "last").read_bytes()
    assert 0o750 == (home / "empty").stat().st_mode & 0o777
    assert [f"{home}/door was not brought back: it is a fifo"] == said[-1]["notes"]
    one.bring(burst.id, told)
    assert 7 == len(list(home.iterdir()))


def test_what_the_target_cannot_read_is_told_and_all_else_comes(
    scene: Scene, home: Path, fetching: Any
) -> None:
    burst = cancelled(scene, home)
    lost, there = OutputFile(f"{home}/x.dat", "unreadable", target="Input/output error"), far(home)
    there.listed = (lost, *there.listed, OutputFile(f"{home}/zero", "dir"))
    one, said = fetching(there)
    one.look(burst.id)
    assert [f"{home}/x.dat cannot be read there: Input/output error"] == said[-1]["notes"]
    with pytest.raises(Rejected, match=r"x\.dat does not come"):
        one.bring(burst.id, list(results(home)))
    assert {*results(home), f"{home}/zero"} <= {str(path) for path in home.rglob("*")}


def test_what_came_of_its_output_before_a_cut_stays(
    scene: Scene, home: Path, fetching: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burstd.agent.fetch.BLOCK", 5)
    burst, there = cancelled(scene, home), far(home)
    there.said, asked, read = b"the last words\n", list[int](), there.read

    def cut_once(what: str, offset: int, length: int) -> bytes:
        asked.append(offset)
        if asked == [0, 5]:
            raise Unreachable("cut")
        return read(what, offset, length)

    monkeypatch.setattr(there, "read", cut_once)
    one, _ = fetching(there)
    one.look(burst.id)
    out = home / f"burst-{burst.id}.out"
    one.bring(burst.id, [str(out)])
    assert [0, 5, 5, 10] == asked
    assert there.said == out.read_bytes()


def test_its_output_does_not_replace_what_somebody_else_has_put_there(
    scene: Scene, home: Path, fetching: Any
) -> None:
    burst, there = cancelled(scene, home), far(home)
    there.said = b"the last words\n"
    one, said = fetching(there)
    one.look(burst.id)
    out = home / f"burst-{burst.id}.out"
    out.write_text("mine")
    one.bring(burst.id, [str(out)])
    assert "mine" == out.read_text()
    assert there.said == (home / f"{out.name}.burst-{burst.id}").read_bytes()
    assert ["was changed on-prem"] == [n[len(str(out)) + 1 :][:19] for n in said[-1]["notes"]]


def test_a_live_copy_of_it_is_replaced_and_a_users_file_is_not(
    scene: Scene, home: Path, fetching: Any
) -> None:
    burst, tree = listed(scene, home), results(home)
    (home / "beam.frd").write_bytes(tree[f"{home}/beam.frd"][:7])
    (home / "beam.dat").write_text("mine")
    one, _ = fetching(far(home))
    one.bring(burst.id, [f"{home}/beam.frd", f"{home}/beam.dat"])
    assert tree[f"{home}/beam.frd"] == (home / "beam.frd").read_bytes()
    assert "mine" == (home / "beam.dat").read_text()
    assert 3 == len(list(home.iterdir()))


def test_an_input_that_it_has_changed_comes_in_place(
    scene: Scene, home: Path, fetching: Any
) -> None:
    old = home / "beam.frd"
    old.write_text("as it left")
    seen, burst = old.stat(), listed(scene, home)
    marks = {str(old): [seen.st_size, seen.st_mtime_ns, seen.st_ino]}
    body = {"roots": [str(home)], "marks": marks, "secret": "5e"}
    scene.store.report(burst.id, "staged_in", body)
    one, _ = fetching(far(home))
    one.bring(burst.id, [str(old)])
    assert results(home)[str(old)] == old.read_bytes()
    assert [old] == list(home.iterdir())


def test_a_forged_list_is_none(scene: Scene, home: Path, fetching: Any) -> None:
    burst = cancelled(scene, home)
    body = {"roots": [str(home)], "marks": {}, "secret": "00"}
    scene.store.report(burst.id, "staged_in", body)
    one, said = fetching(far(home))
    with pytest.raises(Mismatch):
        one.look(burst.id)
    assert [] == said
    assert not client.ask("/v1/jobs/1/pull")["remains"]["listed"]


def test_there_is_a_way_to_look_before_anything_is_paid(scene: Scene, home: Path) -> None:
    burst = cancelled(scene, home)
    assert None is ticket(burst)["seal"]
    scene.clock.forward(days=8)
    with pytest.raises(Denied, match="this burst is settled"):
        ticket(burst)


def test_an_alarm_sees_it_until_somebody_has_fetched(scene: Scene, home: Path) -> None:
    def unlanded() -> int:
        desk = Desk(scene.world, scene.memory, frozenset(), scene.clock.now())
        return figures(desk).unlanded["cloud"]

    assert 0 == unlanded()
    burst = listed(scene, home)
    assert 1 == unlanded()
    Api(client.SOCKET).post(f"/v1/standins/{burst.id}/fetches", {"paths": [f"{home}/beam.frd"]})
    assert 0 == unlanded()


def test_a_list_that_is_empty_says_so(scene: Scene, home: Path) -> None:
    burst = cancelled(scene, home)
    scene.store.report(burst.id, "listing", {"files": []})
    assert "Nothing of this job remains" in pull(code=3)
