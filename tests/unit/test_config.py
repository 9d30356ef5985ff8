"""The configuration: every problem at once, with its place and the right words."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from burstd.adapters.licences import flexnet, lmx
from burstd.adapters.licences.command import CommandSource, Feature
from burstd.adapters.licences.static import StaticSource
from burstd.adapters.s3.bucket import S3Bucket
from burstd.adapters.slurm.commands import Slurm
from burstd.adapters.slurm.licences import SlurmLicences
from burstd.app import check, licence_sources, place_of
from burstd.config.example import render
from burstd.config.policy import policy_of
from burstd.config.read import ConfigError, applications, read, read_rules
from burstd.config.units import budget, core_hours, duration, price, rate
from burstd.domain.licences import Formula, Pool
from burstd.domain.policy import Mode
from burstd.ports.errors import AccessDenied

HERE = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def paths(tmp_path: Path) -> str:
    """A [paths] table of files that are there."""
    (tmp_path / "apps").mkdir()
    (tmp_path / "ca").touch()
    return f'[paths]\napplications = "{tmp_path}/apps"\nssh_authority = "{tmp_path}/ca"\n'


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        read(file)
    return [problem.removeprefix(f"{file}:") for problem in error.value.problems]


def test_an_almost_empty_file_is_enough_and_only_observes(tmp_path: Path, paths: str) -> None:
    (tmp_path / "config.toml").write_text(paths)
    config = read(tmp_path / "config.toml")

    assert Mode.OBSERVE is policy_of(config).mode
    assert timedelta(seconds=30) == config.site.poll
    assert (5000, 2000) == (config.policy.high, config.policy.low)


def test_every_problem_is_told_at_once_with_its_line_and_dotted_path(
    tmp_path: Path, paths: str
) -> None:
    text = (
        '[policy]\nmode = "full"\nhigh = "5000"\nbugdet = "5 EUR/month"\n'
        '[site]\npoll = "30"\n[targets.cloud]\nprice = "0.05 EUR"\n' + paths
    )
    found = problems(tmp_path, text)

    assert 5 == len(found)
    assert "4: policy.bugdet: unknown key; did you mean 'budget'?" in found
    assert any(p.startswith("2: policy.mode: ") for p in found)
    assert any(p.startswith("3: policy.high: expected core-hours with the unit") for p in found)
    assert any(p.startswith("6: site.poll: expected a duration with its unit") for p in found)
    assert any(p.startswith("8: targets.cloud.price: expected money") for p in found)


def test_values_that_are_right_alone_and_wrong_together_are_told(
    tmp_path: Path, paths: str
) -> None:
    text = (
        '[policy]\nhigh = "10 core-hours"\nlow = "10 core-hours"\npartitions = ["burst"]\n'
        '[targets.cloud]\nlink = "wan"\nprice = "0.05 USD/core-hour"\nbucket = "s3"\n' + paths
    )
    found = problems(tmp_path, text)

    assert {
        "3: policy.low: must be below policy.high (10 core-hours)",
        "4: policy.partitions: must not name the burst partition",
        "6: targets.cloud.link: there is no [links.wan]",
        "7: targets.cloud.price: must be in EUR as policy.budget is",
        "8: targets.cloud.bucket: there is no [buckets.s3]",
    } == set(found)


def test_a_file_that_is_not_there_is_told_by_name(tmp_path: Path, paths: str) -> None:
    found = problems(tmp_path, paths.replace("/ca", "/gone"))

    assert any("paths.ssh_authority" in p and f"{tmp_path}/gone" in p for p in found)


def test_text_that_is_no_toml_is_one_problem(tmp_path: Path) -> None:
    assert 1 == len(problems(tmp_path, "[policy\n"))
    with pytest.raises(ConfigError):
        read(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("text", "value"),
    [("30s", timedelta(seconds=30)), ("15m", timedelta(minutes=15)), ("24h", timedelta(days=1)),
     ("2d", timedelta(days=2)), (" 5 m ", timedelta(minutes=5))],
)  # fmt: skip
def test_durations_have_units(text: str, value: timedelta) -> None:
    assert value == duration(text)


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "1.5h", "5 minutes", "5M"])
def test_a_duration_without_a_unit_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        duration(text)


@pytest.mark.parametrize(
    "text", ["36501d", "999999999d", "9" * 5 + "999999999999d", "9" * 5000 + "s"]
)
def test_a_duration_beyond_every_calendar_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match=r"36500d|4300"):
        duration(text)


def test_a_bound_of_results_has_its_unit(tmp_path: Path, paths: str) -> None:
    for value in ("50", "-1", "true"):
        (found,) = problems(tmp_path, f"[policy]\nmax_output = {value}\n" + paths)
        assert "expected a size with its unit" in found


def test_a_rate_has_its_unit_and_is_said_where_the_line_is(tmp_path: Path, paths: str) -> None:
    assert (62_500_000, 312_500_000) == (rate("500 Mbit/s"), rate("2.5 Gbit/s"))
    for value in ('"500"', '"0 Mbit/s"', '"500 MB/s"', "true"):
        (found,) = problems(tmp_path, f"[targets.cloud]\nrate = {value}\n" + paths)
        assert "targets.cloud.rate: expected a rate with its unit" in found
    text = f'[targets.cloud]\nlink = "wan"\nrate = "1 Gbit/s"\n[links.wan]\n{paths}'
    found = " ".join(problems(tmp_path, text))
    assert "3: targets.cloud.rate: it has a link: say it in [links.wan]" in found


def test_money_and_core_hours_have_units_too() -> None:
    assert 500.0 == core_hours("500 core-hours")
    assert (Decimal("150"), "EUR") == budget("150 EUR/month")
    assert (Decimal("0.04"), "USD") == price("0.04 USD/core-hour")
    for reader, text in (
        (core_hours, "500"),
        (budget, "150 EUR"),
        (price, "0.04"),
        (price, "-1 EUR/core-hour"),
    ):
        with pytest.raises(ValueError, match="expected"):
            reader(text)


# --- licences


def test_licences_that_make_no_sense_are_told_with_their_line(tmp_path: Path, paths: str) -> None:
    text = (
        '[licences.a]\nsource = "command"\n'
        '[licences.b]\nsource = "slurm"\ncommand = ["lmutil"]\ntotal = 5\n'
        '[licences.c]\nsource = "static"\ntotal = 5\nkeep = 5\n'
        '[licences.d]\nsource = "slurm"\nfeature = "b"\n'
    )
    assert {
        "1: licences.a.command: must say how the licence server is asked",
        '5: licences.b.command: source "slurm" has none',
        '6: licences.b.total: source "slurm" tells of it itself',
        "9: licences.c.total: must be more than keep (5)",
        "13: licences.d.feature: is counted by [licences.b] already",
    } == set(problems(tmp_path, text + paths))


def test_a_source_of_no_known_kind_is_told(tmp_path: Path, paths: str) -> None:
    found = problems(tmp_path, '[licences.a]\nsource = "lmstat"\n' + paths)

    assert ["2: licences.a.source: must be 'command', 'slurm' or 'static', not \"lmstat\""] == found


def test_nobody_waits_long_for_a_licence_server(tmp_path: Path, paths: str) -> None:
    text = '[licences.a]\ncommand = ["lmstat"]\ndeadline = "{}"\n' + paths
    (found,) = problems(tmp_path, text.format("31s"))

    assert found.startswith("3: licences.a.deadline: must be at most 30")
    (tmp_path / "config.toml").write_text(text.format("30s"))
    assert timedelta(seconds=30) == read(tmp_path / "config.toml").licences["a"].deadline


def test_licences_that_are_asked_for_alike_are_asked_for_at_once(
    tmp_path: Path, paths: str
) -> None:
    (tmp_path / "config.toml").write_text(
        '[licences.abaqus]\ncommand = ["lmstat", "-a"]\nkeep = 4\n'
        '[licences.gui]\ncommand = ["lmstat", "-a"]\nfeature = "cae"\n'
        '[licences.hw]\ncommand = ["lmxendutil"]\nformat = "lmx"\ndeadline = "3s"\n'
        '[licences.nastran]\nsource = "slurm"\nfeature = "nastran@db"\nkeep = 2\n'
        '[licences.pod]\nsource = "static"\ntotal = 9\nkeep = 1\n' + paths
    )
    slurm = Slurm()
    assert (
        CommandSource(
            ("lmstat", "-a"),
            flexnet.parse,
            {"abaqus": Feature("abaqus", 4), "gui": Feature("cae")},
        ),
        CommandSource(("lmxendutil",), lmx.parse, {"hw": Feature("hw")}, 3.0),
        SlurmLicences(slurm, {"nastran": "nastran@db"}, {"nastran": 2}),
        StaticSource({"pod": Pool("pod", 9, 0, 1)}),
    ) == licence_sources(read(tmp_path / "config.toml"), slurm)


def test_without_licences_nobody_is_asked(tmp_path: Path, paths: str) -> None:
    (tmp_path / "config.toml").write_text(paths)

    assert () == licence_sources(read(tmp_path / "config.toml"), Slurm())


# --- buckets


@pytest.fixture
def site_key(tmp_path: Path) -> str:
    """A line for a [buckets.*] table."""
    (tmp_path / "site.key").touch()
    return f'site_key = "{tmp_path}/site.key"\n'


def test_a_bucket_needs_a_key_of_the_site_and_no_more(
    tmp_path: Path, paths: str, site_key: str
) -> None:
    (found,) = problems(tmp_path, "[buckets.cloud]\n" + paths)
    assert "1: buckets.cloud.site_key: there is no file /etc/burstd/site.key" == found

    text = "[targets.cloud]\nbucket = 'cloud'\n[buckets.cloud]\n"
    (tmp_path / "config.toml").write_text(text + site_key + paths)
    bucket = read(tmp_path / "config.toml").buckets["cloud"]
    assert ("", "us-east-1", "burstd/", "burst") == (
        bucket.endpoint,
        bucket.region,
        bucket.prefix,
        bucket.key,
    )
    assert timedelta(days=7) == bucket.keep


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ('endpoint = "s3.example.org"', "endpoint: expected https://HOST"),
        ('endpoint = "ftp://s3.example.org"', "endpoint: expected https://HOST"),
        ('endpoint = "https://s3.example.org?x=1"', "endpoint: expected https://HOST"),
        ('endpoint = "https://s3.example.org:s3"', "endpoint: Port could not be cast"),
        ('endpoint = "https://AKID:secret@s3.example.org"', "endpoint: access keys do not belong"),
        ('bucket = "No_Name"', "bucket: expected the name of a bucket"),
        ('bucket = ""', "bucket: expected the name of a bucket"),
        ('region = ""', "region: "),
        ('prefix = "a.b"', "prefix: expected a directory"),
        ('prefix = ""', "prefix: expected a directory"),
        ('prefix = "/"', "prefix: expected a directory"),
        ('prefix = "../x"', "prefix: expected a directory"),
        ('key = "site"', "key: must be 'burst', 'user' or 'account'"),
        ('keep = "7"', "keep: expected a duration with its unit"),
        ('credentials = "/nowhere/keys"', "credentials: there is no file /nowhere/keys"),
        ('secret_key = "x"', "secret_key: unknown key"),
    ],
)
def test_a_bucket_that_can_not_be_is_told_with_its_line(
    tmp_path: Path, paths: str, site_key: str, given: str, told: str
) -> None:
    (found,) = problems(tmp_path, f"[buckets.cloud]\n{given}\n{site_key}{paths}")

    assert found.startswith(f"2: buckets.cloud.{told}")


@pytest.mark.parametrize(
    ("prefix", "kept"),
    [("site_A", "site_A/"), ("/a-1//b/", "a-1/b/"), ("burstd/", "burstd/")],
)
def test_the_prefix_of_a_bucket_is_a_directory(
    tmp_path: Path, paths: str, site_key: str, prefix: str, kept: str
) -> None:
    text = f'[buckets.cloud]\nprefix = "{prefix}"\n{site_key}{paths}'
    (tmp_path / "config.toml").write_text(text)

    assert kept == read(tmp_path / "config.toml").buckets["cloud"].prefix


def test_rules_are_read_without_the_buckets_of_their_targets(tmp_path: Path) -> None:
    text = '[targets.cloud]\nbucket = "cloud"\n[buckets.cloud]\nsite_key = "/nowhere"\n'
    (tmp_path / "config.toml").write_text(text)

    assert read_rules(tmp_path / "config.toml").targets["cloud"].bucket is None


def test_buckets_are_opened_as_their_tables_say(tmp_path: Path, paths: str, site_key: str) -> None:
    file, access = tmp_path / "config.toml", tmp_path / "access"
    access.touch(0o600)
    access.write_text("[ours]\naws_access_key_id = AKID\naws_secret_access_key = s%x\n")
    file.write_text(
        '[buckets.cloud]\nendpoint = "http://127.0.0.1:1/"\nbucket = "b-1"\nprefix = "p"\n'
        f'region = "eu"\nprofile = "ours"\ncredentials = "{access}"\n{site_key}{paths}'
    )
    settings = check(read(file), file)

    bucket = S3Bucket(place_of(settings.config.buckets["cloud"]))
    address = bucket.get_address("a/1", 60)
    assert address.startswith("http://127.0.0.1:1/b-1/p/a/1?")
    assert "X-Amz-Credential=AKID%2F" in address
    assert "%2Feu%2Fs3%2F" in address
    access.chmod(0o640)
    with pytest.raises(AccessDenied, match=f"mode 0640, others can read it: chmod 600 {access}"):
        S3Bucket(place_of(settings.config.buckets["cloud"]))


# --- the example


def test_the_example_in_the_repository_is_the_one_that_the_model_writes() -> None:
    assert render() == (HERE / "config.example.toml").read_text()


def test_the_example_loads_when_its_files_are_there(tmp_path: Path, paths: str) -> None:
    (tmp_path / "known_hosts").touch()
    (tmp_path / "calculix.sqfs").touch()
    (tmp_path / "site.key").touch()
    text = render()
    for old, new in (
        ("/etc/burstd/known_hosts", f"{tmp_path}/known_hosts"),
        ("/var/lib/burstd/images/calculix.sqfs", f"{tmp_path}/calculix.sqfs"),
        ("/usr/share/burstd/apps", f"{tmp_path}/apps"),
        ("/etc/burstd/site.key", f"{tmp_path}/site.key"),
        ("/etc/burstd/ca", f"{tmp_path}/ca"),
    ):
        text = text.replace(old, new)
    lines = [ln.removeprefix("# ") if re.match(r"# \w+ = ", ln) else ln for ln in text.splitlines()]
    (tmp_path / "config.toml").write_text("\n".join(lines))
    config = read(tmp_path / "config.toml")

    assert ["cloud"] == list(config.targets)
    assert Mode.OBSERVE is config.policy.mode


# --- application profiles


def test_the_profiles_that_come_along_can_be_read() -> None:
    assert applications(HERE / "plugins" / "apps")["calculix"].matches("ccx -i beam\n")


def test_every_broken_profile_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('name = "a"\n')
    (tmp_path / "b.toml").write_text(
        'name = "b"\nimage = "b"\nimagge = "c"\n[detect]\nscript = ["x"]\n'
    )
    (tmp_path / "c.toml").write_text('name = "c"\nimage = "c"\n[detect]\nscript = ["("]\n')
    with pytest.raises(ConfigError) as error:
        applications(tmp_path)

    assert ["a.toml", "b.toml", "c.toml"] == [p.split(":")[0][-6:] for p in error.value.problems]


@pytest.mark.parametrize(
    "text", ['script = "ccx"\n', 'script = ["x"]\n[inputs]\nlive = ["x"]\n', "script = [3]\n"]
)
def test_a_word_is_no_list_of_its_letters(tmp_path: Path, text: str) -> None:
    """``script = "ccx"`` knew every script with a c in it."""
    (tmp_path / "a.toml").write_text(f'name = "a"\nimage = "a"\n[detect]\n{text}')
    with pytest.raises(ConfigError, match=r"must be a list of texts|unknown keys"):
        applications(tmp_path)


PROFILE = 'name = "a"\nimage = "a"\n[detect]\nscript = ["x"]\n[licences]\n'


def test_a_profile_says_what_licences_a_job_checks_out(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(PROFILE + 'abaqus = "abaqus-tokens"\ncae = 2\n')

    assert {"abaqus": Formula.ABAQUS, "cae": 2} == applications(tmp_path)["a"].licences


@pytest.mark.parametrize("rule", ["0", "-1", "true", "1.5", '"5*cores"', "[1]"])
def test_a_need_of_another_kind_is_told(tmp_path: Path, rule: str) -> None:
    (tmp_path / "a.toml").write_text(f"{PROFILE}abaqus = {rule}\n")
    with pytest.raises(ConfigError) as error:
        applications(tmp_path)

    told = "licences.abaqus: expected a count or one of abaqus-tokens, per-core"
    assert [f"{tmp_path}/a.toml: ValueError: {told}"] == error.value.problems


def test_a_profile_whose_licence_nobody_counts_is_told(tmp_path: Path, paths: str) -> None:
    file = tmp_path / "config.toml"
    (tmp_path / "apps" / "a.toml").write_text(PROFILE + "abaqus = 5\n")
    file.write_text("[targets.cloud]\nplugin = 'nowhere'\n" + paths)
    with pytest.raises(ConfigError) as error:
        check(read(file), file)

    assert f"{file}: licences.abaqus: missing, profile a needs it" in error.value.problems
