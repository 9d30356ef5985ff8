"""Mistakes on the way out: the claim, the permit, the submission, and what is not known."""

from __future__ import annotations

from tests.sim.defects.defect import LIFECYCLE, QUEUE, SQL, STEPS, Defect, Edit, one

AWAY: tuple[Defect, ...] = (
    # --- the claim
    one(
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
    one(
        "asked once", "whose job it is is asked before the first of several changes only", "5",
        QUEUE,
        "        if self._mine(who) is None:\n            raise Unreachable(f\"slurmctld",
        "        if False:\n            raise Unreachable(f\"slurmctld",
    ),
    one(
        "started once more", "what the far controller shows as held has not begun", "2",
        STEPS,
        "    return world.sites[burst.target].target.run_state(burst.work_key, burst.identity.user)\n",
        "    return RunState.NEVER\n",
    ),
    one(
        "no barriers", "what was acknowledged is durable at once", "3",
        "core/barrier.py",
        "SAVE_TIME = timedelta(seconds=10)\n",
        "SAVE_TIME = timedelta()\n",
    ),
    one(
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
    one(
        "no permit", "the twin is started without the one permit", "3",
        STEPS,
        "    if not world.store.permit(burst.id, attempt=1):\n",
        "    if False:\n",
    ),
    one(
        "permit after a request", "a permit is given though the job was asked back", "3",
        SQL,
        "                if self._requests.asked(db, burst, RequestKind.RETURN):\n"
        "                    return False\n"
        "                row =",
        "                row =",
    ),
    one(
        "stand-in not looked at", "the permit does not ask whether the stand-in still stands", "3",
        STEPS,
        "    stop = stopped(burst, seen, world, sight) or being_ended(burst, seen, world)\n"
        "    if stop is not None:\n"
        "        return stop\n"
        "    if at_home(burst, seen, world):\n"
        "        return ev.Refused(HOME)\n"
        "    if not stands_in(burst, seen, world):\n"
        "        return None\n"
        "    target =",
        "    target =",
    ),
    # --- the submission
    one(
        "no find", "the work is submitted without asking for it first", "4",
        STEPS,
        "    found = target.find(burst.work_key)\n"
        "    if found is not None:\n"
        "        return ev.Accepted(found.id",
        "    found = None\n"
        "    if found is not None:\n"
        "        return ev.Accepted(found.id",
    ),
    one(
        "answer lost", "a submission without an answer is tried again at once", "22",
        STEPS,
        "        raise Unreachable(str(error), retry_after=IN_THE_AIR) from error\n",
        "        raise Unreachable(str(error)) from error\n",
    ),
    one(
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
    one(
        "not listed is ended", "a job that no list shows has ended", "1, 2, 21",
        "shell/standing.py",
        "    if seen.state.over:\n"
        '        return ev.Recalled(f"job {burst.job} is {seen.state.value} on-prem")\n',
        "    if seen.state.over or seen.state is JobState.UNKNOWN:\n"
        '        return ev.Recalled(f"job {burst.job} is {seen.state.value} on-prem")\n',
    ),
    one(
        "silence is an end", "a twin of which nothing was heard has ended", "11, 2",
        STEPS,
        "    if twin is None or twin.state is not RemoteState.ENDED:\n",
        "    if twin is None:\n"
        '        return ev.Ended(Outcome("lost"))\n'
        "    if twin.state is not RemoteState.ENDED:\n",
    ),
    one(
        "unknown is ended", "a state that nobody knows is an end", "11, 2",
        STEPS,
        "    if twin is None or twin.state is not RemoteState.ENDED:\n",
        "    if twin is None or twin.state not in {RemoteState.ENDED, RemoteState.UNKNOWN}:\n",
    ),
)  # fmt: skip
