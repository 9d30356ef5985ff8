"""The agent and the built program, from a job's inputs to its results: what the user has in that
directory is there behind it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from burstd.agent.agent import MOST_SAID, Agent
from burstd.agent.api import Denied
from burstd.agent.index import Index
from burstd.agent.memory import Memory
from burstd.agent.pace import Pace
from burstd.agent.ssh_depot import SshDepot, SshLine
from burstd.agent.standin import StandIn
from burstd.ports.errors import Rejected, Transient, Unreachable
from tests.far.kit import KEY, FarEnd

Words = dict[str, Any]
PLAIN: Words = {
    "burst": "b1", "key": KEY, "target": "far", "stage": "running", "version": 1, "every": None,
    "cause": "", "remark": "", "exit_code": 0, "signal": 0, "most_bytes": None, "costs": False,
    "time_limit_s": 60, "resolver": "all", "live": [], "links": False, "scratch": [],
    "on_demand": {"globs": [], "for": ""}, "environment": [], "stays": [], "pull": None,
}  # fmt: skip


class Api:
    """burstd, as far as an agent reports to it."""

    def __init__(self) -> None:
        self.reports: dict[str, Any] = {}

    def get(self, route: str) -> Any:
        kind = route.rpartition("/")[2]
        if kind not in self.reports:
            raise Denied(404, "no report")
        return json.loads(json.dumps(self.reports[kind]))

    def post(self, route: str, body: Mapping[str, Any]) -> Any:
        if route.endswith("/reports"):
            self.reports[body["kind"]] = json.loads(json.dumps(body["body"]))
        return {}


class Job:
    """One with a directory of its own; ``words``: what burstd says of it."""

    def __init__(self, far: FarEnd, top: Path) -> None:
        self.far, self.home, self.words, self.api = far, top / "job", {**PLAIN}, Api()
        for name in ("job", "agent"):
            (top / name).mkdir()
        script = top / "slurm_script"
        script.write_text("#!/bin/sh\nccx beam\n")
        stand_in = StandIn("7", 0, script, (), self.home, {}, merged=False)
        api: Any = self.api
        wait: Any = None
        memory = Memory(top / "agent")
        self.agent = Agent(stand_in, api, memory, lambda *_: self._depot(), wait)

    def _depot(self) -> SshDepot:
        return SshDepot(self._line(first=True), KEY, self._line)

    def _line(self, *, first: bool = False) -> SshLine:
        pipe, argv = subprocess.PIPE, self.far.argv("serve")
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, env=self.far.environment())
        return SshLine(process, Pace(lambda _moved: None), None, first)

    def begins(self) -> None:
        """Its inputs are sent, and there it starts."""
        self.agent._stage_in(self.words)
        run = self.far.run_dir
        (run / "start.1").write_text("node1 1\n")
        (run / "io").mkdir(exist_ok=True)

    def there(self, name: str) -> Path:
        """A file of its as it lies at the far end."""
        return self.far.file(f"{self.home}/{name}")

    def looks(self, *globs: str) -> None:
        """The agent, while it runs; ``globs``: what its user asks for."""
        wish = {"id": "p1", "globs": [f"{self.home}/{glob}" for glob in globs]} if globs else None
        self.agent._with_depot({**self.words, "pull": wish}, self.agent._follow)

    def ends(self) -> Mapping[str, Any]:
        """The agent, behind its end: its last report."""
        self.agent._with_depot(self.words, self.agent._stage_out)
        report: Mapping[str, Any] = self.api.reports["staged_out"]
        return report

    def tree(self) -> dict[str, bytes]:
        return {
            str(p.relative_to(self.home)): p.read_bytes()
            for p in sorted(self.home.rglob("*"))
            if p.is_file()
        }


@pytest.fixture
def job(far: FarEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr(Index, "own", lambda: Index(tmp_path / "index"))
    return Job(far, tmp_path)


@contextmanager
def output_to(path: Path, how: int = os.O_TRUNC | os.O_APPEND) -> Iterator[None]:
    """As slurmd opens it."""
    kept = [os.dup(1), os.dup(2)]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    try:
        yield
    finally:
        for number, one in enumerate(kept, 1):
            os.dup2(one, number)
            os.close(one)


def as_before(job: Job) -> None:
    """The job leaves its inputs as they are."""


def changed_and_set_back(job: Job) -> None:
    """It writes to them for a while."""
    job.there("old.sta").write_bytes(b"of another moment\n")
    job.looks("old.*")
    assert b"of another moment\n" == (job.home / "old.sta").read_bytes()
    job.there("old.sta").write_bytes(b"last week's\n")


@pytest.mark.parametrize("live", [[], ["*.sta"]], ids=["pulled", "live"])
@pytest.mark.parametrize("does", [as_before, changed_and_set_back])
def test_what_the_job_has_left_as_it_was_stays(
    job: Job, live: list[str], does: Callable[[Job], None]
) -> None:
    job.words["live"] = live
    mine = {"beam.inp": b"*NODE\n", "old.sta": b"last week's\n"}
    for name, content in mine.items():
        (job.home / name).write_bytes(content)
    job.begins()
    job.looks("*")
    does(job)
    job.there("beam.frd").write_bytes(b"result\n")
    job.looks()
    report = job.ends()
    assert (1, []) == (report["files"], report["notes"])
    assert {**mine, "beam.frd": b"result\n"} == job.tree()


def test_an_input_that_its_user_edits_meanwhile_is_his(job: Job) -> None:
    (job.home / "old.sta").write_bytes(b"last week's\n")
    job.words["live"] = ["*.sta"]
    job.begins()
    job.looks()
    (job.home / "old.sta").write_bytes(b"edited\n")
    assert [] == job.ends()["notes"]
    assert {"old.sta": b"edited\n"} == job.tree()


def test_what_is_about_to_leave_is_told_before_it_does(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is written to all the time keeps its job here, behind the first bytes."""
    for name in ("a.inp", "b.inp", "gone.inp"):
        (job.home / name).write_bytes(b"x")

    def cut(_agent: Agent, _words: Words, *_: object) -> None:
        raise Unreachable("cut")

    with monkeypatch.context() as patch, pytest.raises(Unreachable):
        patch.setattr(Agent, "_with_depot", cut)
        job.agent._stage_in(job.words)
    (job.home / "gone.inp").unlink()
    monkeypatch.setattr("burstd.agent.reading.TRIES", 0)
    (job.home / "b.inp").write_bytes(b"y" * 70_000)
    job.agent._stage_in(job.words)
    assert f"{job.home}/b.inp changes while it is read" == job.api.reports["refused"]["cause"]
    sizes = {"a.inp": 1, "b.inp": 70_000, "gone.inp": 1}
    told = {f"{job.home}/{name}": size for name, size in sizes.items()}
    assert told == job.api.reports["leaving"]["files"]


