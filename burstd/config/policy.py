"""From the checked ``Config`` to the value that ``decide`` takes."""

from __future__ import annotations

from burstd.config.layers import Layers
from burstd.config.model import BudgetTable, Config, PolicyTable, PressureTable
from burstd.domain.budgets import Budget, Period
from burstd.domain.classes import DataClass, DataRules, Label
from burstd.domain.jobs import CoreHours
from burstd.domain.policy import BurstPolicy, Pressure, Watermarks, Window
from burstd.domain.targets import Money, TargetName


def policy_of(config: Config, layers: Layers | None = None) -> BurstPolicy:
    """The site's rules, and where each of them stands."""
    p = config.policy
    amount, currency = p.budget
    return BurstPolicy(
        mode=p.mode,
        watermarks=Watermarks(CoreHours(p.high), CoreHours(p.low)),
        partitions=frozenset(p.partitions),
        burst_partition=config.site.burst_partition,
        targets=tuple(TargetName(name) for name in config.targets),
        budget=Money(amount),
        currency=currency,
        hard=p.hard,
        history=p.history,
        strategy=p.strategy,
        theta=p.theta,
        pressures=tuple(_pressure(name, table) for name, table in p.pressures.items()),
        cooldown=p.cooldown,
        step=p.step,
        order=p.order,
        modes=frozenset(p.modes),
        veto=p.veto,
        links=p.links,
        most_output=p.max_output,
        start_delay=p.start_delay,
        sold_out_after=p.sold_out_after,
        steer=p.steer,
        budgets=tuple(map(_budget, p.budgets, p.budgets.values())),
        reasons=frozenset(p.reasons),
        users=frozenset(p.users),
        accounts=frozenset(p.accounts),
        min_age=p.min_age,
        lost_after=config.site.lost_after,
        max_open_bursts=p.max_open_bursts,
        max_new_per_tick=p.max_new_per_tick,
        data=_data(p),
        least_core_hours=CoreHours(p.min_core_hours),
        most_cores=p.max_cores,
        longest=p.max_time,
        windows=tuple(Window(w.start, w.length) for w in p.windows),
        blackouts=p.blackouts,
        places=_places(layers) if layers else {},
    )


def _pressure(name: str, table: PressureTable) -> Pressure:
    return Pressure(
        name,
        Watermarks(CoreHours(table.high[0]), CoreHours(table.low[0])),
        frozenset(table.partitions),
        frozenset(table.accounts),
        frozenset(table.qos),
        table.high[1] == "GPU",
    )


def _budget(name: str, table: BudgetTable) -> Budget:
    amount, _, period = table.amount
    return Budget(
        name,
        Money(amount),
        Period(period),
        frozenset(table.accounts),
        frozenset(table.users),
        table.soft,
    )


def _places(layers: Layers) -> dict[str, str]:
    keys = (("policy", name) for name in PolicyTable.model_fields)
    found = {".".join(key): layers.given(key) for key in (*keys, ("paths", "applications"))}
    return {key: place for key, place in found.items() if place is not None}


def _data(table: PolicyTable) -> DataRules:
    known = {
        name: DataClass(name, None if c.targets is None else frozenset(map(TargetName, c.targets)))
        for name, c in table.classes.items()
    }
    labels = tuple(
        Label(
            label.data_class,
            frozenset(label.accounts),
            frozenset(label.partitions),
            frozenset(label.users),
            label.paths,
        )
        for label in table.labels
    )
    return DataRules(tuple(known.values()), labels, known.get(table.unlabelled))
