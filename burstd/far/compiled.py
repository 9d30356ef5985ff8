"""The verb `compile`: the program's modules as this interpreter compiles them, beside the program.

Whoever lays the program down does that once. Users with another interpreter, or one on another node
that sees no such file, run the same program out of its one file.
"""

from __future__ import annotations

import hashlib
import io
import marshal
import os
import secrets
import zipfile

from burstd.far.boot import identity, place
from burstd.far.errors import REFUSED, FarError
from burstd.far.program import archive


def compile_program() -> int:
    """Raises OSError: then all is as it was."""
    program = archive()
    if program is None:
        raise FarError(REFUSED, "run from a source tree")
    with open(program, "rb") as file:
        known, content = identity(os.fstat(file.fileno())), file.read()
    codes = {}
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        for name in bundle.namelist():
            if name.startswith("burstd/") and name.endswith(".py"):
                source, path = bundle.read(name), os.path.join(program, name)
                module = name[: -len(".py")].replace("/", ".")
                if module.endswith(".__init__"):
                    module = module[: -len(".__init__")]
                codes[module] = marshal.dumps(compile(source, path, "exec", dont_inherit=True))
    _write(place(program), marshal.dumps((known, hashlib.sha256(content).hexdigest(), codes)))
    return 0


def _write(path: str, content: bytes) -> None:
    temporary = f"{path}.{secrets.token_hex(8)}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            os.fchmod(fd, 0o644)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
