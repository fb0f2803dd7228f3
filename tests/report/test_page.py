"""What stands in the page and in evaluation.json, read without a browser."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dexhand_env.intervals import wilson_interval
from dexhand_env.report import formats
from dexhand_env.report.page import json_for_script
from dexhand_env.stages.report import write_report

from .synthetic import edit_json, write_results

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\'"&<!--'
MIB = 2**20


class _Outline(HTMLParser):
    """Collects the tags, the attributes' names, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.texts: list[str] = []
        self._code = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self._code = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._code = False

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).replace("\u00a0", " ").split())


def _page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_verdict_comes_first_with_its_interval(reported: Path) -> None:
    text = _Outline(_page(reported)).text
    evaluation = json.loads((reported / "evaluation.json").read_text(encoding="utf-8"))["conditions"]["training"]
    assert "BaseTask meets its goal" in text[:300]
    assert formats.percent(evaluation["success_rate"]).replace("\u00a0", " ") in text[:400]
    assert formats.percent_interval(evaluation["interval"]).replace("\u00a0", " ") in text[:400]
    assert "1,024 fresh episodes" in text[:400]


def test_the_verdict_says_that_the_last_check_fails(recorded: Path) -> None:
    edit_json(recorded / "config/report.json", report={"success_goal": 0.95, "allowed_drop": 0.0})
    evaluation = json.loads((recorded / "seed42/evaluation.json").read_text(encoding="utf-8"))
    reference = evaluation["conditions"]["reference"]
    fewer = {"successes": 32, "success_rate": 0.5, "interval": [0.38, 0.62]}
    edit_json(
        recorded / "seed42/evaluation.json", conditions={**evaluation["conditions"], "reference": reference | fewer}
    )
    episodes = pyarrow.parquet.read_table(recorded / "seed42/episodes.parquet").to_pydict()
    succeeded = [index % 2 == 0 for index in range(64)]
    episodes["success"] = [*episodes["success"][:64], *succeeded]
    pyarrow.parquet.write_table(pyarrow.table(episodes), recorded / "seed42/episodes.parquet")
    write_report(recorded)
    text = _Outline(_page(recorded)).text
    assert "BaseTask misses its goal and depends on its simulator" in text[:300]
    assert "loses 46.9 points of success, more than the 0 that report.allowed_drop allows" in text[:1000]


def test_the_page_says_what_was_run_and_how_to_run_it_again(reported: Path) -> None:
    text = _Outline(_page(reported)).text
    for expected in (
        "train.params.config.gamma",
        "5e05671b7c1d22a9f31b0a4c8d3e9f60712ab345",
        "torch",
        "448 MiB",
        "checkpoint_120.pth chosen",
        "git checkout 5e05671b7c1d22a9f31b0a4c8d3e9f60712ab345 make install",
        "snakemake --cores 1 results/BaseTask/report.html",
        "The task: Bring the whole hand into a commanded posture. What it asks of a success:",
        "What it asks of a success: position (m) 0.01, hold (steps) 10.",
        "0.001",  # the reference physics' time step
        hashlib.md5((reported / "seed42/replays.npz").read_bytes(), usedforsecurity=False).hexdigest(),
    ):
        assert expected in text


def test_the_heat_map_names_what_was_changed_and_the_curve_what_was_trained(reported: Path) -> None:
    text = _Outline(_page(reported)).text
    assert "speed_limit 0.5 69.9 %" in text
    assert "1 (trained with) 98.1 %" in text
    assert "right (trained with) 98.1 %" in text
    assert "left hand 39.8 %" in text
    label = 'aria-label="speed_limit: 0.5: 69.9\u00a0%, 1 (trained): 98.1\u00a0%, 2: 89.8\u00a0%"'
    assert label in _page(reported)


def test_a_failure_of_each_kind_can_be_replayed_whichever_seed_met_it(tmp_path: Path) -> None:
    folder = write_results(tmp_path, seeds=(1, 2), episodes=64)
    with np.load(folder / "seed2/replays.npz") as archive:
        arrays = {**archive, "worst_outcome": np.array("nan")}
    np.savez_compressed(folder / "seed2/replays.npz", **arrays)
    write_report(folder)
    text = _Outline(_page(folder)).text
    assert "Worst episode 102 · timeout" in text
    assert "Failure: out of reach episode 103 · out of reach" in text
    assert "Failure: nan seed 2, episode 102 · nan" in text


def test_a_page_without_the_evaluation_shows_the_rest_and_names_what_is_missing(recorded: Path) -> None:
    for name in ("evaluation.json", "episodes.parquet"):
        (recorded / "seed42" / name).unlink()
    (recorded / "seed42/replays.npz").write_bytes(b"PK")
    (recorded / "evaluation.json").write_text("{}", encoding="utf-8")  # of a report before
    missing = write_report(recorded)
    assert [Path(each.path).name for each in missing] == ["evaluation.json", "episodes.parquet", "replays.npz"]
    text = _Outline(_page(recorded)).text
    assert "BaseTask is not tested" in text[:200]
    assert "3 files are missing or damaged" in text
    assert "seed42/evaluation.json : file is missing. dvc repro evaluate-BaseTask-42" in text
    assert "seed42/replays.npz : is not a readable npz archive" in text
    assert "checkpoint_120.pth chosen" in text
    assert "No replay was recorded." in text
    assert not (recorded / "evaluation.json").exists()


