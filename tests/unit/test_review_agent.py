"""The agent against a hostile far end, a hostile directory, and a machine without room."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import blake3
import pytest

from burstd.agent import __main__ as program
from burstd.agent.agent import Agent
from burstd.agent.api import Denied
from burstd.agent.follow import Follower
from burstd.agent.inputs import find
from burstd.agent.landing import Landing
from burstd.agent.memory import Memory
from burstd.agent.pace import Pace
from burstd.agent.ssh_depot import SshDepot, SshLine, connector
from burstd.agent.standin import StandIn
from burstd.agent.walk import Look
from burstd.core.orders import ending
from burstd.domain.data import Mark, OutputFile
from burstd.domain.targets import Outcome
from burstd.ports.depot import Growing
from burstd.ports.errors import Unreachable


def stand_in(directory: Path, script: str = "ccx beam\n") -> StandIn:
    spooled = directory / "slurm_script"
    spooled.write_text(f"#!/bin/sh\n{script}")
    return StandIn("7", 0, spooled, (), directory, {}, merged=False)


class Words:
    """A depot whose every file holds the same words."""

    def __init__(self, path: str, text: bytes = b"ssh-ed25519 AAAA mallory\n") -> None:
        self.path, self.text = path, text

    def read(self, what: str, offset: int, length: int) -> bytes:
        return self.text[offset : offset + length]

    def growing(self) -> Growing:
        return Growing(files={self.path: len(self.text)})


def follow(depot: Words, root: Path) -> dict[str, Mark]:
    copies: dict[str, Mark] = {}
    Follower(depot, {}, {}, copies, roots=(root,)).once()  # type: ignore[arg-type]
    return copies


# --- a hostile far end


@pytest.mark.parametrize(
    "name", ["../authorized_keys", "/outside/authorized_keys", ".bashrc", ".ssh/authorized_keys",
             "link/authorized_keys", "sub/../../authorized_keys", "link"],
)  # fmt: skip
def test_the_far_end_cannot_make_us_write_outside_the_jobs_directory(
    tmp_path: Path, name: str
) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    for place in (work / "sub", work / ".ssh", outside):
        place.mkdir(parents=True)
    (work / "link").symlink_to(outside)
    path = str(tmp_path) + name if name.startswith("/") else f"{work}/{name}"

    assert {} == follow(Words(path), work)
    assert [] == [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_live_file_below_the_jobs_directory_is_copied(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    copies = follow(Words(f"{tmp_path}/sub/beam.sta", b"1 1 1\n"), tmp_path)
    assert b"1 1 1\n" == (tmp_path / "sub/beam.sta").read_bytes()
    assert {str(tmp_path / "sub/beam.sta")} == set(copies)


def test_names_from_the_far_end_cannot_drive_the_users_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    agent = Agent(stand_in(tmp_path), None, Memory(tmp_path), None, None)  # type: ignore[arg-type]
    agent._say("/home/alice/\x1b]0;pwned\x07\nburstd: all is well \udcff")
    said = capfd.readouterr().err
    assert 1 == said.count("\n")
    assert [] == [c for c in said[:-1] if not c.isprintable()]


# --- what the far end says is over


@pytest.mark.parametrize("number", [125, 64, 17, 18, 19, 20, 28, -3, 0])
def test_an_end_that_no_process_can_have_is_a_failure_all_the_same(number: int) -> None:
    """Slurm shows a job that ran out of memory as 0:125."""
    code, signalled = ending(Outcome("signalled", signal=number))
    assert (1, 0) == (code, signalled)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGXCPU])
def test_a_deadly_signal_is_passed_on(number: int) -> None:
    assert (0, number) == ending(Outcome("signalled", signal=number))


# --- a hostile or unlucky directory


def test_a_module_in_the_jobs_directory_is_not_the_agents(tmp_path: Path) -> None:
    for name in ("json", "socket", "burstd", "secrets"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the user\\'s code')\n")
    job = stand_in(tmp_path)
    done = subprocess.run(
        program.again(job), cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert "started by Slurm" in done.stderr


def test_the_jobs_locale_changes_no_name(tmp_path: Path) -> None:
    """Names are bytes; the far end has them in UTF-8."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys; os.write(1, b'%d' % sys.flags.utf8_mode); os._exit(0)"
    )
    interpreter = [word for word in program.again(stand_in(tmp_path)) if word != "-P"]
    environment = {"LC_ALL": "C.UTF-8", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        interpreter, cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert b"1" == done.stdout


def test_a_directory_that_was_removed_and_made_anew_is_the_jobs(tmp_path: Path) -> None:
    work = tmp_path / "work"
    code = (
        "import os, shutil; from burstd.agent.standin import this_one; "
        f"os.chdir({str(work)!r}); shutil.rmtree({str(work)!r}); os.mkdir({str(work)!r}); "
        "print(this_one(['script'], {'SLURM_JOB_ID': '7'}).directory)"
    )
    work.mkdir()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (f"{work}\n", "") == (done.stdout, done.stderr)


def test_a_key_that_was_made_by_half_is_made_anew(tmp_path: Path) -> None:
    """ssh-keygen was killed, or the disk was full."""
    (tmp_path / "id").write_text("half")

    class Asked(Exception):
        pass

    class Ticket:
        def post(self, _route: str, body: Mapping[str, Any]) -> dict[str, Any]:
            assert body["public_key"].startswith("ssh-ed25519 ")
            raise Asked

    connect = connector(Ticket())  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(Asked):
            connect({"burst": "b1"}, tmp_path)
    assert (tmp_path / "id").read_text().startswith("-----BEGIN")


def test_a_program_on_the_users_path_is_not_run_on_the_proxy_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "bin"
    theirs.mkdir()
    for name in ("ssh", "ssh-keygen"):
        (theirs / name).write_text(
            f"#!/bin/sh\ntouch {tmp_path}/ran-{name}\nexec /usr/bin/{name} $@\n"
        )
        (theirs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{theirs}:{os.environ['PATH']}")
    ticket = {"host": "127.0.0.1", "port": "1", "user": "x", "known_hosts": "", "certificate": "y"}

    class Issuing:
        def post(self, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
            return {"kind": "ssh", "fields": ticket, "seal": None}

    depot = connector(Issuing())({"burst": "b", "key": "b-b"}, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(Unreachable):
        depot.growing()
    depot.close()
    assert [] == list(tmp_path.glob("ran-*"))


def test_an_input_that_is_a_link_to_a_file_is_sent(tmp_path: Path) -> None:
    work, shared = tmp_path / "work", tmp_path / "shared"
    work.mkdir()
    shared.mkdir()
    (shared / "mesh.inc").write_text("*NODE\n")
    (work / "mesh.inc").symlink_to("../shared/mesh.inc")
    (work / "dangling").symlink_to("nowhere")
    (work / "endless").symlink_to("endless")
    assert str(work / "mesh.inc") in find(Look(), stand_in(work, "./solve\n"), "all")


def test_an_input_that_its_owner_may_not_read_sends_the_job_home(tmp_path: Path) -> None:
    """On-prem the job may never open that file: it must not wait for ever."""
    (tmp_path / "secret.dat").touch(mode=0)
    program = f"""
import sys; sys.path.insert(0, {str(Path.cwd())!r})
from pathlib import Path
from tests.unit.test_review_agent import *
class Told:
    def get(self, route): raise Denied(404, "no")
    def post(self, route, body): print(body["kind"], body["body"]["cause"]); return {{}}
where = Path({str(tmp_path)!r})
agent = Agent(stand_in(where), Told(), Memory(where), None, None)
agent._stage_in({{"burst": "b", "resolver": "all", "stays": [], "target": "far"}})
"""
    humble = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*humble, sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "" == done.stderr
    assert done.stdout.startswith("refused ")
    assert "secret.dat" in done.stdout


# --- no room, no answer


class _Told(Exception):
    """Ends the agent's endless loop where a test has seen enough."""


class Refusing:
    """An API that takes no report of this kind: there are too many names in the directory."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.told: list[tuple[str, Mapping[str, Any]]] = []

    def get(self, route: str) -> dict[str, Any]:
        raise Denied(404, "no report")

    def post(self, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if body["kind"] == self.kind:
            raise Denied(413, "the report is too long")
        self.told.append((body["kind"], body["body"]))
        return {}


class Nowhere:
    """A depot that takes everything."""

    def push(self, paths: object, going: object) -> list[object]:
        """Taken."""
        return []

    def order(self, *_: object) -> None:
        """Taken."""

    def close(self) -> None:
        """Closed."""


STAGE_IN = {
    "burst": "b", "resolver": "all", "environment": [], "time_limit_s": 60, "live": [],
    "stays": [], "target": "far",
}  # fmt: skip


def test_a_burstd_of_before_that_knows_no_such_report_takes_the_inputs(tmp_path: Path) -> None:
    class Older(Refusing):
        def post(self, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
            if body["kind"] == "leaving":
                raise Denied(400, "no such kind")
            return super().post(route, body)

    api = Older("none")
    agent = Agent(stand_in(tmp_path), api, Memory(tmp_path), lambda *_: Nowhere(), None)  # type: ignore[arg-type]
    agent._stage_in(STAGE_IN)
    assert ["staged_in"] == [kind for kind, _ in api.told]


@pytest.mark.parametrize("kind", ["leaving", "staged_in"])
def test_inputs_that_burstd_will_not_take_send_the_job_home(tmp_path: Path, kind: str) -> None:
    api = Refusing(kind)
    agent = Agent(stand_in(tmp_path), api, Memory(tmp_path), lambda *_: Nowhere(), None)  # type: ignore[arg-type]
    agent._stage_in(STAGE_IN)
    told = [said for said in api.told if said[0] != "leaving"]
    assert [("refused", {"cause": "the report is too long"})] == told


def test_a_full_disk_under_the_agents_memory_does_not_end_the_users_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = []

    class Away:
        def post(self, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
            turns.append(route)
            if len(turns) == 3:
                raise SystemExit(0)
            raise RuntimeError("and a fault on top")

    def become(_version: int, _seconds: int) -> None:
        raise AssertionError("what was written to the output would be forgotten, and come twice")

    gone = tmp_path / "gone"  # cannot be written to, whoever asks
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    was = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit):
            Agent(stand_in(tmp_path), Away(), Memory(gone), None, become).live()  # type: ignore[arg-type]
    finally:
        signal.signal(signal.SIGTERM, was)
    assert 3 == len(turns)


def no_other() -> SshLine:
    raise AssertionError


def test_a_way_that_is_cut_leaves_no_dead_children(tmp_path: Path) -> None:
    child = subprocess.Popen(["true"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    depot = SshDepot(SshLine(child, Pace(lambda _moved: None)), "b-1", no_other)
    with pytest.raises(Unreachable):
        depot.growing()
    depot.close()
    assert child.returncode is not None


def test_a_full_disk_under_the_jobs_own_output_does_not_end_the_job(tmp_path: Path) -> None:
    program = f"""
import sys; sys.path.insert(0, {str(Path.cwd())!r})
from tests.unit.test_review_agent import *
where = Path({str(tmp_path)!r})
agent = Agent(stand_in(where), None, Memory(where), None, None)
agent._say("no space left")
assert [] == agent.memory.said
"""
    with Path("/dev/full").open("wb") as full:
        assert (
            0
            == subprocess.run([sys.executable, "-c", program], stderr=full, check=False).returncode
        )


# --- started again after the proxy node went away


def test_a_live_copy_that_nobody_remembers_is_replaced_by_what_it_grew_into(tmp_path: Path) -> None:
    """The agent's memory went with the machine; the file on disk is the start of the result."""
    (tmp_path / "beam.sta").write_bytes(b"1 1 1\n")
    (tmp_path / "notes.txt").write_bytes(b"mine")
    landing = landed(tmp_path, {"beam.sta": b"1 1 1\n2 1 1\n", "notes.txt": b"theirs"})
    assert b"1 1 1\n2 1 1\n" == (tmp_path / "beam.sta").read_bytes()
    assert b"mine" == (tmp_path / "notes.txt").read_bytes()
    assert b"theirs" == (tmp_path / "notes.txt.burst-b").read_bytes()
    assert 1 == len(landing.notes)


def test_a_long_name_can_have_a_copy_beside_it(tmp_path: Path) -> None:
    name = "n" * 255
    (tmp_path / name).write_bytes(b"mine")
    landed(tmp_path, {name: b"theirs"})
    assert {b"mine", b"theirs"} == {p.read_bytes() for p in tmp_path.iterdir()}


def landed(root: Path, results: Mapping[str, bytes]) -> Landing:

    def fetch(entry: OutputFile, descriptor: int, _similar: int | None) -> None:
        os.pwrite(descriptor, results[Path(entry.path).name], 0)

    landing = Landing("b", (root,), {}, fetch)
    for name, content in results.items():
        digest = blake3.blake3(content).hexdigest()
        landing.land(OutputFile(f"{root}/{name}", "file", len(content), digest, 10**18))
    return landing


def test_names_that_are_not_utf8_survive_the_agents_memory(tmp_path: Path) -> None:
    memory = Memory(tmp_path, copies={"/w/\udcfc.sta": Mark(1, 2, 3)})
    memory.save()
    assert ["/w/\udcfc.sta"] == list(json.loads((tmp_path / "state.json").read_text())["copies"])
