"""The ledger is restored from a backup: burstd sees that it is older than the world and stops."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from burstd.adapters.witness import FileWitness
from burstd.domain.burst import Stage
from burstd.domain.targets import WorkKey
from burstd.ports.errors import NoRoom, Unreachable
from burstd.shell.vouched import VouchedTarget
from burstd.testing.simulators import in_file, store_in
from burstd.testing.target import SimulatedTarget
from tests.flow.scene import Scene


class Backup:
    """A scene whose ledger is a file, and a copy of that file."""

    def __init__(self, directory: Path) -> None:
        self.file, self.copy = directory / "ledger.db", directory / "backup.db"
        self.scene = Scene(database=in_file(self.file))

    def take(self) -> None:
        self.scene.database.dispose()
        shutil.copy(self.file, self.copy)

    def restore(self) -> None:
        """burstd was stopped, its ledger is replaced, and it is started."""
        self.scene.database.dispose()
        shutil.copy(self.copy, self.file)
        self.scene.store = store_in(self.scene.database, self.scene.clock)
        self.scene.agents.store = self.scene.store
        self.scene.start()


@pytest.fixture
def backup(tmp_path: Path) -> Backup:
    backup = Backup(tmp_path)
    backup.scene.slurm.submit(name="first", minutes=120)
    backup.scene.finish("1")
    return backup


@pytest.mark.parametrize(
    ("taken", "later"),
    [
        (None, Stage.STAGING_IN),
        (None, Stage.RUNNING),
        (None, Stage.SETTLED),
        (Stage.CLAIMING, Stage.STAGING_IN),
        (Stage.CLAIMING, Stage.RUNNING),
        (Stage.CLAIMING, Stage.SETTLED),
        (Stage.SUBMITTED, Stage.RUNNING),
        (Stage.SUBMITTED, Stage.SETTLED),
        (Stage.RUNNING, Stage.SETTLED),
    ],
)
def test_a_restored_ledger_touches_nothing_until_it_is_accepted_and_runs_nothing_twice(
    backup: Backup, taken: Stage | None, later: Stage
) -> None:
    scene = backup.scene
    if taken is None:
        backup.take()
    scene.slurm.submit(name="beam", minutes=120)
    if taken is not None:
        scene.until(taken, "2")
        backup.take()
    if later is Stage.SETTLED:
        scene.finish("2")
    else:
        scene.until(later, "2")
    backup.restore()
    changes, calls = scene.slurm.changes, list(scene.target.calls)
    scene.slurm.slots = 1
    scene.turn(5)

    assert "record" in scene.store.ledger().suspect
    assert changes == scene.slurm.changes
    assert not {"submit", "start", "cancel", "clean"} & set(scene.target.calls[len(calls) :])
    scene.store.accept("root")
    for _ in range(40):
        scene.turn()
        scene.target.finish_all()
        assert scene.living("beam") <= 1
    assert scene.executions("beam") <= 1
    assert "" == scene.store.ledger().suspect


def test_a_stand_in_of_a_burst_that_the_ledger_lost_is_never_burst_or_sent_home(
    backup: Backup,
) -> None:
    scene = backup.scene
    backup.take()
    scene.slurm.submit(name="beam", minutes=120)
    scene.until(Stage.RUNNING, "2")
    backup.restore()
    scene.turn()
    scene.store.accept("root")
    scene.slurm.slots = 1
    scene.turn(20)

    assert ("RUNNING", "burst") == (
        scene.slurm.job("2").state, scene.slurm.job("2").shown["Partition"],
    )  # fmt: skip
    assert [] == [b for b in scene.bursts("2") if b.stage is not Stage.RETURNED]
    assert (2, []) == (len(scene.target.executions), scene.slurm.runs)
    assert () == scene.store.open_bursts()


def test_a_target_remembers_when_even_the_file_beside_the_ledger_was_restored(
    backup: Backup,
) -> None:
    scene = backup.scene
    scene.slurm.submit(name="beam", minutes=120)
    scene.until(Stage.STAGING_IN, "2")
    backup.take()
    beside = scene.witness.text
    scene.finish("2")
    backup.restore()
    scene.witness.text = beside
    scene.turn(3)

    assert "cloud remembers record" in scene.store.ledger().suspect
    told = [r.detail for r in scene.store.audit() if r.action == "ledger.suspected"]
    assert [("cloud", scene.target.marks["onprem"])] == [
        (d["witness"], d["remembers"]) for d in told
    ]


def test_what_a_far_end_makes_up_is_no_reason_to_stop_unless_it_is_a_head(backup: Backup) -> None:
    scene = backup.scene
    scene.target.marks["onprem"] = "../../etc\nnonsense"
    scene.start()
    scene.slurm.submit(name="beam", minutes=120)
    assert Stage.SETTLED is scene.finish("2").stage


def test_after_it_was_accepted_the_witnesses_remember_the_new_log(backup: Backup) -> None:
    scene = backup.scene
    backup.take()
    scene.slurm.submit(name="beam", minutes=120)
    scene.finish("2")
    backup.restore()
    scene.turn()
    scene.store.accept("root")
    scene.slurm.submit(name="third", minutes=120)
    scene.finish("3")
    scene.start()
    scene.turn(2)

    assert "" == scene.store.ledger().suspect
    assert str(scene.store.head()) == scene.witness.text
    assert ["operator.accept"] == [r.action for r in scene.store.audit() if r.actor == "root"]


def test_a_job_requeued_after_its_trip_has_the_shape_again_in_which_it_was_submitted() -> None:
    scene = Scene()
    scene.slurm.submit(name="pair", minutes=120, NumNodes="2-2", NumTasks="2", NumCPUs="2")
    scene.finish()
    job = scene.slurm.job("1")
    assert ("1", "UNLIMITED") == (job.shown["NumNodes"], job.shown["TimeLimit"])
    scene.slurm.requeue("1")
    scene.finish()

    trips = [b.stage for b in scene.bursts("1")]
    assert [Stage.SETTLED, Stage.RETURNED, Stage.SETTLED] == trips
    record = scene.burst("1").record
    assert record is not None
    assert ("cae", "2-2", "02:00:00", False) == (
        record.fields["partition"], record.fields["numnodes"], record.fields["timelimit"],
        record.wish,
    )  # fmt: skip


def test_a_file_remembers_whole_or_not_at_all(tmp_path: Path) -> None:
    assert FileWitness(tmp_path / "head").kept() is None
    FileWitness(tmp_path / "head").keep("7:ab")
    witness = FileWitness(tmp_path / "head")
    witness.keep("8:cd")

    assert "8:cd" == witness.kept() == FileWitness(tmp_path / "head").kept()
    assert ["head"] == [path.name for path in tmp_path.iterdir()]
    with pytest.raises(NoRoom):
        FileWitness(tmp_path / "none" / "head").keep("9:ef")


def test_many_that_start_at_once_tell_the_target_in_turn_and_never_go_back(
    backup: Backup,
) -> None:
    """Found on a real target: two threads wrote one file."""
    store, seen, busy = backup.scene.store, list[int](), threading.Lock()

    class Slow(SimulatedTarget):
        def keep_mark(self, site: str, text: str) -> None:
            assert busy.acquire(blocking=False), "two at once"
            time.sleep(0.01)
            seen.append(int(text.partition(":")[0]))
            busy.release()

    target = VouchedTarget(Slow(backup.scene.clock), store, "onprem", "cloud", backup.scene.clock)

    def start(n: int) -> None:
        store.tell("effect.start", str(n), {})
        with suppress(Unreachable):  # there is nothing to start
            target.start(WorkKey(f"b-{n}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(start, range(24)))

    assert sorted(seen) == seen
    assert store.head().seq == seen[-1]


def test_a_target_that_does_not_answer_is_asked_once_for_all_and_soon_again(
    backup: Backup,
) -> None:
    asked, clock = list[str](), backup.scene.clock

    class Silent(SimulatedTarget):
        mute = True

        def mark(self, site: str) -> str | None:
            asked.append(site)
            if self.mute:
                time.sleep(0.05)  # its deadline; for ssh it is a minute
                raise Unreachable("no route")
            return None

    silent = Silent(clock)
    target = VouchedTarget(silent, backup.scene.store, "onprem", "cloud", clock)

    def ask(_: int) -> None:
        with pytest.raises(Unreachable, match="no route"):
            target.find(WorkKey("b-1"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(24)))
    assert ["onprem"] == asked

    silent.mute = False
    clock.forward(seconds=5)
    target.find(WorkKey("b-1"))
    assert ["onprem"] * 2 == asked
