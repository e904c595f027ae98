"""Fixtures every test may use. Ray starts once per session: four to five seconds each time otherwise."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Toy networks gain nothing from threads, which spin for a core that others have: minutes on a busy machine."""
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    S3_PORT = free.getsockname()[1]
os.environ |= {  # here, as Ray's workers have the environment that Ray was started in; nobody listens there until `s3`
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{S3_PORT}",
    "AWS_ACCESS_KEY_ID": "tests",
    "AWS_SECRET_ACCESS_KEY": "tests",
    "AWS_REGION": "us-east-1",
}


RAYS_OWN = r"ignore::{}:ray\."
"""Ray sets options of its own that it has deprecated, and calls pandas in ways that pandas has: none of it is ours."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let Ray's modules warn of deprecations among themselves: pyproject.toml names whole modules only."""
    for item in items:
        for category in ("DeprecationWarning", "FutureWarning"):
            item.add_marker(pytest.mark.filterwarnings(RAYS_OWN.format(category)))


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A local Ray of its own with two CPUs; never joins a cluster that happens to run on the machine."""
    from cluster import session

    with session.session(num_cpus=2, dashboard=False):
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with public data sets (`ml-100k/`, `gowalla/`), or a loud skip."""
    folder = Path(os.environ.get("PINFUNNEL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}: set PINFUNNEL_DATA to the folder with ml-100k/ and gowalla/")
    return folder


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server, one for the whole run."""
    from tests.worlds.objects import s3_server

    with s3_server(S3_PORT) as endpoint:
        yield endpoint


@pytest.fixture
def s3(s3_endpoint: str) -> str:
    """The URI of a new bucket."""
    from tests.worlds.objects import new_bucket

    return new_bucket(s3_endpoint)
