"""What can go wrong in the lab, in words a person can act on.

Every error carries the cure beside the complaint. `exit_code` is what the command line returns for
it.
"""

from __future__ import annotations


class LabError(Exception):
    """Something in the lab failed. `cure` says what to do about it."""

    exit_code = 1

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(what)
        self.cure = cure


class MachineLacks(LabError):
    """This machine misses a right, a device or a program that the lab needs."""

    exit_code = 3


class NotUp(LabError):
    """The lab, or the host asked for, is not running."""

    exit_code = 4


class CommandFailed(LabError):
    """A command inside a host ended with another code than 0. Its output is part of the message."""

    def __init__(self, where: str, argv: list[str], code: int, output: str) -> None:
        super().__init__(f"{where}: {' '.join(argv)} ended with code {code}\n{output.strip()}")
        self.code = code
        self.output = output
