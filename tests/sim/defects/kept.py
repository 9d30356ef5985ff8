"""Mistakes with what is kept: the ledger and the files."""

from __future__ import annotations

from tests.sim.defects.defect import LANDING, SQL, STEPS, Defect, Edit, file, one

PLACING = "agent/placing.py"

KEPT: tuple[Defect, ...] = (
    # --- the ledger
    one(
        "no compare-and-swap", "a move is written whatever the version is", "17",
        SQL,
        ".where(t.bursts.c.id == before.id, t.bursts.c.version == before.version)",
        ".where(t.bursts.c.id == before.id)",
    ),
    one(
        "stale writer", "who lost the race writes on from where the winner is", "17, 18",
        "shell/tick.py",
        "    after = world.store.append(burst, event, advance(burst, event), heard)\n",
        "    try:\n"
        "        after = world.store.append(burst, event, advance(burst, event), heard)\n"
        "    except StaleBurst:\n"
        "        burst = world.store.burst(burst.id) or burst\n"
        "        after = world.store.append(burst, event, advance(burst, event), heard)\n",
    ),
    one(
        "last word unheard", "a burst is closed whatever was asked of it in the last moment", "23",
        SQL,
        "        end_unheard = after.stage.final and RequestKind.CANCEL not in heard\n",
        "        end_unheard = False\n",
    ),
    one(
        "reserved late", "money is bound when the work is submitted", "12",
        "adapters/store/sums.py",
        "        reserved=Money(sum((b.reserved for b in going), Decimal(0))),\n",
        "        reserved=Money(sum((b.reserved for b in going if b.submit_intended), Decimal(0))),\n",
    ),
    one(
        "more than reserved", "the record is taken whatever it asks for", "12",
        STEPS,
        "    if limit is None or worst_case(cores, shape.gpus, limit, view, most) > burst.reserved:\n",
        "    if limit is None:\n",
    ),
    one(
        "licences unbooked", "what open bursts have booked is free for others", "24",
        "core/licences.py",
        "        booked = Counter(ledger.booked)\n",
        "        booked = Counter[str]()\n",
    ),
    Defect(
        "second burst", "a wish that already has a burst is placed again", "1, 2, 5, 17",
        (
            Edit(
                "core/candidates.py",
                "        if ledger.open:\n",
                "        if ledger.open and job.partition != \"burst\":\n",
            ),
            Edit(
                SQL,
                "            if row.open or user_of(row.body) == burst.identity.user:\n"
                "                return False\n",
                "            pass\n",
            ),
            Edit(
                "adapters/store/migrations/versions/v1.py",
                "        unique=True,\n",
                "",
            ),
        ),
    ),
    # --- files
    file(
        "no file sync", "the name is made before the bytes are on disk", "8",
        "            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))\n"
        "    os.fsync(descriptor)\n",
        "            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))\n",
        PLACING,
    ),
    file(
        "no directory sync", "the bytes are on disk, their new name is not", "11",
        "    discard(directory, temporary)\n    os.fsync(directory)\n",
        "    discard(directory, temporary)\n",
        PLACING,
    ),
    file(
        "new directories not synced", "a directory on the way is made and not synced", "11",
        "                _sync(current, following)\n",
        "",
        "agent/ways.py",
    ),
    file(
        "mode after sync", "mode and time are set when the file was synced", "11",
        "    with contextlib.suppress(PermissionError):\n"
        "        os.fchmod(descriptor, entry.mode & 0o777)\n"
        "        with contextlib.suppress(OverflowError):  # a time beyond all times\n"
        "            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))\n"
        "    os.fsync(descriptor)\n",
        "    os.fsync(descriptor)\n"
        "    os.fchmod(descriptor, entry.mode & 0o777)\n"
        "    os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))\n",
        PLACING,
    ),
    file(
        "landed is durable", "a file that is whole already counts as landed as it is", "11",
        "        finish(descriptor, entry)\n"
        "    finally:\n"
        "        os.close(descriptor)\n"
        "    os.fsync(directory)\n",
        "    finally:\n"
        "        os.close(descriptor)\n",
        PLACING,
    ),
    file(
        "size is enough", "a file of the right size counts as landed", "7",
        "        if not same or chunks.digest_of(descriptor) != entry.blake3:\n",
        "        if not same:\n",
        PLACING,
    ),
    file(
        "bytes unchecked", "what came is taken for what was sent", "7",
        "            if entry.blake3 and digest_of(temporary, directory) != entry.blake3:\n",
        "            if False:\n",
    ),
    file(
        "over the user's file", "a result replaces what is there", "10",
        "        return self.marks.get(path) != Mark.of(seen)\n",
        "        return False\n",
    ),
    file(
        "rename for link", "a new result is renamed into place, over whatever came meanwhile", "10",
        "        os.link(\n"
        "            temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False\n"
        "        )  # fmt: skip\n",
        "        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)\n",
        PLACING,
    ),
    file(
        "naive walk", "a name may lead up, and through links", "9",
        "    if not pure.is_absolute() or \"..\" in pure.parts or \"\\0\" in path:\n",
        "    if not pure.is_absolute() or \"\\0\" in path:\n",
        "agent/ways.py",
    ),
    file(
        "links followed", "a directory on the way may be a link", "9",
        "_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC\n",
        "_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC\n",
        "agent/ways.py",
    ),
    Defect(
        "temporary not new", "a temporary file that is there is used", "8, 9",
        (
            Edit(
                PLACING,
                "_AGAIN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC\n",
                "_AGAIN = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC\n",
            ),
            Edit(
                PLACING,
                "        if ours and _lock(descriptor):\n",
                "        if seen or ours:\n",
            ),
        ),
        LANDING,
    ),
    Defect(
        "written in place", "a result is written under its own name", "8",
        (
            Edit(
                "agent/landing.py",
                "        temporary = self._temporary(name)\n"
                "        if self._landed(directory, name, entry):\n",
                "        temporary, existing = name + \".new\", look(directory, name)\n"
                "        if self._landed(directory, name, entry):\n",
            ),
            Edit(
                "agent/landing.py",
                "            descriptor = self._written(directory, temporary, name, entry)\n",
                "            temporary = name if existing is None else temporary\n"
                "            descriptor = self._written(directory, temporary, name, entry)\n"
                "            if existing is None:\n"
                "                os.close(descriptor)\n"
                "                os.fsync(directory)\n"
                "                return True\n",
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
