"""A session in a process of its own, so that the shared Ray of the other tests stays as it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os
from cluster import session

with session.session(num_cpus=2, dashboard=False):
    import ray
    from ray import serve
    from ray.serve._private import constants

    @ray.remote
    def flags():
        return {name: os.environ.get(name) for name in (*session.FLAGS, "RAY_AUTH_MODE")}

    seen = {
        "worker": ray.get(flags.remote()),
        "ha_proxy": constants.RAY_SERVE_ENABLE_HA_PROXY,
        "cpus": ray.cluster_resources()["CPU"],
        "train": session.train_resources(),
        "store": ray.cluster_resources()["object_store_memory"],
    }
    with session.session():  # a session inside another neither starts nor ends anything
        pass
    seen["kept"] = ray.is_initialized()
seen["ended"] = not ray.is_initialized()
print("RESULT " + json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict:
    home = tmp_path_factory.mktemp("home")
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env |= {"HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return {**json.loads(line.removeprefix("RESULT ")), "home": home, "stderr": done.stderr}


def test_workers_inherit_the_flags(seen: dict) -> None:
    from cluster.session import FLAGS

    assert seen["worker"] == {**FLAGS, "RAY_AUTH_MODE": "disabled"}
    assert seen["ha_proxy"] is True


def test_no_token_is_left_in_the_home_folder(seen: dict) -> None:
    assert not (seen["home"] / ".ray" / "auth_token").exists()


def test_ray_has_the_size_asked_for(seen: dict) -> None:
    assert seen["cpus"] == 2
    assert seen["train"] == [1, {"CPU": 1.0}]
    assert 128 * 2**20 <= seen["store"] <= 4096 * 2**20


def test_the_outer_session_ends_ray_and_the_inner_does_not(seen: dict) -> None:
    assert (seen["kept"], seen["ended"]) == (True, True)


def test_starting_is_quiet(seen: dict) -> None:
    assert "Token authentication" not in seen["stderr"]
    assert "Warning" not in seen["stderr"]
