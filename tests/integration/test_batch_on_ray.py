"""A batch by Ray Data's actors: the answers of one process."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.batch.plan import BatchPlan, begin, digest_of
from apps.batch.run import run_batch
from tests.worlds.funnel import NOW, opened_world

pytestmark = pytest.mark.usefixtures("ray_session")


def test_actors_answer_as_one_process_does_and_go_on_where_a_run_ended(tmp_path: Path) -> None:
    opened = opened_world(tmp_path / "world")
    ids = np.arange(1, 14, dtype=np.int64)
    plan = BatchPlan("homefeed", "user", NOW, len(ids), digest_of(ids), piece=4)
    found = {}
    for name, workers in (("alone", 1), ("ray", 2)):
        out = tmp_path / name
        seen: list[tuple[int, int]] = []
        begun = begin(out, plan, True)
        done = run_batch(opened, begun, ids, out, workers, lambda now, total, seen=seen: seen.append((now, total)))  # type: ignore[misc]
        assert (done.pieces, done.before, done.answered, done.failed) == (4, 0, 13, 0)
        assert (seen[0], seen[-1]) == ((0, 4), (4, 4))
        found[name] = pa.concat_tables([pq.read_table(path) for path in sorted(out.glob("*.parquet"))])
    columns = ["user_id", "pin_ids", "scores", "degraded"]
    assert found["ray"].select(columns).equals(found["alone"].select(columns))
    (tmp_path / "ray" / "part-000002.parquet").unlink()
    again = run_batch(opened, begin(tmp_path / "ray", plan, True), ids, tmp_path / "ray", 2, lambda now, total: None)
    assert (again.before, again.answered) == (3, 4)
