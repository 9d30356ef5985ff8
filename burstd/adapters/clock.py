"""The real clock, and the source of burst ids."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from burstd.domain.burst import Uptime

#: random(4): a fresh UUID at each start of the kernel.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """``ports.clock.Clock`` on the machine's own."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this is the one place

    def uptime(self) -> Uptime:
        # CLOCK_BOOTTIME goes on while the machine sleeps, CLOCK_MONOTONIC does not.
        return Uptime(_BOOT_ID.read_text().strip(), time.clock_gettime(time.CLOCK_BOOTTIME))

    def fresh_id(self) -> str:
        return uuid.uuid4().hex[:12]  # noqa: TID251 - this is the one place
