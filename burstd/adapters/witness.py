"""Port ``Witness`` in a small file."""

from __future__ import annotations

import os
from pathlib import Path

from burstd.ports.errors import NoRoom


class FileWitness:
    """Reads the file once; from then on it knows what it wrote."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: str | None = None

    def kept(self) -> str | None:
        if self._kept is None and self._path.exists():
            self._kept = self._path.read_text().strip()
        return self._kept

    def keep(self, text: str) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            with fresh.open("w") as file:
                file.write(f"{text}\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise NoRoom(f"{self._path}: {error.strerror}") from error
        self._kept = text
