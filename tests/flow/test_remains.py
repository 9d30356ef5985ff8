"""What a profile calls on demand: it remains at the target behind the job's end, is paid for when
it is fetched, and is removed in its time."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import blake3
import pytest
from typer.testing import CliRunner

from burstd.agent.api import Api, Denied
from burstd.agent.fetch import Fetching
from burstd.cli import client
from burstd.cli.burst import app
from burstd.core.lifecycle import advance
from burstd.domain import events as ev
from burstd.domain.burst import Burst, Fetch, Stage
from burstd.domain.data import OutputFile, row_of
from burstd.domain.targets import Money
from burstd.ports.depot import Came
from burstd.ports.errors import Unreachable
from burstd.shell.clearing import clear
from burstd.testing.simulators import in_file
from tests.flow.conftest import ME, Serve
from tests.flow.scene import CALCULIX, CLOUD, POLICY, Scene
from tests.flow.test_checkpoint import stopped

AGE = timedelta(days=7)
GB = 10**9


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def scene(tmp_path: Path, home: Path, serve: Serve) -> Scene:
    """Its budget has 20 EUR; a GB costs 2 EUR on its way home."""
    policy = replace(POLICY, budget=Money(Decimal(20)), most_output=GB)
    scene = Scene(policy, database=in_file(tmp_path / "l.db"))
    site = scene.world.sites[CLOUD]
    apps = {"calculix": replace(CALCULIX, on_demand=("*.big", "fields/*"))}
    scene.world = replace(scene.world, sites={CLOUD: replace(site, keeps=AGE)}, applications=apps)
    scene.target.egress = Money(Decimal(2))
    scene.target.users = {ME: "cae01"}
    scene.slurm.submit(user=ME, name="beam", minutes=120)
    serve(scene)
    return scene


def files(home: Path) -> dict[str, bytes]:
    return {f"{home}/{name}": name.encode() * 9 for name in ("a.big", "b.big", "fields/t1")}


def entry(path: str, content: bytes, size: int | None = None) -> OutputFile:
    digest = blake3.blake3(content).hexdigest()
    return OutputFile(path, "file", len(content) if size is None else size, digest, 10**18, 0o640)


def ended(scene: Scene, home: Path, *remains: OutputFile) -> Burst:
    """Its agent has left these where they are."""
    burst = scene.until(Stage.RUNNING)
    scene.turn()
    scene.agents.asleep = True
    scene.target.finish_all()
    burst = scene.until(Stage.STAGING_OUT)
    scene.store.report(burst.id, "staged_in", {"roots": [str(home)], "marks": {}})
    if remains:
        scene.store.report(burst.id, "remains", {"files": list(map(row_of, remains))})
    scene.agents.asleep = False
    return scene.until(Stage.SETTLED)


def settled(scene: Scene, home: Path) -> Burst:
    return ended(scene, home, *(entry(path, content) for path, content in files(home).items()))


def pull(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["pull", "1", *words])
    assert code == done.exit_code, done.output
    return done.output


def test_the_agent_hears_which_and_for_how_long(scene: Scene) -> None:
    burst = scene.until(Stage.RUNNING)
    told = client.ask(f"/v1/standins/{burst.id}")["on_demand"]
    assert {"globs": ["*.big", "fields/*"], "for": "7 days"} == told


def test_what_remains_is_left_there_for_its_time_and_removed_then(scene: Scene, home: Path) -> None:
    burst = settled(scene, home)
    assert [] == scene.target.cleaned
    assert burst.remains is not None
    assert burst.stage_since is not None
    assert (3, AGE) == (burst.remains.files, burst.remains.until - burst.stage_since)
    clear(scene.world)
    assert [] == scene.target.cleaned

    scene.clock.forward(days=7)
    scene.target.away = True
    clear(scene.world)
    assert (burst,) == scene.store.remaining()
    scene.target.away = False
    clear(scene.world)
    assert [burst.work_key] == scene.target.cleaned
    assert () == scene.store.remaining()
    assert ["Settled", "Cleared"] == [e.event for e in scene.store.journal(burst.id)][-2:]
    clear(scene.world)
    assert [burst.work_key] == scene.target.cleaned
    pull("a.big", code=3)


def test_without_a_word_of_its_agent_nothing_remains(scene: Scene, home: Path) -> None:
    burst = ended(scene, home)
    assert (None, [burst.work_key]) == (burst.remains, scene.target.cleaned)


def test_words_that_are_no_files_count_for_none(scene: Scene, home: Path) -> None:
    burst = scene.until(Stage.RUNNING)
    odd: list[object] = [
        1,
        ["x"],
        ["x", -1, "", 0, 0],
        ["x", True, "", 0, 0],
        ["x", 1, "", 0, 9999],
    ]
    scene.store.report(burst.id, "remains", {"files": odd})
    assert ended(scene, home).remains is None


def test_one_that_goes_on_at_home_leaves_nothing_behind() -> None:
    scene = stopped()
    site = scene.world.sites[CLOUD]
    scene.world = replace(scene.world, sites={CLOUD: replace(site, keeps=AGE)})
    burst = scene.burst()
    assert burst.stopping
    scene.store.report(burst.id, "remains", {"files": [row_of(entry("/x", b"x"))]})
    assert scene.until(Stage.SETTLED).remains is None
    assert [burst.work_key] == scene.target.cleaned


def test_it_is_listed_and_what_is_no_glob_is_refused(scene: Scene, home: Path) -> None:
    settled(scene, home)
    listed = pull().splitlines()
    assert [f"{home}/a.big", f"{home}/b.big", f"{home}/fields/t1"] == [
        line.split()[1] for line in listed[:3]
    ]
    assert "3 files, 0.0 MB, remain at cloud until" in listed[3]
    assert 3 == len(json.loads(pull("--json"))["remains"]["files"])
    assert "nothing by that name remains of job 1" in pull("none*", code=3)
    assert "no glob" in pull("../x", code=1)


@pytest.mark.parametrize(
    ("globs", "names"),
    [
        (["*.big"], ["a.big", "b.big"]),
        (["fields"], ["fields/t1"]),
        (["*"], ["a.big", "b.big", "fields/t1"]),
        (["fields/*", "b.*"], ["b.big", "fields/t1"]),
        (["t1", "big"], []),
    ],
)
def test_a_glob_names_files_and_directories(
    scene: Scene, home: Path, globs: list[str], names: list[str]
) -> None:
    settled(scene, home)
    query = "&".join(f"glob={glob}" for glob in globs)
    found = client.ask(f"/v1/jobs/1/pull?{query}", "POST")["remains"]["files"]
    assert [f"{home}/{name}" for name in names] == [file["path"] for file in found]


# --- money


def ticket(burst: Burst) -> Any:
    return Api(client.SOCKET).post(f"/v1/standins/{burst.id}/ticket", {"public_key": "ssh x"})


def paid(burst: Burst, *paths: str) -> Any:
    return Api(client.SOCKET).post(f"/v1/standins/{burst.id}/fetches", {"paths": list(paths)})


def test_it_is_paid_for_before_there_is_a_way(scene: Scene, home: Path) -> None:
    burst = ended(scene, home, entry("/x", b"", 3 * GB), entry("/y", b"", 4 * GB))
    before = scene.store.ledger().spent
    with pytest.raises(Denied, match="this burst is settled"):
        ticket(burst)
    assert {"files": 1, "bytes": 3 * GB, "cost": "6.0000"} == paid(burst, "/x", "/unknown")
    assert None is ticket(burst)["seal"]
    assert before + 6 == scene.store.ledger().spent
    rows = json.loads(CliRunner().invoke(app, ["cost", "--json"]).output)["rows"]
    assert str(before + 6) == rows[0]["cost"]
    (record,) = [r for r in scene.store.audit() if r.action == "fetch"]
    assert (3 * GB, "6.0000", ME) == tuple(record.detail[n] for n in ("bytes", "cost", "by"))
    shown = json.loads(CliRunner().invoke(app, ["show", "1", "--json"]).output)["burst"]
    assert ["6.0000"] == [one["cost"] for one in shown["fetched"]]


def test_what_no_budget_covers_is_not_begun(scene: Scene, home: Path) -> None:
    burst = ended(scene, home, entry("/x", b"", 9 * GB), entry("/y", b"", 2 * GB))
    paid(burst, "/x")
    with pytest.raises(Denied, match=r"2.000 GB cost 4.0000 EUR on their way, policy.budget \(20"):
        paid(burst, "/y")
    assert 1 == len(scene.burst().fetches)


def test_it_counts_in_the_month_in_which_it_is_fetched(scene: Scene, home: Path) -> None:
    burst = ended(scene, home, entry("/x", b"", 3 * GB))
    start = scene.clock.now().replace(day=1, hour=0, minute=0)
    later = (start + timedelta(days=32)).replace(day=1) + timedelta(hours=1)
    scene.store.append(burst, *_kept_for(burst, timedelta(days=99)))
    scene.clock.forward(seconds=(later - scene.clock.now()).total_seconds())
    assert 0 == scene.store.ledger().spent
    paid(burst, "/x")
    assert Decimal(6) == scene.store.ledger().spent
    assert Decimal(6) == sum(
        charge.amount for charge in scene.store.ledger().charges if charge.at >= later
    )


def _kept_for(burst: Burst, age: timedelta) -> Any:
    assert burst.remains is not None
    nothing = Fetch(burst.created_at, "", 0, 0, Money(Decimal(0)))
    event = ev.Fetched(nothing, burst.remains.until + age)
    return event, advance(burst, event)


def test_a_decision_under_way_is_waited_for(
    scene: Scene, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    burst = settled(scene, home)
    monkeypatch.setattr("burstd.api.remains.PATIENCE", 0.01)
    with scene.world.paying, pytest.raises(Exception, match="burstd is deciding"):
        paid(burst, f"{home}/a.big")
    assert () == scene.burst().fetches


def test_what_is_being_fetched_remains_a_day_longer(scene: Scene, home: Path) -> None:
    burst = settled(scene, home)
    scene.clock.forward(days=6, seconds=23 * 3600)
    paid(burst, f"{home}/a.big")
    scene.clock.forward(seconds=2 * 3600)
    clear(scene.world)
    assert [] == scene.target.cleaned
    scene.clock.forward(days=1)
    clear(scene.world)
    assert [burst.work_key] == scene.target.cleaned


def test_others_can_neither_see_nor_fetch(scene: Scene, home: Path, serve: Serve) -> None:
    burst = settled(scene, home)
    theirs = replace(burst, identity=replace(burst.identity, user="bob"))
    scene.store.append(burst, *_kept_for(theirs, timedelta()))
    serve(scene, operator=False)
    for route in ("remains", "fetches", "fetching", "ticket"):
        method = "GET" if route == "remains" else "POST"
        with pytest.raises(client.Answerless, match="no such burst of yours"):
            client.ask(f"/v1/standins/{burst.id}/{route}", method, {"paths": ["/x"]})
    pull(code=4)


# --- the program that fetches


@dataclass
class Far:
    """As much of a depot as is asked for; ``cuts``: how often it is cut first."""

    tree: dict[str, bytes]
    cuts: int = 0
    asked: list[str] = field(default_factory=list)

    def expect(self, entries: Any) -> None:
        pass

    def fetch(self, entry: OutputFile, into: int, came: Came, similar: int | None) -> None:
        if self.cuts:
            self.cuts -= 1
            raise Unreachable("cut")
        self.asked.append(entry.path)
        content = self.tree[entry.path]
        os.ftruncate(into, 0)
        os.pwrite(into, content, 0)
        came(len(content))

    def close(self) -> None:
        pass


@pytest.fixture
def fetching(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr("burstd.agent.fetch.AGAIN", 0.01)
    said: list[Any] = []

    def begin(far: Far) -> tuple[Fetching, list[Any]]:
        depot: Any = far
        return Fetching(Api(client.SOCKET), lambda _words, _keys: depot, said.append), said

    yield begin


def test_they_come_to_their_places_once_paid(scene: Scene, home: Path, fetching: Any) -> None:
    burst, tree = settled(scene, home), files(home)
    one, said = fetching(Far(tree, cuts=2))
    one.bring(burst.id, list(tree)[:2])

    assert ["a.big", "b.big"] == sorted(path.name for path in home.iterdir())
    assert tree[f"{home}/a.big"] == (home / "a.big").read_bytes()
    assert 10**18 == (home / "a.big").stat().st_mtime_ns
    assert {"files": 2, "bytes": 90} == {n: said[0][n] for n in ("files", "bytes")}
    assert list(tree)[:2] == [file["path"] for file in said[-1]["files"]]
    assert scene.clock.now() == scene.world.visited[CLOUD]

    again, _ = fetching(far := Far(tree))
    again.bring(burst.id, [f"{home}/a.big"])
    assert ([], 1) == (far.asked, len(scene.burst().fetches))  # it is there: nothing to pay


def test_names_in_any_bytes_are_listed_and_fetched(scene: Scene, home: Path, fetching: Any) -> None:
    odd = f"{home}/na\udcefve\n.big"
    burst = ended(scene, home, entry(odd, b"odd"))
    assert "na?ve?.big" in pull()
    found = client.ask("/v1/jobs/1/pull?glob=na*", "POST")["remains"]["files"]
    assert [odd] == [file["path"] for file in found]
    assert "nothing by that name" in pull("x\udcff", code=3)
    one, said = fetching(Far({odd: b"odd"}))
    one.bring(burst.id, [odd])
    assert [odd] == [file["path"] for file in said[-1]["files"]]
    assert b"odd" == Path(odd).read_bytes()


@pytest.mark.parametrize(
    "words", [b"{}", b'{"paths": []}', b'{"paths": [1]}', b"[", b'{"paths":"x"}']
)
def test_a_wish_that_is_none_is_refused(scene: Scene, home: Path, words: bytes) -> None:
    burst = settled(scene, home)
    line = socket.socket(socket.AF_UNIX)
    line.connect(client.SOCKET)
    head = f"POST /v1/standins/{burst.id}/fetches HTTP/1.0\r\nContent-Length: {len(words)}\r\n\r\n"
    line.sendall(head.encode() + words)
    assert b" 400 " in line.recv(4096).splitlines()[0]
    line.close()
    assert () == scene.burst().fetches


def test_a_file_of_the_users_stays_and_damage_is_put_aside(
    scene: Scene, home: Path, fetching: Any
) -> None:
    burst, tree = settled(scene, home), files(home)
    (home / "a.big").write_text("mine")
    one, said = fetching(Far({**tree, f"{home}/b.big": b"wrong"}))
    one.bring(burst.id, list(tree)[:2])
    assert "mine" == (home / "a.big").read_text()
    copies = {p.name: p.read_bytes() for p in home.iterdir()}
    assert tree[f"{home}/a.big"] == copies[f"a.big.burst-{burst.id}"]
    assert b"wrong" == copies[f"b.big.burst-{burst.id}.damaged"]
    assert "b.big" not in copies
    assert 2 == len(said[-1]["notes"])


def test_the_way_stays_open_while_somebody_fetches(scene: Scene, home: Path) -> None:
    burst = settled(scene, home)
    scene.turn(3)
    assert not scene.link.view().up
    client_api = Api(client.SOCKET)
    client_api.post(f"/v1/standins/{burst.id}/fetching", {})
    assert scene.link.view().up
    scene.turn(3)
    assert scene.link.view().up
    scene.clock.forward(seconds=200)
    scene.turn()
    assert not scene.link.view().up
