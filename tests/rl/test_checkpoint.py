"""Checkpoint files: equal bytes for equal states, and nothing in a file is ever executed."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from dexhand_env.errors import UserError
from dexhand_env.rl.checkpoint import (
    BEST,
    POLICY_KEYS,
    TRAINING_KEYS,
    checkpoint_name,
    latest_checkpoint,
    load_checkpoint,
    numbered_checkpoints,
    resume_point,
    save_checkpoint,
    scheduled_checkpoints,
)

from .runs import differences, sha256

STATE: dict[str, Any] = {
    **{key: kind() for key, kind in TRAINING_KEYS.items()},
    "model": {"weight": torch.arange(6.0).view(2, 3), "count": torch.tensor(3)},
    "network": {"mlp": {"units": [32, 16]}, "name": "actor_critic"},
    "best_return": float("-inf"),
}


class Malicious:
    """Unpickling it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


def refused(path: Path, keys: Mapping[str, type] = POLICY_KEYS) -> str:
    with pytest.raises(UserError) as caught:
        load_checkpoint(path, keys)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message) < 500
    return message


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "nn" / "checkpoint_3.pth"
    save_checkpoint(path, STATE)
    assert differences(load_checkpoint(path, TRAINING_KEYS), STATE) == []
    assert [each.name for each in path.parent.iterdir()] == ["checkpoint_3.pth"]


def test_equal_states_give_equal_bytes_under_any_name(tmp_path: Path) -> None:
    paths = [tmp_path / "checkpoint_1.pth", tmp_path / "other" / "checkpoint_best.pth"]
    for path in paths:
        save_checkpoint(path, STATE)
    assert sha256(paths[0]) == sha256(paths[1])


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / BEST
    save_checkpoint(path, STATE)
    before = sha256(path)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        save_checkpoint(path, {**STATE, "hook": lambda: None})
    assert sha256(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_are_read_from_names_in_order(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "missing") is None
    for iteration in (9, 100, 20):
        (tmp_path / checkpoint_name(iteration)).touch()
    for name in (BEST, "checkpoint_x.pth", "checkpoint_5.pth.tmp", "last_checkpoint_7.pth"):
        (tmp_path / name).touch()
    assert [iteration for iteration, _ in numbered_checkpoints(tmp_path)] == [9, 20, 100]
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoint_100.pth"
    assert latest_checkpoint(tmp_path, best_first=True) == tmp_path / BEST
    for _, path in numbered_checkpoints(tmp_path):
        path.unlink()
    assert latest_checkpoint(tmp_path) == tmp_path / BEST


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "no such file; allowed: a checkpoint_" in refused(tmp_path / "checkpoint_1.pth")
    assert "no such file" in refused(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "checkpoint_1.pth"
    save_checkpoint(path, STATE)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "cannot be read as weights" in refused(path)


@pytest.mark.parametrize(
    "data", [b"not a checkpoint", b"\x80\x02}q\x00.", os.urandom(5000)], ids=["text", "dict", "noise"]
)
def test_a_foreign_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "checkpoint_1.pth"
    path.write_bytes(data)
    refused(path)


def test_a_zip_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_1.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "cannot be read as weights" in refused(path)


def test_weights_without_the_rest_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_1.pth"
    torch.save(torch.zeros(3), path)
    assert "holds a Tensor; allowed: a checkpoint written by train.py" in refused(path)
    torch.save({"model": {}}, path)
    assert "lacks task, network, observation_size, num_actions" in refused(path)


@pytest.mark.parametrize("missing", TRAINING_KEYS)
def test_every_key_is_asked_for(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "checkpoint_1.pth"
    save_checkpoint(path, {key: value for key, value in STATE.items() if key != missing})
    assert f"lacks {missing};" in refused(path, TRAINING_KEYS)
    save_checkpoint(path, {**STATE, missing: None})  # of another type
    assert f"lacks {missing};" in refused(path, TRAINING_KEYS)
    if missing not in POLICY_KEYS:
        load_checkpoint(path)


@pytest.mark.parametrize("form", ["torch", "legacy", "pickle"])
def test_code_in_a_file_is_never_run(tmp_path: Path, form: str) -> None:
    path, target = tmp_path / "checkpoint_1.pth", tmp_path / "executed"
    state = {**STATE, "model": Malicious(target)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(state))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "torch")
    assert "cannot be read as weights" in refused(path)
    assert not target.exists()
    with io.BytesIO(path.read_bytes()) as stream:  # the file does carry the code: stock torch would run it
        torch.load(stream, weights_only=False) if form != "pickle" else pickle.load(stream)  # noqa: S301
    assert target.exists()


@pytest.mark.parametrize(
    ("every", "total", "expected"), [(1, 3, [1, 2, 3]), (2, 5, [2, 4, 5]), (2, 4, [2, 4]), (7, 7, [7]), (9, 7, [7])]
)
def test_the_schedule_ends_with_the_last_iteration(every: int, total: int, expected: list[int]) -> None:
    assert scheduled_checkpoints(every, total) == expected


@pytest.mark.parametrize(
    ("present", "best", "expected"),
    [
        ([], None, None),
        ([10, 20], 5, 20),
        ([10, 20, 27], 5, 27),  # interrupted
        ([10, 30], 5, 10),  # 20 was deleted
        ([20, 30], 15, None),
        ([7, 20], 5, 7),  # an interruption before the one that was deleted
        ([10, 20], None, None),  # the best one was deleted
        ([], 5, BEST),  # killed before the first numbered one
        ([10, 20], 25, BEST),
        ([10, 20], 30, 20),  # the best one would do, but the numbered one of its iteration is missing
        ([10], 25, 10),
    ],
)
def test_training_goes_on_where_nothing_is_missing(
    tmp_path: Path, present: list[int], best: int | None, expected: int | str | None
) -> None:
    for iteration in present:
        save_checkpoint(tmp_path / checkpoint_name(iteration), {**STATE, "iteration": iteration, "best_return": 1.0})
    if best is not None:
        save_checkpoint(tmp_path / BEST, {**STATE, "iteration": best, "best_return": 1.0})
    name = checkpoint_name(expected) if isinstance(expected, int) else expected
    found = resume_point(tmp_path, scheduled_checkpoints(10, 30))
    assert found == (None if name is None else tmp_path / name)


def test_without_a_best_return_there_is_no_best_one_to_miss(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / checkpoint_name(10), STATE)
    assert resume_point(tmp_path, [10, 20]) == tmp_path / checkpoint_name(10)
