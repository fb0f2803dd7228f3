"""What can be wrong with an Isaac Gym set-up: a line of `dexhand doctor`, and an error of train.py and of the stage."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Callable, Optional

import pytest

from dexhand_env.config.layers import merge
from dexhand_env.sim.isaac_gym import setup
from tests.commands.programs import ROOT, files
from tests.stages.pipeline import NAME, SEED, SMALL, write_configs

from .interpreters import DRIVER, LIBPYTHON, OWN, environment, interpreter, python38, run, site_packages, write_isaacgym

DOCTOR = "import sys; sys.argv = ['dexhand', 'doctor']; from dexhand_env.cli import main; main()"
SET_UP = "make isaacgym38 && export DEXHAND_ISAACGYM_PYTHON=$PWD/.venv-isaacgym/bin/python (docs/isaac_gym.md)"
UNDER_ISAAC_GYM = merge(SMALL, {"env": {"sim": {"backend": "isaac_gym"}}})


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the programs find.

    Attributes:
        python: DEXHAND_ISAACGYM_PYTHON.
        path: PATH; None for the usual one.
    """

    python: Optional[Path]
    path: Optional[Path] = None


def unset(folder: Path) -> Machine:
    return Machine(None)


def absent(folder: Path) -> Machine:
    return Machine(folder / "nothing")


def no_program(folder: Path) -> Machine:
    (folder / "text").touch()
    return Machine(folder / "text")


def no_python(folder: Path) -> Machine:
    (folder / "other").write_text("#!/bin/sh\necho it is a shell >&2\nexit 3\n", encoding="utf-8")
    (folder / "other").chmod(0o755)
    return Machine(folder / "other")


def made_for_others(folder: Path) -> Machine:
    python = interpreter(folder / "venv")
    write_isaacgym(site_packages(folder / "venv"), compiled_for=("36", "37", "38"))
    return Machine(python)


def without_isaacgym(folder: Path) -> Machine:
    program = python38()
    if program is None:
        pytest.skip("no Python 3.8")
    return Machine(Path(program))


def torch_first(folder: Path) -> Machine:
    python = interpreter(folder / "venv")
    packages = site_packages(folder / "venv")
    write_isaacgym(packages)
    (packages / "torch.py").touch()
    (packages / "early.pth").write_text("import torch\n", encoding="utf-8")
    return Machine(python)


def failing(error: str) -> Callable[[Path], Machine]:
    def make(folder: Path) -> Machine:
        python = interpreter(folder / "venv")
        write_isaacgym(site_packages(folder / "venv"), f"raise ImportError({error!r})")
        return Machine(python)

    return make