def test_a_copy_of_what_the_job_has_removed_goes_unless_it_was_an_input(job: Job) -> None:
    (job.home / "old.sta").write_bytes(b"last week's\n")
    job.words["live"] = ["*.sta"]
    job.begins()
    job.there("new.sta").write_bytes(b"1\n")
    job.looks()
    assert b"1\n" == (job.home / "new.sta").read_bytes()
    for name in ("new.sta", "old.sta"):
        job.there(name).unlink()
    job.ends()
    assert {"old.sta": b"last week's\n"} == job.tree()


def test_the_jobs_own_output_is_neither_pulled_nor_replaced(job: Job) -> None:
    """Before its first line it is an empty input that any glob matches."""
    out = job.home / "slurm-7.out"
    (job.home / "case.inp").write_bytes(b"x")
    with output_to(out):
        job.begins()
        job.looks("*")
        (job.far.run_dir / "io/stdout").write_bytes(b"iteration 1\niteration 2\n")
        job.looks("*")
        job.there("slurm-7.out").write_bytes(b"the job's script has written that\n")
        job.there("r.dat").write_bytes(b"r")
        job.looks("*.out")
        job.ends()
    said = out.read_bytes()
    assert said.startswith(b"iteration 1\niteration 2\n")
    assert b"its result is in slurm-7.out.burst-b1" in said
    assert {"case.inp", "r.dat", "slurm-7.out", "slurm-7.out.burst-b1"} == set(job.tree())


def test_a_copy_that_nobody_remembers_grows_on(job: Job) -> None:
    job.words["live"] = ["*.sta"]
    job.begins()
    job.there("beam.sta").write_bytes(b"1\n" * 200_000)
    job.looks()
    job.agent.memory.copies.clear()  # the proxy node went away
    job.there("beam.sta").write_bytes(b"1\n" * 200_000 + b"2\n")
    job.looks()
    assert b"1\n2\n" == (job.home / "beam.sta").read_bytes()[-4:]
    (job.home / "beam.sta").write_bytes(b"mine\n")
    job.looks()
    assert b"mine\n" == (job.home / "beam.sta").read_bytes()


def test_one_result_that_is_gone_keeps_no_other_back(job: Job) -> None:
    (job.home / "beam.inp").write_bytes(b"*NODE\n")
    job.begins()
    for name in "abc":
        job.there(f"{name}.dat").write_bytes(name.encode() * 300_000)
    depot = job._depot()
    assert 3 == len(depot.outputs(job.api.reports["staged_in"]["secret"]).results)
    depot.close()
    job.there("b.dat").unlink()
    for _ in range(2):
        with pytest.raises(Transient):
            job.ends()
        assert {"beam.inp", "a.dat", "c.dat"} == set(job.tree())
    place = f"{job.home}/b.dat"
    assert [f"{place} was not brought back: {place} is gone at the far end"] == job.ends()["notes"]


