"""Runs what the documents say, as somebody would who has just read them: from a folder of their own, with backtraces asked for."""

import os
import pathlib
import re
import subprocess
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PATIENCE_S = 600
# What nobody wants to read who has mistyped something.
NOISE = ("panicked at", "Caused by", "stack backtrace", "Traceback")


class Failed(Exception):
    """A document, or a program, does not keep its word."""


class Place:
    """A folder outside of the repository, and the programs that the suite has built."""

    def __init__(self, programs):
        self.programs = pathlib.Path(programs).resolve()
        self._folder = tempfile.TemporaryDirectory(prefix="medseg-documented-")
        self.folder = pathlib.Path(self._folder.name)
        home = pathlib.Path.home()
        kept = {name: os.environ.get(name, str(home / folder)) for name, folder in (("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup"))}
        self.env = {
            **os.environ,
            **kept,
            # What is written below ~ is written here.
            "HOME": str(self.folder),
            # Whoever has set it, for another program, still wants one line from ours.
            "RUST_BACKTRACE": "1",
            # The release is built from the same sources, a quarter of an hour later.
            "PROFILE": "dev",
        }
        # What this run was itself started with is not what a reader has.
        for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MEDSEG_DATA", "LISTEN"):
            self.env.pop(name, None)

    def program(self, name):
        path = self.programs / name
        if not path.exists():
            raise Failed(f"{path} is not built: run 'scripts/env.sh cargo build --workspace --bins'")
        return str(path)

    def run(self, *command, stdin="", env=None, cwd=None, patience=PATIENCE_S):
        """What the command answers, whatever that is."""
        command = [str(word) for word in command]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=patience,
            cwd=cwd or self.folder, env={**self.env, **(env or {})},
        )

    def good(self, *command, says="", **how):
        """Runs a command that must do what it says; answers what it printed."""
        ended = self.run(*command, **how)
        if ended.returncode != 0:
            raise Failed(f"{shown(command)} ends with {ended.returncode}: {(ended.stderr or ended.stdout).strip()[-600:]}")
        if not re.search(says, ended.stdout):
            raise Failed(f"{shown(command)} does not say {says!r}: {ended.stdout.strip()[-400:]}")
        return ended.stdout

    def bad(self, *command, says, **how):
        """Runs a command that must be refused: a status that is not zero, and one line that says why."""
        ended = self.run(*command, **how)
        lines = ended.stderr.strip().splitlines()
        if ended.returncode in (0, 101) or ended.returncode < 0:
            raise Failed(f"{shown(command)} ends with {ended.returncode} and not as one that was refused: {ended.stderr.strip()[-400:]}")
        if len(lines) != 1 or not lines[0].startswith("error: ") or any(word in lines[0] for word in NOISE):
            raise Failed(f"{shown(command)} does not say in one line what is wrong: {ended.stderr.strip()[-600:]!r}")
        if not re.search(says, lines[0]):
            raise Failed(f"{shown(command)} does not say {says!r}: {lines[0]}")

    def close(self):
        self._folder.cleanup()


def shown(command):
    return " ".join([pathlib.Path(str(command[0])).name, *map(str, command[1:])])


def same(what, known, there):
    """That a list here is what there is, no more and no less."""
    if lacking := sorted(set(there) - set(known)):
        raise Failed(f"{what}: nothing here runs {', '.join(lacking)}")
    if gone := sorted(set(known) - set(there)):
        raise Failed(f"{what}: there is no {', '.join(gone)} any more")
