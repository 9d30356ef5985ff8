"""What all tables of ``config.toml`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def _there(path: Path) -> Path:
    if not path.exists():
        raise ValueError(f"there is no file {path}")
    return path


ExistingPath = Annotated[Path, AfterValidator(_there)]


class Table(BaseModel):
    """Base of all tables: an unknown key is an error, a value never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
