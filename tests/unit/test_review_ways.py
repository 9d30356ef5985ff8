"""The way to the target: links that look alive, helpers that say nothing, keys that change."""

from __future__ import annotations

import itertools
import json
import socketserver
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_identity,
)

from burstd.adapters.ssh.authority import Authority
from burstd.adapters.ssh.shell import OpenSsh
from burstd.adapters.wireguard.gate import Gate
from burstd.adapters.wireguard.link import SILENCE, WireguardLink
from burstd.core.place import Ask, Places
from burstd.domain.directives import NONE
from burstd.domain.jobs import JobIdentity, JobKey, JobState, QueuedJob
from burstd.domain.links import LinkName
from burstd.domain.policy import Ledger
from burstd.domain.targets import Capabilities, Money, TargetName, TargetView, WorkKey
from burstd.netd.links import DEAD_AFTER, EXPECTED, Handshakes
from burstd.ports.errors import Unreachable
from burstd.ports.plugin import PluginContext
from burstd.ports.remote import Failed, SshHost
from burstd.testing.clock import SteppedClock
from burstd_slurm.settings import SlurmTargetSettings
from burstd_slurm.target import open_target
from tests.unit.values import POLICY, snapshot

# --- a link that only looks alive


def test_a_handshake_of_long_ago_is_no_sign_of_life() -> None:
    """A gate that was restarted has forgotten our session: nothing but a new one helps."""
    seen = Handshakes()
    assert not seen.answers(None, 10.0)
    assert not seen.answers(0, 11.0)
    assert seen.answers(1_000_000.0, 20.0)
    assert seen.answers(1_000_000.0, 20.0 + 150)  # a live link shakes hands every 145 s at least
    assert not seen.answers(1_000_000.0, 20.0 + DEAD_AFTER + 1)
    assert seen.answers(1_000_333.0, 20.0 + DEAD_AFTER + 2)


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_is_set_neither_ends_a_link_nor_keeps_a_dead_one(jump: float) -> None:
    seen = Handshakes()
    assert seen.answers(1_000_000.0, 20.0)
    assert seen.answers(1_000_120.0 + jump, 140.0)
    assert not seen.answers(1_000_120.0 + jump, 140.0 + DEAD_AFTER + 1)


def test_a_gate_that_is_silent_for_long_is_asked_and_a_forgetful_one_told_again(
    tmp_path: Path,
) -> None:
    now, there, heard = [1000.0], [True], [500]

    def answer(verb: str) -> bytes:
        if verb == "offer":
            fresh = {"public_key": "k", "preshared_key": "p", "address": "10.200.0.3"}
            return json.dumps(fresh).encode() + b"\n"
        seen = {"up": True, "session": True, "last_handshake": 1.0}
        return json.dumps({**seen, "bytes_in": heard[0], "bytes_out": 9}).encode() + b"\n"

    with netd(tmp_path / "s", answer) as verbs:
        gate = Gate(Silent(), "burst", "wg0")
        place = (LinkName("cloud"), tmp_path / "s", gate)
        link = WireguardLink(*place, lambda: there[0], monotonic=lambda: now[0])
        for wait, is_there, bytes_in in ((0, False, 500), (SILENCE, False, 500), (1, True, 500)):
            now[0], there[0], heard[0] = now[0] + wait, is_there, bytes_in
            link.ensure_up()
        assert "enrol" not in verbs
        now[0], there[0] = now[0] + SILENCE + 1, False
        link.ensure_up()
        assert ["enrol", "offer", "commit"] == [verb for verb in verbs if verb != "view"]


class Silent:
    """A shell that does what it is told and says nothing."""

    access: ClassVar[dict[str, str]] = {}

    def run(self, user: str, argv: Sequence[str], stdin: object = b"", deadline: float = 60) -> str:
        return ""

    def certify(self, public_key: str, user: str, command: str, valid: timedelta) -> str:
        return ""


def test_netd_answers_for_the_faults_of_its_own_tools() -> None:
    import subprocess

    from pyroute2.netlink.exceptions import NetlinkError

    assert issubclass(NetlinkError, EXPECTED)
    assert issubclass(subprocess.TimeoutExpired, EXPECTED)


# --- burst-netd as burstd sees it


@contextmanager
def netd(path: Path, answer: Any) -> Iterator[list[str]]:
    """``answer(verb)`` gives the bytes of each answer."""
    verbs: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            verb = json.loads(self.rfile.readline())["verb"]
            verbs.append(verb)
            self.wfile.write(answer(verb))

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield verbs
        finally:
            server.shutdown()
            thread.join()


def link_at(path: Path) -> WireguardLink:
    return WireguardLink(LinkName("cloud"), path, Gate(Silent(), "burst", "wg0"), lambda: True)


