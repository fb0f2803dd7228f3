"""Whether this machine is set up for Isaac Gym, and how a program becomes the Python that has it.

Isaac Gym exists for Python 3.6 to 3.8 only. A machine says in DEXHAND_ISAACGYM_PYTHON which Python has it; training
under it goes on there, and everything else stays in the Python that it was started with.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NoReturn, Optional, Sequence

from dexhand_env.errors import UserError
from dexhand_env.sim.backends import isaacgym_installed, why_no_isaac_gym

PYTHON_VARIABLE = "DEXHAND_ISAACGYM_PYTHON"
PROBE, LAUNCH = (Path(__file__).with_name(name) for name in ("probe.py", "launch.py"))
MARK = "isaacgym-probe:"
PROBE_LIMIT_S = 120.0
NEEDED_PYTHON = (3, 8)
# What training imports, as modules; requirements/isaacgym38.txt pins them.
PACKAGES = (
    "filelock",
    "gymnasium",
    "loguru",
    "numpy",
    "psutil",
    "pydantic",
    "rich",
    "rl_games",
    "tensorboardX",
    "torch",
    "typing_extensions",
    "yaml",
)
SET_UP = f"make isaacgym38 && export {PYTHON_VARIABLE}=$PWD/.venv-isaacgym/bin/python (docs/isaac_gym.md)"
ON_CPU = "without one, DEXHAND_GPUS=0 and --sim-device cpu step the physics on the CPU"
REMEDIES = {
    "no driver": f"install NVIDIA's driver, 470 or newer; {ON_CPU}",
    "the driver": f"install a newer driver, or restart the machine; {ON_CPU}",
    "no GPU": f"choose another in CUDA_VISIBLE_DEVICES; {ON_CPU}",
    "unsupported card": f"choose another GPU in CUDA_VISIBLE_DEVICES; {ON_CPU}; or sim.backend mujoco_warp",
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that keeps Isaac Gym from running.

    Attributes:
        what: in two or three words.
        found: what is there instead.
        remedy: what to do.
    """

    what: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.found}; {self.remedy}"


def isaac_gym_python() -> str:
    """The Python that has Isaac Gym: the one in DEXHAND_ISAACGYM_PYTHON, without which it can only be this one."""
    return os.environ.get(PYTHON_VARIABLE) or sys.executable


def is_set_up() -> bool:
    """Whether this machine says anything of Isaac Gym."""
    return bool(os.environ.get(PYTHON_VARIABLE)) or isaacgym_installed()


def diagnose(python: str, gpu: Optional[int]) -> List[Problem]:
    """All that is wrong with a Python and this machine.

    Args:
        python: as :func:`isaac_gym_python` says.
        gpu: the number of the GPU that steps the physics, None for the CPU.
    """
    return [*_interpreter_problems(python), *([] if gpu is None else gpu_problems(gpu))]


def gpu_problems(gpu: int) -> List[Problem]:
    """What is wrong with the driver or the card."""
    reason = why_no_isaac_gym(gpu)
    return [] if reason is None else [Problem(reason.what, reason.found, REMEDIES[reason.what])]


def _interpreter_problems(python: str) -> List[Problem]:
    if not is_set_up():
        return [Problem("no interpreter", f"{PYTHON_VARIABLE} is not set, and this Python has no isaacgym", SET_UP)]
    program = shutil.which(python)
    if program is None:
        state = "cannot be executed" if os.path.exists(python) else "is not there"
        return [Problem("no interpreter", f"{PYTHON_VARIABLE}={python} {state}", SET_UP)]
    try:
        found = probed(program)
    except UserError as error:
        return [Problem("no interpreter", f"{PYTHON_VARIABLE}={python} {error.args[1]}", SET_UP)]
    return list(_problems(python, found))


