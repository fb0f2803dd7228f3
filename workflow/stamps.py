"""What Snakemake sees of DVC's decisions.

Snakemake compares file times; DVC compares contents with dvc.lock. So that they agree, each stage has a stamp,
`.stage/<stage>.txt`: the command, the hashes of the sources and the parameters that are the stage's own. It becomes new
when its text changes, or when dvc.lock tells that the outputs on disk were made from something else. Touching a file or
editing a comment in a config changes no text, so it starts nothing.

Where times say "run" but dvc.lock knows exactly this command, these inputs and these outputs (after `dvc repro`,
`dvc pull` or in a fresh clone), the outputs' times are set to now.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Optional

from dexhand_env.config.yaml_files import parse_yaml, read_yaml
from dexhand_env.errors import UserError
from dexhand_env.files import write_text
from workflow.plan import Plan, Stage
from workflow.reasons import differences

LOCK_FILE = "dvc.lock"
SNAKEMAKE_TIMESTAMP = ".snakemake_timestamp"


def refresh(root: Path, plan: Plan) -> dict[str, list[str]]:
    """Renew the stamps of stages that have to run, and the outputs of stages that need not.

    Returns:
        for each stage what is new, in words; what other stages write is left out.
    """
    stages: dict[str, Stage] = plan["stages"]
    produced = {out for stage in stages.values() for out in outputs(stage)}
    hashes = _Hashes(root)
    lock = _read_lock(root)
    reasons = {}
    for name, stage in stages.items():
        own = {path: hashes.of(path) for path in stage["deps"] if path not in produced}
        params = read_params(root, stage)
        stamp = root / ".stage" / f"{name}.txt"
        content = {"cmd": stage["cmd"], "sources": own, "params": params}
        text = json.dumps(content, indent=1, sort_keys=True, default=str)
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != text:
            write_text(stamp, text)
        sizes = {path: _size(root / path) for path in outputs(stage)}
        reasons[name] = differences(stage, params, own, sizes, lock.get(name))
        files = [root / path for path in sizes]
        if not files or None in sizes.values():
            continue
        inputs = [stamp, *(root / path for path in stage["deps"] if path in produced)]
        wants_to_run = max(_time(path) for path in inputs if path.exists()) > min(map(_time, files))
        # Snakemake would leave a missing input missing where what was made from it is there.
        made_from_this = not reasons[name] and all(path.exists() for path in inputs)
        if not wants_to_run and not made_from_this:
            write_text(stamp, text)
        elif wants_to_run and made_from_this and _holds(lock[name], [*stage["deps"], *outputs(stage)], hashes):
            for path in files:
                _touch(path)
    return reasons


def outputs(stage: Stage) -> list[str]:
    """The files that a stage writes."""
    return [*stage.get("outs", []), *stage.get("metrics", [])]


def read_params(root: Path, stage: Stage) -> dict[str, Any]:
    """The values of a stage's params, by file; a file that cannot be read has none (DVC then says what is wrong)."""
    values: dict[str, Any] = {}
    for entry in stage.get("params", []):
        for file, keys in entry.items():
            try:
                content = read_yaml(root / file).values
            except UserError:
                content = {}
            values[file] = {key: content[key] for key in (sorted(content) if keys is None else keys) if key in content}
    return values


def _holds(entry: Stage, paths: list[str], hashes: _Hashes) -> bool:
    """Whether the files on disk are those of dvc.lock."""
    recorded = {item["path"]: item.get("md5") for kind in ("deps", "outs") for item in entry.get(kind, [])}
    return all(hashes.of(path) is not None and recorded.get(path) == hashes.of(path) for path in paths)


class _Hashes:
    """DVC's hashes of files and folders, each computed once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, Optional[str]] = {}

    def of(self, path: str) -> Optional[str]:
        """The MD5 of a file, DVC's `.dir` hash of a folder, None for what does not exist."""
        if path not in self._known:
            self._known[path] = _hash(self._root / path)
        return self._known[path]


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and file.name != SNAKEMAKE_TIMESTAMP]


def _size(path: Path) -> Optional[int]:
    """Bytes of a file, or of all files of a folder; None where there is none."""
    if not path.exists():
        return None
    return sum(file.stat().st_size for file in (_files(path) if path.is_dir() else [path]))


def _hash(path: Path) -> Optional[str]:
    if path.is_dir():
        entries = [{"md5": _hash(file), "relpath": file.relative_to(path).as_posix()} for file in _files(path)]
        listing = json.dumps(sorted(entries, key=lambda entry: str(entry["relpath"])), sort_keys=True)
        return hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest() + ".dir"
    try:
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return None


def _read_lock(root: Path) -> dict[str, Stage]:
    """The stages of dvc.lock; none where it is absent or damaged (DVC then says so)."""
    try:
        stages = parse_yaml((root / LOCK_FILE).read_text(encoding="utf-8"), LOCK_FILE).values.get("stages")
    except (OSError, UnicodeDecodeError, UserError):
        return {}
    return stages if isinstance(stages, dict) else {}


def _time(path: Path) -> float:
    """The time that Snakemake goes by."""
    timestamp = path / SNAKEMAKE_TIMESTAMP
    return (timestamp if timestamp.exists() else path).lstat().st_mtime


def _touch(path: Path) -> None:
    os.utime(path)
    timestamp = path / SNAKEMAKE_TIMESTAMP
    if timestamp.exists():
        os.utime(timestamp)