def test_what_the_far_user_cannot_read_keeps_no_other_back(job: Job, tmp_path: Path) -> None:
    """Files and directories of a rootless container's other users."""
    if os.geteuid():
        pytest.skip("only root gives files away")
    (job.home / "beam.inp").write_bytes(b"*NODE\n")
    job.begins()
    for name in "abc":
        job.there(f"{name}.dat").write_bytes(name.encode() * 300_000)
    (theirs := job.there("theirs")).mkdir()
    job.there("theirs/d.dat").write_bytes(b"d")
    for place, mode in ((job.there("b.dat"), 0o600), (theirs, 0o700)):
        place.chmod(mode)
    for more, others in ([], "; so it is with 1 more"), (["theirs/d.dat"], ""):
        with output_to(tmp_path / "said"), pytest.raises(Rejected) as kept:
            job.ends()
        wrong = "does not come: the target cannot read it: Permission denied"
        assert f"{job.home}/b.dat {wrong}{others}" == str(kept.value)
        assert {"beam.inp", "a.dat", "c.dat", *more} == set(job.tree())
        assert "staged_out" not in job.api.reports
        theirs.chmod(0o755)
        os.utime(job.far.run_dir / "end.json", (0, 0))  # it was not looked at for a while
    job.there("b.dat").chmod(0o644)
    os.utime(job.far.run_dir / "end.json", (0, 0))
    assert [] == job.ends()["notes"]
    assert {"beam.inp", "a.dat", "b.dat", "c.dat", "theirs/d.dat"} == set(job.tree())


def test_output_that_the_far_end_cannot_read_keeps_no_result_back(job: Job, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root gives files away")
    job.begins()
    job.there("a.dat").write_bytes(b"a")
    for name in ("stdout", "stderr"):
        (job.far.run_dir / "io" / name).write_bytes(f"{name}\n".encode())
    (job.far.run_dir / "io/stdout").chmod(0o600)
    with output_to(tmp_path / "said"):
        with pytest.raises(Rejected, match=r"the job's stdout does not come: .* denied"):
            job.looks("*.dat")
        assert ["a.dat"] == [Path(file["path"]).name for file in job.api.reports["pulled"]["files"]]
        with pytest.raises(Rejected, match=r"the job's stdout does not come: .* denied"):
            job.ends()
        (job.far.run_dir / "io/stdout").chmod(0o644)
        assert 1 == job.ends()["files"]
    assert b"stderr\nstdout\n" == (tmp_path / "said").read_bytes()


def test_output_that_slurm_appends_to_is_not_doubled_by_a_reboot(job: Job, tmp_path: Path) -> None:
    said, there = tmp_path / "said", b""
    job.begins()
    said.write_bytes(b"of an older job\n")
    for number in range(3):
        there += b"step %d\n" % number
        (job.far.run_dir / "io/stdout").write_bytes(there)
        with output_to(said, os.O_APPEND):
            (tmp_path / f"life{number}").mkdir()
            job.agent.memory = Memory(tmp_path / f"life{number}")
            job.looks()
            job.looks()
    with output_to(said, os.O_APPEND):
        job.agent.memory = Memory(tmp_path / "agent")
        job.ends()
    assert b"of an older job\n" + there == said.read_bytes()


def test_many_lines_about_results_are_some_lines_and_their_number(job: Job, tmp_path: Path) -> None:
    job.begins()
    for number in range(1500):
        job.there(f"l{number:04}").symlink_to("/etc/passwd")
    with output_to(tmp_path / "said"):
        notes = job.ends()["notes"]
    said = (tmp_path / "said").read_text().splitlines()
    assert (1001, "and 500 more of that kind") == (len(notes), notes[-1])
    assert (MOST_SAID + 1, "burstd: and 1480 more of that kind") == (len(said), said[-1])


def test_results_that_have_landed_are_not_paid_again(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is cut between two of them."""
    job.words |= {"most_bytes": 950_000, "costs": True}
    (job.home / "beam.inp").write_bytes(b"*NODE\n")
    job.begins()
    for name in "abc":
        job.there(f"{name}.dat").write_bytes(name.encode() * 300_000)
    fetch, cut = SshDepot.fetch, [True]

    def cuts(depot: SshDepot, entry: Any, *more: Any) -> None:
        if entry.path.endswith("c.dat") and cut.pop():
            raise Transient("cut")
        fetch(depot, entry, *more)

    monkeypatch.setattr(SshDepot, "fetch", cuts)
    with pytest.raises(Transient, match=r"^cut$"):
        job.ends()
    cut.append(False)
    job.ends()
    assert "oversized" not in job.api.reports
    assert {"beam.inp", "a.dat", "b.dat", "c.dat"} == set(job.tree())
