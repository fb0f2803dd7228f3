"""Forward kinematics of the hand in torch.

Isaac Gym gives poses of bodies only after ``simulate``, so those of a state that was just set would be missing.
"""

from __future__ import annotations

import dataclasses
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import torch

from dexhand_env.sim.isaac_gym.hand_tree import Body, Numbers
from dexhand_env.sim.quaternions import rotation_matrices


@dataclasses.dataclass
class _Frame:
    """What at most one hinge moves, behind slides: a body, or part of the way to one.

    Slides and hinge are (axis in the frame, column in the joint positions).
    """

    parent: int
    position: Numbers
    quaternion: Numbers
    depth: int
    slides: List[Tuple[Numbers, int]]
    hinge: Optional[Tuple[Numbers, int]] = None


class Kinematics:
    """Frames of the hand's bodies in all worlds at once; those at the same depth of the tree are computed together.

    The first axis is the frame and the second the world, so that picking some frames copies whole blocks.

    Args:
        bodies: the hand's.
        height_m: of its base's frame.
        device: where the tensors live.

    Attributes:
        places: of the bodies' frames, by the names of the bodies.
    """

    def __init__(self, bodies: Sequence[Body], height_m: float, device: torch.device) -> None:
        frames, of_bodies = _frames(bodies, height_m)
        order = sorted(range(len(frames)), key=lambda place: frames[place].depth)
        self.places = {body.name: order.index(place) for body, place in zip(bodies, of_bodies)}
        levels = [[place for place in order if frames[place].depth == depth] for depth in range(frames[-1].depth + 1)]
        self._sizes = [len(level) for level in levels]
        self._parents: List[Optional[torch.Tensor]] = [None]
        for above, level in zip(levels, levels[1:]):
            parents = [above.index(frames[place].parent) for place in level]
            same = len(above) == 1 or parents == list(range(len(above)))  # nothing to pick: they broadcast
            self._parents.append(None if same else torch.tensor(parents, device=device))
        ordered = [frames[place] for place in order]
        joints = sum(len(body.joints) for body in bodies)
        fixed = torch.tensor([frame.quaternion for frame in ordered], device=device)
        rotations = rotation_matrices(fixed / fixed.norm(dim=-1, keepdim=True))
        slides, axes = torch.zeros(len(ordered), 3, joints, device=device), torch.zeros(len(ordered), 3, device=device)
        self._hinges = torch.zeros(len(ordered), joints, device=device)
        for place, frame in enumerate(ordered):
            for axis, column in frame.slides:
                slides[place, :, column] = rotations[place] @ torch.tensor(axis, device=device)
            if frame.hinge is not None:
                axes[place], self._hinges[place, frame.hinge[1]] = torch.tensor(frame.hinge[0], device=device), 1.0
        self._slides = slides.flatten(0, 1)
        # Rodrigues' formula behind the fixed rotation R: R + sin(angle) R K + (1 - cos(angle)) R K K.
        unit = torch.eye(3, device=device).expand(len(axes), 3, 3)
        cross = torch.linalg.cross(axes[:, None].expand(-1, 3, -1), unit).transpose(-1, -2)
        self._fixed, self._sine, self._one_less_cosine = (
            matrices[:, None] for matrices in (rotations, rotations @ cross, rotations @ cross @ cross)
        )
        self._positions = torch.tensor([frame.position for frame in ordered], device=device)[:, None]

    def frames(self, joint_positions: torch.Tensor) -> torch.Tensor:
        """Rotation matrix and position of every frame, (frames, num_envs, 3, 4), for (num_envs, joints)."""
        by_joint = joint_positions.T
        angles = (self._hinges @ by_joint)[:, :, None, None]
        local = torch.addcmul(self._fixed, torch.sin(angles), self._sine)
        local = torch.addcmul(local, 1.0 - torch.cos(angles), self._one_less_cosine)
        moved = self._positions + (self._slides @ by_joint).unflatten(0, (-1, 3)).transpose(1, 2)
        levels = torch.cat((local, moved[..., None]), dim=-1).split(self._sizes)
        found = [levels[0]]
        for parents, level in zip(self._parents[1:], levels[1:]):
            above = found[-1] if parents is None else found[-1][parents]
            placed = above[..., :3] @ level
            placed[..., 3] += above[..., 3]
            found.append(placed)
        return torch.cat(found)


def _frames(bodies: Sequence[Body], height_m: float) -> Tuple[List[_Frame], List[int]]:
    """The frames, those of a chain after each other, and the frame of each body."""
    frames: List[_Frame] = []
    of_bodies: List[int] = []
    column = 0
    for body in bodies:
        parent, position = -1, body.position
        if body.parent >= 0:
            parent = of_bodies[body.parent]
        else:
            position = (position[0], position[1], position[2] + height_m)
        depth = frames[parent].depth + 1 if body.parent >= 0 else 0
        frame = _Frame(parent, position, body.quaternion, depth, [])
        frames.append(frame)
        for joint in body.joints:
            if frame.hinge is not None:
                frame = _Frame(len(frames) - 1, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), frame.depth + 1, [])
                frames.append(frame)
            if joint.slides:
                frame.slides.append((joint.axis, column))
            else:
                frame.hinge = (joint.axis, column)
            column += 1
        of_bodies.append(len(frames) - 1)
    return frames, of_bodies


class Sites:
    """Where bodies and sites are, from the frames of the hand.

    Args:
        bodies: the hand's.
        places: of the bodies' frames.
        device: where the tensors live.
    """

    def __init__(self, bodies: Sequence[Body], places: Mapping[str, int], device: torch.device) -> None:
        self._device = device
        self._fixed: Dict[str, Tuple[int, Numbers, Numbers]] = {}
        for body in bodies:
            self._fixed[body.name] = places[body.name], (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)
            self._fixed.update({name: (places[body.name], *pose) for name, pose in body.sites.items()})
        self._known: Dict[Tuple[str, ...], Tuple[torch.Tensor, torch.Tensor]] = {}

    def frames(self, names: Sequence[str], frames: torch.Tensor) -> torch.Tensor:
        """Rotation matrix and position of each, (num_envs, names, 3, 4)."""
        ids, offsets = self._found(tuple(names))
        bodies = frames[ids]
        found = bodies[..., :3] @ offsets
        found[..., 3] += bodies[..., 3]
        return found.transpose(0, 1)

    def _found(self, names: Tuple[str, ...]) -> Tuple[torch.Tensor, torch.Tensor]:
        """Numbers of frames, and the sites in them (names, 1, 3, 4); copied to the device once."""
        if names not in self._known:
            places, positions, turns = zip(*(self._fixed[name] for name in names))
            turned = torch.tensor(turns, device=self._device)
            turned = rotation_matrices(turned / turned.norm(dim=-1, keepdim=True))
            offsets = torch.cat((turned, torch.tensor(positions, device=self._device)[..., None]), dim=-1)
            self._known[names] = torch.tensor(places, device=self._device), offsets[:, None]
        return self._known[names]
