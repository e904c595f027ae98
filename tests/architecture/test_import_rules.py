"""Every room and module has an import rule in pyproject.toml. That the rules hold is import-linter's to say."""

import pytest

from tests.architecture.repository import FLOORS, ROOT, contracts, layered, rooms

MAY_IMPORT_RAY = {
    "training.experiments": "counts the units of large logs with Ray Data",
    "training.full": "Ray Data makes its rows and Ray Train fits them",
    "training.lightweight": "Ray Data makes its examples and Ray Train fits them",
    "training.log": "joins logs and events with Ray Data",
    "training.quotas": "reads the joined log with Ray Data; whatever serving reads of it does without",
    "training.report": "joins logs and events with Ray Data",
    "serving.deploy": "the Ray Serve deployments",
}


@pytest.mark.parametrize("floor", FLOORS)
def test_every_room_and_module_of_a_floor_stands_in_its_layers(floor: str) -> None:
    alone = {f"{floor}.{path.stem}" for path in (ROOT / floor).glob("*.py") if path.stem != "__init__"}
    named = layered(floor)
    assert sorted((rooms(floor) | alone) - set(named)) == [], f"without a rule: add to 'Rooms of {floor}'"
    assert len(named) == len(set(named)), "a room stands in two layers"


def test_the_floors_stand_in_one_order() -> None:
    orders = [contract["layers"] for contract in contracts() if contract["type"] == "layers"]
    assert ["apps", "serving", "training", "cluster"] in orders


def test_rooms_know_nothing_of_ray_unless_they_are_named() -> None:
    free = {
        room
        for contract in contracts()
        if contract["type"] == "forbidden" and "ray" in contract["forbidden_modules"]
        for room in contract["source_modules"]
    }
    every = {room for floor in ("cluster", "training", "serving") for room in rooms(floor)}
    assert sorted(every - free - set(MAY_IMPORT_RAY)) == [], "forbid Ray to them in pyproject.toml, or say why not here"
    assert sorted(free & set(MAY_IMPORT_RAY)) == [], "these do without Ray now: take them out of the list here"
