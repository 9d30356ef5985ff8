"""netd's own configuration: which links there are. Kept apart from burstd's on purpose."""

from __future__ import annotations

import sys
import tomllib
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

EX_CONFIG = 78  # sysexits.h


class LinkSettings(BaseModel):
    """One WireGuard link to a far gate. Keys are files: the enrolment pair of this site."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    interface: str = Field(pattern=r"^[a-z][a-z0-9-]{0,14}$")
    endpoint: IPv4Address
    port: int = Field(default=51820, ge=1, le=65535)
    gate_address: IPv4Address
    """The far end's address inside the link; the only one that may send to us."""
    enrol_address: IPv4Interface
    """Our inner address while the enrolment keys are in use."""
    session_address: IPv4Interface
    """Our inner address while fresh session keys are in use."""
    gate_public_key: Path
    enrol_private_key: Path
    enrol_preshared_key: Path
    mtu: int = Field(default=1420, ge=1280, le=9000)


class NetdSettings(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    socket: Path = Path("/run/burst-netd/netd.sock")
    users: tuple[str, ...] = ("burstd", "root")
    """Who may ask; known by SO_PEERCRED."""
    links: dict[str, LinkSettings]


def read(path: Path) -> NetdSettings:
    """Read the file. Raises ``SystemExit(78)`` with every problem listed, one a line."""
    try:
        return NetdSettings.model_validate(tomllib.loads(path.read_text()))
    except (OSError, tomllib.TOMLDecodeError) as error:
        _refuse([f"{path}: {error}"])
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        _refuse([f"{path}: {line}" for line in lines])


def _refuse(problems: list[str]) -> NoReturn:
    sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    raise SystemExit(EX_CONFIG)
