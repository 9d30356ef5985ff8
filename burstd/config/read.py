"""From the file to a checked ``Config``: every problem at once, with dotted path and line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from burstd.config.layers import LayerError, Layers, load
from burstd.config.model import STAYS, Config, LicenceTable, PressureTable
from burstd.domain.applications import Application
from burstd.domain.budgets import OF_THE_SITE
from burstd.domain.licences import Formula, Tokens
from burstd.domain.policy import QUEUE

#: Paths whose defaults must be there too.
_EXISTING = ("applications", "ssh_authority")
_RULES = ("site", "policy", "targets")


class ConfigError(Exception):
    """The configuration can't be used. ``problems``: one line each, ``path: what``."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def read(path: Path) -> Config:
    """Read and check a file and what it includes. Raises ``ConfigError`` with all problems."""
    return read_layers(path)[0]


def read_layers(path: Path) -> tuple[Config, Layers]:
    """The same, with the layers that it is made of."""
    layers = _load(path)
    tables = dict(layers.tables)
    paths = tables.setdefault("paths", {})  # its defaults are checked like given values
    if isinstance(paths, dict):
        tables["paths"] = {**{name: _default(name) for name in _EXISTING}, **paths}
    return _checked(tables, layers), layers


def read_rules(path: Path) -> Config:
    """What a decision goes by: [site], [policy], and [targets] without their links and buckets. Of
    the rest nothing is looked at; so the files that it names need not be on this machine. Raises
    ``ConfigError`` with all problems."""
    layers = _load(path)
    tables = {name: layers.tables[name] for name in _RULES if name in layers.tables}
    if isinstance(targets := tables.get("targets"), dict):
        tables["targets"] = {name: _alone(target) for name, target in targets.items()}
    return _checked({**tables, "paths": {}}, layers)


def _alone(target: Any) -> Any:
    if not isinstance(target, dict):
        return target
    return {k: v for k, v in target.items() if k not in ("link", "bucket")}


def _load(path: Path) -> Layers:
    try:
        return load(path)
    except LayerError as error:
        raise ConfigError([str(error)]) from error


def _checked(tables: Mapping[str, Any], layers: Layers) -> Config:
    try:
        config = Config.model_validate(tables)
    except ValidationError as error:
        raise ConfigError(sorted(_lines(error, layers))) from error
    problems = list(_contradictions(config))
    if problems:
        raise ConfigError([_at(layers, where) + what for where, what in problems])
    return config


def check_settings(model: type[BaseModel], config: Config, name: str, path: Path) -> BaseModel:
    """A plugin's own table. Raises ``ConfigError``."""
    try:
        return model.model_validate(config.targets[name].settings)
    except ValidationError as error:
        prefix = ("targets", name, "settings")
        raise ConfigError(sorted(_lines(error, load(path), prefix))) from error


def applications(directory: Path) -> dict[str, Application]:
    """The profiles, by name. Raises ``ConfigError``."""
    found: dict[str, Application] = {}
    problems = []
    for file in sorted(directory.glob("*.toml")):
        try:
            app = _profile(tomllib.loads(file.read_text()))
            if app.name in found:
                raise ValueError(f"another file has a profile {app.name} already")
            found[app.name] = app
        except (OSError, KeyError, TypeError, ValueError, RecursionError, re.error) as error:
            problems.append(f"{file}: {type(error).__name__}: {error}")
    if problems:
        raise ConfigError(problems)
    return found


#: The tables of a profile, and what each of them may hold.
_SECTIONS: Mapping[str, frozenset[str]] = {
    "detect": frozenset({"script"}),
    "inputs": frozenset({"resolver"}),
    "outputs": frozenset({"live", "scratch", "on_demand"}),
    "environment": frozenset({"keep"}),
}


def _profile(tables: Mapping[str, Any]) -> Application:
    if unknown := set(tables) - {"schema", "name", "image", "licences", *_SECTIONS}:
        raise KeyError(f"unknown keys {sorted(unknown)}")
    detect, inputs, outputs, environment = (_section(tables, name) for name in _SECTIONS)
    scripts = _texts({"script": detect["script"]}, "script")
    for pattern in scripts:
        re.compile(pattern)
    return Application(
        name=_text(tables, "name"),
        image=_text(tables, "image"),
        detect=scripts,
        resolver=_text({"resolver": "all", **inputs}, "resolver"),
        live=_texts(outputs, "live"),
        scratch=_texts(outputs, "scratch"),
        on_demand=_texts(outputs, "on_demand"),
        environment=_texts(environment, "keep"),
        licences={n: _tokens(n, rule) for n, rule in _table(tables, "licences").items()},
    )


