"""Names that differ in case or spaces only never match, and a rule on a value that nobody has holds for nothing."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.settings.clients import Client
from cluster.settings.project import DataSettings, FeatureSettings, Project, Source
from cluster.validate.validation import validate


def noted(folder: Path, pins: dict[str, Any], users: dict[str, Any] | None = None, policy: Any = None) -> list[str]:
    tables = {"edges": {"board_id": [1], "pin_id": [1]}, "pins": {"pin_id": list(range(1, 1 + len(pins["x"]))), **pins}}
    if users is not None:
        tables["users"] = {"user_id": list(range(len(next(iter(users.values()))))), **users}
    tables["pins"].pop("x")
    for name, table in tables.items():
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    project = Project(
        home=str(folder / "home"),
        data=DataSettings(**{name: Source(path=str(folder / f"{name}.parquet")) for name in tables}),
        features=FeatureSettings(pin_categorical=("rating",) if "rating" in pins else ()),
    )
    clients = {"feed": Client.model_validate({"name": "feed", "policy": policy or {}})}
    report = validate(project, clients=clients)
    assert report.ok
    return [f.text for table in report.tables.values() for f in table.findings if f.kind == "noted"]


@pytest.mark.parametrize("interest", ["Rock", "ROCK", " rock", "rock ", "R\u00f6ck"])
def test_interests_that_no_topic_meets_are_named(tmp_path: Path, interest: str) -> None:
    topic = "r\u00f6ck" if "\u00f6" in interest else "rock"
    found = noted(tmp_path, {"x": [1], "topics": [[topic, "pop"]]}, {"interests": [[interest, "jazz"], ["pop"]]})
    (line,) = [text for text in found if "interests" in text]
    assert f"{interest!r} and {topic!r}" in line
    assert "jazz" not in line


def test_locales_that_differ_in_case_are_named(tmp_path: Path) -> None:
    found = noted(tmp_path, {"x": [1, 2], "locale": ["de", "fr"]}, {"locale": ["DE", "fr", "it"]})
    (line,) = [text for text in found if "locale" in text]
    assert "'DE' and 'de'" in line


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"forbid": {"rating": ["Adult"]}}, "client feed: policy: no pin has rating 'Adult'; did you mean 'adult'?"),
        ({"forbid": {"rating": ["adlut"]}}, "did you mean 'adult'?"),
        ({"demote": {"rating": {"gore": 0.5}}}, "client feed: policy: no pin has rating 'gore'"),
    ],
)
def test_rules_on_values_that_no_pin_has_are_named(tmp_path: Path, policy: Any, says: str) -> None:
    found = noted(tmp_path, {"x": [1, 2, 3], "rating": ["adult", "all", None]}, policy=policy)
    assert any(says in text for text in found), found
    assert noted(tmp_path, {"x": [1, 2], "rating": ["adult", "all"]}, policy={"forbid": {"rating": ["adult"]}}) == []


def test_values_of_one_column_that_differ_in_spaces_are_named(tmp_path: Path) -> None:
    found = noted(tmp_path, {"x": [1, 2, 3], "rating": ["adult", "adult ", "all"]})
    assert any("'adult' and 'adult '" in text for text in found), found


def test_values_that_share_a_feature_code_are_counted(tmp_path: Path) -> None:
    many = [f"seller {i}" for i in range(20_000)]
    found = noted(tmp_path, {"x": many, "rating": many})
    (line,) = [text for text in found if "share a feature code" in text]
    assert "of 20,000 values" in line
