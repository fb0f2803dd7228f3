"""A clone of the working tree in which the pipeline runs for real."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from workflow.stamps import SNAKEMAKE_TIMESTAMP

ROOT = Path(__file__).resolve().parents[2]
TRACER = Path(__file__).with_name("tracer")
TOOLS = ("snakemake", "dvc")
UP_TO_DATE = "Data and pipelines are up to date."
NOTHING = "Nothing to be done"
# Runs a command as a user without name or home, who may read everything: this Python may lie in somebody's home folder.
READ = [f"--{kind}=+dac_read_search" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
ANOTHER_USER = [
    "setpriv",
    "--reuid=12345",
    "--regid=12345",
    "--clear-groups",
    *READ,
    "env",
    "-u",
    "USER",
    "-u",
    "LOGNAME",
]
JOB = re.compile(r"^Job \d+: (.*)$", re.MULTILINE)


@dataclass
class Run:
    """What a command did: its exit code, its output, and the stages whose commands it started."""

    code: int
    output: str
    stages: list[str] = field(default_factory=list)


class Clone:
    """A repository with one experiment or more; ``trace`` is a folder outside it."""

    def __init__(self, path: Path, trace: Path) -> None:
        self.path = path
        self.trace = trace
        trace.mkdir(parents=True, exist_ok=True)

    def run(self, *command: str, check: bool = True, **environment: str) -> Run:
        """Run a command in the clone with the tests' Python first on PATH."""
        self.forget_stages()
        result = subprocess.run(
            command,
            cwd=self.path,
            env={**self.environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and result.returncode:
            raise AssertionError(f"{' '.join(command)} exited with {result.returncode}:\n{result.stdout}")
        return Run(result.returncode, result.stdout, sorted(file.stem for file in self.trace.glob("*.txt")))

    def snakemake(self, target: str = "all", cores: int = 1, check: bool = True) -> Run:
        """Run Snakemake."""
        return self.run("snakemake", "--cores", str(cores), target, check=check)

    def dvc(self, *arguments: str, check: bool = True) -> Run:
        """Run DVC."""
        return self.run("dvc", *arguments, check=check)

    def repro(self, *arguments: str, check: bool = True) -> Run:
        """Run `dvc repro`."""
        return self.dvc("repro", *arguments, check=check)

    def everything(self, tool: str, check: bool = True) -> Run:
        """Bring everything up to date by one of the tools."""
        return self.snakemake(check=check) if tool == "snakemake" else self.repro(check=check)

    def contents(self) -> dict[str, bytes]:
        """The results and dvc.yaml, byte for byte."""
        files = (path for path in (self.path / "results").rglob("*") if path.is_file())
        kept = [self.path / "dvc.yaml", *(path for path in files if path.name != SNAKEMAKE_TIMESTAMP)]
        return {path.relative_to(self.path).as_posix(): path.read_bytes() for path in kept}

    def git(self, *arguments: str) -> str:
        """Run git; returns what it printed."""
        return self.run("git", "-c", "user.name=Tester", "-c", "user.email=tester@example.com", *arguments).output

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a piece of text that must be there."""
        text = (self.path / file).read_text(encoding="utf-8")
        assert old in text
        (self.path / file).write_text(text.replace(old, new), encoding="utf-8")

    def write(self, file: str, text: str) -> None:
        """Write a file."""
        target = self.path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def opened(self, stage: str) -> set[str]:
        """Files of the clone that the last run's stage read, relative to it."""
        lines = (self.trace / f"{stage}.txt").read_text(encoding="utf-8").splitlines()
        paths = (Path(line) for line in set(lines))
        return {path.relative_to(self.path).as_posix() for path in paths if path.is_relative_to(self.path)}

    def copy(self, path: Path) -> Clone:
        """An independent copy, times included."""
        shutil.copytree(self.path, path, symlinks=True)
        return Clone(path, path.with_name(f"{path.name}-trace"))

    def forget_stages(self) -> None:
        """Begin to note anew which stages run."""
        for file in self.trace.glob("*.txt"):
            file.unlink()

    def environment(self) -> dict[str, str]:
        """The environment of commands in the clone: the tests' Python first on PATH, and the tracer."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
        # Without byte code every import opens its source, which is what the tracer looks for.
        environment.update(PYTHONPATH=str(TRACER), PYTHONDONTWRITEBYTECODE="1", DEXHAND_TRACE=str(self.trace))
        return environment


def assert_up_to_date(clone: Clone) -> None:
    """Neither tool finds anything to do, and the working tree is clean but for the edits and dvc.lock."""
    assert UP_TO_DATE in clone.dvc("status").output
    assert clone.repro().stages == []
    run = clone.snakemake()
    assert (NOTHING in run.output, run.stages) == (True, []), run.output


def other(tool: str) -> str:
    """The tool that is not this one."""
    return TOOLS[1 - TOOLS.index(tool)]


def jobs(run: Run) -> list[str]:
    """The messages of the jobs that Snakemake started."""
    return sorted(JOB.findall(run.output))


def new_clone(path: Path, experiments: str) -> Clone:
    """Clone the working tree, changes included, with nothing but the tiny experiment's config under the given names."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if source.is_file() and not name.startswith(("tests/", "docs/", "configs/")) and name != "dvc.lock":
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, path / name)
    clone = Clone(path, path.with_name(f"{path.name}-trace"))
    clone.write("configs/experiments.yaml", experiments)
    for line in experiments.splitlines():
        clone.write(f"configs/{line.partition(':')[0]}.yaml", (ROOT / "tests/pipeline/tiny.yaml").read_text("utf-8"))
    clone.run("python", "-m", "workflow.plan")
    clone.git("init", "--quiet")
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "--message", "Clone")
    return clone
