"""Mistakes that a competent programmer might make, as data: each is put into a copy of burstd, and
the campaign must find it."""

from __future__ import annotations

from dataclasses import dataclass

#: How a defect is looked for: by the campaign, or by the landing's power cuts.
CAMPAIGN, LANDING = "campaign", "landing"


@dataclass(frozen=True)
class Edit:
    """``old`` occurs once in ``file`` (below ``burstd/``)."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Defect:
    """``ought``: the invariants that it should break, by number, one of which is to be seen."""

    name: str
    what: str
    ought: str
    edits: tuple[Edit, ...]
    by: str = CAMPAIGN


def _one(name: str, what: str, ought: str, file: str, old: str, new: str) -> Defect:
    return Defect(name, what, ought, (Edit(file, old, new),))


def _file(name: str, what: str, ought: str, old: str, new: str) -> Defect:
    return Defect(name, what, ought, (Edit("agent/landing.py", old, new),), LANDING)


STEPS, QUEUE, SQL = "shell/steps.py", "adapters/slurm/queue.py", "adapters/store/sql.py"
LIFECYCLE = "core/lifecycle.py"

DEFECTS: tuple[Defect, ...] = (
    # --- the claim
    _one(
        "hold trusted", "rc 0 of a hold is a hold: who lost the race to the start leaves it there",
        "21",
        QUEUE,
        "            if seen.state is JobState.RUNNING and seen.held:\n",
        "            if False:\n",
    ),
    Defect(
        "id alone", "a job is known by its id: whoever has it now is the one", "5",
        (
            Edit(
                QUEUE,
                "        if shown.named or seen.identity == who or (theirs and seen.restarts > 0):\n"
                "            return seen\n",
                "        if shown.named or theirs or not theirs:\n            return seen\n",
            ),
            Edit(
                "domain/jobs.py",
                "        if seen is None or (seen.key, seen.user, seen.name) != (who.key, who.user, who.name):\n"
                "            return False\n"
                "        return seen.submitted_at == who.submitted_at or self.restarts > 0\n",
                "        return seen is not None and seen.key == who.key\n",
            ),
        ),
    ),
    _one(
        "no barriers", "what was acknowledged is durable at once", "3",
        "core/barrier.py",
        "SAVE_TIME = timedelta(seconds=10)\n",
        "SAVE_TIME = timedelta()\n",
    ),
    _one(
        "barriers too short", "a second is taken for enough", "3",
        "core/barrier.py",
        "SAVE_TIME = timedelta(seconds=10)\n",
        "SAVE_TIME = timedelta(seconds=1)\n",
    ),
    Defect(
        "restart unnoticed", "the boot time is not compared, the permit trusts the ledger", "3",
        (
            Edit(
                "core/barrier.py",
                "    if boot != epoch.boot:\n        return Durability.RESTARTED\n",
                "",
            ),
            Edit(
                STEPS,
                "    if at_home(burst, seen, world):\n"
                "        return ev.Refused(HOME)\n"
                "    if not stands_in(burst, seen, world):\n"
                "        return None\n"
                "    target =",
                "    target =",
            ),
        ),
    ),
    Defect(
        "wall clock in the barrier", "the age of a claim is measured with the wall clock", "3",
        (
            Edit(
                STEPS,
                "            return ev.Claimed(Epoch(boot, world.clock.uptime()))\n",
                "            return ev.Claimed(Epoch(boot, _wall(world)))\n",
            ),
            Edit(
                STEPS,
                "    target, now = world.sites[burst.target].target, world.clock.uptime()\n",
                "    target, now = world.sites[burst.target].target, _wall(world)\n",
            ),
            Edit(
                STEPS,
                "    if durability(burst.claim, boot, world.clock.uptime()) is not Durability.DURABLE:\n",
                "    if durability(burst.claim, boot, _wall(world)) is not Durability.DURABLE:\n",
            ),
            Edit(
                STEPS,
                "        return ev.Accepted(found.id, Epoch(boot, world.clock.uptime()))\n",
                "        return ev.Accepted(found.id, Epoch(boot, _wall(world)))\n",
            ),
            Edit(
                STEPS,
                "    return ev.Accepted(remote_id, Epoch(boot, world.clock.uptime()))\n",
                "    return ev.Accepted(remote_id, Epoch(boot, _wall(world)))\n",
            ),
            Edit(
                STEPS,
                "def _record(burst",
                "def _wall(world: World) -> Uptime:\n"
                '    return Uptime("", world.clock.now().timestamp())\n\n\n'
                "def _record(burst",
            ),
        ),
    ),
    # --- the permit
    _one(
        "no permit", "the twin is started without the one permit", "3",
        STEPS,
        "    if not world.store.permit(burst.id, attempt=1):\n",
        "    if False:\n",
    ),
    _one(
        "permit after a request", "a permit is given though the job was asked back", "3",
        SQL,
        "                if self._requests.asked(db, burst, RequestKind.RETURN):\n"
        "                    return False\n"
        "                row =",
        "                row =",
    ),
    _one(
        "stand-in not looked at", "the permit does not ask whether the stand-in still stands", "3",
        STEPS,
        "    if (stop := stopped(burst, seen, world, sight)) is not None:\n"
        "        return stop\n"
        "    if at_home(burst, seen, world):\n"
        "        return ev.Refused(HOME)\n"
        "    if not stands_in(burst, seen, world):\n"
        "        return None\n"
        "    target =",
        "    target =",
    ),
    # --- the submission
    _one(
        "no find", "the work is submitted without asking for it first", "4",
        STEPS,
        "    found = target.find(burst.work_key)\n"
        "    if found is not None:\n"
        "        return ev.Accepted(found.id",
        "    found = None\n"
        "    if found is not None:\n"
        "        return ev.Accepted(found.id",
    ),
    _one(
        "answer lost", "a submission without an answer is tried again at once", "22",
        STEPS,
        "        raise Unreachable(str(error), retry_after=IN_THE_AIR) from error\n",
        "        raise Unreachable(str(error)) from error\n",
    ),
    _one(
        "no barrier at the submission", "the twin may start as soon as it was accepted", "21",
        STEPS,
        "    if remote is not Durability.UNTIMED and Durability.TOO_EARLY in (on_prem, remote):\n",
        "    if on_prem is Durability.TOO_EARLY:\n",
    ),
    Defect(
        "intent after the effect", "that a twin is wanted is noted when it was accepted", "1, 22",
        (
            Edit(
                LIFECYCLE,
                "        Stage.STAGED_IN: {ev.Begun: Stage.SUBMITTING, **_STOP},\n",
                "        Stage.STAGED_IN: {ev.Accepted: Stage.SUBMITTED, **_GO_HOME},\n",
            ),
            Edit(
                STEPS,
                "    Stage.SUBMITTING: submit,\n",
                "    Stage.STAGED_IN: submit,\n    Stage.SUBMITTING: submit,\n",
            ),
        ),
    ),
    # --- what is not known
    _one(
        "not listed is ended", "a job that no list shows has ended", "1, 2, 21",
        "shell/standing.py",
        "    if seen.state.over:\n"
        '        return ev.Recalled(f"job {burst.job} is {seen.state.value} on-prem")\n',
        "    if seen.state.over or seen.state is JobState.UNKNOWN:\n"
        '        return ev.Recalled(f"job {burst.job} is {seen.state.value} on-prem")\n',
    ),
    _one(
        "silence is an end", "a twin of which nothing was heard has ended", "11, 2",
        STEPS,
        "    if seen is None or seen.state is not RemoteState.ENDED:\n",
        "    if seen is None:\n"
        '        return ev.Ended(Outcome("lost"))\n'
        "    if seen.state is not RemoteState.ENDED:\n",
    ),
    _one(
        "unknown is ended", "a state that nobody knows is an end", "11, 2",
        STEPS,
        "    if seen is None or seen.state is not RemoteState.ENDED:\n",
        "    if seen is None or seen.state not in {RemoteState.ENDED, RemoteState.UNKNOWN}:\n",
    ),
    # --- the way home
    _one(
        "no fence", "the job goes home whatever its twin does", "1, 22",
        STEPS,
        "        if twin is not None and twin.state is not RemoteState.ENDED:\n"
        "            target.cancel(burst.work_key)\n"
        "            return None\n"
        "        if twin is not None and twin.outcome",
        "        if twin is not None and twin.outcome",
    ),
    _one(
        "no restore", "a return that was interrupted between two updates is not repeated", "7",
        QUEUE,
        "                self._restore(record)\n",
        "",
    ),
    _one(
        "return not durable", "a burst is closed as soon as its job is home", "7",
        STEPS,
        "        return None  # a crash now would forget the return: a parked job that is nobody's\n",
        "        pass\n",
    ),
    _one(
        "ended taken back", "requeuehold also for a job that has ended", "result",
        "adapters/slurm/controller.py",
        '        self._scontrol("requeuehold", "Incomplete", str(key))\n',
        '        self._scontrol("requeuehold", str(key))\n',
    ),
    _one(
        "a refusal is final", "what Slurm refuses on the way home is not looked at again", "21",
        QUEUE,
        "            if self.look(who) == seen:\n                raise\n",
        "            raise\n",
    ),
    _one(
        "late hold", "a change without an answer is tried again at once", "21",
        QUEUE,
        "        raise Unreachable(str(error), retry_after=IN_THE_AIR) from error\n",
        "        raise\n",
    ),
    _one(
        "bounce", "a job that came home may leave again at once", "21",
        "core/decide.py",
        "    over = {Reason.ABANDONED: ledger.abandoned, Reason.RETURNED_BEFORE: ledger.returned}\n",
        "    over = {Reason.ABANDONED: ledger.abandoned}\n",
    ),
    # --- the end
    _one(
        "no barrier at the end", "a burst is settled as soon as its job is over", "21",
        STEPS,
        "        return None  # a crash now would forget the end and start the stand-in again\n",
        "        pass\n",
    ),
    _one(
        "settled too early", "a burst is settled when its results are home: its job may go on", "21",
        STEPS,
        "    if stopped(burst, seen, world, sight) is None and not at_home(burst, seen, world):\n"
        "        return None\n"
        "    now =",
        "    now =",
    ),
    _one(
        "cleaned too early", "the far side is cleaned before the results are home", "11",
        STEPS,
        '    if "staged_out" in world.store.said(burst.id):\n        return ev.Done()\n',
        "    world.sites[burst.target].target.clean(burst.work_key, burst.identity.user)\n"
        '    if "staged_out" in world.store.said(burst.id):\n        return ev.Done()\n',
    ),
    _one(
        "cleaned before the barrier", "the far side is cleaned while the end may be forgotten", "11",
        STEPS,
        "    now = world.clock.uptime()\n"
        "    aged = _over_for(burst, boot, now)\n"
        "    if aged in _STAMPED_ANEW:\n"
        "        return ev.Over(Epoch(boot, now))\n"
        "    if aged is Durability.TOO_EARLY:\n"
        "        return None  # a crash now would forget the end",
        "    now = world.clock.uptime()\n"
        "    world.sites[burst.target].target.clean(burst.work_key, burst.identity.user)\n"
        "    aged = _over_for(burst, boot, now)\n"
        "    if aged in _STAMPED_ANEW:\n"
        "        return ev.Over(Epoch(boot, now))\n"
        "    if aged is Durability.TOO_EARLY:\n"
        "        return None  # a crash now would forget the end",
    ),
    _one(
        "a second twin left", "before a burst is closed its key is not looked up once more", "22",
        STEPS,
        "    if burst.submit_intended:\n        twin = site.target.find",
        "    if False:\n        twin = site.target.find",
    ),
    _one(
        "scancel unheard", "a running twin is not told that its job was ended", "23",
        STEPS,
        '    """Wait for the proven end; a job ended by its user on-prem is recalled."""\n'
        "    if (stop := recalled(burst, world, sight, home=ev.Recalled)) is not None:\n"
        "        return stop\n",
        '    """Wait for the proven end; a job ended by its user on-prem is recalled."""\n',
    ),
    _one(
        "long waits", "a try that fails is repeated after five minutes, scancel or not", "23",
        "core/retries.py",
        "    backoff = min(SOONER.get(stage, LONGEST),",
        "    backoff = min(LONGEST,",
    ),
    _one(
        "clock set back", "a time that lies an hour ahead is waited for", "21",
        "core/retries.py",
        "    return due_at is None or not timedelta() < due_at - now <= LONGEST\n",
        "    return due_at is None or due_at <= now\n",
    ),
    # --- the ledger
    _one(
        "no compare-and-swap", "a move is written whatever the version is", "17",
        SQL,
        ".where(t.bursts.c.id == before.id, t.bursts.c.version == before.version)",
        ".where(t.bursts.c.id == before.id)",
    ),
    _one(
        "stale writer", "who lost the race writes on from where the winner is", "17, 18",
        "shell/tick.py",
        "    after = world.store.append(burst, event, advance(burst, event))\n",
        "    try:\n"
        "        after = world.store.append(burst, event, advance(burst, event))\n"
        "    except StaleBurst:\n"
        "        burst = world.store.burst(burst.id) or burst\n"
        "        after = world.store.append(burst, event, advance(burst, event))\n",
    ),
    _one(
        "reserved late", "money is bound when the work is submitted", "12",
        SQL,
        "        reserved = sum((b.reserved for b in values if not b.stage.final), Decimal(0))\n",
        "        reserved = sum(\n"
        "            (b.reserved for b in values if not b.stage.final and b.submit_intended), Decimal(0)\n"
        "        )\n",
    ),
    _one(
        "more than reserved", "the record is taken whatever it asks for", "12",
        STEPS,
        "    if limit is None or price(record.shape.cpus, limit, price_now) > burst.reserved:\n",
        "    if limit is None:\n",
    ),
    Defect(
        "second burst", "a wish that already has a burst is placed again", "1, 2, 5, 17",
        (
            Edit(
                "core/decide.py",
                "    return not job.tasks and job.key in ledger.open\n",
                "    return not job.tasks and job.key in ledger.open and job.partition != \"burst\"\n",
            ),
            Edit(
                "core/decide.py",
                "        elements = tuple(k for k in job.elements if k not in ledger.open)\n",
                "        elements = job.elements if wish else tuple(\n"
                "            k for k in job.elements if k not in ledger.open\n"
                "        )\n",
            ),
            Edit(
                SQL,
                "        if db.execute(select(t.bursts.c.id).where(same, t.bursts.c.open)).first() is not None:\n"
                "            return False\n",
                "",
            ),
            Edit(
                "adapters/store/migrations/versions/v1.py",
                "        unique=True,\n",
                "",
            ),
        ),
    ),
    # --- files
    _file(
        "no file sync", "the name is made before the bytes are on disk", "8",
        "    os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))\n    os.fsync(descriptor)\n",
        "    os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))\n",
    ),
    _file(
        "no directory sync", "the bytes are on disk, their new name is not", "11",
        "                os.unlink(temporary, dir_fd=directory)\n                os.fsync(directory)\n",
        "                os.unlink(temporary, dir_fd=directory)\n",
    ),
    _file(
        "new directories not synced", "a directory on the way is made and not synced", "11",
        "                _sync(current, following)\n",
        "",
    ),
    _file(
        "mode after sync", "mode and time are set when the file was synced", "11",
        "    os.fchmod(descriptor, entry.mode & 0o777)\n"
        "    os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))\n"
        "    os.fsync(descriptor)\n",
        "    os.fsync(descriptor)\n"
        "    os.fchmod(descriptor, entry.mode & 0o777)\n"
        "    os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))\n",
    ),
    _file(
        "landed is durable", "a file that is whole already counts as landed as it is", "11",
        "            _keep(directory, name, existing, entry)\n",
        "",
    ),
    _file(
        "size is enough", "a file of the right size counts as landed", "7",
        "        and digest_of(name, directory) == entry.sha256\n",
        "",
    ),
    _file(
        "bytes unchecked", "what came is taken for what was sent", "7",
        "            if digest_of(temporary, directory) != entry.sha256:\n",
        "            if False:\n",
    ),
    _file(
        "over the user's file", "a result replaces what is there", "10",
        "        return self.marks.get(path) != Mark(seen.st_size, seen.st_mtime_ns, seen.st_ino)\n",
        "        return False\n",
    ),
    _file(
        "rename for link", "a new result is renamed into place, over whatever came meanwhile", "10",
        "                os.link(\n"
        "                    temporary, name,\n"
        "                    src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False,\n"
        "                )  # fmt: skip\n"
        "                os.unlink(temporary, dir_fd=directory)\n",
        "                os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)\n",
    ),
    _file(
        "naive walk", "a name may lead up, and through links", "9",
        "    if not pure.is_absolute() or \"..\" in pure.parts or \"\\0\" in path:\n",
        "    if not pure.is_absolute() or \"\\0\" in path:\n",
    ),
    _file(
        "links followed", "a directory on the way may be a link", "9",
        "_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC\n",
        "_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC\n",
    ),
    Defect(
        "temporary not new", "a temporary file that is there is used", "8, 9",
        (
            Edit(
                "agent/landing.py",
                "_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC\n",
                "_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC\n",
            ),
            Edit(
                "agent/landing.py",
                "        _discard(directory, temporary)  # left by an interrupted landing of ours\n",
                "",
            ),
        ),
        LANDING,
    ),
    Defect(
        "written in place", "a result is written under its own name", "8",
        (
            Edit(
                "agent/landing.py",
                "        temporary = f\".burst-{self.burst}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}\"\n"
                "        _discard(directory, temporary)  # left by an interrupted landing of ours\n",
                "        temporary = name\n",
            ),
            Edit(
                "agent/landing.py",
                "        self._write(directory, temporary, entry)\n        if existing is None:\n",
                "        if existing is None:\n"
                "            self._write(directory, temporary, entry)\n"
                "            os.fsync(directory)\n"
                "            return\n"
                "        temporary = name + \".new\"\n"
                "        self._write(directory, temporary, entry)\n"
                "        if existing is None:\n",
            ),
        ),
        LANDING,
    ),
    Defect(
        "output not synced", "the job's own output lies in memory when the landing is reported",
        "11",
        (Edit("agent/follow.py", "                os.fsync(descriptor)\n", "                pass\n"),),
        LANDING,
    ),
)  # fmt: skip
