"""The adapter against the vendor's declarations: mypy finds wrong calls of Isaac Gym."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dexhand_env" / "sim" / "isaac_gym"
# A module, a line of it, what is wrong there, and the kind of mistake that mypy calls it.
MISTAKES = [
    ("simulation", "gym.fetch_results(sim, True)", "gym.fetch_results(sim)", "call-arg"),
    ("simulation", "gym.acquire_dof_state_tensor(sim)", "gym.acquire_dof_states(sim)", "attr-defined"),
    ("simulation", "gymtorch.unwrap_tensor(targets)", "targets", "arg-type"),
    ("simulation", "gymtorch.unwrap_tensor(hands), len(hands)", "gymtorch.unwrap_tensor(hands), hands", "arg-type"),
    ("worlds", "(env, handle, gymapi.DOMAIN_SIM)", "(env, handle, 2)", "arg-type"),
    ("worlds", "plane.dynamic_friction", "plane.sliding_friction", "attr-defined"),
    ("assets", "options.density", "options.mass", "attr-defined"),
    ("parameters", "shapes)\n", "shapes[0])\n", "arg-type"),
]  # fmt: skip


def test_it_finds_every_mistake_and_nothing_else(tmp_path: Path) -> None:
    files = {}
    for number, (module, right, wrong, _) in enumerate(MISTAKES):
        text = (FOLDER / f"{module}.py").read_text(encoding="utf-8")
        assert right in text, (module, right)
        files[f"mistake_{number}.py"] = text.replace(right, wrong, 1)
    for module in {mistake[0] for mistake in MISTAKES}:
        files[f"right_{module}.py"] = (FOLDER / f"{module}.py").read_text(encoding="utf-8")
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", *(str(tmp_path / name) for name in files)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    found = re.findall(r"(\w+)\.py:\d+: error: .*\[([\w-]+)\]$", result.stdout, re.MULTILINE)
    assert set(found) == {(f"mistake_{number}", kind) for number, (*_, kind) in enumerate(MISTAKES)}, result.stdout
