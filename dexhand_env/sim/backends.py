"""Which backends and devices can step physics here; light enough to ask before anything else is imported."""

from __future__ import annotations

import ctypes
import dataclasses
import importlib.util
from typing import Optional, Tuple

from dexhand_env.config.backends import BACKENDS, LIMITS
from dexhand_env.errors import UserError

DEVICES = "auto, cpu, cuda, cuda:0, cuda:1, ..."
# What the wheels of warp-lang 1.19 on PyPI are built for (CUDA 13).
NEEDED_CUDA = (13, 0)
# Isaac Gym Preview 4 is from 2022: its manual asks for driver 470 (CUDA 11.4) and a Pascal card; newer cards than Ada's
# end it in a segmentation fault.
ISAAC_GYM_CUDA = (11, 4)
ISAAC_GYM_CARDS = ((6, 0), (8, 9))
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE, also where CUDA_VISIBLE_DEVICES hides them all


@dataclasses.dataclass(frozen=True)
class Driver:
    """NVIDIA's driver as it is found.

    Attributes:
        cuda: the newest CUDA version that it supports, None where there is no driver.
        devices: how many GPUs it shows to this process.
        error: CUDA's error number where it does not start, else 0.
    """

    cuda: Optional[Tuple[int, int]] = None
    devices: int = 0
    error: int = 0


