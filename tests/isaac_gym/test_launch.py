"""launch.py: what a program sees that goes on in another Python, here for a package of one module."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from dexhand_env.sim.isaac_gym.setup import LAUNCH
from dexhand_env.stages.versions import is_launched

from .interpreters import environment, interpreter, site_packages, write_isaacgym

PROGRAM = '''\
"""What it sees; then it does as it was told."""

import importlib.util
import json
import os
import signal
import sys


def sees() -> None:
    names = ("beside", "setup", "torch", "own")
    found = {name: importlib.util.find_spec(name) is not None for name in names}
    early = list(sys.modules).index("isaacgym") < list(sys.modules).index("dexhand_env.program")
    print(json.dumps({"argv": sys.argv, "orig_argv": sys.orig_argv[1:], **found, "early": early, "said": input()}))


def ends() -> int:
    print("to stderr", file=sys.stderr)
    return 7


def waits() -> None:
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
    signal.pause()


def spawns() -> None:
    import multiprocessing

    process = multiprocessing.get_context("spawn").Process(target=other)
    process.start()
    process.join()
    sys.exit(process.exitcode)


def other() -> None:
    sys.exit(5 if "isaacgym" not in sys.modules else 6)
'''


@pytest.fixture
def launch(tmp_path: Path) -> list[str]:
    """The command that launches: the package lies among those of another Python."""
    python = interpreter(tmp_path / "venv", with_packages=False)
    write_isaacgym(site_packages(tmp_path / "venv"), "print('a banner')")
    (site_packages(tmp_path / "venv") / "torch.py").write_text("raise ImportError('before isaacgym')", encoding="utf-8")
    package = tmp_path / "others" / "dexhand_env"
    (package / "sim" / "isaac_gym").mkdir(parents=True)
    shutil.copy(LAUNCH, package / "sim" / "isaac_gym" / "launch.py")
    for file, text in (
        ("__init__.py", ""),
        ("program.py", PROGRAM),
        ("sim/isaac_gym/setup.py", ""),
        ("../beside.py", ""),
    ):
        (package / file).write_text(text, encoding="utf-8")
    (tmp_path / "own.py").touch()  # in the working directory
    return [str(python), str(package / "sim" / "isaac_gym" / "launch.py")]


def run(launch: list[str], folder: Path, function: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*launch, f"dexhand_env.program:{function}", *words]
    environ = environment(folder / "none", None)
    environ["PYTHONPATH"] = ""
    return subprocess.run(
        command, cwd=folder, env=environ, input="hello\n", capture_output=True, text=True, check=False
    )


def test_it_sees_its_own_command_line_and_no_package_of_the_other_python(launch: list[str], tmp_path: Path) -> None:
    words = ("-m", "dexhand_env.program", "Tiny", "--x=a b", "")
    result = run(launch, tmp_path, "sees", *words)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {
        "argv": list(words[1:]),
        "orig_argv": list(words),
        "beside": False,
        "setup": False,
        "torch": True,
        "own": True,
        "early": True,
        "said": "hello",
    }


def test_a_program_of_another_name_sees_no_working_directory(launch: list[str], tmp_path: Path) -> None:
    seen = json.loads(run(launch, tmp_path, "sees", "train.py", "a").stdout)
    assert (seen["argv"], seen["orig_argv"], seen["own"]) == (["train.py", "a"], ["train.py", "a"], False)


def test_exit_code_and_messages_are_the_programs(launch: list[str], tmp_path: Path) -> None:
    result = run(launch, tmp_path, "ends", "train.py")
    assert (result.returncode, result.stdout, result.stderr) == (7, "", "to stderr\n")


def test_what_multiprocessing_spawns_finds_the_package_and_is_without_isaacgym(
    launch: list[str], tmp_path: Path
) -> None:
    assert run(launch, tmp_path, "spawns", "train.py").returncode == 5


def test_ctrl_c_is_the_programs(launch: list[str], tmp_path: Path) -> None:
    command = [*launch, "dexhand_env.program:waits", "train.py"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate()[1]
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize(("words", "prefix"), [(("-m", "x"), ""), (("train.py",), "train.py: ")])
def test_an_isaacgym_that_fails_is_one_line(
    launch: list[str], tmp_path: Path, words: tuple[str, ...], prefix: str
) -> None:
    (gymapi,) = tmp_path.glob("venv/lib/*/site-packages/isaacgym/gymapi.py")
    gymapi.write_text("raise RuntimeError('no\\nluck')", encoding="utf-8")
    result = run(launch, tmp_path, "ends", *words)
    found = "sim.backend: isaac_gym: import isaacgym: RuntimeError: no luck; `dexhand doctor` says what to do\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", prefix + found)


def test_it_is_no_part_of_this_process() -> None:
    assert not is_launched()
