"""How deep the hand and the table lie in each object, from poses: Isaac Gym's GPU pipeline does not give contacts.

A capsule's depth is its radius less the smallest signed distance of its axis from the object's surface, which is convex
along the axis. That of a box of the palm is the least overlap along the axes that can separate the two (separating axis
theorem); a cylinder has endlessly many, of which some are tried, so its depth in the palm can be 1 mm too large.
Contact between two objects is not measured.
"""

from __future__ import annotations

from typing import List, Mapping, Optional, Sequence, Tuple

import torch

from dexhand_env.sim.isaac_gym.hand_tree import Body, Numbers
from dexhand_env.sim.scene import Scene

# Enough for a capsule's depth to 0.01 mm, and mostly to 0.1 um.
CUTS = 4
PROJECTIONS = 8
TINY = 1e-12


class ContactDepth:
    """Depths in all worlds at once.

    Args:
        bodies: the hand's.
        places: of the bodies' frames.
        scene: its table and objects.
        device: where the tensors live.
    """

    def __init__(self, bodies: Sequence[Body], places: Mapping[str, int], scene: Scene, device: torch.device) -> None:
        capsules: List[Tuple[int, float, Numbers]] = []
        boxes: List[Tuple[int, Numbers, Numbers]] = []
        for body in bodies:
            for shape in body.shapes:
                if shape.attributes["type"] == "capsule":
                    capsules.append((places[body.name], shape.numbers("size")[0], shape.numbers("fromto")))
                else:
                    boxes.append((places[body.name], shape.numbers("pos"), shape.numbers("size")))

        def on_device(values: Sequence[object]) -> torch.Tensor:
            return torch.tensor(values, device=device)

        self._capsules, self._radii, ends = (on_device(values) for values in zip(*capsules))
        self._radii = self._radii[:, None]
        # Columns: where each capsule's axis begins, and the way to its end; the last row for the frame's position.
        first, last = ends.view(-1, 2, 3, 1).unbind(dim=1)
        one = torch.ones_like(first[:, :1])
        self._segments = torch.cat(
            (torch.cat((first, one), dim=1), torch.cat((last - first, torch.zeros_like(one)), dim=1)), dim=2
        )
        self._boxes, self._box_centres, self._box_halves = (on_device(values) for values in zip(*boxes))
        self._box_halves = self._box_halves[:, None]
        self._faces = torch.eye(3, device=device)
        # A vector times this gives its cross products with x, y and z, one after the other.
        self._crossed = torch.linalg.cross(self._faces[:, None].expand(3, 3, 3), self._faces.expand(3, 3, 3))
        self._crossed = self._crossed.transpose(0, 1).flatten(1)
        self._objects = [(item.shape, on_device(item.extents_m) / 2.0) for item in scene.objects]
        self._table = scene.table

    def measure(self, frames: torch.Tensor, objects: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
        """Depths of anything in each object, then of the hand, (num_envs, 2 x objects) in m, 0 or more.

        Args:
            frames: of the hand, (frames, num_envs, 3, 4).
            objects, axes: positions (num_envs, objects, 3) and rotation matrices (num_envs, objects, 3, 3).
        """
        if not self._objects:
            return objects.new_zeros(len(objects), 0)
        segments = (frames[self._capsules].flatten(1, 2) @ self._segments).unflatten(1, (-1, 3))
        boxes = frames[self._boxes]
        palm_axes = boxes[..., :3]
        palm = boxes[..., 3] + (palm_axes @ self._box_centres[:, None, :, None])[..., 0]
        by_hand, by_table = [], []
        for place, (shape, half) in enumerate(self._objects):
            centre, own_axes = objects[:, place], axes[:, place]
            of_capsules = self._radii - self._distances(shape, half, segments, centre, own_axes)
            of_palm = self._overlap(shape, half, palm, palm_axes, centre, own_axes)
            by_hand.append(torch.cat((of_capsules, of_palm)).amax(dim=0).clamp(min=0.0))
            lowest = centre[:, 2] - support(shape, half, own_axes[:, 2])
            by_table.append((-lowest).clamp(min=0.0) if self._table else torch.zeros_like(lowest))
        hand, table = torch.stack(by_hand, dim=1), torch.stack(by_table, dim=1)
        return torch.cat((torch.maximum(hand, table), hand), dim=1)

    @staticmethod
    def _distances(
        shape: str, half: torch.Tensor, segments: torch.Tensor, centre: torch.Tensor, own_axes: torch.Tensor
    ) -> torch.Tensor:
        """Smallest distance of each capsule's axis from an object's surface, (capsules, num_envs)."""
        capsules = len(segments)
        columns = segments.permute(1, 2, 3, 0).flatten(2)  # (num_envs, 3, all beginnings, then all ways)
        columns[:, :, :capsules] -= centre[:, :, None]
        local = (own_axes.transpose(1, 2) @ columns).permute(1, 2, 0).contiguous()  # in the object's axes
        return smallest_distance(shape, half, local[:, :capsules], local[:, capsules:])

    def _overlap(
        self,
        shape: str,
        half: torch.Tensor,
        palm: torch.Tensor,
        palm_axes: torch.Tensor,
        centre: torch.Tensor,
        own_axes: torch.Tensor,
    ) -> torch.Tensor:
        """Least overlap of each box of the palm and an object, (boxes, num_envs); negative where they are apart.

        All vectors are in the box's axes.
        """
        between = ((centre - palm)[..., None, :] @ palm_axes)[..., 0, :]
        faces = self._faces.expand(*between.shape[:-1], 3, 3)
        own = palm_axes.transpose(-1, -2) @ own_axes  # columns are the object's axes
        directions = [faces, (between - self._nearest(between))[..., None, :]]
        if shape == "cylinder":
            directions.append(self._gap(half, between, own)[..., None, :])
        if shape != "sphere":
            rows = own.transpose(-1, -2)
            rows = rows if shape == "box" else rows[..., 2:, :]  # a cylinder's along its length
            directions += [rows, (rows @ self._crossed).unflatten(-1, (3, 3)).flatten(-3, -2)]
        along = torch.cat(directions, dim=-2)
        length = along.norm(dim=-1)
        reach = (along.abs() @ self._box_halves[..., None])[..., 0] + support(shape, half, along @ own, length)
        overlap = (reach - (along @ between[..., None])[..., 0].abs()) / length.clamp(min=TINY)
        return overlap.masked_fill(length < 1e-6, float("inf")).amin(dim=-1)

    def _gap(self, half: torch.Tensor, between: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """From each box's nearest point to a cylinder's, by going to and fro between both (alternating projections)."""
        point = between
        for _ in range(PROJECTIONS):
            in_object = ((self._nearest(point) - between)[..., None, :] @ own)[..., 0, :]
            radial, z = in_object[..., :2], in_object[..., 2:]
            radial = radial * (half[0] / radial.norm(dim=-1, keepdim=True).clamp(min=TINY)).clamp(max=1.0)
            on_object = torch.cat((radial, torch.maximum(torch.minimum(z, half[2]), -half[2])), dim=-1)
            point = between + (own @ on_object[..., None])[..., 0]
        return point - self._nearest(point)

    def _nearest(self, points: torch.Tensor) -> torch.Tensor:
        """The point of each box that is nearest to a point, (boxes, num_envs, 3)."""
        return torch.maximum(torch.minimum(points, self._box_halves), -self._box_halves)


def support(
    shape: str, half: torch.Tensor, direction: torch.Tensor, length: Optional[torch.Tensor] = None
) -> torch.Tensor:
    """How far a primitive reaches from its centre along vectors (..., 3) in its own axes, times their length."""
    if shape == "sphere":
        return half[0] * (direction.norm(dim=-1) if length is None else length)
    if shape == "box":
        return (direction.abs() * half).sum(dim=-1)
    return half[2] * direction[..., 2].abs() + half[0] * direction[..., :2].norm(dim=-1)


def smallest_distance(shape: str, half: torch.Tensor, begins: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    """Smallest signed distance of line segments from a primitive's surface, negative inside.

    From a sphere's centre it is known. Else by cutting planes: the distance is convex, so it lies above its tangents,
    and the next place to look is where those at both ends of the remaining part of the segment meet.

    Args:
        shape: ``box``, ``sphere`` or ``cylinder``.
        half: half extents, (3,) m.
        begins, along: of the segments in the primitive's axes: one end, and the way to the other, (3, ...) m.

    Returns:
        (...,) m.
    """
    if shape == "sphere":
        nearest = -(begins * along).sum(dim=0) / (along**2).sum(dim=0)
        return torch.addcmul(begins, nearest.clamp(0.0, 1.0), along).norm(dim=0) - half[0]
    low, high = torch.zeros_like(begins[0]), torch.ones_like(begins[0])
    at_low, falling = _distance(shape, half, begins, along)
    at_high, rising = _distance(shape, half, begins + along, along)
    smallest = torch.minimum(at_low, at_high)
    for _ in range(CUTS):
        steeper = (rising - falling).clamp(min=TINY)
        place = low + ((at_low - at_high + rising * (high - low)) / steeper)
        place = torch.minimum(torch.maximum(place, low), high)
        found, slope = _distance(shape, half, torch.addcmul(begins, place, along), along)
        smallest = torch.minimum(smallest, found)
        falls = slope < 0.0
        low, high = torch.where(falls, place, low), torch.where(falls, high, place)
        at_low, at_high = torch.where(falls, found, at_low), torch.where(falls, at_high, found)
        falling, rising = torch.where(falls, slope, falling), torch.where(falls, rising, slope)
    return smallest


def _distance(
    shape: str, half: torch.Tensor, points: torch.Tensor, along: torch.Tensor
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Signed distance of points (3, ...) from a primitive's surface, and how it changes along a direction (3, ...)."""
    if shape == "box":
        beyond, change = points.abs() - half.view(3, *(1,) * (points.dim() - 1)), points.sign() * along
    else:  # a cylinder
        radial = (points[:2] ** 2).sum(dim=0).sqrt_().clamp_(min=TINY)
        outwards = (points[:2] * along[:2]).sum(dim=0) / radial
        beyond = torch.stack((radial - half[0], points[2].abs() - half[2]))
        change = torch.stack((outwards, points[2].sign() * along[2]))
    deepest, face = beyond.max(dim=0, keepdim=True)
    positive = beyond.clamp(min=0.0)
    outside = (positive**2).sum(dim=0).sqrt_()
    inside = deepest[0] < 0.0
    slope = (positive * change).sum(dim=0) / outside.clamp(min=TINY)
    return torch.where(inside, deepest[0], outside), torch.where(inside, change.gather(0, face)[0], slope)
