"""How burstd starts other programs."""

from __future__ import annotations

import os

#: ``subprocess``'s ``user``: ourselves, so that CPython forks. Otherwise it would vfork (3.10 on,
#: ``_posixsubprocess.c``): the child shares our memory until it has become the other program, and
#: on glibc 2.41 takes a lock in it (``abort.c``, through ``sigaction``). If burstd is killed at
#: that moment, such children can block each other for ever, and hold on to what we had open.
OURSELVES = os.geteuid()
