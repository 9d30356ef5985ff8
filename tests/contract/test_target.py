"""One suite for targets: the simulated one always, the Slurm plugin on the lab's cloud."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burstd.domain.jobs import Shape
from burstd.domain.targets import RemoteState, RunState, WorkKey, WorkOrder
from burstd.ports.errors import Rejected, Unreachable
from burstd.testing.contracts.target import FarEnd, TargetContract
from lab import Lab
from tests.contract.far_ends import CloudFarEnd, SimulatedFarEnd
from tests.contract.far_shell import ShellFarEnd


class TestSimulatedTarget(TargetContract):
    @pytest.fixture
    def far(self) -> FarEnd:
        return SimulatedFarEnd()


KEY = WorkKey("b-000000000001")
#: What delimits, ends lines, counts, and moves terminals; none of it spells a state.
HOSTILE = "|\n\r\x00\x1b7:. \u0667x"


class TestSlurmTargetOnASimulatedSlurm(TargetContract):
    @pytest.fixture
    def far(self, tmp_path: Path) -> FarEnd:
        return ShellFarEnd(tmp_path)


def test_a_stranger_who_got_the_id_of_lost_work_is_never_cancelled(tmp_path: Path) -> None:
    far = ShellFarEnd(tmp_path)
    order = WorkOrder(WorkKey("b-ours"), "alice", Shape(), timedelta(hours=1), far.image)
    ours = far.target.submit(order)
    far.slurm.crash()
    assert ours == far.slurm.submit("cae07", "stranger", "hpc")
    far.slurm.schedule()
    far.target.cancel(order.key)

    assert "RUNNING" == far.slurm.job(ours).state
    assert far.target.find(order.key) is None
    cancels = [command for command in far.slurm.commands if command[0] == "scancel"]
    assert cancels
    assert all("--name=b-ours" in command for command in cancels)


def test_a_burstd_that_was_replaced_meanwhile_brings_its_own_program_along(tmp_path: Path) -> None:
    far = ShellFarEnd(tmp_path)
    order = WorkOrder(WorkKey("b-ours"), "alice", Shape(), timedelta(hours=1), far.image)
    far.target.submit(order)
    assert {} == far.shell.files
    assert RunState.NEVER is far.target.run_state(order.key, "alice")
    assert [far.shell.compiled] == [path for path in far.shell.files if "burst-far" in path]

    again = ShellFarEnd(tmp_path)
    again.target.ticket(order.key, "alice", "ssh-ed25519 AAAA")
    assert far.shell.files.keys() == again.shell.files.keys()


def test_all_stores_are_tidied_whoever_is_locked_out_there(tmp_path: Path) -> None:
    far = ShellFarEnd(tmp_path, users={"alice": "cae01", "bob": "cae02", "carol": "cae01"})
    far.shell.locked = frozenset({"cae01"})
    with pytest.raises(Rejected, match="ssh"):
        far.target.tidy()
    limits = ["--store-bytes=214748364800", "--store-days=30"]
    wanted = ["--root", "/scratch/burst", *limits]
    assert [("cae01", wanted), ("cae02", wanted)] == far.shell.tidied


def test_a_groups_store_is_tidied_once(tmp_path: Path) -> None:
    far = ShellFarEnd(tmp_path, more={"store_group": "cae", "service_user": "burst"})
    far.target.tidy()
    assert ["burst"] == [user for user, words in far.shell.tidied if words[-1] == "--store-shared"]


@pytest.mark.parametrize("hours", [1, -1])
def test_an_end_is_seen_though_the_far_clock_was_set_meanwhile(tmp_path: Path, hours: int) -> None:
    far = ShellFarEnd(tmp_path)
    order = WorkOrder(WorkKey("b-ours"), "alice", Shape(), timedelta(hours=1), far.image)
    far.target.submit(order)
    far.target.start(order.key)
    far.slurm.clock.at += timedelta(hours=hours)
    far.slurm.schedule()
    far.finish(order.key, 0)
    far.slurm.clock.at -= timedelta(hours=hours)
    assert RemoteState.ENDED is far.target.poll([order.key])[order.key].state


class TestAnAnswerThatWasTamperedWith:
    """Whatever comes of it is the truth or nothing: never another state, never an absence."""

    @pytest.fixture
    def far(self, tmp_path: Path) -> ShellFarEnd:
        far = ShellFarEnd(tmp_path)
        order = WorkOrder(KEY, "alice", Shape(), timedelta(hours=1), far.image)
        far.target.submit(order)
        far.target.start(KEY)
        far.slurm.schedule()
        return far

    def judge(self, far: ShellFarEnd) -> str:
        try:
            found = far.target.find(KEY)
            seen = far.target.poll([KEY])[KEY]
        except Unreachable as error:
            return str(error)
        assert found is not None
        assert found.state in {RemoteState.RUNNING, RemoteState.UNKNOWN}
        assert seen.state in {RemoteState.RUNNING, RemoteState.UNKNOWN}
        return seen.remark

    def test_it_ends_anywhere(self, far: ShellFarEnd) -> None:
        whole = [""]
        far.shell.garble = lambda text: whole.append(text) or text  # type: ignore[func-returns-value]
        self.judge(far)
        for length in range(len(whole[-1])):
            far.shell.garble = lambda text, length=length: text[:length]  # type: ignore[misc]
            assert "cut off" in self.judge(far)

    @given(st.data())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_some_of_it_is_other_bytes(self, far: ShellFarEnd, data: st.DataObject) -> None:
        def other(text: str) -> str:
            at = data.draw(st.integers(0, len(text) - 1))
            upto = data.draw(st.integers(at, min(at + 9, len(text))))
            noise = data.draw(st.text(alphabet=HOSTILE, max_size=9))
            return text[:at] + noise + text[upto:]

        far.shell.garble = other
        self.judge(far)

    @pytest.mark.parametrize(
        "lines",
        [
            "[]",
            "null",
            '{"jobs": []}',
            "squeue: error: odd",
            "7|COMPLETED|0:0",
            "\x1b[2J",
            "||||||",
        ],
    )
    def test_it_is_something_else(self, far: ShellFarEnd, lines: str) -> None:
        far.shell.garble = lambda _: f"{lines}\n\n{lines}\nwhole\n"
        assert "can't be read" in self.judge(far)
        assert RemoteState.UNKNOWN is far.target.poll([KEY])[KEY].state


@pytest.mark.lab
class TestSlurmTarget(TargetContract):
    @pytest.fixture
    def far(self, lab: Lab, tmp_path: Path) -> Iterator[FarEnd]:
        far = CloudFarEnd(lab, tmp_path)
        yield far
        far.login.run(["scancel", "--user=cae01"], "burst", check=False)
        far.login.sh("rm -f /scratch/burst/bin/burst-far-*.pyz /scratch/burst/images/2*.sqfs")
