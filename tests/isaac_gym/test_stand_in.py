"""The stand-in's physics: what the vendor's manual says of properties, states and forces."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest
import torch
from isaacgym import gymapi, gymtorch

from .scenes import ASSETS, BOX_ACTOR, FINGER_ACTOR, MASS_KG, SIZE_M, Prepared, Unprepared, loaded, numbers

G = 9.81
BOX_ROWS, BOX_BODY = slice(1, None, 2), slice(3, None, 4)


def inside(world: Unprepared) -> Any:
    """The stand-in's MuJoCo worlds."""
    return world.sim.worlds  # type: ignore[attr-defined]


def pairs(world: Unprepared) -> set[frozenset[str]]:
    """The shapes that may touch, "actor/shape" or "ground"."""
    model = inside(world)._models[0]
    both = zip(model.pair_geom1.tolist(), model.pair_geom2.tolist(), strict=True)
    return {frozenset(model.geom(geom).name for geom in pair) for pair in both}


def test_a_box_comes_to_rest_and_the_ground_carries_its_weight() -> None:
    world = Prepared(drop_m=0.1)
    assert world.roots[1, 2] == pytest.approx(SIZE_M / 2 + 0.1)
    assert not world.forces.any()
    world.step(200)
    assert world.roots[BOX_ROWS, 2].tolist() == pytest.approx([SIZE_M / 2] * 3, abs=1e-4)
    on_boxes = world.forces.view(3, 4, 3)[:, 3]
    assert on_boxes.numpy() == pytest.approx(np.array([[0.0, 0.0, MASS_KG * G]] * 3), abs=1e-3)
    assert not world.forces.view(3, 4, 3)[:, :3].any()


def test_rest_offset_keeps_shapes_apart() -> None:
    world = Prepared(count=2)
    (shape,) = world.gym.get_actor_rigid_shape_properties(world.envs[1], BOX_ACTOR)
    shape.rest_offset = 0.003
    world.gym.set_actor_rigid_shape_properties(world.envs[1], BOX_ACTOR, [shape])
    world.step(200)
    gaps = world.roots[BOX_ROWS, 2] - SIZE_M / 2
    assert gaps.tolist() == pytest.approx([0.0, 0.003], abs=1e-4)


@pytest.mark.parametrize("friction", [0.0, 0.4, 1.0])
def test_friction_is_the_mean_of_both_shapes(friction: float) -> None:
    """A box that slides is held by mu times what carries it; the ground's own friction is 1."""
    world = Prepared(count=2)
    (shape,) = world.gym.get_actor_rigid_shape_properties(world.envs[1], BOX_ACTOR)
    shape.friction = friction
    world.gym.set_actor_rigid_shape_properties(world.envs[1], BOX_ACTOR, [shape])
    world.step(20)
    world.roots[BOX_ROWS, 7] = 1.0
    world.set_roots(boxes := numbers(1, 3))
    world.step()
    ratios = world.forces[BOX_BODY, 0] / -world.forces[BOX_BODY, 2]
    assert ratios.tolist() == pytest.approx([1.0, (1.0 + friction) / 2], rel=1e-3)
    assert len(boxes) == 2


def test_pairs_that_collide() -> None:
    """The link and the tip are neighbours, the tip's spheres one body; the ground meets all that moves."""
    world = Prepared(count=1)
    finger = ["0/0", "0/1", "0/2"]
    on_ground = {frozenset((shape, "ground")) for shape in (*finger, "1/0")}
    assert pairs(world) == on_ground | {frozenset((shape, "1/0")) for shape in finger}


def test_filter_bits_in_common_part_shapes() -> None:
    world = Unprepared()
    env = world.add_env()
    for actor, bits in ((FINGER_ACTOR, (1, 2, 4)), (BOX_ACTOR, (6,))):
        shapes = world.gym.get_actor_rigid_shape_properties(env, actor)
        for shape, own in zip(shapes, bits, strict=True):
            shape.filter = own
        world.gym.set_actor_rigid_shape_properties(env, actor, shapes)
    world.gym.prepare_sim(world.sim)
    assert {pair for pair in pairs(world) if "ground" not in pair} == {frozenset(("0/0", "1/0"))}


def test_a_filter_of_the_actor_replaces_those_of_the_shapes() -> None:
    world = Unprepared()
    env = world.gym.create_env(world.sim, gymapi.Vec3(), gymapi.Vec3(), 1)
    world.gym.create_actor(env, world.finger, gymapi.Transform(), "finger", 0, 5)
    assert [shape.filter for shape in world.gym.get_actor_rigid_shape_properties(env, 0)] == [5, 5, 5]


