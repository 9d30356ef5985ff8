"""Several files as one configuration, and every word of it with its place."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from burstd.config.layers import LayerError, load
from burstd.config.policy import policy_of
from burstd.config.read import ConfigError, read_layers
from burstd.domain.classes import DataClass
from burstd.domain.targets import TargetName


def write(folder: Path, **texts: str) -> Path:
    """The files, by their stem; the one that is called main."""
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)
    return folder / "main.toml"


@pytest.fixture
def paths(tmp_path: Path) -> str:
    (tmp_path / "apps").mkdir()
    (tmp_path / "ca").touch()
    return f'[paths]\napplications = "{tmp_path}/apps"\nssh_authority = "{tmp_path}/ca"\n'


def test_who_includes_has_the_last_word_and_each_key_its_place(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='include = ["base.toml"]\n[policy]\nlow = "1 core-hours"\n',
        base='# the site\n[policy]\nlow = "9 core-hours"\nhigh = "10 core-hours"\n'
        '[site]\npoll = "5s"\n',
    )
    layers = load(main)

    assert {"low": "1 core-hours", "high": "10 core-hours"} == layers.tables["policy"]
    assert f"{main}:3" == layers.given(("policy", "low"))
    assert f"{tmp_path}/base.toml:4" == layers.given(("policy", "high"))
    assert f"{tmp_path}/base.toml:6" == layers.place(("site", "poll"))
    assert layers.given(("policy", "budget")) is None


def test_patterns_are_read_in_order_and_may_match_nothing(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    write(tmp_path / "d", b='x = "b"\n', a='x = "a"\ny = 1\n')
    main = write(tmp_path, main='include = ["d/*.toml", "none/*.toml"]\n')

    (tmp_path / "d/.#b.toml").symlink_to("me@host.1234")  # as emacs locks it
    (tmp_path / "d/.c.toml").write_text("x = 3")

    assert {"x": "b", "y": 1} == load(main).tables
    write(tmp_path, main='include = ["d/.c.toml"]\n')
    assert {"x": 3} == load(main).tables


def test_rules_of_all_layers_count_and_keep_their_places(tmp_path: Path, paths: str) -> None:
    label = '[[policy.labels]]\nclass = "{}"\naccounts = ["{}"]\n'
    main = write(
        tmp_path,
        main='include = ["base.toml"]\n'
        + paths
        + label.format("secret", "crash")
        + label.format("gone", "nvh"),
        base="[policy.classes.secret]\ntargets = []\n" + label.format("secret", "safety"),
    )
    with pytest.raises(ConfigError) as error:
        read_layers(main)

    assert [f"{main}:9: policy.labels.2.class: there is no [policy.classes.gone]"] == (
        error.value.problems
    )


def test_what_includes_itself_or_is_not_there_is_told(tmp_path: Path) -> None:
    main = write(tmp_path, main='include = ["two.toml"]\n', two='include = ["main.toml"]\n')
    with pytest.raises(LayerError, match="includes itself"):
        load(main)
    for text, words in (
        ('include = ["gone.toml"]', "there is no file gone.toml"),
        ("include = 3", "expected a list of file names"),
    ):
        with pytest.raises(LayerError, match=words):
            load(write(tmp_path, main=text))


def test_a_directory_of_layers_that_can_not_be_listed_is_no_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The labels in it keep jobs here. (No mode of a directory keeps root out.)"""
    (tmp_path / "d" / "e").mkdir(parents=True)
    main = write(tmp_path, main='include = ["d/*/*.toml", "none/*.toml"]\n')
    assert {} == load(main).tables
    scandir = os.scandir

    def shut(path: os.PathLike[str]) -> object:
        if Path(path).name == "e":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("burstd.config.layers.os.scandir", shut)
    with pytest.raises(LayerError, match=r"d/\*/\*.toml.*Permission denied.*d/e"):
        load(main)


@pytest.mark.parametrize("text", ["x = " + 5000 * "9", "x = " + 9000 * "[" + 9000 * "]"])
def test_a_file_that_the_parser_itself_gives_up_is_told_like_any_other(
    tmp_path: Path, text: str
) -> None:
    main = write(tmp_path, main=text + "\n")
    with pytest.raises(LayerError, match=re.escape(f"{main}: ")):
        load(main)


def test_a_policy_knows_where_its_rules_stand(tmp_path: Path, paths: str) -> None:
    main = write(
        tmp_path,
        main=paths
        + '[policy]\nmin_age = "1h"\nunlabelled = "open"\n[policy.classes.open]\n'
        + '[policy.classes.near]\ntargets = ["cloud"]\n[targets.cloud]\n',
    )
    policy = policy_of(*read_layers(main))

    assert f"{main}:5" == policy.places["policy.min_age"]
    assert "policy.users" not in policy.places
    assert DataClass("open") == policy.data.unlabelled
    assert DataClass("near", frozenset({TargetName("cloud")})) == policy.data.named("near")


def test_accounts_are_those_of_slurm_however_they_are_written(tmp_path: Path, paths: str) -> None:
    """sbatch takes ``-A CRASH``, and squeue and slurmdbd say crash: a label of CRASH kept nobody's
    data here, and a budget paid for nobody."""
    file = tmp_path / "config.toml"
    file.write_text(
        '[policy]\naccounts = ["Crash"]\n[policy.classes.secret]\ntargets = []\n'
        '[[policy.labels]]\nclass = "secret"\naccounts = ["CRASH"]\n'
        '[policy.budgets.crash]\naccounts = ["Crash"]\n'
        '[policy.pressures.crash]\naccounts = ["cRash"]\n' + paths
    )
    policy = policy_of(*read_layers(file))

    crash = frozenset({"crash"})
    (label,), (budget,), (pressure,) = policy.data.labels, policy.budgets, policy.pressures
    assert {crash} == {policy.accounts, label.accounts, budget.accounts, pressure.accounts}


BAD = sorted((Path(__file__).resolve().parent.parent / "data" / "policies").glob("*.toml"))


@pytest.mark.parametrize("policy", BAD, ids=lambda file: file.stem)
def test_a_wrong_policy_is_told_by_file_line_and_key_in_words(policy: Path, tmp_path: Path) -> None:
    """What is told stands at the end of each file, behind ``# ->``."""
    expected = [
        f"{policy}{line.removeprefix('# -> ')}"
        for line in policy.read_text().splitlines()
        if line.startswith("# -> ")
    ]
    (tmp_path / "apps").mkdir()
    (tmp_path / "ca").touch()
    (tmp_path / "config.toml").write_text(
        f'include = ["{policy}"]\n[paths]\n'
        f'applications = "{tmp_path}/apps"\nssh_authority = "{tmp_path}/ca"\n'
    )
    with pytest.raises(ConfigError) as error:
        read_layers(tmp_path / "config.toml")

    assert len(BAD) >= 40
    assert expected == error.value.problems
    assert "Input should" not in "".join(expected)
