"""What the documentation says agrees with the files, the options, the defaults and the imports."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer.main
import yaml

from dexhand_env import cli

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dexhand_env"
PAGES = sorted(
    path
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")]
    if path.is_file() and not path.parent.name.startswith(".")
)
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|<img[^>]*\ssrc=\"([^\"]+)\"")

# Everybody may import these; of the package they import errors alone.
ANYBODYS = {"errors", "files", "intervals"}
# What else each package may import. A package that is not here has no place in docs/architecture.md yet.
MAY_IMPORT = {
    "config": set(),
    "hand": set(),
    "sim": {"config", "hand"},
    "env": {"config", "hand", "sim"},
    "tasks": {"config", "hand", "sim", "env"},
    "rl": {"config", "hand", "sim", "env", "tasks"},
    "report": {"hand"},
    "viewer": {"config", "hand", "sim", "env"},
    "stages": {"config", "hand", "sim", "env", "tasks", "rl", "report"},
    "commands": {"config", "hand", "sim", "env", "tasks", "rl", "report", "viewer", "stages"},
    "cli": {"config", "hand", "sim", "env", "tasks", "rl", "report", "viewer", "stages", "commands"},
}


def prose(text: str) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^( *)```.*?^\1```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    without_code = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.+?)\s*$", without_code, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table_rows(page: str, first_cell: str) -> list[list[str]]:
    """Rows of the table whose heading begins with ``first_cell``, code marks taken off."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_cell} |")) + 2
    rows = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_images_lead_somewhere(page: Path) -> None:
    for groups in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        link = next(filter(None, groups))
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name}: {link}"


def program_options() -> dict[str, str]:
    """train.py's options with their defaults, as docs/training.md writes them."""
    options = {}
    for parameter in typer.main.get_command(cli.train_program()).params:
        name = parameter.opts[-1]
        if not name.startswith("--") or getattr(parameter, "hidden", False):
            continue
        default = parameter.default
        shown = getattr(parameter, "show_default", None)
        if isinstance(shown, str):
            default = shown
        elif default is False:
            default = "off"
        elif default is None:
            default = "none"
        options[name] = str(default)
    return options


def test_the_table_of_options_is_that_of_the_program() -> None:
    documented = {row[0]: row[1] for row in table_rows("training.md", "option")}
    assert documented == program_options()


def test_ppo_defaults_are_those_of_the_file() -> None:
    config = yaml.safe_load((PACKAGE / "cfg/train/BaseTaskPPO.yaml").read_text(encoding="utf-8"))["params"]["config"]
    documented = {row[0]: float(row[1]) for row in table_rows("training.md", "key")}
    assert documented == {key: float(config[key]) for key in documented}
    assert {"learning_rate", "gamma", "horizon_length", "minibatch_size", "mini_epochs"} <= set(documented)


def test_reward_weights_are_those_of_the_file() -> None:
    weights = yaml.safe_load((PACKAGE / "cfg/task/BaseTask.yaml").read_text(encoding="utf-8"))["rewards"]
    assert {row[0]: float(row[1]) for row in table_rows("tasks.md", "term")} == weights


def test_observations_are_those_of_the_schema() -> None:
    from dexhand_env.config.base_task import BaseTaskConfig

    documented = {row[0]: None if row[1] == "actions" else int(row[1]) for row in table_rows("tasks.md", "key")}
    assert documented == {key: length for key, (_, length) in BaseTaskConfig.OBSERVATION_KEYS.items()}


def imported_packages(path: Path) -> set[str]:
    """The first name under dexhand_env of everything that a module imports, at any depth of its code."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "dexhand_env" and len(part) > 1 and part[1] != "__version__"}


def test_imports_point_one_way() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] == "__init__":
            continue
        assert parts[0] in ANYBODYS | set(MAY_IMPORT), (
            f"{parts[0]}: give it a place in MAY_IMPORT and docs/architecture.md"
        )
        allowed = {"errors"} if parts[0] in ANYBODYS else ANYBODYS | MAY_IMPORT[parts[0]] | {parts[0]}
        wrong += [f"{path.relative_to(ROOT)} imports {name}" for name in sorted(imported_packages(path) - allowed)]
    assert not wrong


def test_every_package_stands_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {name for name in folders if f"`{name}/`" not in page} == set()