def _table(tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = tables.get(name, {})
    if not isinstance(found, dict):
        raise TypeError(f"{name}: must be a table")
    return found


def _section(tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = _table(tables, name)
    if unknown := set(found) - _SECTIONS[name]:
        raise KeyError(f"{name}: unknown keys {sorted(unknown)}")
    return found


def _text(table: Mapping[str, Any], key: str) -> str:
    if not isinstance(found := table[key], str) or not found:
        raise TypeError(f"{key}: must be a text")
    return found


def _texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """One text alone would be taken letter by letter, and match nearly everything."""
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise TypeError(f"{key}: must be a list of texts")
    return tuple(found)


def _tokens(name: str, rule: object) -> Tokens:
    known = {formula.value: formula for formula in Formula}
    if isinstance(rule, str) and rule in known:
        return known[rule]
    if isinstance(rule, int) and not isinstance(rule, bool) and rule > 0:
        return rule
    raise ValueError(f"licences.{name}: expected a count or one of {', '.join(known)}")


def _default(name: str) -> str:
    from burstd.config.model import PathsTable

    return str(PathsTable.model_fields[name].default)


def _lines(error: ValidationError, layers: Layers, prefix: tuple[str, ...] = ()) -> Iterator[str]:
    for problem in error.errors():
        where = (*prefix, *map(str, problem["loc"]))
        what = _plain(problem["msg"], problem["input"])
        if problem["type"] == "extra_forbidden":
            what = "unknown key" + _did_you_mean(where)
        yield _at(layers, where) + what


#: pydantic's words, and a configuration's.
_WORDS = (
    (r"^Value error, ", ""),
    (r"^Input should be a valid (tuple|list).*", "must be a list"),
    (r"^Input should be a valid (dictionary|object).*", "must be a table"),
    (r"^Input should be a valid boolean.*", "must be true or false"),
    (r"^Input should be a valid integer.*", "must be a whole number"),
    (r"^Input should be a valid ", "must be a "),
    (r"^Input should be less than or equal to ", "must be at most "),
    (r"^Input should be greater than or equal to ", "must be at least "),
    (r"^Input should be greater than ", "must be more than "),
    (r"^Input should be ", "must be "),
)


def _plain(text: str, given: object) -> str:
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    if text.startswith("must be ") and isinstance(given, str | int | float | bool):
        text += f", not {json.dumps(given)[:60]}"
    return text


def _did_you_mean(where: tuple[str, ...]) -> str:
    known = {name for table in _tables(Config) for name in table.model_fields}
    near = get_close_matches(where[-1], sorted(known), 1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _tables(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _tables(part)


def _at(layers: Layers, where: tuple[str, ...]) -> str:
    return f"{layers.place(where)}: {'.'.join(where)}: "


def _contradictions(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong although each value is right."""
    policy = config.policy
    if policy.low >= policy.high:
        yield ("policy", "low"), f"must be below policy.high ({policy.high:g} core-hours)"
    if config.site.burst_partition in policy.partitions:
        yield ("policy", "partitions"), "must not name the burst partition"
    yield from _pressures(policy.pressures)
    yield from _classes(config)
    for name, budget in policy.budgets.items():
        if name == OF_THE_SITE:
            yield (
                ("policy", "budgets", name),
                "is the site's own name on dashboards: its cap is policy.budget",
            )
        if budget.amount[1] != policy.budget[1]:
            where = ("policy", "budgets", name, "amount")
            yield where, f"must be in {policy.budget[1]} as policy.budget is"
    yield from _target_contradictions(config)
    yield from _licence_contradictions(config.licences)


def _target_contradictions(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    currency = config.policy.budget[1]
    for name, target in config.targets.items():
        if target.link is not None and target.link not in config.links:
            yield ("targets", name, "link"), f"there is no [links.{target.link}]"
        if target.bucket is not None and target.bucket not in config.buckets:
            yield ("targets", name, "bucket"), f"there is no [buckets.{target.bucket}]"
        if target.link is not None and target.rate is not None:
            yield ("targets", name, "rate"), f"it has a link: say it in [links.{target.link}]"
        for key in ("price", "egress", "gpu_price"):
            paid = getattr(target, key)
            if paid is not None and paid[1] != currency:
                yield ("targets", name, key), f"must be in {currency} as policy.budget is"


def _pressures(
    pressures: Mapping[str, PressureTable],
) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, table in pressures.items():
        where = ("policy", "pressures", name)
        if name == QUEUE:
            yield where, "is the whole queue's name: its marks are policy.high and policy.low"
        high, unit = table.high
        if table.low[1] != unit:
            yield (*where, "low"), f"must be in {unit}-hours as its high is"
        elif table.low[0] >= high:
            yield (*where, "low"), f"must be below its high ({high:g} {unit}-hours)"
        if unit == "core" and not (table.partitions or table.accounts or table.qos):
            yield where, "covers every job: say so with policy.high and policy.low"


def _classes(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    policy, known = config.policy, config.policy.classes
    if policy.unlabelled not in {STAYS, *known}:
        yield ("policy", "unlabelled"), _no_class(policy.unlabelled)
    for name, table in known.items():
        for target in table.targets or ():
            if target not in config.targets:
                yield (
                    ("policy", "classes", name, "targets"),
                    f"there is no [targets.{target}]",
                )
    for number, label in enumerate(policy.labels):
        where = ("policy", "labels", str(number))
        if label.data_class not in known:
            yield (*where, "class"), _no_class(label.data_class)
        if not (label.accounts or label.partitions or label.users or label.paths):
            yield where, "covers every job: say so with policy.unlabelled"


def _no_class(name: str) -> str:
    return f"there is no [policy.classes.{name}]"


def _licence_contradictions(
    licences: Mapping[str, LicenceTable],
) -> Iterator[tuple[tuple[str, ...], str]]:
    told: dict[tuple[tuple[str, ...], str], str] = {}
    for name, table in licences.items():
        by_command, static = table.source == "command", table.source == "static"
        if by_command and not table.command:
            yield ("licences", name, "command"), "must say how the licence server is asked"
        if table.command and not by_command:
            yield ("licences", name, "command"), f'source "{table.source}" has none'
        if static and table.total <= table.keep:
            yield ("licences", name, "total"), f"must be more than keep ({table.keep})"
        if table.total and not static:
            yield ("licences", name, "total"), f'source "{table.source}" tells of it itself'
        asked = table.command if by_command else (table.source,)
        twice = told.setdefault((asked, table.feature or name), name)
        if twice != name and not static:
            yield ("licences", name, "feature"), f"is counted by [licences.{twice}] already"
