"""The page: everything known about one experiment, laid out by the template as one HTML document."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from dexhand_env.report import formats
from dexhand_env.report.charts import Chart, distribution, learning_curve, sweep_curve, terms_chart
from dexhand_env.report.drop import TRAINING, Drop, largest_drop
from dexhand_env.report.episodes import EpisodeTable
from dexhand_env.report.heat import heat_gradient, heat_style
from dexhand_env.report.join import JoinedCondition
from dexhand_env.report.records import StageRun
from dexhand_env.report.replay import RecordedScene, client_document
from dexhand_env.report.reproduction import PageCode, reproduction
from dexhand_env.report.results import Results
from dexhand_env.report.settings import settings_tree, value_text
from dexhand_env.report.sweeps import sweeps
from dexhand_env.report.table import episode_payload

CURVES = (
    ("return", "Return"),
    ("success_rate", "Success rate"),
    ("episode_length", "Episode length (steps)"),
    ("policy_loss", "Policy loss"),
    ("value_loss", "Value loss"),
    ("kl", "KL divergence"),
    ("learning_rate", "Learning rate"),
    ("entropy", "Entropy"),
)
# The data of the page are in it; the policy lets its scripts run and forbids everything that would leave the file.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; connect-src data: blob:; worker-src blob:; frame-src blob:; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class Scale:
    """The number line under a success rate: fractions from ``low`` to 1 placed in per cent of its width."""

    low: float

    @classmethod
    def holding(cls, fractions: Iterable[float]) -> Scale:
        """A scale that begins at a multiple of 5 % a little below the lowest of ``fractions``."""
        return cls(min(0.95, max(0.0, int((min(fractions, default=1.0) - 0.02) * 20) / 20)))

    def place(self, fraction: float) -> float:
        return round(100.0 * (max(fraction, self.low) - self.low) / (1.0 - self.low), 2)


def render_page(
    results: Results,
    joined: Mapping[str, JoinedCondition],
    variants: Mapping[str, JoinedCondition],
    scenes: Sequence[RecordedScene],
    page: PageCode | None,
) -> str:
    """The whole report as one HTML document that fetches nothing.

    Args:
        results: the experiment's recorded files.
        joined: its conditions joined over the seeds, see :func:`dexhand_env.report.join.join_conditions`.
        variants: its variants joined likewise.
        scenes: the replays of the first seed, see :func:`dexhand_env.report.replay.record_scenes`.
        page: the code that runs; None where it is of no known commit.
    """
    runs = [*results.stages, *(run for seed in results.seeds for run in seed.stages)]
    headline, goal = _primary(joined) if joined else TRAINING, results.config.report.success_goal
    recorded = results.first.variants if results.first else {}
    changes = {name: variant.changes for name, variant in recorded.items()}
    tested = sweeps(joined, variants, changes, headline) if joined else []
    curves = [sweep_curve(sweep, goal) for sweep in tested]
    charts = {**_charts(results), "sweeps": [chart for chart in curves if chart is not None]}
    bounds = [goal, *(condition.lowest for condition in joined.values())]
    tables = {seed.seed: seed.episodes for seed in results.seeds if seed.episodes is not None}
    payload = {
        "charts": {
            f"{group}-{index}": chart.spec for group, some in charts.items() for index, chart in enumerate(some)
        },
        "episodes": episode_payload(tables) if tables else None,
        "client": client_document(),
        "scenes": {scene.replay.name: scene.data for scene in scenes},
    }
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            results=results,
            config=results.config,
            joined=joined,
            variants=variants,
            goal=goal,
            sweeps=tested,
            heat=Scale.holding(test.joined.success_rate for sweep in tested for test in sweep.tests),
            heat_style=heat_style,
            heat_gradient=heat_gradient(),
            headline=headline,
            drop=_drop(joined, results.config.report.allowed_drop),
            scale=Scale.holding(bounds),
            selection_scales={
                seed.seed: Scale.holding(candidate.interval[0] for candidate in seed.selection.candidates)
                for seed in results.seeds
                if seed.selection is not None
            },
            charts=charts,
            episodes=bool(tables),
            scenes=scenes,
            runs=runs,
            asked=_asked(results.config.config),
            reproduction=reproduction(runs, page),
            provenance=_provenance(results),
            settings=settings_tree(results.config.config, {change.key for change in results.config.differences}),
            content_policy=CONTENT_POLICY,
            style=own_code(resource("style.css")),
            script=own_code(resource("charts.js") + resource("page.js")),
            vega=drawing_code(),
            payload=json_for_script(payload),
        )
    )


@functools.cache
def drawing_code() -> Markup:
    """What draws charts and tooltips: Vega-Lite's own bundle out of the installed package, nothing is downloaded."""
    import vl_convert

    return own_code(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def json_for_script(value: Any) -> Markup:
    """``value`` as JSON that cannot end the script element that holds it, whatever text is inside."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    escaped = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(escaped)  # noqa: S704 - nothing in it can end the element any more


def own_code(code: str) -> Markup:
    """A script or style of ours or of a library's, never a user's text.

    Inside JavaScript's strings and regular expressions ``<\\/`` means ``</``.
    """
    return Markup(code.replace("</script", "<\\/script").replace("<!--", "<\\!--"))  # noqa: S704 - no user's text


def _charts(results: Results) -> dict[str, list[Chart]]:
    histories = {seed.seed: seed.history for seed in results.seeds if seed.history is not None}
    tables = [seed.episodes for seed in results.seeds if seed.episodes is not None]
    metrics = [name for name in tables[0].metrics if all(name in table.columns for table in tables)] if tables else []
    columns = ["return", "length_steps", *metrics] if tables and results.first else []
    conditions = list(results.first.conditions) if results.first else []
    groups: dict[str, list[Chart | None]] = {
        "curves": [
            *(learning_curve(histories, column, title) for column, title in CURVES),
            learning_curve(histories, "curriculum_level", "Curriculum level", steps=True),
        ],
        "terms": [terms_chart(histories, "reward", "Reward terms"), terms_chart(histories, "termination", "Endings")],
        "spread": [
            distribution(_by_condition(tables, conditions, column), formats.label(column).capitalize())
            for column in columns
        ],
    }
    return {group: [chart for chart in some if chart is not None] for group, some in groups.items()}


def _by_condition(tables: Sequence[EpisodeTable], conditions: Sequence[str], column: str) -> dict[str, Any]:
    import numpy as np

    return {name: np.concatenate([table.under(name).columns[column] for table in tables]) for name in conditions}


def _primary(joined: Mapping[str, JoinedCondition]) -> str:
    """The condition that the headline judges: the physics trained with, or the first where that was not evaluated."""
    return TRAINING if TRAINING in joined else next(iter(joined))


def _drop(joined: Mapping[str, JoinedCondition], allowed: float) -> Drop | None:
    """What the last check of the pipeline looks at, see :mod:`dexhand_env.stages.check`."""
    rates = {
        name: {seed: run["success_rate"] for seed, run in condition.per_seed.items()}
        for name, condition in joined.items()
    }
    return largest_drop(rates, allowed)


def _asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the task's configuration says of success, for a reader who does not know the task."""
    success = config.get("env", {}).get("success", {})
    plain = success.items() if isinstance(success, Mapping) else ()
    return {key: value for key, value in plain if value is not None and not isinstance(value, (Mapping, list))}


def _trained(results: Results) -> StageRun | None:
    """The record of the first seed's training, or of the first stage that ran."""
    seed = results.seeds[0]
    runs = [run for run in seed.stages if run.stage == "train"] or seed.stages or results.stages
    return runs[0] if runs else None


def _provenance(results: Results) -> dict[str, str]:
    """Where the policy came from, from the record of its training."""
    run = _trained(results)
    if run is None:
        return {}
    machine = run.machine
    commit = (run.commit or "unknown") + (" with uncommitted changes" if run.dirty else "")
    facts = {
        "commit": commit,
        "python": run.python,
        **run.versions,
        "processor": machine.processor,
        "cores": f"{machine.cores} ({run.threads} used)" if machine.cores and run.threads else machine.cores,
        "memory": formats.size(machine.memory_bytes) if machine.memory_bytes else None,
        "GPU": machine.gpu or "none",
        "system": machine.system,
    }
    return {key: str(value) for key, value in facts.items() if value is not None}


def environment() -> jinja2.Environment:
    """The templates, escaping whatever a user wrote."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("dexhand_env.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        percent=formats.percent,
        points=formats.points,
        interval=formats.percent_interval,
        integer=formats.integer,
        number=formats.number,
        duration=formats.duration,
        size=formats.size,
        moment=formats.moment,
        label=formats.label,
        value_text=value_text,
    )
    return made


def resource(name: str) -> str:
    """The text of a file beside the templates."""
    return resources.files("dexhand_env.report").joinpath("templates", name).read_text(encoding="utf-8")
