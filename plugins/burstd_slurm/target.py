"""Port ``Target`` on a remote Slurm. Our key is the job name there; an id alone says nothing."""

from __future__ import annotations

import contextlib
import re
import shlex
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from burstd.domain.findings import Finding
from burstd.domain.targets import (
    Capabilities,
    Generation,
    Image,
    RemoteId,
    RemoteJob,
    RemoteState,
    RunState,
    TargetView,
    Ticket,
    WorkKey,
    WorkOrder,
)
from burstd.far import pack
from burstd.far.program import ALONE
from burstd.ports.errors import NoRoom, PortError, Rejected, Unreachable
from burstd.ports.plugin import PluginContext
from burstd.ports.remote import Failed, RemoteShell, SshHost
from burstd_slurm import batch, records
from burstd_slurm.examine import Examination
from burstd_slurm.settings import SlurmTargetSettings

TICKET_TIME = timedelta(hours=12)  #: an agent asks for a new one when its own has expired
UPLOAD_TIME = 3600.0  #: seconds for one image
TIDY_TIME = 600.0  #: seconds for one user's store
#: ``--export=NIL`` leaves the job without a PATH. A user's signal that comes before the far program
#: listens would end the job.
_SCRIPT = """#!/bin/sh
trap '' USR1 USR2
export PATH="${{PATH:-/usr/local/bin:/usr/bin:/bin}}"
exec {}
"""
_READ = 'test ! -e "$1" || cat "$1"'
#: Fails where somebody else has made it.
_SHARED = 'mkdir -p "$1" && chgrp "$2" "$1" && chmod 2770 "$1"'
_KEEP = (
    'umask 077 && mkdir -p "${1%/*}" && echo "$2" > "$1.new" && sync "$1.new" && '
    'mv "$1.new" "$1" && sync "${1%/*}"'
)
#: The far program's words for what a run directory shows.
_RUN_STATES: Mapping[str, RunState] = {
    "absent": RunState.ABSENT,
    "staging": RunState.NEVER,
    "running": RunState.RUNNING,
    "ended": RunState.OVER,
    "lost": RunState.OVER,
}
#: Work asked for at once: a user's shell gets a command as one word of 128 KiB at most (execve(2)).
MOST_NAMES = 1000
_WHOLE = "whole"  #: the last line of an answer that nothing is missing from
#: Slurm's programs speak of a passing trouble in these words.
_AWAY = re.compile(r"Unable to contact|Socket timed out|Connection refused|slurmdbd|try again")


def open_target(settings: SlurmTargetSettings, context: PluginContext) -> SlurmTarget:
    """The plugin's door."""
    host = SshHost(settings.host, settings.port, settings.known_hosts)
    return SlurmTarget(settings, context, context.shell(host))


