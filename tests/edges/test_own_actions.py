"""Projects with actions of their own, and inputs of which little can be used: `validate` says what would fail later."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from apps.cli import app
from apps.project import Opened, open_project
from cluster.catalog.build import build_catalog
from cluster.validate.report import Report
from cluster.validate.validation import validate
from tests.worlds.inputs import random_tables, write_project
from training.lightweight.strategies.registry import resolve


def opened(folder: Path, event_actions: list[str], **settings: Any) -> Opened:
    """A project of random inputs whose events do `event_actions` in turn."""
    tables = random_tables()
    known = pc.is_in(tables["edges"]["pin_id"], value_set=tables["pins"]["pin_id"].combine_chunks())
    tables["edges"] = tables["edges"].filter(known)
    events = tables["events"]
    did = pa.array([event_actions[i % len(event_actions)] for i in range(len(events))])
    tables["events"] = events.set_column(events.column_names.index("action"), "action", did)
    write_project(folder, tables)
    data = {name: {"path": name} for name in tables}
    (folder / "pinfunnel.yaml").write_text(yaml.safe_dump({"data": data, **settings}))
    return open_project(folder / "pinfunnel.yaml")


def checked(project: Opened) -> Report:
    return validate(project.project, clients=project.clients)


@pytest.mark.parametrize(
    ("actions", "negative"),
    [
        (["purchase", "hide"], ["hide"]),
        (["save", "click", "closeup", "long_click", "hide", "purchase"], ["hide"]),
        (["watch", "dislike"], ["dislike"]),
        (["hide", "closeup"], ["hide"]),
    ],
)
def test_the_shipped_clients_fit_any_actions(tmp_path: Path, actions: list[str], negative: list[str]) -> None:
    own = [action for action in actions if action not in negative][-1]
    project = opened(tmp_path, [own], actions=actions, negative_actions=negative)
    assert checked(project).ok, checked(project).text()
    for client in project.clients.values():
        rule = resolve(client.labels, project.project.actions, project.project.negative_actions)
        assert np.nan_to_num(rule.weights)[actions.index(own)] > 0
        assert client.query.actions[own] > 0
        assert client.utility[own] > 0
        assert set(client.utility) <= set(actions)
        assert all(client.utility.get(action, -1.0) < 0 for action in negative)


def test_own_actions_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    project = opened(tmp_path, ["purchase"], actions=["purchase", "refund"], negative_actions=["refund"])
    line = "purchase weighs 1, and the utility of refund is -2"
    assert line in caplog.text
    assert line in checked(project).text()


def test_actions_that_weigh_nothing_are_errors_of_the_client(tmp_path: Path) -> None:
    clients = tmp_path / "clients"
    clients.mkdir()
    (clients / "shop.yaml").write_text("utility: {save: 1}\nquery: {actions: {save: 1}}\n")
    project = opened(tmp_path, ["hide", "purchase"], clients="clients", negative_actions=["hide"],
                     actions=["save", "click", "closeup", "long_click", "hide", "purchase"])  # fmt: skip
    report = checked(project)
    assert not report.ok
    for key in ("labels.action_weights", "utility", "query.actions"):
        what = f"client shop: {key} has no weight above 0 for what the events hold (hide, purchase)"
        assert what in report.text()


def test_dropped_events_are_an_error_unless_allowed(tmp_path: Path) -> None:
    opened(tmp_path, ["purchase"])
    asked = ["validate", "--project", str(tmp_path / "pinfunnel.yaml")]
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code == 1
    assert "500 of 500 rows are dropped" in refused.output
    assert "add the action to `actions`" in refused.output
    assert "ok: the build can go ahead" not in refused.output
    allowed = CliRunner().invoke(app, [*asked, "--allow-drops", "1"])
    assert "rows are dropped, most of them" not in allowed.output


@pytest.mark.parametrize(
    ("bad", "allowed", "ok"), [(20, 0.05, True), (60, 0.05, False), (60, 0.2, True), (1, 0.0, False)]
)
def test_the_allowed_share_is_a_setting(tmp_path: Path, bad: int, allowed: float, ok: bool) -> None:
    project = opened(tmp_path, ["save"])
    data = project.project.data.model_copy(update={"allow_drops": allowed})
    events = random_tables()["events"]
    did = pa.array(["buy" if i < bad else "save" for i in range(len(events))])
    for path in (tmp_path / "events").glob("*.parquet"):
        path.unlink()
    events = events.set_column(events.column_names.index("action"), "action", did)
    pq.write_table(events, tmp_path / "events" / "all.parquet")
    report = validate(project.project.model_copy(update={"data": data}), clients=project.clients)
    assert bool(report.tables["events"].errors) is not ok


@pytest.mark.parametrize("on_boards", [40, 300, 999])
def test_pins_on_no_board_are_counted(tmp_path: Path, on_boards: int) -> None:
    tables = {
        "edges": pa.table({"board_id": np.arange(on_boards) % 10, "pin_id": np.arange(on_boards)}),
        "pins": pa.table({"pin_id": np.arange(1000)}),
    }
    project = write_project(tmp_path, tables)
    line = f"{1000 - on_boards:,} pins are on no board: sources that need no edges find them, the walk does not"
    assert line in validate(project).text()
    (tmp_path / "pinfunnel.yaml").write_text(yaml.safe_dump({"data": {name: {"path": name} for name in tables}}))
    store = open_project(tmp_path / "pinfunnel.yaml").new_process().store
    meta = store.open("graph", build_catalog(project, store, in_memory=True)).meta
    assert meta["drops"]["pins"]["noted"] == {
        "pins are on no board: sources that need no edges find them, the walk does not": 1000 - on_boards
    }
