"""One story played on burstd's own engine: every call is an event, after every event is a check."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from burstd.adapters.store.sql import SqlStore
from burstd.domain.burst import BurstId
from burstd.domain.requests import Request, RequestKind
from burstd.domain.targets import Money
from burstd.ports.errors import PortError
from burstd.ports.store import StaleBurst
from burstd.testing.agents import mark
from burstd.testing.simulators import memory
from tests.sim import ends
from tests.sim.acts import ACTS
from tests.sim.calls import ANY, TURN, Call
from tests.sim.checker import Checker
from tests.sim.daemon import Daemon, Killed
from tests.sim.faults import FAULTS, Real
from tests.sim.ledger import empty
from tests.sim.site import Site
from tests.sim.story import Move, Story

#: Seconds of peace in which everything must have come to its end.
BOUND = 900
CALM = 10  #: seconds of a turn in peace
#: Seconds that burstd has for a user's scancel while nothing hinders it.
CANCEL_BOUND = 60
#: What may bring about a second twin for a while: each of these alone, or a submission that comes
#: late together with what keeps burstd from noting that it waits for it.
SECOND_TWIN = frozenset({"overtaken", "second daemon"})
FORGETFUL = frozenset(
    {"killed", "killed before", "killed after", "machine reboots", "ledger away", "no room",
     "answer lost", "clock set"}
)  # fmt: skip
#: Words on a call's way that no invariant depends on.
Tell = Callable[[str], None]


@dataclass
class Late:
    """A command whose client is gone: its effect comes at ``due``, if its controller lives on."""

    due: datetime
    boots: int
    call: Call
    real: Real


@dataclass
class Play:
    """``tell`` hears every event in words."""

    story: Story
    tell: Tell | None = None
    site: Site = field(default_factory=Site)
    turn: int = 0
    calm: bool = False
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    _digest: Any = field(default_factory=hashlib.sha256)
    _late: list[Late] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _armed: list[Move] = field(default_factory=list)
    _slow: dict[str, float] = field(default_factory=dict)
    _troubled: bool = False
    _excused: datetime | None = None

    def __post_init__(self) -> None:
        self.database = memory(empty())
        names = {move.name for move in self.story.moves}
        lenient = bool(names & SECOND_TWIN or ("far late" in names and names & FORGETFUL))
        self.site.target.egress = Money(self.story.egress)
        caps = self.story.policy.budget, self.story.licences
        self.checker = Checker(self.site, *caps, lenient)
        self.daemons = [
            Daemon.on_a_machine(name, self.site, self.database, self.story.policy, self.tap)
            for name in ("A", "B")
        ]
        for daemon in self.daemons:
            daemon.licences = self.story.licences
        self._moves: dict[tuple[str, int], list[Move]] = defaultdict(list)
        for move in self.story.moves:
            self._moves[move.place, move.nth].append(move)

    def run(self) -> list[str]:
        """Play it to the end; what is wrong, at most one thing of a kind."""
        for _ in range(self.story.turns):
            self.one_turn(self.story.seconds)
            if self.checker.wrong:
                return self.checker.wrong
        self._peace()
        for _ in range(BOUND // CALM):
            self.one_turn(CALM)
            if self.checker.wrong:
                return self.checker.wrong
            if ends.all_is_over(self.site, self.checker):
                break
        self.others(130)  # what comes late comes now
        for _ in range(3):
            self.one_turn(CALM)
        self.checker.wrong += ends.judge(self.site, self.checker)
        self.checker.wrong += [f"a fault of our own: {f}" for d in self.daemons for f in d.faults]
        return self.checker.wrong

    @property
    def trace(self) -> str:
        """The digest of all events so far."""
        return str(self._digest.hexdigest())

    # --- what acts and faults use

    def daemon(self, name: str) -> Daemon:
        return next(daemon for daemon in self.daemons if daemon.name == name)

    def kill(self, daemon: Daemon, turns: int) -> None:
        """SIGKILL; it is started again after so many turns. Its own call is its last."""
        daemon.back_at = self.turn + turns + 1
        daemon.die()

    def excuse(self, seconds: int) -> None:
        """Somebody asked burstd to wait so long: no bound counts meanwhile."""
        self._excused = self.site.clock.now() + timedelta(seconds=seconds)

    def later(self, call: Call, real: Real, seconds: int) -> None:
        """The effect comes then."""
        self.checker.before_late(call)
        due = self.site.clock.now() + timedelta(seconds=seconds)
        self._late.append(Late(due, self._boots(call), call, real))

    def overtake(self, name: str, seconds: int) -> None:
        """Every other daemon makes a turn, and time passes, while ``name`` stands still."""
        for other in self.daemons:
            if other.name != name and other.alive and not other.busy:
                other.turn()
        if seconds:
            self.others(seconds)

    def others(self, seconds: float) -> None:
        """Everybody else's part of some time."""
        while seconds > 0:
            step = min(seconds, 10)
            seconds -= step
            self.site.schedulers()
            self._event("schedulers")
            self._agents()
            self.site.clock.forward(seconds=step)
            self.site.payloads_end()
            self._event("payloads")
            self._users_stop_theirs()
            self._what_is_due()
            self._cancels(step)

    def _users_stop_theirs(self) -> None:
        """``burst return --checkpoint``, once for each, where burstd answers."""
        daemon = self.daemons[0]
        for key in self.site.to_be_stopped() if daemon.alive else ():
            store = SqlStore(self.database, self.site.slurm.cluster, daemon.clock)
            request = Request(RequestKind.CHECKPOINT, "alice", "a rehearsal")
            store.request(BurstId(key.removeprefix("b-")), request)

    # --- events

    def tap(self, call: Call, real: Callable[[], Any]) -> Any:
        """A call of burstd's: what falls on it falls on it now."""
        moves = self._due(call.kind)
        for move in moves:
            if move.name in ACTS and not move.after:
                self._act(move)
        self._go_on(call)
        fault = next((m for m in moves if m.name in FAULTS), None)
        result = self._made(call, real, fault)
        for move in moves:
            if move.name in ACTS and move.after:
                self._act(move)
        self._go_on(call)
        return result

    def _due(self, kind: str) -> list[Move]:
        """What falls on this call."""
        for place in (kind, ANY):
            self._armed += self._moves.get((place, self._counts[place]), ())
            self._counts[place] += 1
        if self.calm or not self._armed:
            return []
        due = [m for m in self._armed if m.name in ACTS or kind in FAULTS[m.name].at]
        self._armed = [move for move in self._armed if move not in due]
        return due

    def _go_on(self, call: Call) -> None:
        if not self.daemon(call.daemon).alive:
            raise Killed(call.daemon)

    def _made(self, call: Call, real: Callable[[], Any], fault: Move | None) -> Any:
        outcome = "ok"
        try:
            if fault is None or call.name == "observe":
                return self._effect(call, real)
            self._troubled = True
            self._hit(fault.name)
            effect = partial(self._effect, call, real)
            return FAULTS[fault.name].around(self, call, effect, fault.size)
        except (PortError, StaleBurst) as error:
            outcome = type(error).__name__
            raise
        except Killed as killed:
            outcome = f"{killed.daemon} is killed"
            raise
        finally:
            self._event(f"{call.says}: {outcome}" + (f" [{fault.name}]" if fault else ""))

    def _effect(self, call: Call, real: Callable[[], Any], *, late: bool = False) -> Any:
        self.checker.before_call(call, late=late)
        result = real()
        if call.seam == "slurm":
            self.checker.after_slurm(call)
        return result

    def _event(self, words: str) -> None:
        self.checker.after(self.database)
        line = f"{self.site.clock.now():%H:%M:%S} {words}"
        self._digest.update(line.encode())
        if self.tell is not None:
            self.tell(line)

    def _act(self, move: Move) -> None:
        act = ACTS[move.name]
        if self._busy_with(move):
            return
        whom = act.do(self, move.pick, move.size)
        if whom is None:
            return
        self._troubled = True
        self._hit(move.name)
        if act.over is not None and not move.size:
            act.over(self, whom)  # a client of Slurm's waits so long, and never knows
        elif act.over is not None:
            until = self.site.clock.now() + timedelta(seconds=move.size)
            self.site.passing.append((until, move.name, whom))
        self._event(f"-- {move.name} {whom}".rstrip())

    def _hit(self, name: str) -> None:
        """It falls on the burst under way, or else on all that are open."""
        rows = self.checker.ledger.rows
        under_way = structlog.contextvars.get_contextvars().get("burst_id")
        hit = [rows[under_way]] if under_way in rows else [r for r in rows.values() if r.open]
        for stage in {row.stage for row in hit} or {"none"}:
            self.hits[name, stage] += 1

    def _busy_with(self, move: Move) -> bool:
        return any(name == move.name for _, name, _ in self.site.passing)

    # --- turns

    def one_turn(self, seconds: float) -> None:
        for number, order in enumerate(self.story.orders):
            if order.turn == self.turn:
                self.site.submit(number, order)
                self._event(f"-- sbatch {order.name}")
        for move in () if self.calm else self._moves.get((TURN, self.turn), ()):
            self._act(move)
        first, second = self.daemons
        if not first.alive and self.turn >= first.back_at:
            first.start()
            self._event("-- A starts")
        for daemon in (first, second):
            if daemon.alive:
                daemon.turn()
        self.others(seconds)
        self.site.slurm.commands.clear()
        self.site.target.calls.clear()
        self.turn += 1

    def _agents(self) -> None:
        """Agents speak with the daemon that is there."""
        daemon = next((daemon for daemon in self.daemons if daemon.alive), None)
        if daemon is not None:
            daemon.serve(self.site.agents.work)

    def _what_is_due(self) -> None:
        now = self.site.clock.now()
        for late in [late for late in self._late if late.due <= now]:
            self._late.remove(late)
            if late.boots == self._boots(late.call):  # else it died with its slurmctld
                outcome = "ok"
                try:
                    late.real(late=True)
                except PortError as error:
                    outcome = type(error).__name__
                self._event(f"-- late: {late.call.says}: {outcome}")
        for entry in [entry for entry in self.site.passing if entry[0] <= now]:
            self.site.passing.remove(entry)
            self._over(entry[1], entry[2])

    def _over(self, name: str, whom: str) -> None:
        over = ACTS[name].over
        if over is not None:
            over(self, whom)
            self._event(f"-- {name} is over")

    def _boots(self, call: Call) -> int:
        return self.site.slurm.boots if call.seam == "slurm" else 0

    def _cancels(self, step: float) -> None:
        """23: a scancel reaches the twin in time, reckoned while nothing stands in the way."""
        hindered = self._troubled or self._is_hindered()
        self._troubled = False
        if hindered:
            return
        for key, name in self.site.far():
            if name in self.site.cancelled or self._is_home(name):
                self._slow[name] = self._slow.get(name, 0) + step
                if self._slow[name] > CANCEL_BOUND:
                    self.checker.note(f"23: {key} runs on {self._slow[name]:.0f} s after scancel")

    def _is_hindered(self) -> bool:
        """Something lasts, burstd is dead or in the middle of a call, or was asked to wait."""
        first, second = self.daemons
        excused = self._excused is not None and self.site.clock.now() < self._excused
        busy = not first.alive or first.busy or second.alive
        return bool(self.site.passing or excused or busy)

    def _is_home(self, name: str) -> bool:
        """A user took it out of the burst partition: that, too, ends its twin."""
        home = name in self.site.moved
        return home and any(
            mark(job) == name and job.shown["Partition"] != self.site.slurm.burst_partition
            for job in self.site.slurm.jobs
        )

    def _peace(self) -> None:
        """Nothing goes wrong any more, and users finish what they began."""
        self.calm = self.site.hurry = True
        self.daemons[1].die()
        for _, name, whom in list(self.site.passing):
            self._over(name, whom)
        self.site.passing.clear()
        self.daemons[0].back_at = self.turn
        self.site.slurm.slots = 99
        ends.users_finish(self.site)
        self._event("-- peace")
