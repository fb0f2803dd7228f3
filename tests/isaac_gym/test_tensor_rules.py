"""Every rule on the tensors that setters are given is broken once here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from isaacgym import gymtorch

from .scenes import Prepared, numbers, violates


@pytest.mark.parametrize("setter", [Prepared.set_dofs, Prepared.set_roots])
@pytest.mark.parametrize(
    ("actors", "count", "match"),
    [
        (torch.tensor([0]), None, "torch.int64, wanted DTYPE_UINT32"),
        (torch.tensor([0.0]), None, "torch.float32, wanted DTYPE_UINT32"),
        (numbers(0, 2), 1, r"shape \(2,\), wanted \(1,\)"),
        (numbers(), 0, "no actors"),
        (numbers(0, 2, 0), None, "an actor twice"),
        (numbers(0, 6), None, "actor 6 of 6"),
        (numbers(-2), None, "actor -2 of 6"),
    ],
)
def test_indices(
    setter: Callable[[Prepared, torch.Tensor, int | None], None], actors: torch.Tensor, count: int | None, match: str
) -> None:
    world = Prepared()
    with violates(match):
        setter(world, actors, count)


def test_dof_setters_take_actors_that_have_dofs() -> None:
    with violates("set_dof_state_tensor_indexed: an actor without DOFs"):
        Prepared().set_dofs(numbers(0, 1))


def test_indexed_setters_take_the_full_tensor() -> None:
    world = Prepared()
    actors, part = numbers(0), torch.zeros(2, 2)
    with violates(r"set_dof_state_tensor_indexed: shape \(2, 2\), wanted \(6, 2\)"):
        world.gym.set_dof_state_tensor_indexed(
            world.sim, gymtorch.unwrap_tensor(part), gymtorch.unwrap_tensor(actors), 1
        )
    rows = world.roots.view(3, 2, 13)
    with violates(r"set_actor_root_state_tensor_indexed: shape \(3, 2, 13\), wanted \(6, 13\)"):
        world.gym.set_actor_root_state_tensor_indexed(
            world.sim, gymtorch.unwrap_tensor(rows), gymtorch.unwrap_tensor(actors), 1
        )


def test_targets_are_those_of_all_dofs() -> None:
    world = Prepared()
    world.targets = torch.zeros(1, 2)
    with violates(r"shape \(1, 2\), wanted \(6,\)"):
        world.set_targets()


def test_states_are_of_32_bits() -> None:
    world = Prepared()
    whole = torch.zeros(6, dtype=torch.int32)
    with violates("torch.int32, wanted DTYPE_FLOAT32"):
        world.gym.set_dof_position_target_tensor(world.sim, gymtorch.unwrap_tensor(whole))
    with pytest.raises(TypeError, match=r"no tensors of torch\.float64"):
        gymtorch.unwrap_tensor(torch.zeros(6, dtype=torch.float64))


def test_a_tensor_of_torch_is_none_of_gym() -> None:
    world = Prepared()
    with pytest.raises(TypeError, match=r"takes gymapi\.Tensor, not Tensor"):
        world.gym.set_dof_position_target_tensor(world.sim, world.targets)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"takes gymapi\.Tensor, not Tensor"):
        gymtorch.wrap_tensor(world.targets)  # type: ignore[arg-type]


def test_tensors_are_contiguous() -> None:
    with violates("unwrap_tensor: the tensor is not contiguous"):
        gymtorch.unwrap_tensor(torch.zeros(2, 3).T)


def test_tensors_live_until_the_setter() -> None:
    world = Prepared()
    with violates("set_dof_position_target_tensor: a tensor was freed before the call"):
        world.gym.set_dof_position_target_tensor(world.sim, gymtorch.unwrap_tensor(world.targets + 1.0))


def test_tensors_live_until_simulate() -> None:
    world = Prepared()
    actors = numbers(0)
    world.set_dofs(actors)
    del actors
    with violates("set_dof_state_tensor_indexed: a tensor was freed before simulate"):
        world.gym.simulate(world.sim)


def test_tensors_stay_as_they_are_until_simulate() -> None:
    world = Prepared()
    world.set_targets()
    world.targets[0, 0] = 1.0
    with violates("set_dof_position_target_tensor: a tensor was written to before simulate"):
        world.gym.simulate(world.sim)


def test_tensors_are_where_the_pipeline_is() -> None:
    world = Prepared()
    elsewhere = torch.zeros(6, device="meta")
    with violates("a tensor on meta, the pipeline's are on cpu"):
        world.gym.set_dof_position_target_tensor(world.sim, gymtorch.unwrap_tensor(elsewhere))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_set_is_finite(value: float) -> None:
    world = Prepared()
    world.dofs[0, 1] = world.roots[3, 0] = world.targets[1, 1] = value
    fingers, others, boxes, other_boxes = numbers(0, 2), numbers(2, 4), numbers(1, 3), numbers(1, 5)
    for setter, actors in ((world.set_dofs, fingers), (world.set_roots, boxes)):
        with violates("a value that is not finite"):
            setter(actors)
    with violates("set_dof_position_target_tensor: a value that is not finite"):
        world.set_targets()
    again = Prepared()
    again.dofs[0, 1] = again.roots[3, 0] = value  # of actors that are not set
    again.set_dofs(others)
    again.set_roots(other_boxes)
    again.gym.simulate(again.sim)


def test_a_fixed_base_stays_where_it_is() -> None:
    world = Prepared()
    world.roots[0, 2] += 0.1
    world.set_roots(actors := numbers(0))
    with violates("a fixed base stays where it is"):
        world.gym.simulate(world.sim)
    assert len(actors) == 1
