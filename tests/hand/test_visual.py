from __future__ import annotations

import numpy as np
import pytest
import trimesh

from dexhand_env.hand import joints
from dexhand_env.hand.loft import Surface, cylinder, loft
from dexhand_env.hand.visual import VisualMesh, visual_meshes

from .hand_models import MIRROR, Figures, at_rest, compiled

# Barrels are a little thicker than the maker's hinges, so that they show between the shells.
SLACK_M = 0.0016


@pytest.fixture(scope="module", params=joints.SIDES)
def side(request: pytest.FixtureRequest) -> str:
    return request.param


def _merged(mesh: VisualMesh | Surface) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)


def test_every_body_but_the_base_has_a_mesh(side: str) -> None:
    assert tuple(visual_meshes(side)) == joints.body_names(side)[1:]


def test_arrays_fit_together(side: str) -> None:
    for mesh in visual_meshes(side).values():
        assert mesh.vertices.dtype == np.float32
        assert mesh.faces.dtype == np.int32
        assert mesh.vertices.shape[1:] == mesh.faces.shape[1:] == (3,)
        assert mesh.vertex_rgba.shape == (len(mesh.vertices), 4)
        assert mesh.vertex_rgba.dtype == np.uint8
        assert mesh.rgba.shape == (4,)
        assert np.array_equal(np.unique(mesh.faces), np.arange(len(mesh.vertices)))
        corners = mesh.vertex_rgba[mesh.faces]
        assert (corners == corners[:, :1]).all()


def test_surfaces_are_closed_and_face_outwards(side: str) -> None:
    for name, mesh in visual_meshes(side).items():
        parts = _merged(mesh).split(only_watertight=False)
        assert all(part.is_watertight and part.is_winding_consistent for part in parts), name
        assert all(part.volume > 0.0 for part in parts), name


def test_a_hand_is_light_to_draw(side: str) -> None:
    assert sum(len(mesh.faces) for mesh in visual_meshes(side).values()) <= 12_000


def test_meshes_fit_the_makers_bounding_boxes(figures: Figures) -> None:
    for name, mesh in visual_meshes("right").items():
        box = figures["bodies"][name]["visual_bbox"]
        slack = 0.004 if name.endswith("1_1") else SLACK_M
        assert (mesh.vertices.min(axis=0) > np.array(box["min"]) - slack).all(), name
        assert (mesh.vertices.max(axis=0) < np.array(box["max"]) + slack).all(), name
        filled = np.ptp(mesh.vertices, axis=0) / (2 * np.array(box["half"]))
        assert (filled > 0.6).all(), name


def test_fingers_are_white_dark_and_coloured_at_the_pad() -> None:
    meshes = visual_meshes("right")
    for name in joints.fingertip_bodies("right"):
        assert len(np.unique(meshes[name].vertex_rgba, axis=0)) == 4


def test_the_left_hand_is_the_right_ones_image() -> None:
    meshes = {side: visual_meshes(side) for side in joints.SIDES}
    data = {side: at_rest(compiled(side), np.full(26, 0.0)) for side in joints.SIDES}
    for right, left in zip(joints.body_names("right")[1:], joints.body_names("left")[1:]):
        placed = [
            meshes[side][name].vertices @ data[side].body(name).xmat.reshape(3, 3).T + data[side].body(name).xpos
            for side, name in (("right", right), ("left", left))
        ]
        np.testing.assert_allclose(placed[0] @ MIRROR, placed[1], atol=1e-7)


def test_a_cylinder_has_its_volume() -> None:
    solid = _merged(cylinder(1, 0.02, 0.05, sides=200))
    assert solid.volume == pytest.approx(np.pi * 0.02**2 * 0.1, rel=1e-3)
    np.testing.assert_allclose(solid.extents, [0.04, 0.1, 0.04], rtol=1e-3)


def test_rounding_stays_within_the_stations() -> None:
    stations = [(0.0, 0.0, 0.0, 0.01, 0.02), (0.03, 0.0, 0.0, 0.01, 0.02)]
    sharp, rounded = (_merged(loft(0, stations, rounding_m=radius, sides=40)) for radius in (0.0, 0.005))
    np.testing.assert_allclose(rounded.bounds, sharp.bounds, atol=1e-3)
    assert 0.8 * sharp.volume < rounded.volume < sharp.volume