def find_driver() -> Driver:
    """Ask the driver itself: it answers in milliseconds, torch in seconds."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Driver()
    version, devices = ctypes.c_int(), ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(version))
    cuda = (version.value // 1000, version.value % 1000 // 10)
    error = library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(devices))
    return Driver(cuda, devices.value, error)


def why_no_warp(driver: Driver, index: int, installed: bool) -> Optional[str]:
    """Why MuJoCo Warp cannot run on GPU ``index``; None where it can."""
    if not installed:
        return "MuJoCo Warp is not installed (pip install 'dexhand-env[gpu]')"
    if driver.cuda is None:
        return "no NVIDIA driver here (libcuda.so.1 is not found)"
    if driver.cuda < NEEDED_CUDA:
        found, needed = ("{}.{}".format(*version) for version in (driver.cuda, NEEDED_CUDA))
        return f"the NVIDIA driver is too old: it supports CUDA {found}, MuJoCo Warp needs {needed} or newer"
    if driver.error not in (0, NO_DEVICE):
        return f"the NVIDIA driver does not start (CUDA error {driver.error})"
    if index >= driver.devices:
        return f"{driver.devices} GPUs are visible to this process"
    return None


def warp_installed() -> bool:
    """Whether MuJoCo Warp can be imported."""
    return importlib.util.find_spec("mujoco_warp") is not None and importlib.util.find_spec("warp") is not None


@dataclasses.dataclass(frozen=True)
class NoIsaacGym:
    """Why Isaac Gym cannot use a GPU: what is wrong in two or three words, and what was found."""

    what: str
    found: str


def compute_capability(index: int) -> Tuple[int, int]:
    """That of a GPU, which must be there."""
    library = ctypes.CDLL("libcuda.so.1")
    device, value, numbers = ctypes.c_int(), ctypes.c_int(), []
    library.cuDeviceGet(ctypes.byref(device), index)
    for attribute in (75, 76):  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
        library.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        numbers.append(value.value)
    return numbers[0], numbers[1]


def why_no_isaac_gym(index: int) -> Optional[NoIsaacGym]:
    """Why Isaac Gym cannot step physics on GPU ``index``; None where it can."""
    driver = find_driver()
    if driver.cuda is None:
        return NoIsaacGym("no driver", "no NVIDIA driver here (libcuda.so.1 is not found)")
    if driver.cuda < ISAAC_GYM_CUDA:
        found, needed = ("{}.{}".format(*version) for version in (driver.cuda, ISAAC_GYM_CUDA))
        said = f"the NVIDIA driver is too old: it supports CUDA {found}, Isaac Gym needs {needed} or newer"
        return NoIsaacGym("the driver", said)
    if driver.error not in (0, NO_DEVICE):
        return NoIsaacGym("the driver", f"the NVIDIA driver does not start (CUDA error {driver.error})")
    if index >= driver.devices:
        return NoIsaacGym("no GPU", f"{driver.devices} GPUs are visible to this process")
    capability = compute_capability(index)
    oldest, newest = ISAAC_GYM_CARDS
    if not oldest <= capability <= newest:
        numbers = ["{}.{}".format(*version) for version in (capability, oldest, newest)]
        said = "GPU {} has compute capability {}; Isaac Gym runs on {} to {}".format(index, *numbers)
        return NoIsaacGym("unsupported card", said)
    return None


def isaacgym_installed() -> bool:
    """Whether this Python can import Isaac Gym; a mere folder of that name does not count."""
    spec = importlib.util.find_spec("isaacgym")
    return spec is not None and spec.origin not in (None, "namespace")


def resumption_notice(backend: str) -> Optional[str]:
    """What is to be said of a training that goes on from a checkpoint; None where it computes what it would have."""
    if LIMITS[backend].resumes_exactly:
        return None
    return (
        f"{backend} keeps a part of its state to itself: training goes on, but not exactly as it would without a stop"
    )


def chosen_backend(backend: str, device: str) -> str:
    """What ``auto`` means on a device."""
    if backend != "auto":
        return backend
    return "mujoco" if device == "cpu" else "mujoco_warp"


def chosen_device(device: str, backend: str, own: int = 0, needed: int = 1) -> Tuple[str, Optional[str]]:
    """What ``auto`` and ``cuda`` mean here.

    ``auto`` is a GPU where MuJoCo Warp can run on as many as are needed, unless the named backend is for the CPU only;
    with Isaac Gym, where that can run on it.

    Args:
        device: as the user gave it.
        backend: ``auto`` or a backend's name.
        own: number of the GPU of this process.
        needed: how many GPUs the processes of this machine need.

    Returns:
        ``cpu`` or ``cuda:<index>``, and why a GPU that is there is not used.

    Raises:
        UserError: what is neither of these, or cannot run here.
    """
    reason = None
    if device == "auto" and backend == "auto":
        driver = find_driver()
        reason = why_no_warp(driver, needed - 1, warp_installed())
        device = "cuda" if reason is None else "cpu"
        reason = reason if driver.devices > 0 else None
    elif device == "auto" and backend == "isaac_gym":
        obstacle = why_no_isaac_gym(own)
        device, reason = ("cuda", None) if obstacle is None else ("cpu", obstacle.found)
    elif device == "auto":
        device = "cuda" if backend == "mujoco_warp" else "cpu"
    device = f"cuda:{own}" if device == "cuda" else device
    check_backend(backend, device)
    return device, reason


def check_backend(backend: str, device: str) -> None:
    """Refuse a backend or device that cannot run here, before anything is allocated or written.

    Args:
        backend: ``auto`` or a backend's name.
        device: ``cpu`` or ``cuda:<index>``.

    Raises:
        UserError: with what would work.
    """
    if backend not in BACKENDS:
        raise UserError("sim.backend", f"{backend} is not part of this version", ", ".join(BACKENDS))
    kind, _, index = device.partition(":")
    if device != "cpu" and not (kind == "cuda" and index.isdecimal()):
        raise UserError("--sim-device", f"found {device!r}", DEVICES)
    if device != "cpu" and backend == "mujoco":
        raise UserError("--sim-device", f"{device}: sim.backend mujoco steps physics on the CPU", "auto, cpu")
    if backend == "isaac_gym":
        _check_isaac_gym(device, index)
    elif chosen_backend(backend, device) == "mujoco_warp":
        _check_warp(device, index)


def _check_isaac_gym(device: str, index: str) -> None:
    if not isaacgym_installed():
        raise UserError("sim.backend", "isaac_gym: this Python has no isaacgym", "mujoco, mujoco_warp")
    obstacle = None if device == "cpu" else why_no_isaac_gym(int(index))
    if obstacle is not None:
        raise UserError("--sim-device", f"{device}: {obstacle.found}", "cpu")


def _check_warp(device: str, index: str) -> None:
    if device == "cpu":
        if not warp_installed():
            raise UserError("sim.backend", "mujoco_warp: " + str(why_no_warp(Driver(), 0, False)), "auto, mujoco")
        return
    reason = why_no_warp(find_driver(), int(index), warp_installed())
    if reason is not None:
        raise UserError("--sim-device", f"{device}: {reason}", "cpu")
