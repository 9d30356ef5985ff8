"""A policy that changes between two ticks: what its files say now, if that can be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import structlog

from burstd.app import Settings, settings_in
from burstd.config.layers import LayerError, Layers, load
from burstd.config.model import Config
from burstd.config.policy import policy_of
from burstd.config.read import ConfigError
from burstd.domain.policy import BurstPolicy
from burstd.obs.notify import notify
from burstd.ports.audit import Tell
from burstd.shell.world import Rulebook

log = structlog.get_logger()

_POLICY = "policy"


@dataclass
class PolicyWatch:
    """Called before each tick. A bad file keeps the policy that holds, and is told of until it is
    good; what is not policy takes a restart. Files that are still written may be good, and lack the
    labels that keep jobs here: what they say holds once they have said so at two ticks."""

    settings: Settings
    rules: Rulebook
    tell: Tell
    _texts: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, str] = field(default_factory=dict)  #: at the tick before

    def __post_init__(self) -> None:
        self._texts = _texts(self.settings)

    def __call__(self) -> None:
        try:
            texts = _texts(self.settings)
            seen, self._seen = self._seen, texts
            if texts == self._texts:
                return
            fresh = settings_in(self.settings.path)
            if not seen == texts == _texts_of(fresh.layers):
                return
            self._texts = texts
            if problems := list(_ahead_of(self.settings.config, fresh)):
                raise ConfigError(problems)
        except (ConfigError, LayerError) as error:
            self._refuse(str(error))
            return
        self.rules.trouble = ""
        running = self.settings.config
        if restart := _beside_policy(running, fresh.config):
            log.warning("config.changed", tables=restart, hint="takes effect at the next start")
        mixed = running.model_copy(update={_POLICY: fresh.config.policy})
        policy = policy_of(mixed, fresh.layers)
        changed = _differences(self.rules.policy, policy)
        self.rules.policy = policy
        if changed:
            self.tell("policy.changed", "", changed)
            log.info("policy.changed", **changed)
        notify("STATUS=ready")

    def _refuse(self, why: str) -> None:
        if why != self.rules.trouble:
            log.error("policy.refused", cause=why, hint="the policy before holds")
            notify("STATUS=the policy in the files can't be used: the one before holds")
        self.rules.trouble = why
        self._texts = {}  # looked at again each time, until it is good


def _texts(settings: Settings) -> dict[str, str]:
    """Every file by its path, also those that a pattern matches only now."""
    return _texts_of(load(settings.path))


def _texts_of(layers: Layers | None) -> dict[str, str]:
    return {str(layer.path): layer.text for layer in layers.files} if layers else {}


def _beside_policy(old: Config, new: Config) -> list[str]:
    """Tables other than the policy that differ."""
    return [
        name
        for name in Config.model_fields
        if name != _POLICY and getattr(old, name) != getattr(new, name)
    ]


def _ahead_of(running: Config, fresh: Settings) -> Iterator[str]:
    """What goes with the new tables beside the policy, and not with those that hold until the next
    start: amounts that targets ask in another currency, stand-ins that would count as waiting."""
    old, new = running.policy.budget[1], fresh.config.policy.budget[1]
    burst = running.site.burst_partition
    for key, wrong, what in (
        ("budget", old != new, f"{new} takes a restart: until then all money is {old}"),
        ("partitions", burst in fresh.config.policy.partitions,
         f"{burst} takes a restart: until then it is the burst partition"),
    ):  # fmt: skip
        if wrong:
            where = fresh.layers.place((_POLICY, key)) if fresh.layers else fresh.path
            yield f"{where}: {_POLICY}.{key}: {what}"


def _differences(old: BurstPolicy, new: BurstPolicy) -> dict[str, object]:
    """``name: "old -> new"``."""
    return {
        one.name: f"{getattr(old, one.name)} -> {getattr(new, one.name)}"
        for one in fields(BurstPolicy)
        if one.compare and getattr(old, one.name) != getattr(new, one.name)
    }
