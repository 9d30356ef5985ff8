"""The agent's loop: ask for the order, carry it out, wait in the tiny waiter, begin again."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from burstd.agent import memory as remembered
from burstd.agent.api import Api, Away, Denied
from burstd.agent.follow import Follower
from burstd.agent.memory import Memory, Recalled
from burstd.agent.meter import Metered
from burstd.agent.standin import StandIn
from burstd.agent.telling import Telling
from burstd.domain.data import InputFile, Mark, OutputFile, row_of
from burstd.ports.depot import Depot, Execution, Going, Growing
from burstd.ports.errors import Mismatch, Permanent, Rejected, Transient

# An agent begins anew every few seconds while its job runs, mostly to look and sleep again: what
# the ways in and out need is imported there.
if TYPE_CHECKING:
    from burstd.agent.landing import Landing

#: burst_keep.c
TERM = "BURST_AGENT_TERM"
END = "BURST_AGENT_END"
#: Seconds until the next look, by order, where burstd says nothing else; a move of the burst ends
#: every wait at once.
PERIODS = {"wait": 60, "stage_in": 3, "follow": 8, "stage_out": 3, "exit": 3}
#: Variables that every payload gets, beside the profile's.
_ALWAYS = ("HOME", "USER", "LOGNAME", "LANG", "LC_*", "TZ")
#: After TERM the agent stays only while there may be something to bring home.
_WORTH_STAYING = frozenset(
    {"permitting", "running", "cancelling", "ended", "staging_out", "staged_out"}
)

#: Lines about results in the job's own output, and in the report: a job may leave a hundred
#: thousand links.
MOST_SAID, MOST_REPORTED = 20, 1000
PATIENCE = 20.0  #: seconds of trouble before the job's output says so

Words = Mapping[str, Any]
Directories = list[tuple[str, int]]


@dataclass
class Agent:
    """``connect`` opens the depot; ``wait`` turns this process into the waiter."""

    job: StandIn
    api: Api
    memory: Memory
    connect: Callable[[Words, Path], Depot]
    wait: Callable[[int, int], None]

    def live(self) -> NoReturn:
        """Turns until the job is over."""
        signal.signal(signal.SIGTERM, _remember_term)
        self.memory.resume({"stdout": 1, "stderr": 2})
        while True:
            _hear_term()  # the waiter begins and ends with TERM blocked
            words: Words = {"order": "wait", "version": 0}
            try:
                words = self._hello()
                self._obey(words)
                if words.get("burst") is not None:
                    self.memory.trouble_since = None
            except (Away, Transient) as error:
                self._say_later(f"{error}; waiting")
                words = {**words, "order": "stage_in"}
            except (Permanent, PermissionError) as error:
                # Until somebody does something about it; all results would be read meanwhile.
                self._say_later(f"{error}; waiting")
                words = {**words, "order": "wait", "every": PERIODS["wait"]}
            except OSError as error:
                self._say_later(f"{error.strerror or error} {error.filename or ''}; waiting")
                words = {**words, "order": "stage_in"}
            except Exception:  # noqa: BLE001
                # The stand-in must outlive any fault of ours: its end would end the user's job.
                import traceback

                with contextlib.suppress(OSError):
                    (self.memory.directory / "fault.txt").write_text(traceback.format_exc())
                self._say(f"a fault of burstd, see {self.memory.directory}/fault.txt; waiting")
                words = {**words, "order": "wait"}
            self._rest(words)

    def _rest(self, words: Words) -> None:
        """Become the waiter, unless what we know cannot be kept: then stay and wait here."""
        # From here on TERM waits for the waiter: before its first line it would end the stand-in.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        version = int(words["version"])
        seconds = 2 if _termed() else math.ceil(words.get("every") or PERIODS[words["order"]])
        try:
            self.memory.settle()
        except OSError as error:
            self._say(f"no room for the agent's memory: {error.strerror}; waiting")
            _hear_term()
            time.sleep(min(seconds, 10))
        else:
            self.wait(version, seconds)

    def _hello(self) -> Words:
        words = self.api.post("/v1/standins", {"job": self.job.job, "restarts": self.job.restarts})
        if words.get("burst") is None:
            if _termed():
                self._end(0, signal.SIGTERM)
            self._say_later(str(words["cause"]))
            return words
        if _termed():
            self._report(words, "recalled", {"restarts": self.job.restarts})
            if words["stage"] not in _WORTH_STAYING:
                self._end(0, signal.SIGTERM)
        return words

    def _obey(self, words: Words) -> None:
        order = words["order"]
        if order == "stage_in":
            self._stage_in(words)
        elif order == "follow":
            self._with_depot(words, self._follow)
        elif order == "stage_out":
            self._with_depot(words, self._stage_out)
        elif order == "exit":
            if words["remark"]:
                self._say(words["remark"])
            if _termed():
                self._end(0, signal.SIGTERM)
            self._end(words["exit_code"], words["signal"])

    # --- in

    def _stage_in(self, words: Words) -> None:
        if self._reported(words, "staged_in") is not None:
            return
        from burstd.agent import inputs
        from burstd.agent.decks import MissingInput
        from burstd.agent.walk import Look
        from burstd.far.chunks import blake3

        roots = [self.job.directory]
        secret = os.urandom(32).hex()
        files, going = list[InputFile](), Going()

        def send(_words: Words, depot: Depot) -> None:
            files.extend(depot.push(paths, going))
            depot.order(execution, files, script)

        try:
            script = self.job.script.read_bytes()
            look = Look()
            rules = words["stays"], words["target"], words.get("within")
            paths = inputs.readable(inputs.find(look, self.job, words["resolver"], *rules))
            known = inputs.marks(look, roots)
            made = inputs.hollow(look, self.job.directory, paths, words["stays"])
            del look  # of a hundred thousand files
            execution = self._execution(words, secret, made)
            inputs.announce(paths, partial(self._reported, words), partial(self._report, words))
            self._with_depot(words, send, going)
        except PermissionError as error:
            cause = f"{error.filename} cannot be read: {error.strerror}"
            self._report(words, "refused", {"cause": cause})
            return
        except Mismatch as error:
            raise Transient(str(error)) from error  # a file changed since: read it again
        except (MissingInput, inputs.NotStageable, Permanent, Denied) as error:
            self._report(words, "refused", {"cause": str(error)})
            return
        body = remembered.to_report(files, known, [str(root) for root in roots])
        body["script"] = {"size": len(script), "blake3": blake3(script).hex()}
        try:
            self._report(words, "staged_in", {**body, "secret": secret})
        except Denied as error:  # too many names in the directory
            self._report(words, "refused", {"cause": str(error)})

    def _execution(self, words: Words, secret: str, made: Directories) -> Execution:
        patterns = (*_ALWAYS, *words["environment"])
        return Execution(
            arguments=self.job.arguments,
            directory=str(self.job.directory),
            environment={
                name: value
                for name, value in self.job.environment.items()
                if any(fnmatchcase(name, pattern) for pattern in patterns)
            },
            exports=self.job.exports,
            roots=(str(self.job.directory),),
            directories=tuple(made),
            merged=self.job.merged,
            time_limit_s=float(words["time_limit_s"]),
            live=tuple(words["live"]),
            secret=secret,
        )

    # --- while it runs, and out

    def _follow(self, words: Words, depot: Metered) -> None:
        known, roots = Recalled(lambda: self._marks(words)), (self.job.directory,)
        follower = self._follower(words, depot, known, roots)
        if follower.once().over:
            self._report(words, "over", {})  # burstd need not wait for its next look at the target
        if asked := words.get("pull"):
            from burstd.agent.demand import Demand

            landing = self._landing(words, depot, known, roots)
            memory = self.memory
            demand = Demand(depot, landing, known, memory.copies, memory.save, follower.once)
            here = f"{self.job.directory}/"
            found = demand.bring([glob.removeprefix(here) for glob in asked["globs"]])
            self._report(words, "pulled", {"id": asked["id"], **found})
        most = words.get("most_bytes")
        if most is not None and self.memory.pulled >= most:
            self._say(f"its output is more than the {most / 1e9:.1f} GB that are paid for")
        if follower.unsaid is not None:
            raise follower.unsaid

    def _marks(self, words: Words) -> Mapping[str, Mark]:
        """How names looked when the inputs were sent."""
        staged = self._reported(words, "staged_in")
        return {} if staged is None else remembered.from_report(staged)[0]

    def _follower(
        self, words: Words, depot: Depot, known: Mapping[str, Mark], roots: tuple[Path, ...]
    ) -> Follower:
        memory = self.memory
        return Follower(
            depot, memory.positions, known, memory.copies, roots,
            memory.before_writing, memory.save, memory.strangers,
            begin=lambda now: self._begin(words, depot, now),
        )  # fmt: skip

    def _begin(self, words: Words, depot: Depot, now: Growing) -> None:
        if not self.memory.began and (now.stdout or now.stderr):
            from burstd.agent import earlier

            told = self._reported(words, "notes")
            tell = partial(self._report, words, "notes")
            earlier.begin(self.memory, told, tell, now, depot.read)

    def _landing(
        self, words: Words, depot: Metered, known: Mapping[str, Mark], roots: tuple[Path, ...]
    ) -> Landing:
        from burstd.agent.landing import Landing

        def fetch(entry: OutputFile, descriptor: int, similar: int | None) -> None:
            depot.fetch(entry, descriptor, similar=similar)

        marks = {**known, **self.memory.copies}
        written = {(seen.st_dev, seen.st_ino) for seen in map(os.fstat, (1, 2))}
        return Landing(
            words["burst"], roots, marks, fetch, links=words["links"], written=written,
            landed=self.memory.landed,
        )  # fmt: skip

    def _stage_out(self, words: Words, depot: Metered) -> None:
        if self._reported(words, "staged_out") is not None:
            return
        staged = self._reported(words, "staged_in")
        if staged is None:  # cancelled before the inputs were sent
            self._report(words, "staged_out", {"files": 0, "bytes": 0, "notes": []})
            return
        from burstd.agent.arrivals import Arrivals, in_order, set_back
        from burstd.agent.tiers import coming, staying, told

        known, roots = remembered.from_report(staged)
        follower = self._follower(words, depot, known, roots)
        now = depot.growing()
        end = depot.outputs(staged["secret"])
        here = str(self.job.directory)
        # What lies here in part already comes whole.
        here_already = {**known, **self.memory.copies}
        stay = staying(end.results, here, words["on_demand"]["globs"], here_already)
        asked_for = {entry.path for entry in stay}
        others = [entry for entry in end.results if entry.path not in asked_for]
        entries, left = coming(others, here, words["scratch"], known)
        landing = self._landing(words, depot, known, roots)
        if size := depot.unpaid(now, entries, landing.lacks):
            self._report(words, "oversized", {"bytes": size})
            raise Transient(
                f"its results are {size / 1e9:.1f} GB, more than the "
                f"{words['most_bytes'] / 1e9:.1f} GB that are paid for: they stay there until an "
                "operator says burst approve"
            )
        unsaid = follower.streams(now)

        arrivals = Arrivals(landing, self.memory.damaged)
        back = set_back(staged["files"], self.memory.copies, end, landing)
        ordered = in_order([*entries, *back])
        depot.expect([entry for entry in ordered if not landing.seems_landed(entry)])
        arrivals.land(ordered)
        if unsaid is not None:
            raise unsaid
        if again := arrivals.again:
            self.memory.save()
            raise Transient(f"{again[0]} arrived damaged")
        landing.notes += [left] if left else []
        if words["on_demand"]["globs"]:  # also none: an earlier life may have seen some
            self._report(words, "remains", {"files": list(map(row_of, stay))})
        landing.notes += [told(stay, words, self.job.job)] if stay else []
        # What was an input is never removed.
        ours = self.memory.copies.keys() - known.keys() - {entry.path for entry in end.results}
        landing.discard(sorted(ours))
        landing.notes += [f"{path} was written outside the job's directory" for path in end.outside]
        notes = _some(landing.notes, MOST_REPORTED)
        for note in _some(landing.notes, MOST_SAID):
            self._say(note)
        follower.keep()
        # A memory that was lost with its machine knows less than what lies here.
        came = max(self.memory.pulled, sum(entry.travels for entry in entries))
        body = {"files": len(entries), "bytes": came, "notes": notes}
        self._report(words, "staged_out", {**body, "exit_code": end.exit_code})

    def _with_depot(
        self, words: Words, work: Callable[[Words, Metered], None], inputs: Going | None = None
    ) -> None:
        def tell(came: int) -> None:
            if words.get("costs"):
                self._mention(words, "came", {"bytes": came})

        opened, most = self.connect(words, self.memory.directory), words.get("most_bytes")
        depot = Metered(opened, self.memory, most, tell)
        goings = {"in": inputs or Going(), "out": depot.going}
        try:
            with Telling(goings, lambda body: self._mention(words, "moving", body)):
                work(words, depot)
        finally:
            depot.close()

    # --- words

    def _report(self, words: Words, kind: str, body: Words) -> None:
        self.api.post(f"/v1/standins/{words['burst']}/reports", {"kind": kind, "body": dict(body)})

    def _mention(self, words: Words, kind: str, body: Mapping[str, object]) -> None:
        """Of which the next one tells, too, where this one is lost."""
        with contextlib.suppress(Away, Denied):
            self._report(words, kind, dict(body))

    def _reported(self, words: Words, kind: str) -> dict[str, Any] | None:
        try:
            return self.api.get(f"/v1/standins/{words['burst']}/reports/{kind}")
        except Denied as error:
            if error.status == 404:
                return None
            raise Rejected(str(error)) from error

    def _say_later(self, line: str) -> None:
        """Say what keeps the job waiting, but only once it has lasted: a way that is still being
        opened is not worth a line in the user's output."""
        now = time.time()  # noqa: TID251 - survives exec; a clock that jumps costs a line
        if self.memory.trouble_since is None:
            self.memory.trouble_since = now
        if now - self.memory.trouble_since >= PATIENCE:
            self._say(line)

    def _say(self, line: str) -> None:
        """One line into the job's error output, each text once."""
        if line not in self.memory.said:
            # Names come from elsewhere: they must not speak to the user's terminal.
            plain = "".join(c if c.isprintable() else "?" for c in line)
            with contextlib.suppress(OSError):
                self.memory.before_writing("", 2)
            with contextlib.suppress(OSError):  # the output's own disk may be the full one
                os.write(2, f"burstd: {plain}\n".encode())
                self.memory.said.append(line)

    def _end(self, code: int, number: int) -> NoReturn:
        """End as the payload ended, so that Slurm records the same: burst-keep is told, and does
        it. Without these two bytes it would begin anew."""
        self.memory.forget()
        os.write(int(os.environ[END]), bytes((code & 0xFF, number)))
        sys.exit(0)


def _some(notes: Sequence[str], most: int) -> list[str]:
    left = len(notes) - most
    return [*notes[:most], *([f"and {left} more of that kind"] if left > 0 else [])]


def _remember_term(_number: int, _frame: object) -> None:
    os.environ[TERM] = "1"


def _hear_term() -> None:
    """One that was kept back meanwhile arrives now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _termed() -> bool:
    return os.environ.get(TERM) == "1"
