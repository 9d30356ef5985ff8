"""``config.example.toml``, written from the model: ``python -m burstd.config.example``."""

from __future__ import annotations

import json
import sys
import textwrap
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from burstd.config import model as m
from burstd.config import places as p
from burstd.config.table import Table

HEAD = """\
# burstd's configuration, /etc/burstd/config.toml. Written from the model; every value that is
# commented out is the default. `burstd check-config` lists all problems at once.
"""

#: One example of each named table, beside the defaults.
_NAMED: tuple[tuple[str, type[Table], dict[str, Any]], ...] = (
    ("[policy.classes.internal]", m.ClassTable, {"targets": ["cloud"]}),
    (
        "[[policy.labels]]",
        m.LabelTable,
        {"class": "internal", "accounts": ["crash"], "paths": ["/projects/crash/*"]},
    ),
    ("[policy.pressures.crash]", m.PressureTable, {"accounts": ["crash"]}),
    (
        "[policy.budgets.crash]",
        m.BudgetTable,
        {"amount": "400 EUR/week", "accounts": ["crash"], "soft": 0.9},
    ),
    ("[links.cloud]", p.LinkTable, {}),
    ("[buckets.cloud]", p.BucketTable, {}),
    (
        "[targets.cloud]",
        p.TargetTable,
        {
            "link": "cloud",
            "settings": {
                "host": "10.200.0.1",
                "known_hosts": "/etc/burstd/known_hosts",
                "root": "/scratch/burst",
                "partition": "hpc",
                "users": {"alice": "cae01"},
                "max_nodes": 16,
                "max_cores": 1024,
                "max_time": "2d",
                "node_cores": 128,
                "node_memory": "500 GiB",
                "max_gpus": 0,
            },
        },
    ),
    ("[images.calculix]", m.ImageTable, {"file": "/var/lib/burstd/images/calculix.sqfs"}),
    (
        "[licences.abaqus]",
        m.LicenceTable,
        {"command": ("lmutil", "lmstat", "-a", "-c", "27000@licences")},
    ),
)
_TABLES = ("site", "policy", "state", "api", "paths")


def render() -> str:
    """The text of the example."""
    parts = [HEAD]
    for name in _TABLES:
        table = m.Config.model_fields[name].annotation
        if isinstance(table, type) and issubclass(table, Table):
            parts.append(_table(f"[{name}]", table, {}))
    parts += [_table(name, table, given) for name, table, given in _NAMED]
    return "\n".join(parts)


def _table(header: str, table: type[Table], given: dict[str, Any]) -> str:
    what = " ".join((table.__doc__ or "").split())
    lines = [*textwrap.wrap(what, 97, initial_indent="# ", subsequent_indent="# "), header]
    nested: list[str] = []
    for name, field in table.model_fields.items():
        key = field.alias or name
        about = [f"# {line.strip()}" for line in (field.description or "").splitlines()]
        if isinstance(given.get(key), dict):
            nested += ["", *about, f"[{header.strip('[]')}.{key}]"]
            nested += [f"{k} = {_toml(v)}" for k, v in given[key].items()]
        elif key in given:
            lines += [*about, f"{key} = {_toml(given[key])}"]
        elif field.examples:
            lines += [*about, f"# For example: {key} = {_toml(field.examples[0])}"]
        elif _shown(field):
            lines += [*about, f"# {key} = {_toml(field.default)}"]
    return "\n".join([*lines, *nested]) + "\n"


def _shown(field: FieldInfo) -> bool:
    return field.default is not None and not field.is_required() and field.default_factory is None


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, Enum):
        return json.dumps(value.value)
    if isinstance(value, timedelta):
        return json.dumps(f"{int(value.total_seconds())}s")
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return json.dumps(str(value) if isinstance(value, Path) else value)


if __name__ == "__main__":
    sys.stdout.write(render())
