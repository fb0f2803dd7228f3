"""Every rule on the order of calls is broken once here, so that an adapter that breaks it is noticed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from isaacgym import gymapi, gymtorch

from .scenes import FINGER, Prepared, Unprepared, at, loaded, numbers, simulation_params, violates

STAND_IN = Path(__file__).parents[1] / "stand_in"
PREPARED, NOT_YET = " after prepare_sim", " before prepare_sim"


def test_nothing_violates_the_rules_in_everyday_use() -> None:
    world = Prepared()
    world.step(3)
    world.set_dofs(fingers := numbers(0, 4))
    world.set_roots(boxes := numbers(1, 5))
    world.step()
    world.step()
    assert len(fingers) == len(boxes)
    world.gym.destroy_sim(world.sim)


@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("add_ground", lambda world: world.gym.add_ground(world.sim, gymapi.PlaneParams())),
        ("load_asset", lambda world: loaded(world.sim, FINGER)),
        ("create_box", lambda world: world.gym.create_box(world.sim, 1.0, 1.0, 1.0)),
        ("create_sphere", lambda world: world.gym.create_sphere(world.sim, 1.0)),
        ("create_capsule", lambda world: world.gym.create_capsule(world.sim, 1.0, 1.0)),
        ("create_env", lambda world: world.add_env()),
        ("create_actor", lambda world: world.gym.create_actor(world.envs[-1], world.box, at(), "more", 2)),
        ("begin_aggregate", lambda world: world.gym.begin_aggregate(world.envs[-1], 9, 9, True)),
    ],
)
def test_nothing_is_created_after_prepare_sim(what: str, call: Callable[[Prepared], object]) -> None:
    with violates(what + PREPARED):
        call(Prepared())


def test_prepare_sim_is_called_once() -> None:
    world = Prepared()
    with violates("prepare_sim twice"):
        world.gym.prepare_sim(world.sim)


def test_an_empty_sim_is_not_prepared() -> None:
    world = Unprepared()
    with violates("nothing was created"):
        world.gym.prepare_sim(world.sim)


@pytest.mark.parametrize("tensor", ["actor_root_state", "dof_state", "rigid_body_state", "net_contact_force"])
def test_tensors_come_after_prepare_sim(tensor: str) -> None:
    world = Unprepared()
    world.add_env()
    with violates(f"acquire_{tensor}_tensor{NOT_YET}"):
        getattr(world.gym, f"acquire_{tensor}_tensor")(world.sim)
    with violates(f"refresh_{tensor}_tensor{NOT_YET}"):
        getattr(world.gym, f"refresh_{tensor}_tensor")(world.sim)


def test_simulate_and_setters_come_after_prepare_sim() -> None:
    world = Unprepared()
    with violates("simulate" + NOT_YET):
        world.gym.simulate(world.sim)
    targets = torch.zeros(0)
    with violates("set_dof_position_target_tensor" + NOT_YET):
        world.gym.set_dof_position_target_tensor(world.sim, gymtorch.unwrap_tensor(targets))


def test_all_actors_of_an_env_come_before_the_next_env() -> None:
    world = Unprepared()
    first = world.add_env()
    world.add_env()
    with violates("all actors of an env before the next env"):
        world.gym.create_actor(first, world.box, at(3.0), "late", 0)


@pytest.mark.parametrize(
    ("group", "match"), [(-1, "a collision group of the env's own"), (0, "group 0 is another env's")]
)
def test_envs_do_not_share_a_collision_group(group: int, match: str) -> None:
    world = Unprepared()
    world.add_env()
    env = world.gym.create_env(world.sim, gymapi.Vec3(), gymapi.Vec3(), 1)
    with violates(match):
        world.gym.create_actor(env, world.box, at(), "box", group)


@pytest.mark.parametrize("room", [(3, 4), (4, 3)])
def test_an_aggregate_has_room_for_what_was_said(room: tuple[int, int]) -> None:
    world = Unprepared()
    env = world.gym.create_env(world.sim, gymapi.Vec3(), gymapi.Vec3(), 1)
    world.gym.begin_aggregate(env, *room, True)
    world.gym.create_actor(env, world.finger, at(), "finger", 0)
    with violates("more bodies or shapes than begin_aggregate said"):
        world.gym.create_actor(env, world.box, at(1.0), "box", 0)


def test_aggregates_are_closed() -> None:
    world = Unprepared()
    env = world.gym.create_env(world.sim, gymapi.Vec3(), gymapi.Vec3(), 1)
    world.gym.begin_aggregate(env, 9, 9, True)
    world.gym.create_actor(env, world.box, at(1.0), "box", 0)
    with violates("begin_aggregate twice"):
        world.gym.begin_aggregate(env, 9, 9, True)
    with violates("create_env before end_aggregate"):
        world.add_env()
    with violates("prepare_sim before end_aggregate"):
        world.gym.prepare_sim(world.sim)
    world.gym.end_aggregate(env)
    with violates("end_aggregate without begin_aggregate"):
        world.gym.end_aggregate(env)


def test_the_gpu_pipeline_needs_physics_on_the_gpu() -> None:
    params = simulation_params()
    params.use_gpu_pipeline = True
    with violates("GPU pipeline needs physx.use_gpu"):
        gymapi.acquire_gym().create_sim(0, -1, gymapi.SIM_PHYSX, params)


def test_the_tensor_api_needs_physx() -> None:
    with violates("needs SIM_PHYSX"):
        gymapi.acquire_gym().create_sim(0, -1, gymapi.SIM_FLEX, simulation_params())


@pytest.mark.parametrize("kept", [gymapi.CC_NEVER, gymapi.CC_ALL_SUBSTEPS])
def test_contact_forces_need_the_last_substep(kept: gymapi.ContactCollection) -> None:
    params = simulation_params()
    params.physx.contact_collection = kept
    with violates("CC_LAST_SUBSTEP"):
        Prepared(params=params)


def test_nothing_comes_after_destroy_sim() -> None:
    world = Prepared()
    world.gym.destroy_sim(world.sim)
    with violates("simulate after destroy_sim"):
        world.gym.simulate(world.sim)
    with violates("destroy_sim after destroy_sim"):
        world.gym.destroy_sim(world.sim)


def test_each_setter_is_called_once_a_simulate() -> None:
    world = Prepared()
    world.set_targets()
    with violates("set_dof_position_target_tensor twice"):
        world.set_targets()
    world.set_dofs(actors := numbers(0))
    with violates("set_dof_state_tensor_indexed twice"):
        world.set_dofs(actors)
    world.set_roots(boxes := numbers(1))
    with violates("set_actor_root_state_tensor_indexed twice"):
        world.set_roots(boxes)


@pytest.mark.parametrize("setter", [Prepared.set_targets, lambda world: world.set_dofs(numbers(0))])
def test_no_refresh_after_a_setter(setter: Callable[[Prepared], None]) -> None:
    world = Prepared()
    world.gym.simulate(world.sim)
    world.gym.fetch_results(world.sim, True)
    setter(world)
    with violates("refresh_rigid_body_state_tensor after set_dof.*: what it shows is stale"):
        world.gym.refresh_rigid_body_state_tensor(world.sim)


def test_one_refresh_a_simulate() -> None:
    world = Prepared()
    with violates("refresh_dof_state_tensor twice"):
        world.gym.refresh_dof_state_tensor(world.sim)
    world.step()
    with violates("refresh_dof_state_tensor twice"):
        world.gym.refresh_dof_state_tensor(world.sim)


def test_only_what_was_acquired_is_refreshed() -> None:
    world = Unprepared()
    world.add_env()
    world.gym.prepare_sim(world.sim)
    with violates("refresh_dof_state_tensor: the tensor was never acquired"):
        world.gym.refresh_dof_state_tensor(world.sim)


def test_results_are_fetched_on_the_cpu() -> None:
    world = Prepared()
    world.gym.simulate(world.sim)
    with violates("refresh_dof_state_tensor before fetch_results"):
        world.gym.refresh_dof_state_tensor(world.sim)
    with violates("simulate before fetch_results"):
        world.gym.simulate(world.sim)
    with violates("set_dof_position_target_tensor before fetch_results"):
        world.set_targets()


def test_torch_comes_after_isaacgym() -> None:
    program = f"import sys; sys.path.insert(0, {str(STAND_IN)!r}); import torch; import isaacgym"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    wanted = "ImportError: PyTorch was imported before isaacgym modules.  Please import torch after isaacgym modules."
    assert (result.returncode, result.stderr.splitlines()[-1]) == (1, wanted)


def test_gymapi_imports_no_torch() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(STAND_IN)!r}); from isaacgym import gymapi; print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True, timeout=120) == "False\n"