def probed(program: str) -> Dict[str, Any]:
    """What ``probe.py`` finds in a Python.

    Raises:
        UserError: it is no Python, or does not answer.
    """
    try:
        result = subprocess.run(
            [program, str(PROBE), *PACKAGES],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PROBE_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        raise UserError(program, f"has not answered within {PROBE_LIMIT_S:.0f} s") from None
    except OSError as error:
        raise UserError(program, f"cannot be executed ({error.strerror})") from error
    lines = result.stdout.decode(errors="replace").splitlines()
    answers = [line[len(MARK) :] for line in lines if line.startswith(MARK)]
    if not answers:
        said = result.stderr.decode(errors="replace").split("\n")
        last = next((line for line in reversed(said) if line.strip()), f"exit code {result.returncode}")
        raise UserError(program, f"is no Python that can run this ({last.strip()})")
    answer: Dict[str, Any] = json.loads(answers[-1])
    return answer


def _problems(python: str, found: Dict[str, Any]) -> Iterator[Problem]:
    """What is wrong in an interpreter, the cause before its consequences."""
    install = f"uv pip install --python {python} --no-deps"
    version, folder = ".".join(map(str, found["version"])), found["isaacgym"]
    own = tuple(found["version"][:2])
    unsupported = "{}{}".format(*own) not in found["bindings"] if found["compiled"] else folder is None and own > (3, 8)
    wrong = unsupported or own < NEEDED_PYTHON
    if wrong:
        said = (
            f"{python} is Python {version}; Isaac Gym exists for Python 3.6 to 3.8, and this project needs 3.8 of them"
        )
        yield Problem("wrong Python", said, f"a Python 3.8: {SET_UP}")
    if folder is None:
        remedy = f"download Isaac Gym Preview 4 from NVIDIA, then: {install} <where it is unpacked>/isaacgym/python"
        yield Problem("no isaacgym", f"{python} has no package isaacgym", remedy)
    if found["torch_first"]:
        said = f"{python} imports torch as it starts ({', '.join(found['torch_first'])})"
        yield Problem("torch imported first", said, "take that out: isaacgym has to be imported before torch")
    elif found["error"] is not None and not wrong:
        yield _import_problem(python, found, install)
    if found["compiled"] and not found["ninja"]:
        said = f"ninja is neither on PATH nor beside {python}; isaacgym compiles its tensors with it"
        yield Problem("no ninja", said, f"{install} ninja")
    if found["compiled"] and not found["compiler"]:
        said = "no C++ compiler (c++) is on PATH; isaacgym compiles its tensors with it"
        yield Problem("no compiler", said, "apt-get install g++")
    if found["missing"]:
        said = f"{python} lacks {', '.join(found['missing'])}"
        yield Problem("missing packages", said, f"{install} -r requirements/isaacgym38.txt")


def _import_problem(python: str, found: Dict[str, Any], install: str) -> Problem:
    error, libraries = found["error"], found["libraries"]
    said = f"{python}: import isaacgym: {error}"
    if "libpython" not in error:
        show = f"{python} -c 'from isaacgym import gymapi' shows the whole of it"
        remedy = f"{install} -r requirements/isaacgym38.txt may mend it; {show}"
        return Problem("isaacgym does not start", said, remedy)
    remedy = "a Python that comes with its libpython, as those of uv and conda do"
    if libraries is not None:
        remedy = f"export LD_LIBRARY_PATH={libraries}"
    return Problem("missing libpython", said, remedy)


def usable_python(where: str) -> str:
    """The program that has Isaac Gym, tried.

    Args:
        where: names the backend in errors.

    Raises:
        UserError: the first thing that is wrong with it.
    """
    python = isaac_gym_python()
    problems = diagnose(python, None)
    if problems:
        raise UserError(where, f"isaac_gym: {problems[0]}")
    return os.path.abspath(shutil.which(python) or python)  # not resolved: a virtual environment's is a link


def become(program: str, function: str, words: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Become another Python, which calls ``function``; signals and exit code are its own from here on.

    Args:
        program: that Python.
        function: ``module:function`` of this package.
        words: what its command line shall be, after the interpreter.
        variables: to be set there.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execve(program, [program, str(LAUNCH), function, *words], {**os.environ, **variables})  # noqa: S606
