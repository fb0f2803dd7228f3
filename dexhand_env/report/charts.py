"""Charts as Vega-Lite specifications, built with altair; drawn as SVG in the reader's browser.

Text and axes use ``currentColor``, so that one drawing serves a dark page, a light one and paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import numpy as np
from numpy.typing import NDArray

from dexhand_env.report.formats import percent
from dexhand_env.report.records import History
from dexhand_env.report.sweeps import Sweep, Tested

# Readable on white and on near-black alike, and apart for the common kinds of colour blindness.
PALETTE = ["#3b82f6", "#e8710a", "#12a37f", "#c2528b", "#a58b00", "#7c6cf0", "#d64545", "#00a3c7", "#7a9a1f", "#8a8f98"]
MAX_POINTS = 240
BINS = 40
MEAN = "mean of the seeds"
QUIET: dict[str, Any] = {"color": "currentColor", "opacity": 0.5}

Spec = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One figure: a title, a sentence that says what it shows, its Vega-Lite specification, and its legend.

    The page writes the legend, (name, colour) in order; it wraps where a drawn one would be cut off.
    """

    title: str
    summary: str
    spec: Spec
    legend: list[tuple[str, str]]


def learning_curve(histories: Mapping[int, History], column: str, title: str, *, steps: bool = False) -> Chart | None:
    """``column`` over the frames played; None where no history has a value in it.

    One line a training seed; several are thin, under their mean, with a band from the lowest to the highest of them.

    Args:
        steps: draw what keeps its value between changes as a staircase.
    """
    rows = [row for seed, history in histories.items() for row in _curve_rows(history, column, f"seed {seed}")]
    if not rows:
        return None
    legend = _legend(f"seed {seed}" for seed in histories)
    if len(histories) > 1:
        # Where fewer of them have a value their mean would jump, and say nothing.
        rows += [row for row in _mean_rows(histories, column, MEAN, band=True) if "low" in row]
        legend.insert(0, (MEAN, "currentColor"))
    chart = _lines(rows, legend, zero=False, height=130, interpolate="step-before" if steps else "linear")
    finals = [history.last(column) for history in histories.values()]
    ends = ", ".join(f"{value:.4g}" for value in finals if value is not None)
    return Chart(title, f"ends at {ends}", _finished(chart), legend if len(legend) > 1 else [])


def compared_curve(experiments: Mapping[str, Mapping[int, History]], column: str, title: str) -> Chart | None:
    """``column`` over the frames played, one line an experiment: the mean over the seeds that played as many frames.

    A band reaches from the lowest to the highest of several seeds.
    """
    rows = [row for name, histories in experiments.items() for row in _mean_rows(histories, column, name, band=True)]
    if not rows:
        return None
    legend = _legend(experiments)
    return Chart(title, ", ".join(experiments), _finished(_lines(rows, legend, zero=False, height=220)), legend)


def _mean_rows(
    histories: Mapping[int, History], column: str, series: str, *, band: bool = False
) -> list[dict[str, Any]]:
    """A curve's rows, averaged over the seeds that have a value at the same number of frames.

    With ``band`` each has the lowest and the highest of them too, where there are several seeds and all have a value.
    """
    by_frames: dict[float, list[dict[str, Any]]] = {}
    for history in histories.values():
        for row in _curve_rows(history, column, series):
            by_frames.setdefault(row["frames"], []).append(row)
    rows = []
    for _, same in sorted(by_frames.items()):
        values = [row["value"] for row in same]
        whole = band and len(values) == len(histories) > 1
        ends = {"low": min(values), "high": max(values)} if whole else {}
        rows.append({**same[0], "value": _short(float(np.mean(values))), **ends})
    return rows


def terms_chart(histories: Mapping[int, History], prefix: str, title: str) -> Chart | None:
    """All columns under ``prefix/`` in one chart, a line each, averaged over the seeds that played as many frames."""
    names = next(iter(histories.values())).terms(prefix) if histories else []
    rows = [row for name in names for row in _mean_rows(histories, name, name.removeprefix(prefix + "/"))]
    if not rows:
        return None
    legend = _legend(name.removeprefix(prefix + "/") for name in names)
    summary = ", ".join(name for name, _ in legend)
    return Chart(title, summary, _finished(_lines(rows, legend, zero=True, height=260)), legend)