def test_a_seed_that_was_not_tested_leaves_the_goal_open(tmp_path: Path) -> None:
    folder = write_results(tmp_path, seeds=(1, 2), episodes=64)
    for file in (folder / "seed2").rglob("*.*"):
        if file.name != "episodes.parquet":
            file.unlink()
    path = folder / "seed2/episodes.parquet"
    episodes = pyarrow.parquet.read_table(path)
    pyarrow.parquet.write_table(episodes.drop_columns(episodes.column_names[-1]), path)  # before there was that metric
    assert len(write_report(folder)) == 7
    text = _Outline(_page(folder)).text
    assert "BaseTask is not fully tested 1 of 2 training seeds were tested" in text
    assert "dvc repro train-BaseTask-2" in text
    assert "goal met" not in text
    assert not (folder / "evaluation.json").exists()


def test_the_page_names_no_address_to_fetch(reported: Path) -> None:
    outline = _Outline(_page(reported))
    assert "src" not in outline.attributes
    assert not re.search(r"<link[^>]+href=\"(?!data:)", _page(reported))
    assert "default-src &#39;none&#39;" in _page(reported)


def test_joined_evaluation(reported: Path) -> None:
    evaluation = json.loads((reported / "evaluation.json").read_text(encoding="utf-8"))
    assert (evaluation["experiment"], evaluation["task"], evaluation["seeds"]) == ("BaseTask", "BaseTask", [42])
    assert list(evaluation["conditions"]) == ["training", "reference"]
    for condition in evaluation["conditions"].values():
        seed = condition["per_seed"]["42"]
        assert condition["episodes"] == 1024
        assert condition["success_rate"] == seed["successes"] / 1024
        assert tuple(condition["interval"]) == wilson_interval(seed["successes"], 1024)


def test_several_seeds_are_joined_and_told_apart(tmp_path: Path) -> None:
    folder = write_results(tmp_path, seeds=(1, 2, 3), episodes=128, success_rate=0.95)
    write_report(folder)
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    training = evaluation["conditions"]["training"]
    assert training["episodes"] == 3 * 128
    assert sorted(training["per_seed"]) == ["1", "2", "3"]
    text = _Outline(_page(folder)).text
    assert "misses its goal" in text
    assert all(f"seed {seed}:" in text for seed in (1, 2, 3))


def test_the_level_of_a_curriculum_is_a_staircase_where_there_is_one(reported: Path, recorded: Path) -> None:
    assert "Curriculum level" not in _page(reported)
    path = recorded / "seed42" / "history.csv"
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    levels = [",".join((line, str(index // 30))) for index, line in enumerate(lines)]
    path.write_text("\n".join([f"{head},curriculum_level", *levels]) + "\n", encoding="utf-8")
    write_report(recorded)
    page = _page(recorded)
    assert 'aria-label="Curriculum level: ends at 3"' in page
    assert page.count('"interpolate":"step-before"') == 1


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    folder = write_results(tmp_path, episodes=64, note=HOSTILE)
    write_report(folder)
    plain = write_results(tmp_path / "plain", episodes=64, note="harmless")
    write_report(plain)
    hostile_outline, outline = _Outline(_page(folder)), _Outline(_page(plain))
    assert hostile_outline.tags == outline.tags
    assert "onerror" not in hostile_outline.attributes
    assert "<img src=x" in hostile_outline.text  # shown as the text it is


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_in_a_script_is_the_same_value_and_cannot_end_the_script(value: object) -> None:
    text = str(json_for_script([value, HOSTILE]))
    assert json.loads(text) == [value, HOSTILE]
    assert not set("<>&") & set(text)


def test_the_page_is_small_even_with_many_episodes(reported: Path, tmp_path: Path) -> None:
    assert (reported / "report.html").stat().st_size < 4 * MIB
    folder = write_results(tmp_path, episodes=10_000)
    write_report(folder)
    assert (folder / "report.html").stat().st_size < 5 * MIB
    assert (
        json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["conditions"]["training"]["episodes"]
        == 10_000
    )


def test_one_content_for_one_folder(recorded: Path) -> None:
    assert write_report(recorded) == []
    first = (recorded / "report.html").read_bytes()
    evaluation = (recorded / "evaluation.json").read_bytes()
    write_report(recorded)
    assert (recorded / "report.html").read_bytes() == first
    assert (recorded / "evaluation.json").read_bytes() == evaluation


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("position_error_m", "position error (m)"),
        ("speed_m_per_s", "speed (m/s)"),
        ("torque_limit_n_m", "torque limit (N m)"),
        ("hold_steps", "hold (steps)"),
        ("m", "m"),
        ("success", "success"),
    ],
)
def test_a_unit_stands_in_brackets(name: str, text: str) -> None:
    assert formats.label(name) == text


def test_a_huge_number_is_written_by_its_power_of_ten() -> None:
    assert (formats.number(-1e300), formats.number(1_228_800)) == ("\u22121e+300", "1,228,800")


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0.9496, 0.98, "94.9–98 %"), (0.95, 1.0, "95–100 %"), (0.96005, 0.98999, "96–99 %"), (0.0, 0.0001, "0–0.1 %")],
)
def test_bounds_are_rounded_outward(low: float, high: float, text: str) -> None:
    assert formats.percent_interval((low, high)).replace("\u00a0", " ") == text


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_only_a_perfect_rate_reads_as_perfect(count: tuple[int, int]) -> None:
    rate = count[0] / count[1]
    assert (formats.percent(rate) == "100\u00a0%") == (rate == 1.0)
    assert (formats.percent(rate) == "0\u00a0%") == (rate == 0.0)
