"""Data classes: what may leave the site, and to where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from posixpath import normpath

from burstd.domain.targets import TargetName


@dataclass(frozen=True)
class DataClass:
    """A name for data that are treated alike. ``targets``: where it may go, at most; ``None``:
    anywhere; none of them: it stays."""

    name: str
    targets: frozenset[TargetName] | None = None


@dataclass(frozen=True)
class Label:
    """The jobs whose data are of one class: those that meet everything that is given here.

    ``paths`` are patterns (fnmatch(3), ``*`` matches a slash too) of the directory that a job works
    in. An input that lies below such a path is of that class, too.
    """

    to: str  #: name of the class
    accounts: frozenset[str] = frozenset()
    partitions: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()

    def speaks_of(self, user: str, account: str, partitions: Iterable[str]) -> bool:
        """True if jobs of these can be labelled so, by where their data lie."""
        return (
            (not self.users or user in self.users)
            and (not self.accounts or account in self.accounts)
            and (not self.partitions or not self.partitions.isdisjoint(partitions))
        )

    def lies(self, directory: str) -> bool:
        """True if the data of a job that works there are so labelled, if it speaks of the job.
        Slurm shows ``sbatch --chdir=../other`` as it was typed; what is meant is what counts."""
        return not self.paths or self._pattern.match(_plain(directory)) is not None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(translate, self.paths)))


def _plain(directory: str) -> str:
    """Without dots and slashes that say nothing; of two in front POSIX keeps both."""
    if "//" in directory or "/." in directory or directory.endswith("/"):
        return re.sub("^/+", "/", normpath(directory))
    return directory  # as nearly all are: a hundred thousand may be looked at


@dataclass(frozen=True)
class DataRules:
    """``labels`` give jobs their classes; a job of several may only go where all of them may.

    ``unlabelled``: the class of a job without a label; ``None``: it stays.
    """

    classes: tuple[DataClass, ...] = ()
    labels: tuple[Label, ...] = ()
    unlabelled: DataClass | None = None

    def named(self, name: str) -> DataClass | None:
        """The class of this name."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> Mapping[str, DataClass]:
        return {known.name: known for known in self.classes}


#: Everything may go everywhere.
OPEN = DataRules(unlabelled=DataClass("open"))
