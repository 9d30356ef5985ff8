"""Compiles the data plane's native part into the package: hatchling calls this for wheels and for
editable installations. Needs a C compiler and libzstd's static library (Debian: gcc, libzstd-dev).
"""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = Path("burstd/far/native")
#: Warnings of "maybe uninitialized" are wrong about vectors that are set lane by lane.
FLAGS = ["-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
FLAGS += ["-Wno-maybe-uninitialized", "-Wl,--exclude-libs,ALL", "-s"]


class NativeHook(BuildHookInterface[Any]):
    """``[tool.hatch.build.hooks.custom]``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raises ``RuntimeError`` with the compiler's words."""
        machine = platform.machine()
        build_data["tag"] = f"py3-none-linux_{machine}"
        sources = sorted(map(str, (Path(self.root) / SOURCES).glob("*.c")))
        out = Path(self.root) / SOURCES / f"burst-{machine}.so"
        argv = [os.environ.get("CC", "cc"), *FLAGS, "-o", f"{out}.new", *sources, "-l:libzstd.a"]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        except OSError as error:
            raise RuntimeError(f"{argv[0]}: {error.strerror}: install a C compiler") from error
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)}\n{done.stderr}\n(Debian: gcc, libzstd-dev)")
        Path(f"{out}.new").replace(out)
