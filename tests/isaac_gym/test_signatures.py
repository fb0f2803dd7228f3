"""The stand-in has nothing that the published stubs do not declare, and declares it as they do."""

from __future__ import annotations

import ast
import enum
import inspect
import re
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from isaacgym import gymapi, gymtorch

STUBS = metadata.distribution("isaacgym-stubs")
HIDDEN = re.compile(r"\w+\(self: Gym(?:, )?(.*)\) ->")  # the signature in a docstring
PARAMETER = re.compile(r"(\w+): [\w:.\[\] ]+( = )?")


@cache
def stub(module: str) -> ast.Module:
    """What the installed, repaired stubs declare."""
    path = Path(str(STUBS.locate_file(f"isaacgym-stubs/{module}.pyi")))
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def declared_class(name: str) -> ast.ClassDef:
    """A class of ``gymapi``."""
    return next(node for node in stub("gymapi").body if isinstance(node, ast.ClassDef) and node.name == name)


def declared_parameters(function: ast.FunctionDef) -> list[tuple[str, bool]]:
    """Names, and whether there is a default. Where the stub has ``*args``, its docstring tells."""
    if function.args.vararg is None:
        arguments = [argument.arg for argument in function.args.args if argument.arg != "self"]
        needed = len(arguments) - len(function.args.defaults)
        return [(name, place >= needed) for place, name in enumerate(arguments)]
    found = HIDDEN.match(ast.get_docstring(function) or "")
    assert found, function.name
    return [(name, bool(default)) for name, default in PARAMETER.findall(found[1])]


def own_parameters(function: object) -> list[tuple[str, bool]]:
    """The same of the stand-in's."""
    assert callable(function)
    found = list(inspect.signature(function).parameters.values())
    return [(each.name, each.default is not each.empty) for each in found if each.name != "self"]


def annotated(body: list[ast.stmt]) -> set[str]:
    """Names with a type."""
    return {node.target.id for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}


METHODS = sorted(name for name in vars(gymapi.Gym) if not name.startswith("_"))
STRUCTS = sorted(name for name, kind in vars(gymapi).items() if hasattr(kind, "_fields"))
ENUMERATIONS = sorted(
    name for name, kind in vars(gymapi).items() if inspect.isclass(kind) and issubclass(kind, enum.Enum)
)


def test_the_lists_are_whole() -> None:
    assert len(METHODS) > 40
    assert {"SimParams", "PhysXParams", "AssetOptions", "RigidShapeProperties", "Vec3"} <= set(STRUCTS)
    assert {"SimType", "IndexDomain", "ContactCollection"} <= set(ENUMERATIONS)


@pytest.mark.parametrize("name", METHODS)
def test_method(name: str) -> None:
    body = declared_class("Gym").body
    declared = [each for each in body if isinstance(each, ast.FunctionDef) and each.name == name]
    assert declared, f"the stubs know no Gym.{name}"
    assert own_parameters(getattr(gymapi.Gym, name)) in [declared_parameters(each) for each in declared]


@pytest.mark.parametrize("name", ["wrap_tensor", "unwrap_tensor"])
def test_gymtorch(name: str) -> None:
    (declared,) = (each for each in stub("gymtorch").body if isinstance(each, ast.FunctionDef) and each.name == name)
    assert own_parameters(getattr(gymtorch, name)) == declared_parameters(declared)


@pytest.mark.parametrize("name", STRUCTS)
def test_struct(name: str) -> None:
    body = declared_class(name).body
    assert set(getattr(gymapi, name)._fields) <= annotated(body)
    (made,) = (each for each in body if isinstance(each, ast.FunctionDef) and each.name == "__init__")
    assert own_parameters(getattr(gymapi, name)) == declared_parameters(made)


def test_tensor() -> None:
    public = {name for name in gymapi.Tensor.__slots__ if not name.startswith("_")}  # type: ignore[attr-defined]
    assert public <= annotated(declared_class("Tensor").body)


@pytest.mark.parametrize("name", ENUMERATIONS)
def test_enumeration(name: str) -> None:
    members = annotated(declared_class(name).body) - {"__members__", "__entries"}
    assert set(getattr(gymapi, name).__members__) <= members
    told = dict(re.findall(r"(\w+) : .*?\(value = (\d+)\)", ast.get_docstring(declared_class(name)) or ""))
    for member in getattr(gymapi, name):
        assert told.get(member.name, str(member.value)) == str(member.value)


def test_names_of_gymapi() -> None:
    body = stub("gymapi").body
    known = annotated(body) | {each.name for each in body if isinstance(each, (ast.ClassDef, ast.FunctionDef))}
    assert set(gymapi.__all__) <= known  # type: ignore[attr-defined]


def test_unknown_fields_and_wrong_types_are_refused() -> None:
    params = gymapi.SimParams()
    with pytest.raises(AttributeError, match="'SimParams' object has no attribute 'substep'"):
        params.substep = 1  # type: ignore[attr-defined]
    for field, value in (
        ("substeps", 1.5),
        ("dt", "1"),
        ("up_axis", 1),
        ("use_gpu_pipeline", 1),
        ("gravity", (0, 0, 0)),
    ):
        with pytest.raises(TypeError, match=f"SimParams.{field} takes"):
            setattr(params, field, value)
    with pytest.raises(TypeError):
        gymapi.SimParams(dt=0.01)  # type: ignore[call-arg]


def test_structures_are_copied_and_floats_are_short() -> None:
    point, place = gymapi.Vec3(0.1, 0.0, 0.0), gymapi.Transform()
    place.p = point
    point.x = 2.0
    assert place.p.x == pytest.approx(0.1, abs=1e-8)
    assert place.p.x != 0.1
    place.p.x = 3.0  # in place
    assert place.p.x == 3.0
    assert gymapi.Transform().p.x == 0.0