def test_drives_push_towards_targets_with_bounded_effort() -> None:
    world = Prepared(count=2)
    drives = world.gym.get_actor_dof_properties(world.envs[1], FINGER_ACTOR)
    drives["effort"] = 0.01
    world.gym.set_actor_dof_properties(world.envs[1], FINGER_ACTOR, drives)
    world.targets = torch.full((2, 2), 0.5)
    world.step()
    data = inside(world)._data
    assert np.abs(data[0].actuator_force).min() > 1.0
    assert np.abs(data[1].actuator_force) == pytest.approx([0.01, 0.01])
    world.step(400)
    assert world.dofs[:2, 0].tolist() == pytest.approx([0.5, 0.5], abs=1e-4)  # no weight pulls: gravity is off


def test_only_a_joint_that_says_so_has_limits() -> None:
    world = Prepared(count=1)
    assert world.gym.get_actor_dof_properties(world.envs[0], FINGER_ACTOR)["hasLimits"].tolist() == [True, False]
    world.targets = torch.tensor([[2.0, 2.0]])
    world.step(400)
    lower, upper = world.dofs[:, 0].tolist()
    assert lower == pytest.approx(1.0, abs=0.1)
    assert upper > 1.5


@pytest.mark.parametrize("recompute", [True, False])
def test_masses_are_set_a_world_and_inertia_follows_where_it_shall(recompute: bool) -> None:
    world = Prepared(count=2)
    (body,) = world.gym.get_actor_rigid_body_properties(world.envs[1], BOX_ACTOR)
    assert body.mass == pytest.approx(MASS_KG)
    assert body.inertia.z.z == pytest.approx(MASS_KG * SIZE_M**2 / 6)
    assert (body.invMass, body.invInertia.x.x) == pytest.approx((1 / body.mass, 1 / body.inertia.x.x))
    before = body.inertia.x.x
    body.mass *= 2
    world.gym.set_actor_rigid_body_properties(world.envs[1], BOX_ACTOR, [body], recompute)
    (now,) = world.gym.get_actor_rigid_body_properties(world.envs[1], BOX_ACTOR)
    assert now.inertia.x.x == pytest.approx(before * (2 if recompute else 1))
    world.step(100)
    assert world.forces[BOX_BODY, 2].tolist() == pytest.approx([MASS_KG * G, 2 * MASS_KG * G], rel=1e-3)