def crashing(folder: Path) -> Machine:
    python = interpreter(folder / "venv")
    write_isaacgym(site_packages(folder / "venv"), "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    return Machine(python)


def with_programs(*names: str) -> Callable[[Path], Machine]:
    """One that compiles, with no other programs on PATH."""

    def make(folder: Path) -> Machine:
        python = interpreter(folder / "venv")
        write_isaacgym(site_packages(folder / "venv"), compiled_for=(OWN,))
        (folder / "programs").mkdir()
        for name in names:
            (folder / "programs" / name).write_text("#!/bin/sh\n", encoding="utf-8")
            (folder / "programs" / name).chmod(0o755)
        return Machine(python, folder / "programs")

    return make


def bare(folder: Path) -> Machine:
    python = interpreter(folder / "venv", with_packages=False)
    write_isaacgym(site_packages(folder / "venv"))
    return Machine(python)


def whole(folder: Path) -> Machine:
    python = interpreter(folder / "venv")
    write_isaacgym(site_packages(folder / "venv"))
    return Machine(python)


# What is wrong; doctor's name for it, what was found, what to do. {python} is the interpreter.
INTERPRETERS = {
    "unset": (unset, "no interpreter", "DEXHAND_ISAACGYM_PYTHON is not set, and this Python has no isaacgym", SET_UP),
    "absent": (absent, "no interpreter", "DEXHAND_ISAACGYM_PYTHON={python} is not there", SET_UP),
    "no program": (no_program, "no interpreter", "DEXHAND_ISAACGYM_PYTHON={python} cannot be executed", SET_UP),
    "no Python": (no_python, "no interpreter", "{python} is no Python that can run this (it is a shell)", SET_UP),
    "wrong Python": (
        made_for_others,
        "wrong Python",
        "Isaac Gym exists for Python 3.6 to 3.8",
        "a Python 3.8: " + SET_UP,
    ),
    "no isaacgym": (
        without_isaacgym,
        "no isaacgym",
        "{python} has no package isaacgym",
        "uv pip install --python {python} --no-deps <where it is unpacked>/isaacgym/python",
    ),
    "torch first": (torch_first, "torch imported first", "early.pth)", "isaacgym has to be imported before torch"),
    "libpython": (failing(LIBPYTHON), "missing libpython", LIBPYTHON, ""),
    "broken": (failing("no np.float"), "isaacgym does not start", "ImportError: no np.float", "shows the whole of it"),
    "crash": (crashing, "isaacgym does not start", "import isaacgym: it ends the process", "shows the whole of it"),
    "no ninja": (with_programs("c++"), "no ninja", "ninja is neither on PATH nor beside", "--no-deps ninja"),
    "no compiler": (with_programs("ninja"), "no compiler", "no C++ compiler (c++) is on PATH", "apt-get install g++"),
    "bare": (bare, "missing packages", "{python} lacks filelock, gymnasium, ", "-r requirements/isaacgym38.txt"),
}


def variables(machine: Machine, folder: Path) -> dict[str, str]:
    """The environment of programs on a machine; what customises Python lies in ``folder``."""
    found = environment(folder, machine.python, **({} if machine.path is None else {"PATH": str(machine.path)}))
    return found if machine.python is None else {**found, "DEXHAND_GPUS": "0"}


@pytest.mark.parametrize("name", INTERPRETERS)
def test_an_interpreter_that_cannot_be_used_is_named_by_all_programs(name: str, tmp_path: Path) -> None:
    make, what, found, remedy = INTERPRETERS[name]
    machine = make(tmp_path)
    found, remedy = (text.format(python=machine.python) for text in (found, remedy))
    environ = {**variables(machine, tmp_path), "DEXHAND_GPUS": "0"}
    said = doctors(tmp_path, environ)
    if machine.python is None:
        assert not [line for line in said if line.startswith("MISSING")]
        assert "note    Isaac Gym: not set up (DEXHAND_ISAACGYM_PYTHON is not set; docs/isaac_gym.md)" in said
    else:
        (line,) = [line for line in said if line.startswith(f"MISSING Isaac Gym: {what}: ")]
        assert found in line
        assert line.endswith(remedy)
    where = {
        "train.py": "train.py: sim.backend: isaac_gym: ",
        "stage": f"configs/{NAME}.yaml: env.sim.backend: isaac_gym: ",
    }
    for program, line in refusals(tmp_path, environ).items():
        assert line.startswith(where[program])
        assert found in line
        assert line.endswith(remedy)


def doctors(folder: Path, environ: dict[str, str]) -> list[str]:
    """The lines that doctor says."""
    result = run(folder, environ, "-c", DOCTOR)
    assert result.stderr == ""
    return result.stdout.splitlines()


def refusals(folder: Path, environ: dict[str, str], *options: str) -> dict[str, str]:
    """The line of each program that would train; both end with exit code 2 and write nothing."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    if not (work / "configs").exists():
        write_configs(work, small=UNDER_ISAAC_GYM)
    commands = {
        "train.py": (str(ROOT / "train.py"), "sim.backend=isaac_gym", "--headless", *options),
        "stage": ("-m", "dexhand_env.stages.train", NAME, str(SEED)),
    }
    before, lines = files(work), {}
    for program, command in commands.items():
        result = run(work, environ, *command)
        assert (result.returncode, result.stdout) == (2, ""), result
        (lines[program],) = result.stderr.splitlines()
        assert files(work) == before
    return lines


@pytest.mark.parametrize(
    ("driver", "what", "found"),
    [
        (None, "no driver", "no NVIDIA driver here (libcuda.so.1 is not found)"),
        ((11020, 1, (8, 6)), "the driver", "the NVIDIA driver is too old: it supports CUDA 11.2, Isaac Gym needs 11.4"),
        ((12040, 0, (8, 6)), "no GPU", "0 GPUs are visible to this process"),
        ((12040, 1, (9, 0)), "unsupported card", "GPU 0 has compute capability 9.0; Isaac Gym runs on 6.0 to 8.9"),
        ((12040, 1, (5, 2)), "unsupported card", "GPU 0 has compute capability 5.2; Isaac Gym runs on 6.0 to 8.9"),
        ((12040, 1, (8, 9)), None, ""),
    ],
    ids=["no driver", "an old driver", "hidden", "a new card", "an old card", "all is well"],
)
def test_a_gpu_that_cannot_be_used_is_named_by_all_programs(
    tmp_path: Path, driver: object, what: Optional[str], found: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(DRIVER.format(driver=driver), encoding="utf-8")
    machine = whole(tmp_path)
    environ = environment(tmp_path, machine.python)
    said = [line for line in doctors(tmp_path, environ) if "Isaac Gym" in line]
    if what is None:
        assert said == [f"ok      Isaac Gym: in {machine.python}"]
        return
    (line,) = said
    assert line.startswith(f"MISSING Isaac Gym: {what}: {found}")
    assert "DEXHAND_GPUS=0 and --sim-device cpu step the physics on the CPU" in line
    lines = refusals(tmp_path, environ, "--sim-device", "cuda")
    assert lines["train.py"].startswith(f"train.py: --sim-device: cuda:0: {found}")
    assert lines["train.py"].endswith("; allowed: cpu")
    assert lines["stage"].startswith(f"configs/{NAME}.yaml: env.sim.backend: isaac_gym on a GPU: {found}")
    assert "; allowed: DEXHAND_GPUS=0, which steps the physics on the CPU; " in lines["stage"]


def test_the_remedy_for_a_missing_libpython_names_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"version": [3, 8, 20], "isaacgym": "/gym", "compiled": False, "bindings": [], "torch_first": []}
    found.update(error=f"ImportError: {LIBPYTHON}", missing=[], ninja=True, compiler=True)
    for libraries, remedy in (
        ("/opt/py/lib", "export LD_LIBRARY_PATH=/opt/py/lib"),
        (None, "a Python that comes with"),
    ):
        (problem,) = setup._problems("/opt/py/bin/python", {**found, "libraries": libraries})
        assert problem.what == "missing libpython"
        assert problem.remedy.startswith(remedy)


@pytest.mark.parametrize("number", ["2", "-1", "all"])
def test_the_stage_takes_one_gpu_or_none(tmp_path: Path, number: str) -> None:
    environ = environment(tmp_path, None, DEXHAND_GPUS=number)
    found = f"DEXHAND_GPUS: found '{number}'; allowed: 1 with isaac_gym; 0 steps its physics on the CPU"
    assert refusals(tmp_path, environ)["stage"] == found


def test_several_processes_are_refused(tmp_path: Path) -> None:
    write_configs(tmp_path, small=UNDER_ISAAC_GYM)
    before = files(tmp_path)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    environ = environment(tmp_path, None, DEXHAND_GPUS="0")
    for command in (
        (str(ROOT / "train.py"), "sim.backend=isaac_gym", "--headless"),
        ("-m", "dexhand_env.stages.train", NAME, "3"),
    ):
        result = run(tmp_path, environ, *launcher, *command)
        assert result.returncode != 0
        assert "isaac_gym in 2 processes; allowed: one" in result.stderr
        assert files(tmp_path) == before
