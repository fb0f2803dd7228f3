"""What Snakemake sees of DVC's decisions.

Snakemake compares file times; DVC compares contents with dvc.lock. So that they agree, each stage has a stamp,
`.stage/<stage>.txt`: the command, the hashes of the sources and the parameters that are the stage's own. It becomes new
when its text changes, or when dvc.lock tells that the outputs on disk were made from something else. Touching a file or
editing a comment in a config changes no text, so it starts nothing.

Where times say "run" but dvc.lock knows exactly this command, these inputs and these outputs (after `dvc repro`,
`dvc pull` or in a fresh clone), the outputs' times are set to now.

A time ahead of the clock (of a machine whose clock was wrong, or of another node) says nothing, but Snakemake would
take such a file for newer than every edit. It is set to long ago, so that the above decides.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Optional

from dexhand_env.config.yaml_files import parse_yaml, read_yaml
from dexhand_env.errors import UserError
from dexhand_env.files import write_bytes, write_text
from workflow.plan import Plan, Stage
from workflow.reasons import INPUTS_ARE_NEW, differences

LOCK_FILE = "dvc.lock"
SNAKEMAKE_TIMESTAMP = ".snakemake_timestamp"
NOT_DVCS = "results/comparison.html"  # Snakemake alone makes it, by times alone
LONG_AGO = 10**9  # ns after 1970; not 0, which Snakemake takes for no time at all
A_MOMENT = 10**6  # ns; more than what a time loses as a floating-point number


def refresh(root: Path, plan: Plan) -> dict[str, list[str]]:
    """Renew the stamps of stages that have to run, and the outputs of stages that need not.

    Returns:
        for each stage what is new, in words; what other stages write is left out.
    """
    stages: dict[str, Stage] = plan["stages"]
    produced = {out for stage in stages.values() for out in outputs(stage)}
    hashes = _Hashes(root)
    lock = _read_lock(root)
    made = {item["path"]: item.get("md5") for name in stages for item in lock.get(name, {}).get("outs", [])}
    _forget_times_ahead([*(_stamp(root, name) for name in stages), *(root / path for path in [*produced, NOT_DVCS])])
    reasons = {}
    for names in _jobs(stages):
        job = {name: stages[name] for name in names}
        stamps = {}
        for name, stage in job.items():
            params = read_params(root, stage)
            own = {path: hashes.of(path) for path in stage["deps"] if path not in produced}
            content = {"cmd": stage["cmd"], "sources": own, "params": params}
            stamps[_stamp(root, name)] = json.dumps(content, indent=1, sort_keys=True, default=str)
            sizes = {path: _size(root / path) for path in outputs(stage)}
            reasons[name] = differences(stage, params, own, sizes, lock.get(name))
            if not reasons[name] and _read_others(stage, lock[name], made):
                reasons[name] = [INPUTS_ARE_NEW]
        _write({stamp: text for stamp, text in stamps.items() if not _holds_text(stamp, text)})
        written = {path: root / path for stage in job.values() for path in outputs(stage)}
        read = {path for stage in job.values() for path in stage["deps"]} & produced - written.keys()
        inputs = [*stamps, *(root / path for path in read)]
        made_from_this = not any(reasons[name] for name in job) and all(path.exists() for path in inputs)
        missing = [path for path in written.values() if not path.exists()]
        oldest = min(map(_time, written.values())) if written and not missing else None
        wants_to_run = oldest is not None and _newest(inputs) > oldest
        if not made_from_this and not wants_to_run and len(missing) < len(written):
            # Snakemake would leave missing what is not asked for itself: an input, or one of several outputs.
            _write(stamps, after=oldest)
        elif made_from_this and wants_to_run and all(_holds(lock[name], job[name], hashes) for name in job):
            for path in written.values():
                _set_time(path, max(time.time_ns(), _newest(inputs)))
    return reasons


def _stamp(root: Path, stage: str) -> Path:
    return root / ".stage" / f"{stage}.txt"


def _read_others(stage: Stage, entry: Stage, made: Mapping[str, Optional[str]]) -> bool:
    """Whether the stage read other files than those that the stages before it made last, as dvc.lock has both."""
    read = {item["path"]: item.get("md5") for item in entry.get("deps", [])}
    return any(path in made and read.get(path) != made[path] for path in stage["deps"])


def _forget_times_ahead(paths: Iterable[Path]) -> None:
    now = time.time_ns()
    for path in paths:
        if os.path.lexists(path) and _time(path) > now:
            _set_time(path, LONG_AGO)


def _jobs(stages: Mapping[str, Stage]) -> list[list[str]]:
    """Names of the stages that each job of Snakemake's runs, in their order: a check runs behind its report."""
    checks = {f"report-{name.removeprefix('check-')}": name for name in stages if name.startswith("check-")}
    others = [name for name in stages if not name.startswith("check-")]
    return [[name, checks[name]] if name in checks else [name] for name in others]


def _holds_text(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _write(texts: Mapping[Path, str], after: Optional[int] = None) -> None:
    """Write stamps, with times later than ``after``: within a tick of the clock they could be equal."""
    for path, text in texts.items():
        write_text(path, text)
        if after is not None and _time(path) <= after:
            _set_time(path, after + A_MOMENT)


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


def _holds(entry: Stage, stage: Stage, hashes: _Hashes) -> bool:
    """Whether the files on disk that a stage reads and writes are those of dvc.lock."""
    paths = [*stage["deps"], *outputs(stage)]
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


def _newest(paths: list[Path]) -> int:
    """The latest time of the inputs that are there; at least one is. Of a link, what it leads to counts too."""
    return max(max(_time(path), path.stat().st_mtime_ns if path.is_symlink() else 0) for path in paths if path.exists())


def _timed(path: Path) -> Path:
    """The file whose time Snakemake goes by: a folder's is that of a file in it, a link's its own."""
    timestamp = path / SNAKEMAKE_TIMESTAMP
    return timestamp if timestamp.exists() else path


def _time(path: Path) -> int:
    return _timed(path).lstat().st_mtime_ns


def _set_time(path: Path, nanoseconds: int) -> None:
    """Set the time that Snakemake goes by, of this file alone.

    An object of DVC's cache keeps its time: of a link its own is set, and what is a hard link, or somebody else's, is
    replaced by a copy.

    Raises:
        UserError: it is somebody else's, in a folder of somebody else's.
    """
    file = _timed(path)
    times = (nanoseconds, nanoseconds)
    try:
        try:
            if file.is_symlink() or file.is_dir() or file.lstat().st_nlink == 1:
                os.utime(file, ns=times, follow_symlinks=False)
                return
        except PermissionError:
            if file.is_dir() and not file.is_symlink():
                file /= SNAKEMAKE_TIMESTAMP
        write_bytes(file, file.read_bytes() if file.exists() else b"")
        os.utime(file, ns=times)
    except PermissionError:
        raise UserError(
            str(path), "belongs to another user", "a file of yours, or a folder that you may write to"
        ) from None
