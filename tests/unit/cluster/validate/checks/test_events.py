"""Events that name what nobody knows are kept or dropped as the build does, and counted."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.validate.checks.events import UNKNOWN_REQUEST
from cluster.validate.validation import validate
from tests.unit.cluster.validate.faulty import clean_tables, spoiled
from tests.worlds.inputs import FEATURES, write_project


def test_events_for_what_nobody_knows(tmp_path: Path) -> None:
    tables = clean_tables()
    n = len(tables["events"])
    events = tables["events"].append_column("request_id", pa.array(["r1", "r2"] + [None] * (n - 2), pa.string()))
    events = events.append_column("event_id", pa.array(["a", "a"] + [None] * (n - 2), pa.string()))
    events = spoiled(events, "pin_id", 2, 10**6)
    events = spoiled(events, "user_id", 3, 10**6)
    tables["events"] = spoiled(events, "action", 4, "eat")
    project = write_project(tmp_path, tables, features=FEATURES, files=1)
    log = Path(project.home) / "logs" / "serving" / "date=2024-01-01" / "client=homefeed"
    log.mkdir(parents=True)
    pq.write_table(pa.table({"request_id": ["r2"]}), log / "part-1.parquet")
    (log / "part-2.parquet").write_bytes(b"cut")
    found = {f.what: (f.kind, f.count, f.row) for f in validate(project).tables["events"].findings}
    assert found == {
        "event_id is there twice (one row is kept)": ("dropped", 1, 1),
        "pin_id is not in the graph": ("dropped", 1, 2),
        "user_id is not among the users (it gets a row of its own)": ("noted", 1, 3),
        "action 'eat' is not among `actions`": ("dropped", 1, 4),
        UNKNOWN_REQUEST: ("noted", 1, 0),
    }
