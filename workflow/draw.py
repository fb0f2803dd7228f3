"""Draw Snakemake's graph of jobs: `snakemake --dag dot | python -m workflow.draw dag.svg`; what is done is dashed.

It needs no Graphviz; pydot and grandalf come with DVC.
"""

from __future__ import annotations

import sys
from html import escape

import pydot
from grandalf.graphs import Edge, Graph, Vertex
from grandalf.layouts import SugiyamaLayout

from dexhand_env.errors import UserError, exit_code
from dexhand_env.files import write_text

LINE, MARGIN, GAP = 16, 12, 28  # pixels
LETTER = 6.6  # pixels of a letter's width, generously
STYLE = "text{font:12px sans-serif;text-anchor:middle}rect{fill:#f2f5fa;stroke:#3a6ea5}path{fill:none;stroke:#8a8f98}"


class _Box:
    """A job as the layout sees it: a place and a size in pixels."""

    xy = (0.0, 0.0)

    def __init__(self, node: pydot.Node) -> None:
        self.lines = str(node.get("label")).strip('"').split("\\n")
        self.done = "dashed" in str(node.get("style"))
        self.w = max(map(len, self.lines)) * LETTER + 2 * MARGIN
        self.h = len(self.lines) * LINE + MARGIN

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        return self.w, self.h

    def svg(self) -> str:
        """The box and its lines of text."""
        x, y = self.xy
        dashed = ' stroke-dasharray="4"' if self.done else ""
        left, top = x - self.w / 2, y - self.h / 2
        box = f'<rect x="{left:.1f}" y="{top:.1f}" width="{self.w:.1f}" height="{self.h}" rx="6"{dashed}/>'
        first = top + MARGIN / 2 + LINE * 0.75
        text = (
            f'<text x="{x:.1f}" y="{first + LINE * n:.1f}">{escape(line)}</text>' for n, line in enumerate(self.lines)
        )
        return box + "".join(text)


def draw(dot: str) -> str:
    """The SVG of a graph in the dot language.

    Raises:
        UserError: there is no graph in it.
    """
    graphs = pydot.graph_from_dot_data(dot[dot.find("digraph") :]) if "digraph" in dot else None
    if not graphs:
        raise UserError("standard input", "holds no graph", "what `snakemake --dag dot` prints")
    boxes = {node.get_name(): _Box(node) for node in graphs[0].get_nodes() if node.get_name().isdigit()}
    vertices = {name: Vertex(name) for name in boxes}
    for name, vertex in vertices.items():
        vertex.view = boxes[name]
    pairs = [(str(edge.get_source()), str(edge.get_destination())) for edge in graphs[0].get_edges()]
    # Every job leads to the target, so the graph is one piece.
    layout = SugiyamaLayout(Graph(list(vertices.values()), [Edge(vertices[a], vertices[b]) for a, b in pairs]).C[0])
    layout.xspace, layout.yspace = GAP, GAP
    layout.init_all()
    layout.draw()
    left, top = (min(box.xy[axis] - box.size[axis] / 2 for box in boxes.values()) - GAP for axis in (0, 1))
    right, bottom = (max(box.xy[axis] + box.size[axis] / 2 for box in boxes.values()) + GAP for axis in (0, 1))
    lines = "".join(_line(boxes[a], boxes[b]) for a, b in pairs)
    size = f"{left:.0f} {top:.0f} {right - left:.0f} {bottom - top:.0f}"
    content = lines + "".join(box.svg() for box in boxes.values())
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}"><style>{STYLE}</style>{content}</svg>\n'


def _line(above: _Box, below: _Box) -> str:
    (x0, y0), (x1, y1) = above.xy, below.xy
    y0, y1 = y0 + above.h / 2, y1 - below.h / 2
    middle = (y0 + y1) / 2
    return f'<path d="M{x0:.1f} {y0:.1f}C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"/>'


def main(arguments: list[str]) -> None:
    """Read the graph, write the picture."""
    write_text(arguments[0], draw(sys.stdin.read()))
    print(arguments[0])


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
