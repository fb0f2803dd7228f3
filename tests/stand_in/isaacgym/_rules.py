"""The order of calls that the tensor API asks for, and what happens to who breaks it."""

from __future__ import annotations

from typing import Set


class Violation(RuntimeError):
    """Something that Isaac Gym does not promise, or that this stand-in does not do."""


def need(kept: bool, message: str) -> None:
    """Raise ``Violation`` unless a rule is kept."""
    if not kept:
        raise Violation(message)


class Calls:
    """What a sim was asked for so far.

    Args:
        gpu_pipeline: whether tensors live on the GPU. Elsewhere results have to be fetched after ``simulate``.
    """

    def __init__(self, gpu_pipeline: bool) -> None:
        self._gpu_pipeline = gpu_pipeline
        self._prepared = self._destroyed = False
        self._unfetched = False
        self._acquired: Set[str] = set()
        self._refreshed: Set[str] = set()
        self._set: Set[str] = set()

    @property
    def prepared(self) -> bool:
        """Whether ``prepare_sim`` was called."""
        return self._prepared

    def creating(self, what: str) -> None:
        """Before a method that adds to the sim."""
        self._alive(what)
        need(not self._prepared, f"{what} after prepare_sim")

    def prepare(self) -> None:
        """At ``prepare_sim``."""
        self._alive("prepare_sim")
        need(not self._prepared, "prepare_sim twice")
        self._prepared = True

    def destroy(self) -> None:
        """At ``destroy_sim``."""
        self._alive("destroy_sim")
        self._destroyed = True

    def acquire(self, tensor: str) -> None:
        """At ``acquire_..._tensor``."""
        self._ready(f"acquire_{tensor}_tensor")
        self._acquired.add(tensor)

    def refresh(self, tensor: str) -> None:
        """At ``refresh_..._tensor``."""
        method = f"refresh_{tensor}_tensor"
        self._ready(method)
        need(tensor in self._acquired, f"{method}: the tensor was never acquired")
        need(not self._unfetched, f"{method} before fetch_results, which the CPU pipeline needs after simulate")
        need(not self._set, f"{method} after {_listed(self._set)}: what it shows is stale until simulate")
        need(tensor not in self._refreshed, f"{method} twice without simulate")
        self._refreshed.add(tensor)

    def set_tensor(self, method: str) -> None:
        """At a method that takes a tensor of the caller's."""
        self._ready(method)
        need(not self._unfetched, f"{method} before fetch_results, which the CPU pipeline needs after simulate")
        need(method not in self._set, f"{method} twice without simulate: only one of them would count")
        self._set.add(method)

    def simulate(self) -> None:
        """At ``simulate``."""
        self._ready("simulate")
        need(not self._unfetched, "simulate before fetch_results, which the CPU pipeline needs after simulate")
        self._set.clear()
        self._refreshed.clear()
        self._unfetched = not self._gpu_pipeline

    def fetch(self) -> None:
        """At ``fetch_results``."""
        self._ready("fetch_results")
        self._unfetched = False

    def _alive(self, what: str) -> None:
        need(not self._destroyed, f"{what} after destroy_sim")

    def _ready(self, what: str) -> None:
        self._alive(what)
        need(self._prepared, f"{what} before prepare_sim")


def _listed(names: Set[str]) -> str:
    return " and ".join(sorted(names))
