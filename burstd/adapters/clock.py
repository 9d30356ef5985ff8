"""The real clock, and the source of burst ids."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime


class SystemClock:
    """``ports.clock.Clock`` on the machine's own."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this is the one place

    def fresh_id(self) -> str:
        return uuid.uuid4().hex[:12]  # noqa: TID251 - this is the one place
