"""``burst cost``: what was settled is told under whoever's money it was."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from burstd.cli.burst import app
from burstd.domain.burst import Stage
from burstd.domain.targets import Money
from burstd.testing.simulators import in_file
from tests.flow.conftest import Serve
from tests.flow.scene import POLICY, Scene


@pytest.fixture
def scene(tmp_path: Path, serve: Serve) -> Scene:
    """Two settled bursts of alice's, one that runs of bob's; we are an operator."""
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    for _ in range(2):
        scene.slurm.submit(name="beam", minutes=120)
    scene.finish("1")
    scene.until(Stage.SETTLED, "2")
    scene.slurm.submit(user="bob", name="plate", minutes=120)
    scene.until(Stage.RUNNING, "3")
    serve(scene)
    return scene


def cost(*words: str) -> str:
    done = CliRunner().invoke(app, ["cost", *words])
    assert 0 == done.exit_code, done.output
    return done.output


def test_it_is_told_by_account_user_and_target_to_the_cent(scene: Scene) -> None:
    settled = sum(burst.cost or 0 for burst in scene.store.bursts() if burst.stage.final)
    found = json.loads(cost("--by", "account,user,target", "--json"))

    rows = {row["user"]: row for row in found["rows"]}
    assert {("alice", "phys", "cloud", 2), ("bob", "phys", "cloud", 1)} == {
        (row["user"], row["account"], row["target"], row["bursts"]) for row in found["rows"]
    }
    assert (str(settled), "0") == (rows["alice"]["cost"], rows["alice"]["open"])
    assert ("0", str(scene.burst("3").reserved)) == (rows["bob"]["cost"], rows["bob"]["open"])


def test_a_price_that_is_raised_while_a_job_is_away_passes_no_cap(scene: Scene) -> None:
    """It was promised at the price of the decision; so is what others were refused for."""
    reserved = scene.burst("3").reserved
    scene.clock.forward(minutes=110)
    scene.target.price, scene.target.egress = Money(Decimal(5)), Money(Decimal(5))

    assert reserved == scene.finish("3").cost
    assert scene.store.ledger().spent < Decimal("0.3")


def test_csv_has_one_row_for_each_and_other_days_are_left_out(scene: Scene) -> None:
    table = list(csv.DictReader(StringIO(cost("--by", "application", "--csv"))))
    assert [("calculix", "3")] == [(row["application"], row["bursts"]) for row in table]
    assert "EUR" == table[0]["currency"]
    tomorrow = f"{scene.clock.now():%Y-%m}-28"
    assert 1 == len(cost("--since", tomorrow, "--until", "2999-01-01", "--csv").splitlines())
    assert "alice" in cost("--by", "user")


def test_each_amount_is_in_the_currency_that_it_was_reckoned_in(
    tmp_path: Path, serve: Serve
) -> None:
    scene = Scene(database=in_file(tmp_path / "ledger.db"))
    scene.slurm.submit(name="beam", minutes=120)
    paid = scene.finish("1").cost
    scene.policy = replace(POLICY, currency="USD")
    scene.start()
    scene.clock.forward(seconds=32 * 86400)  # into a month in which nothing was paid in euros
    scene.slurm.submit(name="plate", minutes=120)
    scene.until(Stage.RUNNING, "2")
    serve(scene)

    rows = json.loads(cost("--by", "account", "--since", "2020-01-01", "--json"))["rows"]
    assert {("EUR", str(paid)), ("USD", "0")} == {(row["currency"], row["cost"]) for row in rows}
    table = csv.DictReader(StringIO(cost("--since", "2020-01-01", "--csv")))
    assert {"EUR", "USD"} == {row["currency"] for row in table}
    shown = cost("--since", "2020-01-01")
    assert "EUR" in shown
    assert "USD" in shown


@pytest.mark.parametrize("words", [("--by", "shoe"), ("--since", "yesterday")])
def test_what_cannot_be_asked_is_said(scene: Scene, words: tuple[str, str]) -> None:
    done = CliRunner().invoke(app, ["cost", *words])
    assert 1 == done.exit_code
    assert words[1] in done.output or "day like" in done.output


def test_a_user_sees_own_costs_only(scene: Scene, serve: Serve) -> None:
    serve(scene, operator=False)
    assert [] == json.loads(cost("--json"))["rows"]


def test_a_site_that_changes_its_currency_spends_nothing_of_what_it_can_not_reckon() -> None:
    scene = Scene()
    scene.slurm.submit(name="beam", minutes=120)
    scene.finish("1")
    scene.policy = replace(POLICY, currency="USD")
    scene.start()
    scene.slurm.submit(name="plate", minutes=120)
    scene.turn(5)
    assert 1 == len(scene.store.bursts())
    scene.clock.forward(seconds=32 * 86400)
    assert "USD" == scene.until(Stage.RUNNING, "2").currency
