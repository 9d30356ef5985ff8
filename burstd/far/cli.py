"""The far end's command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from burstd.far.errors import FarError
from burstd.far.program import program_digest
from burstd.far.wire import PROTOCOL

# A conversation begins every few seconds for each burst that runs: each verb imports its own part
# only.


def serve(options: argparse.Namespace) -> int:
    """The verb `serve`."""
    from burstd.far import depot, garbage

    garbage.seldom()
    line = (sys.stdin.buffer, sys.stdout.buffer)
    names = ("silence", "store_bytes", "store_days", "store_shared")
    given = {name: getattr(options, name) for name in names}
    limits = depot.Limits(**{name: said for name, said in given.items() if said is not None})
    return depot.serve(options.root, options.key, *line, limits)


def run(options: argparse.Namespace) -> int:
    """The verb `run`."""
    from burstd.far import start

    return start.run(options)


def step(options: argparse.Namespace) -> int:
    """The verb `step-exec`."""
    from burstd.far.stepexec import step_exec

    return step_exec(options.root, options.key, options.step)


def show_runs(options: argparse.Namespace) -> int:
    """The verb `list`."""
    from burstd.far.attic import list_runs

    found = list_runs(options.root)
    if options.json:
        import json

        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return 0
    for entry in found:
        words = (entry["key"], entry["owner"], f"{entry['age_s']}s", entry["state"])
        sys.stdout.write("\t".join(str(word) for word in words) + "\n")
    return 0


def remove(options: argparse.Namespace) -> int:
    """The verb `clean`."""
    from burstd.far.attic import clean

    return clean(options.root, options.key)


def tidy(options: argparse.Namespace) -> int:
    """The verb `tidy`."""
    from burstd.far.attic import tidy

    return tidy(options.root, options.store_bytes, options.store_days, options.store_shared)


def show_state(options: argparse.Namespace) -> int:
    """The verb `state`."""
    from burstd.far.attic import state

    sys.stdout.write(f"{state(options.root, options.key)}\n")
    return 0


def _compile(_: argparse.Namespace) -> int:
    from burstd.far.compiled import compile_program

    return compile_program()


def _version(_: argparse.Namespace) -> int:
    sys.stdout.write(f"burst-far protocol {PROTOCOL} {program_digest() or 'source'}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="burst-far", description="The far end of a burst.")
    # With its name given argparse does not ask how wide the terminal is, and load what knows that.
    verbs = parser.add_subparsers(required=True, metavar="VERB", prog=parser.prog)

    def verb(name: str, words: str, *, keyed: bool = True) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=words, description=words)
        one.add_argument("--root", required=name not in {"version", "compile"})
        if keyed:
            one.add_argument("--key", required=True)
        return one

    one = verb("serve", "talk to the on-prem agent over stdin and stdout")
    one.add_argument("--silence", type=int, help="seconds until it ends")
    one.add_argument("--store-bytes", type=int, help="of a user's store")
    one.add_argument("--store-days", type=int, help="since a last use")
    one.add_argument("--store-shared", action="store_true", help="a group has one store")
    one.set_defaults(act=serve)
    one = verb("run", "start the payload once and own its end")
    one.add_argument("--attempt", type=int, required=True)
    one.add_argument("--image", required=True)
    one.add_argument("--runtimes", default="apptainer,bwrap")
    one.set_defaults(act=run)
    one = verb("step-exec", "one task of a step (for the runner's own use)")
    one.add_argument("--step", type=int, required=True)
    one.set_defaults(act=step)
    one = verb("clean", "remove a run directory")
    one.set_defaults(act=remove)
    one = verb("tidy", "remove what was kept for later bursts for too long", keyed=False)
    one.add_argument("--store-bytes", type=int, required=True, help="of a user's store")
    one.add_argument("--store-days", type=int, required=True, help="since a last use")
    one.add_argument("--store-shared", action="store_true", help="a group has one store")
    one.set_defaults(act=tidy)
    one = verb("state", "say in one word what a run directory shows")
    one.set_defaults(act=show_state)
    one = verb("list", "show the run directories", keyed=False)
    one.add_argument("--json", action="store_true")
    one.set_defaults(act=show_runs)
    one = verb("compile", "make it start faster with this very interpreter", keyed=False)
    one.set_defaults(act=_compile)
    one = verb("version", "show what this program is", keyed=False)
    one.set_defaults(act=_version)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs one verb; returns the exit code (64: usage)."""
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        return 64 if stop.code else 0
    try:
        return int(options.act(options))
    except (FarError, OSError) as error:
        sys.stderr.write(f"burst-far: {error}\n")
        return 1
