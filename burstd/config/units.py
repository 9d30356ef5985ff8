"""Values with their unit beside them: ``"500 core-hours"``, ``"15m"``, ``"150 EUR/month"``."""

from __future__ import annotations

import re
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Annotated

from apscheduler.triggers.cron import CronTrigger
from pydantic import AfterValidator, BeforeValidator

_DURATION = re.compile(r"(\d+)\s*(s|m|h|d)$")
_LONGEST = timedelta(days=36_500)  #: from any day that long back is a day yet
_SCALE = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_CORE_HOURS = re.compile(r"(\d+(?:\.\d+)?)\s*core-hours$")
_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Z]{3})/month$")
_PERIODICAL = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Z]{3})/(day|week|month)$")
_EGRESS = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Z]{3})/GB$")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(MB|GB|TB)$")
_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(Mbit|Gbit)/s$")
_BITS = {"Mbit": 10**6, "Gbit": 10**9}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_PRICE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Z]{3})/core-hour$")
_GPU_PRICE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Z]{3})/GPU-hour$")
_PRESSURE = re.compile(r"(\d+(?:\.\d+)?)\s*(core|GPU)-hours$")


def duration(value: object) -> timedelta:
    """``30s``, ``15m``, ``24h``, ``2d``. Raises ``ValueError``."""
    if isinstance(value, timedelta):
        return value
    found = _DURATION.match(str(value).strip())
    if found is None:
        raise ValueError("expected a duration with its unit, like '30s', '15m', '24h' or '2d'")
    try:
        time = timedelta(**{_SCALE[found[2]]: int(found[1])})
    except OverflowError:
        time = timedelta.max
    if time > _LONGEST:
        raise ValueError("no duration is longer than 36500d")
    return time


def core_hours(value: object) -> float:
    """``500 core-hours``. Raises ``ValueError``."""
    found = _CORE_HOURS.match(str(value).strip())
    if found is None:
        raise ValueError("expected core-hours with the unit, like '500 core-hours'")
    return float(found[1])


def pressure(value: object) -> tuple[float, str]:
    """``500 core-hours`` or ``50 GPU-hours``: how many, and of what. Raises ``ValueError``."""
    if isinstance(value, tuple):
        return value
    found = _PRESSURE.match(str(value).strip())
    if found is None:
        raise ValueError("expected hours with the unit, like '500 core-hours' or '50 GPU-hours'")
    return float(found[1]), found[2]


def _money(pattern: re.Pattern[str], value: object, example: str) -> tuple[Decimal, str]:
    if isinstance(value, tuple):
        return value
    found = pattern.match(str(value).strip())
    if found is None:
        raise ValueError(f"expected money with currency and period, like '{example}'")
    return Decimal(found[1]), found[2]


def budget(value: object) -> tuple[Decimal, str]:
    """``150 EUR/month``: amount and currency. Raises ``ValueError``."""
    return _money(_BUDGET, value, "150 EUR/month")


def periodical(value: object) -> tuple[Decimal, str, str]:
    """``150 EUR/week``: amount, currency and period. Raises ``ValueError``."""
    if isinstance(value, tuple):
        return value
    found = _PERIODICAL.match(str(value).strip())
    if found is None:
        raise ValueError("expected money per day, week or month, like '150 EUR/week'")
    return Decimal(found[1]), found[2], found[3]


def price(value: object) -> tuple[Decimal, str]:
    """``0.04 EUR/core-hour``: amount and currency. Raises ``ValueError``."""
    return _money(_PRICE, value, "0.04 EUR/core-hour")


def gpu_price(value: object) -> tuple[Decimal, str]:
    """``1.80 EUR/GPU-hour``. Raises ``ValueError``."""
    return _money(_GPU_PRICE, value, "1.80 EUR/GPU-hour")


def egress(value: object) -> tuple[Decimal, str]:
    """``0.08 EUR/GB``: amount and currency. Raises ``ValueError``."""
    return _money(_EGRESS, value, "0.08 EUR/GB")


