"""How much memory is free here and how much this process holds, by kind; see :mod:`dexhand_env.rl.memory`."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Dict, Iterable, Iterator, Tuple

import psutil
import torch

from dexhand_env.rl.memory import ADDRESS_SPACE, RAM, memory_of

# A control group's files by version: folder of the hierarchy, limit, use, and the line of memory.stat that counts the
# file cache that the kernel gives back when it is asked (kernel.org: cgroup-v2.rst, cgroup-v1/memory.rst).
CGROUP_V1 = ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
CGROUP_V2 = ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def free_memory(devices: Iterable[str]) -> Dict[str, int]:
    """Bytes that this process could still take: memory, address space where it is limited, memory of each GPU."""
    free = {RAM: min([psutil.virtual_memory().available, *cgroup_free_bytes(Path("/"))])}
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        free[ADDRESS_SPACE] = max(limit - psutil.Process().memory_info().vms, 0)
    for device in devices:
        if device != "cpu":
            free[memory_of(device)] = torch.cuda.mem_get_info(device)[0]
    return free


def used_memory(devices: Iterable[str]) -> Dict[str, int]:
    """Bytes that this process holds, of the same kinds; on a GPU those that torch holds."""
    info = psutil.Process().memory_info()
    used = {RAM: info.rss, ADDRESS_SPACE: info.vms}
    return {**used, **{memory_of(device): torch.cuda.memory_reserved(device) for device in devices if device != "cpu"}}


def cgroup_free_bytes(root: Path) -> Iterator[int]:
    """What is left under the limit of each control group that holds this process, nothing where none is limited.

    A container may not see the groups outside it: then the hierarchy's own top is its group.

    Args:
        root: the file system's root.
    """
    for folder, (_, limit, use, cache) in _cgroups(root):
        try:
            allowed = (folder / limit).read_text(encoding="ascii").strip()
            taken = int((folder / use).read_text(encoding="ascii"))
            statistics = dict(
                line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines()
            )
        except OSError:  # no such group here, or no memory controller in it
            continue
        if allowed != "max":
            yield max(int(allowed) - taken + int(statistics.get(cache, 0)), 0)


def _cgroups(root: Path) -> Iterator[Tuple[Path, Tuple[str, str, str, str]]]:
    """(folder, its files) of each group that holds this process, the innermost first."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        version = CGROUP_V1 if controllers else CGROUP_V2
        top = root / version[0]
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            yield folder, version
            if folder == top:
                break
