"""What the far program does first: its modules come as they were compiled once for this very
interpreter, where somebody did that (`compiled.py`).

Python compiles what it takes out of a zip file anew each time, which takes longer than all that a
short conversation does. At any doubt the modules come out of the zip file.
"""

from __future__ import annotations

import marshal
import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import MAGIC_NUMBER

TYPE_CHECKING = False  # that of `typing`, which takes its time to load
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType, ModuleType
    from typing import Any, Optional, Union
    from zipimport import zipimporter


def place(archive: str) -> str:
    """Where the modules of a program lie that are compiled for this interpreter."""
    return f"{archive}.{sys.implementation.cache_tag}"


def identity(program: os.stat_result) -> tuple[Union[bytes, int], ...]:
    """What must be as it was when a program was compiled: the file, and the interpreter."""
    changes = program.st_size, program.st_mtime_ns, program.st_ctime_ns, program.st_ino
    return (MAGIC_NUMBER, *changes)


class Compiled:
    """Imports from such a file. `digest`: the program's SHA-256."""

    def __init__(self, bundle: zipimporter, digest: str, codes: Mapping[str, bytes]) -> None:
        self.archive, self.digest = bundle.archive, digest
        self.get_data, self.get_source = bundle.get_data, bundle.get_source
        self._codes = codes

    def find_spec(self, name: str, *_: object) -> Optional[ModuleSpec]:
        """As importers do."""
        if name not in self._codes:
            return None
        packages = ("burstd", "burstd.far")
        loader: Any = self
        return ModuleSpec(name, loader, is_package=name in packages)

    def create_module(self, _: ModuleSpec) -> None:
        """As any other."""

    def exec_module(self, module: ModuleType) -> None:
        """As importers do."""
        code: CodeType = marshal.loads(self._codes[module.__name__])  # noqa: S302 - by the owner
        exec(code, module.__dict__)  # noqa: S102 - of the program


def take(bundle: zipimporter) -> None:
    """From now on modules are imported as they were compiled, unless something is odd about that.
    Who may write to the program could as well have it do anything: its owner is trusted."""
    try:
        with open(place(bundle.archive), "rb") as file:
            made, program = os.fstat(file.fileno()), os.stat(bundle.archive)
            if made.st_uid != program.st_uid or made.st_mode & 0o022:
                return
            known, digest, codes = marshal.load(file)  # noqa: S302
    except (OSError, EOFError, ValueError, TypeError):
        return
    if known == identity(program):
        finder: Any = Compiled(bundle, digest, codes)
        sys.meta_path.insert(0, finder)


if __name__ == "__main__":
    take(__loader__)  # type: ignore[name-defined]
    from burstd.far.cli import main

    sys.exit(main(sys.argv[1:]))