def size(value: object) -> int:
    """``50 GB``: bytes; a GB is 10^9 as in clouds' bills. Raises ``ValueError``."""
    found = _SIZE.match(str(value).strip())
    if found is None:
        raise ValueError("expected a size with its unit, like '500 MB', '50 GB' or '2 TB'")
    return int(Decimal(found[1]) * _BYTES[found[2]])


def rate(value: object) -> int:
    """``500 Mbit/s``: bytes a second. Raises ``ValueError``."""
    found = _RATE.match(str(value).strip())
    if found is None or not (least := int(Decimal(found[1]) * _BITS[found[2]] / 8)):
        raise ValueError("expected a rate with its unit, like '500 Mbit/s' or '2.5 Gbit/s'")
    return least


def cron(value: object) -> str:
    """Five fields of crontab(5); days of the week by name, as APScheduler counts them from Monday
    on. Raises ``ValueError``."""
    fields = str(value).split()
    try:
        if len(fields) == 5:
            fields[4] = _weekdays(fields[4])
        CronTrigger.from_crontab(" ".join(fields), UTC)
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"expected five fields as in crontab(5), like '0 18 * * mon-fri': {error}"
        ) from error
    return " ".join(fields)


def _weekdays(field: str) -> str:
    """By name. crontab(5): 0 and 7 are Sunday. Raises ``ValueError``."""
    if field == "*" or not any(letter.isdigit() for letter in field):
        return field
    for number, name in enumerate(_DAYS, 1):
        field = field.lower().replace(name, str(number))
    days = set[int]()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, to, last = ("0", "-", "6") if span == "*" else span.partition("-")
        numbers = range(int(first), int(last if to else first) + 1, int(step or 1))
        if not numbers or not 0 <= numbers[0] <= numbers[-1] <= 7:
            raise ValueError(f"days of the week are 0 to 7, not {part}")
        days.update((number - 1) % 7 for number in numbers)
    return ",".join(_DAYS[day] for day in sorted(days))


def period(value: object) -> tuple[date, date]:
    """``2026-12-24`` or ``2026-12-24..2027-01-01``: first and last day. Raises ``ValueError``."""
    if isinstance(value, tuple):
        return value
    first, _, last = str(value).partition("..")
    try:
        days = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError as error:
        raise ValueError("expected a day or two, like '2026-12-24..2027-01-01'") from error
    if days[1] < days[0]:
        raise ValueError(f"{days[1]} is before {days[0]}")
    return days


def directories(text: str) -> str:
    """A pattern of directories, as jobs' are written. One that none can meet would keep no job of
    its class here. Raises ``ValueError``."""
    if not text.startswith(("/", "*")) or (text != "/" and re.search(r"/\.{0,2}(/|$)", text)):
        raise ValueError(
            "no directory is written so: expected a pattern like '/projects/*/prototype*', from / "
            "on and without a slash at its end"
        )
    return text


Duration = Annotated[timedelta, BeforeValidator(duration)]
CoreHoursValue = Annotated[float, BeforeValidator(core_hours)]
Budget = Annotated[tuple[Decimal, str], BeforeValidator(budget)]
Price = Annotated[tuple[Decimal, str], BeforeValidator(price)]
Egress = Annotated[tuple[Decimal, str], BeforeValidator(egress)]
GpuPrice = Annotated[tuple[Decimal, str], BeforeValidator(gpu_price)]
PressureValue = Annotated[tuple[float, str], BeforeValidator(pressure)]
Size = Annotated[int, BeforeValidator(size)]
Rate = Annotated[int, BeforeValidator(rate)]
Periodical = Annotated[tuple[Decimal, str, str], BeforeValidator(periodical)]
Cron = Annotated[str, BeforeValidator(cron)]
Period = Annotated[tuple[date, date], BeforeValidator(period)]
Directories = Annotated[str, AfterValidator(directories)]
Account = Annotated[str, AfterValidator(str.lower)]
"""Slurm knows them in small letters, however they are written."""
