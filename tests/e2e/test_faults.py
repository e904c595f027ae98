"""The short form of `pinfunnel faults`: a server's processes are killed, its bundles and logs damaged, under load."""

import json
import os
import subprocess
import sys
from pathlib import Path

from apps.faults.catalogue import chosen
from apps.faults.writer import NAME


def test_nothing_is_wrong_or_lost_and_all_becomes_normal_again(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PINFUNNEL_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pinfunnel", "faults", "--short", "--json", str(tmp_path / "faults.json")],
        env={**env, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    rows = {row["fault"]: row for row in json.loads((tmp_path / "faults.json").read_text())["rows"]}
    assert list(rows) == [NAME, *(fault.name for fault in chosen([], short=True))]
    assert [name for name, row in rows.items() if row["skipped"]] == []
    assert all(row["acknowledged"] > 0 for row in rows.values()), said
    assert rows["log-parts"]["note"] == "6 parts"
    assert "health named 3 of 3" in rows["bundle-flip"]["note"]
