"""Mistakes on the way home, and at the end."""

from __future__ import annotations

from tests.sim.defects.defect import QUEUE, STEPS, Defect, one

HOME: tuple[Defect, ...] = (
    # --- the way home
    one(
        "no fence", "the job goes home whatever its twin does", "1, 22",
        STEPS,
        "        if twin is not None and twin.state is not RemoteState.ENDED:\n"
        "            target.cancel(burst.work_key)\n"
        "            return None\n"
        "        if twin is not None and twin.outcome",
        "        if twin is not None and twin.outcome",
    ),
    one(
        "held is never begun", "a job goes home over a run that the far controller has forgotten",
        "1, 2",
        STEPS,
        "        shown = RunState.NEVER if twin is None else _shown(twin, burst, world)\n",
        "        shown = RunState.NEVER\n",
    ),
    one(
        "no restore", "a return that was interrupted between two updates is not repeated", "7",
        QUEUE,
        "                self._restore(record)\n",
        "",
    ),
    one(
        "return not durable", "a burst is closed as soon as its job is home", "7",
        STEPS,
        "        return None  # a crash now would forget the return: a parked job that is nobody's\n",
        "        pass\n",
    ),
    one(
        "ended taken back", "requeuehold also for a job that has ended", "result",
        "adapters/slurm/controller.py",
        '        self._scontrol("requeuehold", "Incomplete", str(key))\n',
        '        self._scontrol("requeuehold", str(key))\n',
    ),
    one(
        "a refusal is final", "what Slurm refuses on the way home is not looked at again", "21",
        QUEUE,
        "            if self.look(who) == seen:\n                raise\n",
        "            raise\n",
    ),
    one(
        "late hold", "a change without an answer is tried again at once", "21",
        QUEUE,
        "        raise Unreachable(str(error), retry_after=IN_THE_AIR) from error\n",
        "        raise\n",
    ),
    one(
        "bounce", "a job that came home may leave again at once", "21",
        "core/candidates.py",
        "    over = {Reason.ABANDONED: ledger.abandoned, Reason.RETURNED_BEFORE: ledger.returned}\n",
        "    over = {Reason.ABANDONED: ledger.abandoned}\n",
    ),
    # --- the end
    one(
        "no barrier at the end", "a burst is settled as soon as its job is over", "21",
        STEPS,
        "        return None  # a crash now would forget the end and start the stand-in again\n",
        "        pass\n",
    ),
    one(
        "settled too early", "a burst is settled when its results are home: its job may go on", "21",
        STEPS,
        "    if stopped(burst, seen, world, sight) is None and not at_home(burst, seen, world):\n"
        "        return None\n"
        "    now =",
        "    now =",
    ),
    one(
        "cleaned too early", "the far side is cleaned before the results are home", "11",
        STEPS,
        '    if "staged_out" in world.store.said(burst.id):\n        return ev.Done()\n',
        "    world.sites[burst.target].target.clean(burst.work_key, burst.identity.user)\n"
        '    if "staged_out" in world.store.said(burst.id):\n        return ev.Done()\n',
    ),
    one(
        "lost with the stand-in", "results that no stand-in could land are removed", "11",
        "shell/reckoning.py",
        "    if age and _unlanded(burst, world):\n",
        "    if not age:\n",
    ),
    one(
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
    one(
        "a second twin left", "before a burst is closed its key is not looked up once more", "22",
        STEPS,
        "    if burst.submit_intended:\n        twin = site.target.find",
        "    if False:\n        twin = site.target.find",
    ),
    one(
        "scancel unheard", "a running twin is not told that its job was ended", "23",
        STEPS,
        '    """Wait for the proven end; a job ended by its user on-prem is recalled."""\n'
        "    if (stop := recalled(burst, world, sight, home=ev.Recalled)) is not None:\n"
        "        return stop\n",
        '    """Wait for the proven end; a job ended by its user on-prem is recalled."""\n',
    ),
    one(
        "a try is enough", "a burst is closed though its job could not be ended", "23",
        "shell/requests.py",
        "                sight.stuck.add(burst.id)\n",
        "",
    ),
    one(
        "long waits", "a try that fails is repeated after five minutes, scancel or not", "23",
        "core/retries.py",
        "    backoff = min(SOONER.get(stage, LONGEST),",
        "    backoff = min(LONGEST,",
    ),
    one(
        "clock set back", "a time that lies an hour ahead is waited for", "21",
        "core/retries.py",
        "    return due_at is None or not timedelta() < due_at - now <= LONGEST\n",
        "    return due_at is None or due_at <= now\n",
    ),
    # --- who was stopped to go on at home
    one(
        "what was stopped has ended", "the stand-in of who saved its state ends with its exit code",
        "result, 5",
        "core/orders.py",
        "    if order is Order.EXIT and checkpointed(burst, own):\n"
        "        return Order.WAIT\n",
        "",
    ),
    one(
        "told to stop is stopped", "who was told to save its state goes home however it ended",
        "2, result",
        "core/orders.py",
        "    return burst.stopping and ended and ending(burst.outcome, own) == (CHECKPOINTED, 0)\n",
        "    return burst.stopping\n",
    ),
    one(
        "home before its results", "who has saved its state goes home before that has landed",
        "11, 2",
        STEPS,
        '    if "staged_out" in world.store.said(burst.id):\n',
        '    if burst.stopping or "staged_out" in world.store.said(burst.id):\n',
    ),
)  # fmt: skip
