"""Every decision is kept, told to those who may know it, and comes out the same once more."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from burstd.adapters.clock import SystemClock
from burstd.adapters.decisions import FileDecisions, days
from burstd.app import build, open_ledger, settings_in
from burstd.core.chronicle import in_queue_order
from burstd.domain.burst import Stage
from burstd.domain.decision import Decision
from burstd.domain.policy import Mode
from burstd.ports.errors import NoRoom
from burstd.rehearsal.again import reproduced
from burstd.testing.simulators import in_file
from tests.flow.conftest import Serve
from tests.flow.recorded import LATE, burst, configured, day, kept
from tests.flow.scene import DAY, POLICY, Scene


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "decisions"


@pytest.fixture
def scene(tmp_path: Path, serve: Serve) -> Scene:
    """We are an operator."""
    scene = day(tmp_path)
    serve(scene)
    return scene


def lines(*words: str) -> list[dict[str, Any]]:
    code, output = burst("decisions", "--json", *words)
    assert 0 == code, output
    return [json.loads(line) for line in output.splitlines()]


# --- kept


def test_each_turn_is_kept_and_comes_out_the_same(scene: Scene, directory: Path) -> None:
    decisions = kept(directory)
    found = reproduced(decisions)

    assert found.decisions == 10
    assert (found.decisions, None) == (found.same, found.first_at)
    assert scene.memory.plan is not None
    assert scene.memory.snapshot is not None
    last = decisions[-1]
    assert scene.memory.snapshot == last.snapshot
    assert in_queue_order(scene.memory.plan, last.snapshot) == last.plan
    assert "carol" in decisions[-4].ledger.frozen
    assert sum(len(one.plan.placements) for one in decisions) == len(scene.store.bursts())


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.APPROVE, Mode.AUTO])
def test_they_are_kept_in_every_mode(mode: Mode, directory: Path) -> None:
    scene = Scene(policy=replace(POLICY, mode=mode), decisions=directory)
    scene.slurm.submit(name="beam", minutes=120)
    scene.turn(3)
    assert [mode] * 3 == [one.policy.mode for one in kept(directory)]


def test_a_daemon_that_comes_up_again_goes_on_in_the_same_file(directory: Path) -> None:
    scene = Scene(decisions=directory)
    scene.slurm.submit(name="beam", minutes=120)
    scene.until(Stage.RUNNING)
    before = len(kept(directory))
    scene.start()
    scene.turn(2)
    found = reproduced(kept(directory))
    assert (before + 2, before + 2) == (found.decisions, found.same)


class FullDisk(FileDecisions):
    """Every second one has no room."""

    tried = 0

    def keep(self, decision: Decision) -> None:
        self.tried += 1
        if self.tried % 2:
            raise NoRoom("No space left on device")
        super().keep(decision)


def test_the_daemon_keeps_them_beside_its_ledger(tmp_path: Path) -> None:
    config = configured(tmp_path, whole=True)
    text = config.read_text().replace("[targets.cloud]\n", "")
    config.write_text(f'{text}[state]\ndirectory = "{tmp_path}/state"\ndecisions = "2d"\n')
    settings = settings_in(config)
    world = build(settings, open_ledger(settings, SystemClock()), lambda _job: None)
    assert world.decisions is not None
    scene = Scene()
    scene.world = replace(scene.world, decisions=world.decisions)
    for _ in range(4):
        scene.turn()
        scene.clock.forward(days=1)
    assert ["2030-01-16", "2030-01-17", "2030-01-18"] == [
        str(day) for day, _ in days(tmp_path / "state" / "decisions")
    ]


def test_a_full_disk_disturbs_no_tick(directory: Path) -> None:
    scene = Scene()
    scene.world = replace(scene.world, decisions=FullDisk(directory, DAY, "1"))
    scene.slurm.submit(name="beam", minutes=120)
    scene.finish()
    assert len(kept(directory)) > 3


def test_without_a_view_of_the_queue_nothing_is_decided_and_nothing_kept(directory: Path) -> None:
    scene = Scene(decisions=directory)
    scene.slurm.up = False
    scene.turn(2)
    assert [] == days(directory)


# --- asked for


def test_the_table_has_a_line_for_each_with_the_numbers(scene: Scene, directory: Path) -> None:
    code, output = burst("decisions")
    head, *rows = output.splitlines()

    assert 0 == code
    assert ["WHEN", "BACKLOG", "SURGE", "LEAVE", "STAY", "RESERVED", "MOSTLY"] == head.split()
    decisions = kept(directory)
    assert len(decisions) == len(rows)
    for row, one in zip(rows, decisions, strict=True):
        cells = row.split()
        assert f"{one.at:%Y-%m-%dT%H:%M:%S}Z" == cells[0]
        assert ["yes" if one.plan.surging else "no", str(len(one.plan.placements))] == cells[2:4]
        assert sum(len(d.elements) for d in one.plan.declined) == int(cells[4])
        assert sum(p.reserved for p in one.plan.placements) == Decimal(cells[5])
    assert rows[-4].endswith("2 other_partition, 1 frozen")


def test_lines_of_json_have_every_verdict(scene: Scene, directory: Path) -> None:
    found = lines()
    for line, one in zip(found, kept(directory), strict=True):
        assert one.at.isoformat() == line["at"]
        assert [str(p.identity.key) for p in one.plan.placements] == [
            p["job"] for p in line["placements"]
        ]
        said = {(job, d["text"]) for d in line["declines"] for job in d["jobs"]}
        assert {(str(k), d.text) for d in one.plan.declined for k in d.elements} == said
        assert line["leave"] == len(line["placements"])
    assert ["by"] == list(found[-4]["declines"][-1]["numbers"])


def test_a_span_of_time_is_asked_for(scene: Scene, directory: Path) -> None:
    at = [one.at for one in kept(directory)]
    since, until = at[2].isoformat(), f"{at[5]:%Y-%m-%dT%H:%M:%S}"
    assert [t.isoformat() for t in at[2:5]] == [
        line["at"] for line in lines("--since", since, "--until", until)
    ]
    assert [] == lines("--until", "2020-01-01")
    assert len(at) == len(lines("--since", "2030-01-15T14:00:00+02:00"))
    for odd in ("yesterday", "0001-01-01T00:00+02:00"):
        code, output = burst("decisions", "--since", odd)
        assert 1 == code
        assert "not a time like 2026-11-01" in output


def test_without_a_time_it_is_the_last_day(scene: Scene) -> None:
    some = len(lines())
    scene.clock.forward(days=2)
    assert [] == lines()
    assert some == len(lines("--since", "2000-01-01"))


def test_the_story_of_a_job_has_each_change_of_its_verdict(scene: Scene) -> None:
    code, output = burst("decisions", "--job", LATE)
    told = [line.split(maxsplit=3) for line in output.splitlines()]

    assert 0 == code
    assert [LATE] * 4 == [job for _, job, _, _ in told]
    assert ["stays", "stays", "leaves", "-"] == [word for _, _, word, _ in told]
    for (_, _, _, text), begins in zip(
        told,
        ("it is not waiting for resources (reason None)", "an operator has frozen bursting (by",
         "it goes to cloud", "nothing is decided on it any more"),
        strict=True,
    ):  # fmt: skip
        assert text.startswith(begins)
    assert sorted(at for at, *_ in told) == [at for at, *_ in told]


def test_the_story_of_an_array_tells_of_its_tasks_together_and_one_by_one(scene: Scene) -> None:
    whole = lines("--job", "3")
    assert [["3_1"], ["3_2"], ["3_5"]] == [t["jobs"] for t in whole if t["leaves"]]
    one = lines("--job", "3_2")
    assert [["3_2"]] == [told["jobs"] for told in one if told["leaves"]]
    assert {"cloud"} == {told["target"] for told in one if told["leaves"]}
    assert None is one[-1]["leaves"]


def test_a_job_that_nobody_has_decided_on_is_4(scene: Scene) -> None:
    assert (4, "burst: nothing was decided on a job 77 of yours in that time\n") == burst(
        "decisions", "--job", "77"
    )
    assert 1 == burst("decisions", "--job", "a b")[0]


def test_a_user_sees_own_verdicts_only(scene: Scene, serve: Serve) -> None:
    everything = lines()
    serve(scene, operator=False)
    mine = lines()
    assert len(everything) == len(mine)
    assert {(0, 0, 0)} == {(o["leave"], len(o["placements"]), len(o["declines"])) for o in mine}
    assert all({} == one["stay"] and "0" == one["reserved"] for one in mine)
    code, output = burst("decisions")
    assert 0 == code
    assert "frozen" not in output
    assert "alice" not in json.dumps(mine)
    assert 4 == burst("decisions", "--job", "1")[0]


def test_where_none_are_kept_none_are_told(tmp_path: Path, serve: Serve) -> None:
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    scene.turn(2)
    serve(scene)
    assert [] == lines()


def test_what_cannot_be_read_is_told_beside_the_rest(scene: Scene, directory: Path) -> None:
    ((_, path),) = days(directory)
    some = len(lines())
    path.write_bytes(path.read_bytes()[:-1])
    code, output = burst("decisions")
    assert 0 == code
    assert 1 + some == len(output.splitlines())  # a head, one line less, and one of what is lost
    assert f"burst: {path}: bytes" in output
    path.write_bytes(path.read_bytes().replace(b"\x1f\x8b", b"\x1f\x8c"))
    assert [] == [line for line in burst("decisions")[1].splitlines()[1:] if "burst:" not in line]
