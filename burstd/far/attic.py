"""Run directories after (or without) their run: the verbs `clean`, `state` and `list`."""

from __future__ import annotations

import os
import pwd
import time

from burstd.far import images, paths, rundir
from burstd.far.errors import MISSING, FarError
from burstd.far.payload import say
from burstd.far.workplace import PREFIX

EX_BUSY = 75


def clean(root: str, key: str) -> int:
    """Removes a run directory with all that is in it. Absent is fine; 75 while a runner lives."""
    try:
        run = rundir.RunDir.open(root, key)
    except FarError as error:
        if error.code == MISSING:
            return 0
        raise
    if run.busy():
        say(f"{key}: a runner is alive")
        return EX_BUSY
    for name in os.listdir(run.fd):
        if name.startswith(PREFIX):  # a killed keeper may have left its mount
            images.unmount(os.path.join(run.path, name, "root"))
    run.close()
    runs = rundir.open_runs(root, create=False)
    try:
        paths.remove_tree(runs, key.encode())
    finally:
        os.close(runs)
    return 0


def tidy(root: str, limit: int, days: int, shared: bool) -> int:
    """Sweeps the store of whoever calls: where no burst comes any more no conversation does. One
    that was never made is fine."""
    from burstd.far.store import Store

    own = "shared" if shared else str(os.geteuid())
    if not os.path.isdir(os.path.join(root, "stores", own)):
        return 0
    store = Store.at(root, "tidy", shared)
    try:
        store.sweep(limit, days)
    finally:
        store.close()
    return 0


def state(root: str, key: str) -> str:
    """One of absent, staging, running, ended, lost, foreign."""
    try:
        runs = rundir.open_runs(root, create=False)
    except FarError as error:
        if error.code == MISSING:
            return "absent"
        raise
    try:
        os.stat(paths.checked_key(key), dir_fd=runs, follow_symlinks=False)
    except FileNotFoundError:
        return "absent"
    finally:
        os.close(runs)
    return _state(root, key)


def list_runs(root: str) -> list[dict[str, object]]:
    """Key, owner, age and state of every run directory; foreign ones without a look inside."""
    try:
        runs = rundir.open_runs(root, create=False)
    except FarError:
        return []
    try:
        return [_facts(root, runs, name) for name in sorted(os.listdir(runs))]
    finally:
        os.close(runs)


def _facts(root: str, runs: int, key: str) -> dict[str, object]:
    fact = os.stat(key, dir_fd=runs, follow_symlinks=False)
    try:
        owner = pwd.getpwuid(fact.st_uid).pw_name
    except KeyError:
        owner = str(fact.st_uid)
    age = max(0, int(time.time() - fact.st_mtime))
    return {"key": key, "owner": owner, "age_s": age, "state": _state(root, key)}


def _state(root: str, key: str) -> str:
    try:
        run = rundir.RunDir.open(root, key)
    except (FarError, OSError):
        return "foreign"
    try:
        if run.busy():
            return "running"
        if rundir.present(run.fd, rundir.END):
            return "ended"
        # Started, nobody alive, no end record: only a human or the scheduler knows more.
        return "lost" if run.last_start() else "staging"
    finally:
        run.close()
