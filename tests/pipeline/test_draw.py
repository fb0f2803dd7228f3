"""The picture of the jobs."""

from __future__ import annotations

from xml.etree import ElementTree

from .clone import Clone, Run

SVG = "{http://www.w3.org/2000/svg}"


def test_every_job_is_a_box_and_what_is_done_is_dashed(done: Clone) -> None:
    done.edit("configs/Tiny.yaml", "success_goal: 0.5", "success_goal: 0.6")
    done.run("bash", "-c", "snakemake --dag dot | python -m workflow.draw dag.svg")
    picture = ElementTree.parse(done.path / "dag.svg").getroot()  # noqa: S314 - written a moment ago
    texts = {text.text for text in picture.iter(f"{SVG}text")}
    assert {"train", "select", "evaluate", "report", "section: selection"} <= texts
    boxes = list(picture.iter(f"{SVG}rect"))
    assert len(boxes) == 9
    assert len([box for box in boxes if box.get("stroke-dasharray")]) == 6
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    for one in boxes:
        assert not any(overlap(one, two) for two in boxes if two is not one)
    assert width < 1400
    assert height < 1000


def overlap(one: ElementTree.Element, two: ElementTree.Element) -> bool:
    """Whether two boxes cover each other in part."""
    return all(
        float(one.attrib[corner]) < float(two.attrib[corner]) + float(two.attrib[size])
        and float(two.attrib[corner]) < float(one.attrib[corner]) + float(one.attrib[size])
        for corner, size in (("x", "width"), ("y", "height"))
    )


def test_what_is_no_graph_is_refused(first_run: tuple[Clone, Run, dict[str, set[str]]]) -> None:
    run = first_run[0].run("bash", "-c", "echo nothing | python -m workflow.draw no.svg", check=False)
    assert (run.code, run.output.count("\n")) == (2, 1)
    assert "holds no graph" in run.output