class SlurmTarget:
    """See ``ports.target.Target``; safe for threads."""

    def __init__(
        self, settings: SlurmTargetSettings, context: PluginContext, shell: RemoteShell
    ) -> None:
        self._settings, self._context, self._shell = settings, context, shell
        self._program = context.state / "burst-far.pyz"
        self._sha = pack.build(self._program)
        self._there: set[str] = set()
        self._images, self._programs = threading.Lock(), threading.Lock()

    def observe(self) -> TargetView:
        s = self._settings
        most = s.max_nodes, s.max_cores, s.max_time, s.max_gpus
        can = Capabilities(*most, frozenset(s.gpu_types), s.node_cores, s.node_memory)
        return self._context.view(can, frozenset(s.users), batch.OVERHEAD)

    def examine(self) -> Iterable[Finding]:
        context = self._context
        return Examination(
            context.name, self._settings, self._shell, context.clock, self._program
        )()

    # --- what must lie at the target

    def prepare(self, image: Image) -> None:
        self._lay_program()
        with self._images:
            self._upload(Path(image.path), self._far_image(image), image.digest)

    def ticket(self, key: WorkKey, user: str, public_key: str) -> Ticket:
        far_user = self._far_user(user)
        self._lay_program()
        serve = shlex.join([*self._far_command("serve", key), *self._limits])
        certificate = self._shell.certify(public_key, far_user, serve, TICKET_TIME)
        expires = self._context.clock.now() + TICKET_TIME
        fields = {**self._shell.access, "user": far_user, "certificate": certificate}
        return Ticket("ssh", expires, fields)

    def clean(self, key: WorkKey, user: str) -> None:
        if user not in self._settings.users:
            return  # nobody there, so nothing of theirs
        self._lay_program()
        root = str(self._settings.root)
        clean = self._far_command("clean", key)
        script = f"test ! -e {shlex.quote(f'{root}/runs/{key}')} || exec {shlex.join(clean)}"
        self._run(self._far_user(user), ["sh", "-c", script])

    def tidy(self) -> None:
        self._lay_program()
        root = str(self._settings.root)
        command = [*self._far_python, "tidy", "--root", root, *self._limits]
        alone = [self._settings.service_user] if self._settings.store_group else None
        failed: PortError | None = None
        for user in alone or sorted(set(self._settings.users.values())):
            try:
                self._run(user, command, deadline=TIDY_TIME)
            except PortError as error:  # an account that is locked keeps no other one's
                failed = error
        if failed is not None:
            raise failed

    @property
    def _limits(self) -> list[str]:
        """What stores may keep."""
        keeps = (self._settings.store_limit * 2**20, self._settings.store_age.days)
        limits = [f"--store-bytes={keeps[0]}", f"--store-days={keeps[1]}"]
        return [*limits, *(["--store-shared"] if self._settings.store_group else [])]

    # --- what outlives burstd's own memory

    def mark(self, site: str) -> str | None:
        return self._ask("sh", "-c", _READ, "sh", self._mark(site)).strip() or None

    def keep_mark(self, site: str, text: str) -> None:
        self._ask("sh", "-c", _KEEP, "sh", self._mark(site), text)

    def _mark(self, site: str) -> str:
        return str(self._settings.root / "sites" / f"{site}.mark")

    # --- work

    def generation(self) -> Generation:
        found = re.search(
            r"^BOOT_TIME\s*=\s*([!-~]+)", self._ask("scontrol", "show", "config"), re.M
        )
        if found is None:
            raise Unreachable("the far scontrol gave no BOOT_TIME")
        return Generation(found[1])

    def submit(self, work: WorkOrder) -> RemoteId:
        runner = self._far_command("run", work.key)
        runner += ["--attempt", "1", "--image", self._far_image(work.image)]
        runner += ["--runtimes", ",".join(self._settings.runtimes)]
        argv = batch.arguments(work, self._settings)
        answer = self._run(
            self._far_user(work.user), argv, _SCRIPT.format(shlex.join(runner)).encode()
        )
        remote_id = answer.strip().split(";")[0]
        if not remote_id.isdigit():
            raise Unreachable(f"sbatch answered {answer[:100]!r}")
        return RemoteId(remote_id)

    def find(self, key: WorkKey) -> RemoteJob | None:
        by_key, garbled = self._rows([key])
        rows = by_key.get(key)
        if not rows:
            if garbled:  # it may have been in there: absence is not proven
                raise Unreachable(_unreadable(garbled))
            return None
        chosen = records.choose(rows)
        for row in records.spare(rows, chosen):
            self._service("scancel", f"--name={key}", str(row.id))
        return chosen

    def poll(self, keys: Sequence[WorkKey]) -> Mapping[WorkKey, RemoteJob]:
        parts = (keys[at : at + MOST_NAMES] for at in range(0, len(keys), MOST_NAMES))
        return {key: job for part in parts for key, job in self._polled(part).items()}

    def _polled(self, keys: Sequence[WorkKey]) -> Mapping[WorkKey, RemoteJob]:
        rows, garbled = self._rows(keys)
        remark = _unreadable(garbled) if garbled else ""
        return {
            key: records.choose(rows[key])
            if rows.get(key)
            else RemoteJob(RemoteId(""), key, RemoteState.UNKNOWN, remark=remark)
            for key in keys
        }

    def run_state(self, key: WorkKey, user: str) -> RunState:
        self._lay_program()
        try:
            word = self._run(self._far_user(user), self._far_command("state", key)).strip()
        except Failed as error:
            raise Unreachable(str(error)) from error
        if word not in _RUN_STATES:
            raise Unreachable(f"the run directory of {key} is {records.shown(word)}")
        return _RUN_STATES[word]

    def start(self, key: WorkKey) -> None:
        job = self.find(key)
        if job is None:
            raise Unreachable(f"{key} is not at the target: it can't be started")
        if job.state is RemoteState.HELD:
            self._service("scontrol", "release", job.id)

    def cancel(self, key: WorkKey) -> None:
        # By name: it is unique for ever, while an id may belong to a stranger by now.
        self._service("scancel", f"--name={key}")

    def signal(self, key: WorkKey, name: str) -> None:
        # To the batch script's process alone, which is ours and hands it on (far/keeper.py).
        self._service("scancel", "--batch", "--state=RUNNING", f"--signal={name}", f"--name={key}")

    # --- inside

    @property
    def _far_program(self) -> str:
        return str(self._settings.root / "bin" / f"burst-far-{self._sha[:16]}.pyz")

    @property
    def _far_python(self) -> list[str]:
        return [self._settings.python, *ALONE, self._far_program]

    def _far_command(self, verb: str, key: WorkKey) -> list[str]:
        return [*self._far_python, verb, "--root", str(self._settings.root), "--key", key]

    def _far_image(self, image: Image) -> str:
        suffix = Path(image.path).suffix
        return str(self._settings.root / "images" / f"{image.digest[:32]}{suffix}")

    def _far_user(self, user: str) -> str:
        try:
            return self._settings.users[user]
        except KeyError:
            raise Rejected(f"{user} has no account at {self._context.name}") from None

    def _rows(self, keys: Sequence[WorkKey]) -> tuple[dict[WorkKey, list[records.Row]], list[str]]:
        """What controller and accounting know, and what of it can't be read; both must have
        answered."""
        names = ",".join(keys)
        # Until the day after tomorrow: what began before a clock was set back lies ahead, and is
        # not shown otherwise (sacct(1), DEFAULT TIME WINDOW).
        since, until = (self._context.clock.now() + timedelta(days=d) for d in (-30, 2))
        script = (
            f"squeue -h -a -t all --name={shlex.quote(names)} -o {shlex.quote(records.SQUEUE)} "
            f"&& echo && sacct -n -X -P -D -a -S {_day(since)} -E {_day(until)} "
            f"--name={shlex.quote(names)} -o {records.SACCT} && echo {_WHOLE}"
        )
        answer = self._ask("sh", "-c", script)
        live, _, past = f"\n{answer}".partition("\n\n")
        if not f"\n{past}".endswith(f"\n{_WHOLE}\n"):
            raise Unreachable(f"the answer is cut off: it ends with {records.shown(answer[-60:])}")
        past = past.removesuffix(f"{_WHOLE}\n")
        queue, accounting = records.read_queue(live, keys), records.read_accounting(past, keys)
        merged = records.merge(queue.rows, accounting.rows)
        return merged, [*queue.garbled, *accounting.garbled]

    def _lay_program(self) -> None:
        """The one that this burstd speaks with: another may have begun what is under way."""
        with self._programs:
            fresh = self._far_program not in self._there
            self._upload(self._program, self._far_program, self._sha)
            if fresh:  # without it all goes the same way, but begins more slowly
                with contextlib.suppress(Failed, PortError):
                    self._service(*self._far_python, "compile")
            if (stores := str(self._settings.root / "stores")) not in self._there:
                # Each account makes its own store in it (docs/formats.md).
                self._service("sh", "-c", 'mkdir -p "$1" && chmod 1777 "$1"', "sh", stores)
                if group := self._settings.store_group:
                    self._service("sh", "-c", _SHARED, "sh", f"{stores}/shared", group)
                self._there.add(stores)

    def _upload(self, source: Path, destination: str, digest: str) -> None:
        """Put a file under its name, once; a cut upload leaves only a .part."""
        if not self._is_there(destination):
            script = (
                'umask 022 && mkdir -p "${1%/*}" && cat > "$1.part" && '
                'echo "$2  $1.part" | sha256sum -c --quiet - && sync "$1.part" && mv "$1.part" "$1"'
            )
            with source.open("rb") as file:
                argv = ["sh", "-c", script, "sh", destination, digest]
                self._run(self._settings.service_user, argv, file, UPLOAD_TIME)
        self._there.add(destination)

    def _is_there(self, destination: str) -> bool:
        """Asked once; what lies there by its digest stays."""
        if destination in self._there:
            return True
        try:
            self._service("test", "-f", destination)
        except Failed:
            return False
        self._there.add(destination)
        return True

    def _ask(self, *argv: str) -> str:
        """A question. One that fails, for whatever reason, tells nothing of our work."""
        try:
            return self._service(*argv)
        except Failed as error:
            raise Unreachable(str(error)) from error

    def _service(self, *argv: str) -> str:
        return self._run(self._settings.service_user, argv)

    def _run(
        self,
        user: str,
        argv: Sequence[str],
        stdin: bytes | BinaryIO = b"",
        deadline: float = 60.0,
    ) -> str:
        try:
            return self._shell.run(user, argv, stdin, deadline)
        except Failed as error:
            if "No space left" in error.complaint or "quota exceeded" in error.complaint:
                raise NoRoom(str(error)) from error
            if _AWAY.search(error.complaint):
                raise Unreachable(str(error)) from error
            raise


def _unreadable(lines: Sequence[str]) -> str:
    return f"{len(lines)} lines of the answer can't be read, the first is {records.shown(lines[0])}"


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")