def test_states_are_set_as_they_are_read() -> None:
    world = Prepared()
    half = math.sqrt(0.5)
    world.roots[3] = torch.tensor([1.0, 2.0, 3.0, 0.0, 0.0, half, half, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    world.dofs[2:4] = torch.tensor([[0.3, 1.0], [-0.2, -1.0]])
    set_roots, set_dofs = world.roots.clone(), world.dofs.clone()
    world.set_roots(boxes := numbers(3))
    world.set_dofs(fingers := numbers(2))
    inside(world)._substeps = 0  # nothing moves
    world.step()
    assert torch.allclose(world.roots, set_roots, atol=1e-6)
    assert torch.allclose(world.dofs, set_dofs)
    assert torch.allclose(world.bodies[7], set_roots[3], atol=1e-6)  # the second env's box
    assert len(boxes) == len(fingers) == 1


def test_velocities_of_bodies_are_those_of_their_positions() -> None:
    world = Prepared(count=1)
    world.targets[:] = 0.8
    world.step(5)
    before = world.bodies.clone()
    world.step()
    moved = (world.bodies[:, :3] - before[:, :3]) / 0.005
    assert moved[2].norm() > 0.1
    assert torch.allclose(moved, world.bodies[:, 7:10], atol=0.05)
    turned = 2 * (world.bodies[1, 3:6] - before[1, 3:6]) / 0.005  # the small angle's approximation, about y
    assert turned[1] == pytest.approx(float(world.bodies[1, 11]), rel=0.1)


def test_what_is_set_forgets_its_contacts() -> None:
    world = Prepared(count=2)
    world.step(50)
    assert inside(world)._data[0].qacc_warmstart.any()
    world.set_roots(boxes := numbers(1))
    inside(world)._substeps = 0
    world.step()
    assert not inside(world)._data[0].qacc_warmstart.any()
    assert inside(world)._data[1].qacc_warmstart.any()
    assert len(boxes) == 1


def test_a_broken_world_stays_broken_until_it_is_set() -> None:
    world = Prepared(count=2)
    world.roots[1, 10:] = torch.tensor([1e38, 2e38, 0.0])
    world.set_roots(box := numbers(1))
    world.step(20)
    assert not world.roots[1].isfinite().all()
    assert world.roots[2:].isfinite().all()
    world.roots[1], world.dofs[:2] = world.roots[3], 0.0
    world.set_roots(box)
    world.set_dofs(finger := numbers(0))
    world.step(10)
    assert torch.allclose(world.roots[1], world.roots[3], atol=1e-4)
    assert len(finger) == 1


def test_worlds_do_not_depend_on_their_number() -> None:
    ends = []
    for count in (1, 5):
        world = Prepared(count, drop_m=0.05)
        world.targets[:] = 0.7
        world.step(60)
        ends.append(torch.cat((world.roots[:2].flatten(), world.dofs[:2].flatten(), world.forces[:4].flatten())))
    assert torch.equal(*ends)


def test_indices_count_all_envs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ASSETS, "BREADTH_FIRST", False)
    world = Prepared()
    env = world.envs[2]
    assert world.gym.get_actor_index(env, BOX_ACTOR, gymapi.DOMAIN_SIM) == 5
    find = world.gym.find_actor_rigid_body_index
    domains = (gymapi.DOMAIN_ACTOR, gymapi.DOMAIN_ENV, gymapi.DOMAIN_SIM)
    assert [find(env, FINGER_ACTOR, "tip", domain) for domain in domains] == [2, 2, 10]
    assert [find(env, BOX_ACTOR, "box", domain) for domain in domains] == [0, 3, 11]
    assert find(env, FINGER_ACTOR, "missing", gymapi.DOMAIN_SIM) == gymapi.INVALID_HANDLE
    ranges = world.gym.get_asset_rigid_body_shape_indices(world.finger)
    assert [(each.start, each.count) for each in ranges] == [(0, 0), (0, 1), (1, 2)]


def test_the_order_of_bodies_can_be_another_than_the_file_s(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = """<mujoco><compiler angle="radian"/><worldbody><body name="a"><geom size="1"/>
    <body name="b"><geom size="1"/><joint name="1"/><body name="c"><geom size="1"/><joint name="2"/></body></body>
    <body name="d"><geom size="1"/><joint name="3"/></body></body></worldbody></mujoco>"""
    gym = gymapi.acquire_gym()
    for breadth_first, bodies, dofs in ((False, "abcd", "123"), (True, "abdc", "132")):
        monkeypatch.setattr(ASSETS, "BREADTH_FIRST", breadth_first)
        asset = loaded(Unprepared().sim, tree)
        assert gym.get_asset_rigid_body_names(asset) == list(bodies)
        assert gym.get_asset_dof_names(asset) == list(dofs)
        assert gym.get_asset_dof_count(asset) == 3
        assert gym.get_asset_rigid_body_count(asset) == gym.get_asset_rigid_shape_count(asset) == 4


@pytest.mark.parametrize(
    ("make", "mass_kg", "along_x"),
    [
        (lambda world, options: world.gym.create_box(world.sim, 0.1, 0.2, 0.3, options), 3.0, 3.0 * 0.13 / 12),
        (lambda world, options: world.gym.create_sphere(world.sim, 0.1, options), 2.0943952, 0.4 * 2.0943952e-2),
    ],
)
def test_primitives_weigh_what_their_density_says(make: Any, mass_kg: float, along_x: float) -> None:
    world, options = Unprepared(), gymapi.AssetOptions()
    options.density = 500.0
    env = world.gym.create_env(world.sim, gymapi.Vec3(), gymapi.Vec3(), 1)
    world.gym.create_actor(env, make(world, options), gymapi.Transform(), "it", 0)
    (body,) = world.gym.get_actor_rigid_body_properties(env, 0)
    assert (body.mass, body.inertia.x.x) == pytest.approx((mass_kg, along_x), rel=1e-4)


def test_a_cylinder_stands_on_its_urdf_s_mass() -> None:
    world = Unprepared()
    text = """<robot><link name="can">
    <inertial><mass value="0.2"/><inertia ixx="2e-4" iyy="2e-4" izz="1e-4"/></inertial>
    <collision><geometry><cylinder radius="0.03" length="0.1"/></geometry></collision></link></robot>"""
    can = loaded(world.sim, text, "can.urdf")
    env = world.gym.create_env(world.sim, gymapi.Vec3(), gymapi.Vec3(), 1)
    world.gym.create_actor(env, can, gymapi.Transform(gymapi.Vec3(0.0, 0.0, 0.05)), "can", 0)
    (body,) = world.gym.get_actor_rigid_body_properties(env, 0)
    assert (body.mass, body.inertia.x.x, body.inertia.z.z) == pytest.approx((0.2, 2e-4, 1e-4))
    world.gym.prepare_sim(world.sim)
    forces = gymtorch.wrap_tensor(world.gym.acquire_net_contact_force_tensor(world.sim))
    for _ in range(100):
        world.gym.simulate(world.sim)
        world.gym.fetch_results(world.sim, True)
    world.gym.refresh_net_contact_force_tensor(world.sim)
    assert forces[0].tolist() == pytest.approx([0.0, 0.0, 0.2 * G], abs=1e-3)


def test_copies_of_its_own_are_not_counted_as_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int | str] = [2]
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[-1])
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    tensors = importlib.import_module("isaacgym._tensors")
    with pytest.raises(KeyError), tensors.waiting_allowed("cuda:0"):
        raise KeyError
    assert modes == [2, "default", 2]
    with tensors.waiting_allowed("cpu"):
        assert len(modes) == 3
    modes.append(0)
    with tensors.waiting_allowed("cuda:0"):
        assert len(modes) == 4
