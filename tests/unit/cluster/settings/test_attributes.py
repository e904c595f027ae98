"""The section `attributes`: kinds, names that are taken, and columns that are features as well."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.errors import ConfigError
from cluster.settings.project import Project


def load(folder: Path, attributes: Any, pins: bool = True, **features: Any) -> Project:
    path = folder / "pinfunnel.yaml"
    data = {"edges": {"path": "edges"}, **({"pins": {"path": "pins"}} if pins else {})}
    path.write_text(yaml.safe_dump({"data": data, "attributes": attributes, "features": features}))
    return Project.load(path)


def test_a_column_may_be_feature_and_attribute(tmp_path: Path) -> None:
    kinds = {"price": "number", "brand": "category", "tags": "list", "ends": "time", "topics": "list"}
    project = load(tmp_path, kinds, pin_numeric=["price"], pin_categorical=["brand"])
    assert project.attributes == kinds


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"price": "float"}, "attributes.price: Input should be 'number', 'category', 'list' or 'time'"),
        ({"": "number"}, "attributes: .*needs a name"),
        ({"x" * 65: "number"}, "attributes: .*needs a name of at most 64 bytes"),
        ({"pin_id": "category"}, "'pin_id' is a column of the data contract"),
        ({"topics": "category"}, "'topics' is an attribute of every project, of the kind `list`"),
        ({f"a{at}": "number" for at in range(65)}, "65 attributes: at most 64"),
        ({"speed": "category"}, "attributes: 'speed' is a feature of the kind `number`, not `category`"),
        ({"shop": "list"}, "attributes: 'shop' is a feature of the kind `category`, not `list`"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, attributes: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(tmp_path, attributes, pin_numeric=["speed"], pin_categorical=["shop"])


def test_attributes_want_a_pins_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"attributes are columns of the pins input: give `data.pins`"):
        load(tmp_path, {"price": "number"}, pins=False)
