"""What docs/experimenting.md says in other languages, and by numbers, is what users get."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.experiments.assignment import OUTSIDE, arms_of
from cluster.experiments.definition import Experiment

PAGE = (Path(__file__).parents[4] / "docs/experimenting.md").read_text(encoding="utf-8")
VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))


def block(language: str) -> str:
    """The page's first block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_table_holds_the_vectors() -> None:
    rows = re.findall(r"^\| `(\d+)` \| ([\d.]+) \| ([\d.]+) \| the (first|second) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 3
    for user, layer, arm, which in rows:
        [vector] = [v for v in VECTORS if str(v.get("user")) == user and v["salt"] == "more_boards"]
        assert (float(layer), float(arm)) == (vector["layer_point"], vector["arm_point"])
        assert (which == "second") == bool(vector["arm_of_two"])


def test_the_file_is_one() -> None:
    [(name, raw)] = yaml.safe_load(block("yaml")).items()
    assert Experiment.model_validate({"name": name, **raw}).traffic == 0.2


@pytest.mark.skipif(shutil.which("node") is None, reason="runs JavaScript: needs node")
def test_the_javascript_gives_everybody_their_arm() -> None:
    arms: dict[str, Any] = {"a": {"weight": 1}, "b": {"weight": 2.5}, "c": {"weight": 0.3}}
    experiment = Experiment.model_validate(
        {"name": "e", "clients": ["x"], "layer": "l", "salt": "s", "start": 0.1, "traffic": 0.7, "arms": arms}
    )
    users: list[int | str] = [*range(300), -5, 2**62, "anna", "Zoë", "用户/7"]
    told = {
        "experiment": {
            "layer": "l",
            "salt": "s",
            "start": 0.1,
            "traffic": 0.7,
            "arms": [{"name": name, **arm} for name, arm in arms.items()],
        },
        "users": list(map(str, users)),
    }
    script = f"{block('javascript')}\nconst t = {json.dumps(told)};\n"
    script += "console.log(JSON.stringify(t.users.map((u) => armOf(t.experiment, u))));"
    out = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True, timeout=60)
    names = list(arms)
    wanted = [None if arm == OUTSIDE else names[arm] for arm in arms_of(experiment, users).tolist()]
    assert json.loads(out.stdout) == wanted
    assert None in wanted
    assert {*wanted} == {None, *names}
