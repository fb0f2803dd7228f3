"""What of the place and the way that Snakemake is started would make every job fail, each in one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvc.config import Config, ConfigError
from dvc.scm import SCM, SCMError

from dexhand_env.errors import UserError

CONFLICT = ("<<<<<<< ", ">>>>>>> ")


def check_place(root: Path, config: Mapping[str, Any]) -> None:
    """See that the pipeline can run here, before anything is written.

    Args:
        root: the folder of the Snakefile.
        config: what `--config` and `--configfile` gave.

    Raises:
        UserError: it cannot.
    """
    if config:
        keys = ", ".join(config)
        raise UserError("--config, --configfile", f"found {keys}", "neither: edit configs/<Experiment>.yaml instead")
    if not Path.cwd().samefile(root):
        raise UserError(str(Path.cwd()), "snakemake works here, but its files lie beside the Snakefile", f"cd {root}")
    if set("{}") & set(str(Path.cwd())):
        raise UserError(str(Path.cwd()), "holds a brace, which Snakemake and DVC take for a name", "a path without")
    _check_links(root)
    _check_lock(root / "dvc.lock")
    if not dvc_setting(root, "no_scm"):
        try:
            SCM(str(root))
        except SCMError:
            allowed = "`git init`, or `dvc config core.no_scm true` to work without one"
            raise UserError(str(root), "is not a git repository, which DVC asks for", allowed) from None


def _check_links(root: Path) -> None:
    """DVC refuses an output that a link leads to another place."""
    for folder in (root / "results", *root.glob("results/*"), *root.glob("results/*/seed*")):
        if folder.is_symlink() and folder.is_dir():
            name = folder.relative_to(root)
            allowed = "a folder of this repository; runs/ and .dvc/cache may be links to another disk"
            raise UserError(str(name), "is a link, and DVC keeps no outputs behind one", allowed)


def _check_lock(file: Path) -> None:
    """A merge that git left unfinished: DVC's own message for it is one of YAML, from each job."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    if any(line.startswith(CONFLICT) for line in lines):
        allowed = "`git checkout --ours dvc.lock`, or remove it: all that has run here comes out of the cache again"
        raise UserError(file.name, "holds the conflict of a merge", allowed)


def dvc_setting(root: Path, name: str) -> Any:
    """A setting of DVC's section `core`, from the repository, the user or the system; None where it is not set.

    Where a file of theirs is damaged there is none: DVC says what is wrong with it.
    """
    try:
        return Config(str(root / ".dvc"))["core"].get(name)
    except ConfigError:
        return None


def has_remote(root: Path) -> bool:
    """Whether DVC has a default remote to pull from."""
    return dvc_setting(root, "remote") is not None
