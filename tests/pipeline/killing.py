"""Start a tool in a clone, kill a process of it at a given moment, and see the next run through."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from .clone import Clone, Run

TRAINING = "train-Tiny-1"
CHECK = "check-Tiny"  # Snakemake makes it in the report's job
SECTIONS = ("report", "train", "selection", "evaluation")
TARGETS = ("snakemake", "dvc", "stage", "group")
# Files that say when and how fast they were made.
TIMED = ("stages", "history.csv", "report.html")
REFUSAL = re.compile(r"process (\d+)\b.*; wait for it or end it")


# A file that each stage writes, for Snakemake; `plan` writes none and goes along with the checks.
OUTPUT = {f"validate-Tiny-{name}": f"results/Tiny/config/{name}.json" for name in SECTIONS}
OUTPUT |= {
    "plan": OUTPUT["validate-Tiny-report"],
    TRAINING: "results/Tiny/seed1/history.csv",
    "select-Tiny-1": "results/Tiny/seed1/best.pth",
    "evaluate-Tiny-1": "results/Tiny/seed1/evaluation.json",
    "report-Tiny": "results/Tiny/report.html",
    CHECK: "results/Tiny/checked.json",
}
STAGES = ["plan", *(stage for stage in OUTPUT if stage != "plan")]


@dataclass(frozen=True)
class Kill:
    """One kill: while ``tool`` is in ``stage``, ``target`` dies.

    Args:
        fraction: the moment, in the stage's usual time, counted from its beginning; for the training in tenths of its
            usual time, counted from the last of ``checkpoints``.
        checkpoints: how many new checkpoints the training has to write first.
    """

    tool: str
    stage: str
    target: str
    fraction: float
    checkpoints: int = 0


def command(tool: str, stage: str | None) -> list[str]:
    """The command that brings one stage up to date with what it needs, or everything."""
    if tool == "dvc":
        return ["dvc", "repro", *([stage] if stage else [])]
    return ["snakemake", "--cores", "2", *([OUTPUT[stage]] if stage else [])]


@contextmanager
def started(clone: Clone, tool: str, stage: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A tool at work in a process group of its own; whatever is left of it in the end is ended."""
    clone.forget_stages()
    with open(clone.trace / "output", "wb") as output:
        process = subprocess.Popen(
            command(tool, stage),
            cwd=clone.path,
            env=clone.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def processes(clone: Clone) -> list[psutil.Process]:
    """All processes that work in the clone."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == clone.path:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def begins(clone: Clone, tool: subprocess.Popen[bytes], stage: str) -> float:
    """Wait until the stage's process begins; returns when that was. Fails if the tool ends before."""
    while not (clone.trace / f"{stage}.txt").exists():
        assert tool.poll() is None, f"{stage} never began:\n{(clone.trace / 'output').read_text()}"
        time.sleep(0.02)
    return time.monotonic()


def stage_seconds(clone: Clone) -> dict[str, float]:
    """Run everything undisturbed by DVC; returns the seconds from each stage's beginning to that of the next."""
    with started(clone, "dvc") as tool:
        times = {stage: begins(clone, tool, stage) for stage in STAGES}
        assert tool.wait() == 0, (clone.trace / "output").read_text()
    ends = [*list(times.values())[1:], time.monotonic()]
    return {stage: end - times[stage] for stage, end in zip(times, ends, strict=True)}


def kill(clone: Clone, plan: Kill, seconds: float) -> str | None:
    """Carry out one kill; returns whom it hit (None: it was over). A tool that outlives it is waited for."""
    if plan.stage == CHECK and (clone.path / OUTPUT[CHECK]).exists():
        return None
    before = trained(clone)
    with started(clone, plan.tool, plan.stage) as tool:
        begins(clone, tool, plan.stage)
        while plan.checkpoints > len(trained(clone).keys() - before.keys()) and tool.poll() is None:
            time.sleep(0.02)
        time.sleep(plan.fraction * (seconds / 10 if plan.stage == TRAINING else seconds))
        if tool.poll() is not None:
            return None
        if plan.target == "group":
            os.killpg(tool.pid, signal.SIGKILL)
            tool.wait()
            return "group"
        try:
            victim = _victim(clone, tool.pid, plan)
            name = " ".join(victim.cmdline())
            victim.kill()
        except psutil.NoSuchProcess:
            return None
        finally:
            tool.wait()
        return name


def _victim(clone: Clone, tool: int, plan: Kill) -> psutil.Process:
    """The process to kill; between two processes of the wanted kind, the tool itself."""
    dvc = "dexhand_env.commands.dvc " if plan.tool == "snakemake" else "/dvc "
    marks = {"dvc": dvc, "stage": "-m dexhand_env.stages." if plan.stage != "plan" else "-m workflow.plan"}
    if plan.target in marks:
        for process in processes(clone):
            program, *words = process.cmdline() or [""]
            if "python" in program and marks[plan.target] in " ".join([program, *words]):  # not the shell around it
                return process
    return psutil.Process(tool)


def complete(clone: Clone, tool: str, stage: str | None = None) -> int:
    """Run the tool until it is through; returns how often it was refused.

    It may be refused while a process of before is still at work, which it has to name, with what to do.
    """
    for refusals in range(5):
        orphans = processes(clone)
        run = clone.run(*command(tool, stage), check=False)
        if run.code == 0:
            return refusals
        assert_refused(run, orphans)
        _, alive = psutil.wait_procs(orphans, timeout=120)
        assert not alive
    raise AssertionError("refused five times")


def assert_refused(run: Run, orphans: Sequence[psutil.Process]) -> None:
    """A run has ended with a line that names a process that was there before, and what to do."""
    assert run.code != 0
    named = {int(pid) for pid in REFUSAL.findall(run.output)}
    assert named, f"failed and named no process:\n{run.output}"
    assert named <= {orphan.pid for orphan in orphans}, run.output


def digests(clone: Clone) -> dict[str, bytes]:
    """The contents of all results that must not depend on when or how fast they were made."""
    root = clone.path / "results"
    files = {path.relative_to(root): path for path in root.rglob("*") if path.is_file() and path.name[0] != "."}
    return {str(name): path.read_bytes() for name, path in files.items() if not set(TIMED) & set(name.parts)}


def trained(clone: Clone) -> dict[str, tuple[int, int]]:
    """Which checkpoints lie in the run folder, and when each was written."""
    files = clone.path.glob("runs/*/nn/checkpoint_[0-9]*.pth")
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}