@pytest.mark.parametrize("answer", [b"", b"\n", b"{}\n", b"[]\n", b"null\n", b"{\n", b"\xff\n"])
def test_an_answer_that_is_none_is_unreachable(tmp_path: Path, answer: bytes) -> None:
    """Anything else would be a fault of ours, and end the tick for every burst."""
    with netd(tmp_path / "s", lambda _verb: answer), pytest.raises(Unreachable):
        link_at(tmp_path / "s").view()


def test_many_who_want_a_link_that_is_down_wait_for_one_attempt(tmp_path: Path) -> None:
    """Each attempt takes ten seconds: fifty bursts in a row would outlast the watchdog."""

    def answer(verb: str) -> bytes:
        seen = {
            "up": False,
            "session": False,
            "last_handshake": None,
            "bytes_in": 0,
            "bytes_out": 0,
        }
        return json.dumps(seen if verb == "view" else {"error": "no handshake"}).encode() + b"\n"

    with netd(tmp_path / "s", answer) as verbs:
        link = link_at(tmp_path / "s")
        for _ in range(20):
            with pytest.raises(Unreachable, match="no handshake"):
                link.ensure_up()
    assert 1 == verbs.count("enrol")


# --- keys


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "ca"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return Authority(path, SteppedClock())


def test_a_key_that_a_started_ssh_is_about_to_read_stays_with_its_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    """Renewal in another thread must not put a new key beside an old certificate."""
    clock = SteppedClock()
    (tmp_path / "known_hosts").touch()
    host = SshHost("h", 22, tmp_path / "known_hosts")
    shell = OpenSsh(host, tmp_path / "ssh", authority, clock)
    seen = []
    for _ in range(5):
        path = shell._identity("burst")
        seen.append((path, path.read_bytes(), Path(f"{path}-cert.pub").read_bytes()))
        clock.forward(minutes=16)
    for (path, key, certificate), (following, _, _) in itertools.pairwise(seen):
        assert path != following
        public = load_ssh_private_key(key, None).public_key()
        named = load_ssh_public_identity(certificate)
        assert public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) == (
            named.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)  # type: ignore[union-attr]
        )
    assert len(list((tmp_path / "ssh").iterdir())) <= 4
    path, key, _ = seen[-2]
    assert key == path.read_bytes()
    assert 0o600 == path.stat().st_mode & 0o777


def test_certificates_are_renewed_well_before_they_end() -> None:
    from burstd.adapters.ssh.shell import VALID

    assert timedelta(minutes=10) < VALID / 2


# --- a target that cannot tell


class Complaining:
    """A far host where every command ends badly."""

    access: Mapping[str, str] = {}

    def __init__(self, complaint: str) -> None:
        self._complaint = complaint

    def run(self, user: str, argv: Sequence[str], stdin: object = b"", deadline: float = 0) -> str:
        raise Failed(f"sh ended with 1: {self._complaint}", 1, self._complaint)


@pytest.mark.parametrize(
    "complaint",
    ["sacct: error: Problem talking to the database: No route to host", "sh: squeue: not found",
     "squeue: error: Protocol authentication error", "Munge encode failed", ""],
)  # fmt: skip
def test_a_question_that_fails_at_the_target_says_nothing_of_the_work(
    tmp_path: Path, complaint: str
) -> None:
    """As a refusal it would quarantine every running burst over one restart of a daemon there."""
    settings = SlurmTargetSettings.model_validate(
        {"host": "h", "known_hosts": "/k", "root": "/r", "partition": "p", "users": {}}
    )
    shell: Any = Complaining(complaint)
    context = PluginContext(
        TargetName("cloud"), Money(Decimal(1)), SteppedClock(), tmp_path, lambda _host: shell
    )
    target = open_target(settings, context)
    key = WorkKey("b-1")
    for ask in (target.generation, lambda: target.find(key), lambda: target.poll([key])):
        with pytest.raises(Unreachable):
            ask()
    target.clean(key, "nobody-there")


def test_who_has_no_account_at_the_target_is_declined_before_anything_is_touched() -> None:
    view = TargetView(
        TargetName("cloud"), Capabilities(1, 8, timedelta(days=1)), Money(Decimal(1)),
        frozenset({"alice"}),
    )  # fmt: skip
    who = JobIdentity(JobKey("onprem", 1), SteppedClock().now(), "bob", "beam")
    job = QueuedJob(who, JobState.PENDING, "Resources", "cae", "", "", 1, 1, timedelta(hours=1), 1)
    policy = replace(POLICY, targets=(TargetName("cloud"),))
    alice = replace(job, identity=replace(who, user="alice"))
    places = Places(snapshot(job, views=(view,)), policy, Ledger())

    def refusal(asking: QueuedJob, allowed: frozenset[TargetName] | None = None) -> str:
        return places.refusal(Ask(asking, NONE), view, allowed)

    assert "its user has no account there" == refusal(job)
    assert "" == refusal(alice)
    assert "its data may not go there" == refusal(alice, frozenset())
