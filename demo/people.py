"""What Alice does, with the commands that she has."""

from __future__ import annotations

from dataclasses import dataclass, field

from demo.study import STUDY, Job, files
from lab.host import Host
from lab.lab import Lab


@dataclass
class Alice:
    """``ids``: the job id that ``sbatch`` printed, by the job's name."""

    lab: Lab
    home: str = STUDY
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def _login(self) -> Host:
        return self.lab.host("ctl")

    def unpack(self, jobs: tuple[Job, ...]) -> None:
        """Lay out the study in an empty directory."""
        self._login.run(["rm", "-rf", self.home], user="alice")
        for path, (text, mode) in files().items():
            self._write(path, text, mode)
        for job in jobs:
            self._write(f"{job.directory}/{job.name}.sbatch", job.script, 0o644)

    def submit(self, job: Job) -> str:
        """Plain ``sbatch`` in the job's directory."""
        argv = ["sbatch", "--parsable", *job.options]
        if job.after is not None:
            argv.append(f"--dependency={job.after[0]}:{self.ids[job.after[1]]}")
        argv += [f"{job.name}.sbatch", *job.arguments]
        done = self._login.run(argv, user="alice", cwd=f"{self.home}/{job.directory}")
        self.ids[job.name] = done.stdout.strip()
        return self.ids[job.name]

    def cancel(self, name: str) -> None:
        """Plain ``scancel``."""
        self._login.run(["scancel", self.ids[name]], user="alice")

    def tail(self, path: str) -> str:
        """The end of a file of hers, read on-prem."""
        argv = ["tail", "-c", "2000", f"{self.home}/{path}"]
        return self._login.run(argv, user="alice", check=False).stdout

    def queue(self) -> dict[str, str]:
        """Her unfinished jobs: ``squeue``'s id -> partition and state."""
        rows = self._login.run(
            ["squeue", "-h", "-r", "-u", "alice", "-o", "%i %P %T"], user="alice"
        )
        return {row.split()[0]: " ".join(row.split()[1:]) for row in rows.stdout.splitlines()}

    def _write(self, path: str, text: str, mode: int) -> None:
        script = 'mkdir -p "${1%/*}" && cat > "$1" && chmod "$2" "$1"'
        argv = ["sh", "-c", script, "sh", f"{self.home}/{path}", f"{mode:o}"]
        self._login.run(argv, user="alice", input=text)
