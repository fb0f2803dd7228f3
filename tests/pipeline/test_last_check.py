"""A policy that loses its success in the reference physics: the report is written, and the command fails."""

from __future__ import annotations

from .clone import Clone
from .conftest import REPORT

LINE = "Tiny, seed 1: success 0.0000 under training, 0.0000 under reference physics; a drop of 25.0 points"


def test_a_failed_check_keeps_the_report_and_fails_either_tool_until_the_config_allows_it(done: Clone) -> None:
    done.edit("dexhand_env/report/drop.py", "return self.training - self.reference", "return 0.25")
    for run in (done.snakemake(REPORT, check=False), done.repro(check=False), done.snakemake(REPORT, check=False)):
        assert run.code != 0
        assert run.output.count(f"{LINE}, more than the 10 allowed by report.allowed_drop") == 1
        assert "loses <strong>25&nbsp;points</strong>" in (done.path / REPORT).read_text(encoding="utf-8")
        assert not (done.path / "results/Tiny/checked.json").exists()
    done.edit("configs/Tiny.yaml", "success_goal: 0.5", "success_goal: 0.5, allowed_drop: 0.25")
    assert f"{LINE}, 25 allowed" in done.snakemake(REPORT).output
    assert "points</strong>" not in (done.path / REPORT).read_text(encoding="utf-8")
