"""A policy that changes between two ticks, and one that can't be used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from burstd.app import settings_in
from burstd.cli.reload import PolicyWatch
from burstd.config.policy import policy_of
from burstd.domain.jobs import CoreHours
from burstd.shell.world import Rulebook


@pytest.fixture
def main(tmp_path: Path) -> Path:
    (tmp_path / "apps").mkdir()
    (tmp_path / "ca").touch()
    (tmp_path / "policy.d").mkdir()
    path = tmp_path / "config.toml"
    path.write_text(
        f'include = ["policy.d/*.toml"]\n[state]\ndirectory = "{tmp_path}"\n'
        f'[paths]\napplications = "{tmp_path}/apps"\nssh_authority = "{tmp_path}/ca"\n'
    )
    return path


@pytest.fixture
def told() -> list[tuple[str, Mapping[str, object]]]:
    return []


@pytest.fixture
def watch(main: Path, told: list[tuple[str, Mapping[str, object]]]) -> PolicyWatch:
    settings = settings_in(main)
    rules = Rulebook(policy_of(settings.config, settings.layers))
    return PolicyWatch(settings, rules, lambda action, _burst, facts: told.append((action, facts)))


def layer(main: Path, text: str, name: str = "a") -> None:
    (main.parent / "policy.d" / f"{name}.toml").write_text(text)


def ticks(watch: PolicyWatch) -> None:
    """Two: what files say at one of them they may say only by half."""
    watch()
    watch()


def test_what_is_written_by_half_never_holds(main: Path, watch: PolicyWatch) -> None:
    """An empty file is good, and has no label."""
    whole = (
        '[policy.classes.internal]\n[[policy.labels]]\nclass = "internal"\naccounts = ["crash"]\n'
    )
    layer(main, whole)
    ticks(watch)
    before = watch.rules.policy
    assert 1 == len(before.data.labels)
    for text in ("", whole, "", whole, whole):
        layer(main, text)
        watch()
        assert ("", before) == (watch.rules.trouble, watch.rules.policy)
    layer(main, "")
    ticks(watch)
    assert 0 == len(watch.rules.policy.data.labels)


def test_a_new_layer_holds_from_the_tick_after_the_next_on_and_is_told(
    main: Path, watch: PolicyWatch, told: list[tuple[str, Mapping[str, object]]]
) -> None:
    layer(main, '[policy]\nhigh = "7000 core-hours"\n')
    ticks(watch)

    assert CoreHours(7000) == watch.rules.policy.watermarks.high
    assert f"{main.parent}/policy.d/a.toml:2" == watch.rules.policy.places["policy.high"]
    assert ["policy.changed"] == [action for action, _ in told]
    assert "7000" in str(told[0][1]["watermarks"])
    ticks(watch)
    assert 1 == len(told)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[policy]\nhigh = "1 core-hours"\n', "policy.low: must be below policy.high"),
        ("[policy\n", "policy.d/a.toml"),
        ('[policy]\nunlabelled = "x"\n', "there is no [policy.classes.x]"),
    ],
)
def test_a_bad_file_keeps_what_holds_until_it_is_good_again(
    main: Path, watch: PolicyWatch, text: str, words: str
) -> None:
    before = watch.rules.policy
    layer(main, text)
    for _ in range(2):
        watch()
        assert before == watch.rules.policy
        assert words in watch.rules.trouble
    layer(main, '[policy]\nlow = "1 core-hours"\n')
    ticks(watch)
    assert ("", CoreHours(1)) == (watch.rules.trouble, watch.rules.policy.watermarks.low)


def test_a_file_that_is_gone_is_no_empty_policy(main: Path, watch: PolicyWatch) -> None:
    text = main.read_text()
    main.unlink()
    ticks(watch)
    assert str(main) in watch.rules.trouble
    main.write_text(text)
    ticks(watch)
    assert "" == watch.rules.trouble


def test_what_is_not_policy_waits_for_a_restart(main: Path, watch: PolicyWatch) -> None:
    layer(main, '[site]\nburst_partition = "other"\n[policy]\nmin_age = "1m"\n')
    ticks(watch)
    assert ("burst", 60) == (
        watch.rules.policy.burst_partition, watch.rules.policy.min_age.total_seconds(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[policy]\nbudget = "500 USD/month"\n', "a.toml:2: policy.budget: USD takes a restart"),
        (
            '[site]\nburst_partition = "away"\n[policy]\npartitions = ["batch", "burst"]\n',
            "policy.d/a.toml:4: policy.partitions: burst takes a restart",
        ),
    ],
)
def test_a_policy_that_goes_with_what_takes_a_restart_waits_with_it(
    main: Path, watch: PolicyWatch, text: str, words: str
) -> None:
    """The targets that are open ask for EUR: a budget in USD would be spent in EUR."""
    before = watch.rules.policy
    layer(main, text)
    ticks(watch)

    assert before == watch.rules.policy
    assert words in watch.rules.trouble
