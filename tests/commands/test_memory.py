"""Too many environments: refused before anything is written, or one line where memory runs out all the same."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from .programs import files, run, train

# Everything is small but the number of environments; whole minibatches at any number up to 8192.
SMALL = (
    *("--headless", "--max-iterations", "1"),
    *("params.network.mlp.units=[32,16]", "params.config.mini_epochs=1"),
    *("params.config.horizon_length=4", "params.config.minibatch_size=32768"),
)
MANY = 65536
# train.py with an address space of so many bytes more than its imports take: from the start, or from when the run has
# been found to fit, which is when train.log is opened.
LIMITED = """
import resource, sys
from pathlib import Path
import dexhand_env.rl.memory_check, dexhand_env.rl.console, dexhand_env.tasks.base_task, dexhand_env.sim.mujoco_cpu
from dexhand_env.cli import train_main

room, when = int(sys.argv[1]), sys.argv[2]

def limit():
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + room, size + room))

def opened(event, arguments, seen=[]):
    if event == "open" and str(arguments[0]).endswith("train.log") and not seen:
        seen.append(event)
        limit()

sys.argv[:] = ["train.py", *sys.argv[3:]]
if when == "start":
    limit()
else:
    sys.addaudithook(opened)
train_main()
"""


def limited(folder: Path, room: int, when: str, num_envs: int, name: str) -> subprocess.CompletedProcess[str]:
    options = ("--num-envs", str(num_envs), "--experiment-name", name, *SMALL)
    return run(folder, "-c", LIMITED, str(room), when, *options)


def test_far_too_many_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    result = train(tmp_path, "--num-envs", str(2**30), "--headless")
    assert (result.returncode, result.stdout) == (2, "")
    match = re.fullmatch(
        r"train\.py: --num-envs: 1073741824 environments need about (\d+\.\d) GB of memory, (\d+\.\d) GB are free; "
        r"allowed: at most (\d+)\n",
        result.stderr,
    )
    assert match is not None, result.stderr
    assert float(match[1]) > float(match[2])
    assert int(match[3]) * 16 % 8192 == 0 or int(match[3]) * 16 < 8192
    assert files(tmp_path) == {}


# From when train.log is opened the run takes another 386 to 469 MB, by how much the allocator has reserved before.
@pytest.mark.parametrize(("when", "room"), [("start", 400_000_000), ("later", 300_000_000)])
def test_the_number_that_is_allowed_does_fit(tmp_path: Path, when: str, room: int) -> None:
    """Under a limit of the address space, first predicted from it and then met in the middle of an allocation."""
    result = limited(tmp_path, room, when, MANY, "many")
    assert result.returncode == 2, result
    says = (
        rf"{MANY} environments need about \d\.\d GB of address space \(ulimit -v\), 0\.\d GB are free"
        if when == "start"
        else f"memory ran out with {MANY} environments"
    )
    match = re.fullmatch(rf"train\.py: --num-envs: {says}; allowed: at most (\d+)\n", result.stderr)
    assert match is not None, result.stderr
    assert 1 <= int(match[1]) < MANY
    if when == "start":
        assert files(tmp_path) == {}
    result = limited(tmp_path, room, when, int(match[1]), "fewer")
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "runs" / "fewer" / "nn" / "checkpoint_1.pth").is_file()


def test_where_fewer_would_not_help_the_line_says_what_would(tmp_path: Path) -> None:
    result = limited(tmp_path, 60_000_000, "start", MANY, "many")
    assert result.returncode == 2, result
    (line,) = result.stderr.splitlines()
    assert line.endswith(
        "allowed: fewer would not fit either: free memory, or smaller params.config.minibatch_size, "
        "params.config.horizon_length or params.network.mlp.units"
    )