def sweep_curve(sweep: Sweep, goal: float) -> Chart | None:
    """Success over the number that some tests vary, with intervals; None where too few do.

    What the policy was trained with is marked: a value by a line, a range by a band with its success across it.
    """
    if not sweep.is_curve:
        return None
    rows = [_sweep_row(test) for test in sweep.tests if test.value is not None]
    y = alt.Y(
        "rate:Q", title=None, axis=alt.Axis(format=".0~%", tickCount=4), scale=alt.Scale(domainMax=1.0, zero=False)
    )
    base = alt.Chart(alt.InlineData(values=rows), height=150).encode(
        x=alt.X("value:Q", title=None, axis=alt.Axis(format="~g", tickCount=5), scale=alt.Scale(zero=False)),
        tooltip=[
            alt.Tooltip("value:Q", title=sweep.key, format="~g"),
            alt.Tooltip("rate:Q", title="success", format=".1%"),
            alt.Tooltip("low:Q", title="from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
        ],
    )
    layers = [
        alt.Chart(alt.InlineData(values=[{"rate": goal}])).mark_rule(strokeDash=[4, 4], **QUIET).encode(y=y),
        base.mark_line(color=PALETTE[0], strokeWidth=1.5).encode(y=y),
        base.mark_rule(color=PALETTE[0], strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_circle(color=PALETTE[0], size=50, opacity=1).encode(y=y),
    ]
    if sweep.trained is not None:
        low, high = sweep.trained
        trained = alt.Chart(alt.InlineData(values=[{"low": low, "high": high}])).encode(x=alt.X("low:Q"))
        band = trained.mark_rect(fill="currentColor", fillOpacity=0.1).encode(x2="high:Q")
        layers.insert(0, trained.mark_rule(**QUIET) if low == high else band)
    summary = ", ".join(
        f"{test.label}{' (trained)' * test.trained}: {percent(test.joined.success_rate)}" for test in sweep.tests
    )
    return Chart(sweep.key, summary, _finished(alt.layer(*layers)), [])


def _sweep_row(test: Tested) -> dict[str, Any]:
    low, high = test.joined.interval
    return {"value": test.value, "rate": _short(test.joined.success_rate), "low": _short(low), "high": _short(high)}


def distribution(values: Mapping[str, NDArray[Any]], title: str) -> Chart | None:
    """How one metric is spread over all episodes, a step line a condition, as the share of its episodes per bin."""
    finite = {name: column[np.isfinite(column)].astype(float) for name, column in values.items()}
    everything = np.concatenate(list(finite.values())) if finite else np.empty(0)
    if everything.size == 0:
        return None
    edges = np.histogram_bin_edges(everything, bins=BINS)
    rows = [row for name, column in finite.items() for row in _bin_rows(column, edges, name)]
    legend = _legend(finite)
    tooltip = [
        alt.Tooltip("series:N", title="physics"),
        alt.Tooltip("low:Q", title="from", format=".4~g"),
        alt.Tooltip("high:Q", title="to", format=".4~g"),
        alt.Tooltip("count:Q", title="episodes", format=","),
    ]
    base = alt.Chart(alt.InlineData(values=rows), height=120).encode(
        x=alt.X("low:Q", title=None, axis=alt.Axis(format=".3~g", tickCount=4)),
        y=alt.Y("share:Q", title=None, stack=None, axis=alt.Axis(format=".0~%", tickCount=3)),
        color=_colour("series", legend),
        tooltip=tooltip,
    )
    area = base.mark_area(interpolate="step-after", line={"strokeWidth": 1.5}, fillOpacity=0.16)
    return Chart(title, f"from {everything.min():.4g} to {everything.max():.4g}", _finished(area), legend)


def _bin_rows(column: NDArray[Any], edges: NDArray[Any], series: str) -> list[dict[str, Any]]:
    counts = np.histogram(column, bins=edges)[0]
    rows = [
        {
            "low": _short(low),
            "high": _short(high),
            "share": _short(count / max(1, counts.sum())),
            "count": int(count),
            "series": series,
        }
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return [*rows, {**rows[-1], "low": rows[-1]["high"]}]  # the last step needs its right end


def _legend(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, PALETTE[index % len(PALETTE)]) for index, name in enumerate(names)]


def _curve_rows(history: History, column: str, series: str) -> list[dict[str, Any]]:
    # A column that never had a value, as where no episode ended, is not in the file.
    empty = [None] * len(history.columns["frames"])
    values, seconds = history.columns.get(column, empty), history.columns.get("seconds", empty)
    rows: list[dict[str, Any]] = [
        {
            "frames": int(frames),
            "seconds": None if second is None else round(second, 1),
            "value": value,
            "series": series,
        }
        for frames, second, value in zip(history.columns["frames"], seconds, values, strict=True)
        if frames is not None and value is not None
    ]
    return [{**rows[index], "value": _short(rows[index]["value"])} for index in _spread(len(rows))]


def _spread(count: int) -> list[int]:
    """At most :data:`MAX_POINTS` indices over ``range(count)``, first and last included."""
    if count <= MAX_POINTS:
        return list(range(count))
    return [round(index) for index in np.linspace(0, count - 1, MAX_POINTS)]


def _short(value: float) -> float:
    """Five significant digits: finer than a pixel, and a third of the size in the page."""
    return float(f"{value:.5g}")


def _lines(
    rows: Sequence[Mapping[str, Any]],
    legend: Sequence[tuple[str, str]],
    *,
    zero: bool,
    height: int,
    interpolate: Literal["linear", "step-before"] = "linear",
) -> alt.LayerChart | alt.FacetChart:
    """Lines over frames; pointing at the chart marks the nearest point and tells its frames, seconds and value.

    Rows with ``low`` and ``high`` get a band; where there is a mean, the other lines are thin.
    """
    nearest = alt.selection_point(
        nearest=True, on="pointerover", clear="pointerout", fields=["frames", "series"], empty=False
    )
    base = alt.Chart(alt.InlineData(values=list(rows))).encode(
        x=alt.X("frames:Q", title=None, axis=alt.Axis(format="~s", tickCount=4), scale=alt.Scale(nice=False)),
        y=alt.Y("value:Q", title=None, axis=alt.Axis(format=".3~g", tickCount=4), scale=alt.Scale(zero=zero)),
        color=_colour("series", legend),
    )
    line = base.mark_line(strokeWidth=1.75, strokeJoin="round", interpolate=interpolate)
    if any(row["series"] == MEAN for row in rows):
        is_mean = alt.datum.series == MEAN
        line = line.encode(
            strokeWidth=alt.when(is_mean).then(alt.value(2)).otherwise(alt.value(0.8)),
            opacity=alt.when(is_mean).then(alt.value(1)).otherwise(alt.value(0.7)),
        )
    band = base.transform_filter("isValid(datum.low)").mark_area(opacity=0.16, interpolate=interpolate)
    bands = [band.encode(y=alt.Y("low:Q", title=None), y2="high:Q")] if any("low" in row for row in rows) else []
    tooltip = [
        alt.Tooltip("series:N", title="line"),
        alt.Tooltip("frames:Q", title="frames", format=","),
        alt.Tooltip("seconds:Q", title="seconds", format=",.1f"),
        alt.Tooltip("value:Q", title="value", format=".5~g"),
    ]
    points = (
        base.mark_circle(size=45)
        .encode(opacity=alt.when(nearest).then(alt.value(1)).otherwise(alt.value(0)), tooltip=tooltip)
        .add_params(nearest)
    )
    return alt.layer(*bands, line, points, height=height)


def _colour(field: str, legend: Sequence[tuple[str, str]]) -> alt.Color:
    scale = alt.Scale(domain=[name for name, _ in legend], range=[colour for _, colour in legend])
    return alt.Color(f"{field}:N", scale=scale, legend=None)


def _finished(chart: Any) -> Spec:
    """The specification with the page's look; it fills its container's width."""
    quiet = {"labelColor": "currentColor", "titleColor": "currentColor", "labelOpacity": 0.7}
    sized = chart.properties(width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    styled = sized.configure(
        background="transparent",
        font="system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
        view={"stroke": None},
        axis={
            **quiet,
            "labelFontSize": 11,
            "gridColor": "currentColor",
            "gridOpacity": 0.12,
            "domain": False,
            "ticks": False,
            "labelPadding": 6,
            "labelSeparation": 8,
        },
    )
    spec: Spec = styled.to_dict()
    return spec
