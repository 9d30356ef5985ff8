"""A far host that nobody is to ask: for looks at what a target's own table says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import BinaryIO, NoReturn

from burstd.ports.errors import Unreachable


class Mute:
    """``RemoteShell``; every question raises ``Unreachable``."""

    @property
    def access(self) -> dict[str, str]:
        _refuse()

    def run(
        self, user: str, argv: Sequence[str], stdin: bytes | BinaryIO = b"", deadline: float = 60.0
    ) -> str:
        _refuse()

    def certify(self, public_key: str, user: str, command: str, valid: timedelta) -> str:
        _refuse()


def _refuse() -> NoReturn:
    raise Unreachable("no target is asked here")
