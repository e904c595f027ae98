"""The README's own commands on real history: no stage that they publish may be worse than the one before it.

Judged on the time after the moment at which the commands ran. With `PINFUNNEL_DATA` unset and no data: skipped.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from apps.project import open_project
from apps.reports.stages_orders import STAGES
from apps.reports.stages_quality import StageQuality
from cluster.kinds import FULL, lightweight
from tests.worlds.first_models import COMMANDS, SITES, run

README = Path(__file__).parents[2] / "README.md"


def test_the_commands_are_those_of_the_readme() -> None:
    text = README.read_text()
    at = [text.index(f"pinfunnel {command.format('homefeed')}") for command in COMMANDS]
    assert at == sorted(at)


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(("name", "users"), [("toys", 700), ("ml-100k", 120)])
def test_no_published_stage_is_worse_than_the_one_before(
    name: str, users: int, real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (real_data / name).is_dir():
        pytest.skip(f"{name} is not in {real_data}")
    found: StageQuality = run(SITES[name](real_data, users), tmp_path)
    said = capsys.readouterr().out
    orders = found.figures["recall@50"]
    assert {"popularity", "visit_count"} <= set(orders)
    store = open_project(tmp_path / "pinfunnel.yaml").new_process().store
    kinds = {"lightweight": lightweight(SITES[name](real_data, users).client), "full": FULL}
    for stage, kind in kinds.items():
        assert (stage in orders) == (store.current(kind) is not None), said
    if "lightweight" in orders:
        gate = store.open(kinds["lightweight"]).meta["metrics"]["differences"]["visit_count"]["ndcg@10"]
        assert gate["high"] > gate["low"], "the gate compared nothing"
    for before, after in pairwise(stage for stage in STAGES if stage in orders):
        for figure in found.figures:
            difference = found.differences[f"{after} - {before} {figure}"]
            assert difference.high >= 0, f"{after} is worse than {before}: {figure} {difference}; {said}"
    if "full" in orders:
        metrics = store.open(FULL).meta["metrics"]
        gate = metrics["differences"]["without_full"]["all"]
        assert gate["high"] > gate["low"], "the gate compared nothing"
        auc = metrics["actions"]["full"]["save"]["auc"]
        assert np.isfinite(auc), "the published ranker was judged on one class"
        assert auc > 0.5, said
