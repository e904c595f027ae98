"""The parts of cluster/session.py that need no Ray: flags, sizes, and the split of CPUs."""

import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import haproxy, session
from cluster.errors import ConfigError


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without Ray's variables, restored afterwards, in a process that has not imported Serve."""
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    for name in (*session.FLAGS, "RAY_AUTH_MODE", "RAY_ADDRESS"):
        monkeypatch.setenv(name, "restore me")
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "ray.serve._private.constants", raising=False)
    return monkeypatch


def test_a_ray_of_our_own_needs_no_token(clean: pytest.MonkeyPatch) -> None:
    session.set_flags()
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
    assert {name: os.environ[name] for name in session.FLAGS} == dict(session.FLAGS)


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_a_cluster_needs_the_token(clean: pytest.MonkeyPatch, how: str) -> None:
    clean.delitem(sys.modules, "ray", raising=False)
    if how == "environment":
        clean.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    session.set_flags("10.0.0.1:6379" if how == "argument" else None)
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_token_mode_after_ray_was_imported_is_refused(clean: pytest.MonkeyPatch) -> None:
    clean.setitem(sys.modules, "ray", object())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="RAY_AUTH_MODE=token"):
        session.set_flags("10.0.0.1:6379")


def test_what_the_user_set_stays(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("RAY_AUTH_MODE", "token")
    clean.setenv("RAY_SERVE_ENABLE_HA_PROXY", "0")
    session.set_flags()
    assert (os.environ["RAY_AUTH_MODE"], os.environ["RAY_SERVE_ENABLE_HA_PROXY"]) == ("token", "0")


def test_replicas_read_what_a_loaded_serve_has_read(clean: pytest.MonkeyPatch) -> None:
    loaded = type("constants", (), {"RAY_SERVE_ENABLE_HA_PROXY": False, "RAY_SERVE_THROUGHPUT_OPTIMIZED": True})
    clean.setitem(sys.modules, "ray.serve._private.constants", loaded)  # type: ignore[arg-type]
    session.set_flags()
    assert (os.environ["RAY_SERVE_ENABLE_HA_PROXY"], os.environ["RAY_SERVE_THROUGHPUT_OPTIMIZED"]) == ("0", "1")


def test_serve_still_reads_the_flags_by_these_names() -> None:
    from ray.serve._private import constants

    source = Path(constants.__file__).read_text()
    for name in [*haproxy.local_settings(), *session._SERVE_FLAGS]:
        assert f'"{name}"' in source, name


def test_bad_arguments_are_refused_before_ray_starts() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        session.start(num_cpus=0)
    with pytest.raises(ConfigError, match="leave it out"):
        session.start(num_cpus=2, address="10.0.0.1:6379")


def test_an_address_where_nothing_listens_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        address = f"127.0.0.1:{held.getsockname()[1]}"
        session._must_answer(address)
    with pytest.raises(ConfigError, match=f"cannot join Ray at {address}"):
        session._must_answer(address)
    session._must_answer("auto")


@pytest.mark.parametrize(
    ("available_gib", "expected_mib"), [(0.25, 128), (5, 1024), (100, 4096)], ids=["tiny", "laptop", "large"]
)
def test_object_store_takes_a_fifth_within_limits(tmp_path: Path, available_gib: float, expected_mib: int) -> None:
    memory = tmp_path / "meminfo"
    memory.write_text(f"MemTotal: 1 kB\nMemAvailable: {int(available_gib * 2**20)} kB\n")
    assert session.object_store_bytes(memory, shm=tmp_path / "absent") == expected_mib * 2**20


def test_object_store_fits_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = tmp_path / "meminfo"
    memory.write_text(f"MemAvailable: {100 * 2**20} kB\n")

    def free(mib: int) -> None:
        monkeypatch.setattr(session.shutil, "disk_usage", lambda _: type("usage", (), {"free": mib * 2**20}))

    free(1000)
    assert session.object_store_bytes(memory, shm=tmp_path) == 900 * 2**20
    free(64)  # a container's default: no store fits, so the memory decides
    assert session.object_store_bytes(memory, shm=tmp_path) == 4096 * 2**20


def test_object_store_without_meminfo(tmp_path: Path) -> None:
    assert session.object_store_bytes(tmp_path / "absent", shm=tmp_path / "absent") == 512 * 2**20


@pytest.mark.parametrize(
    ("nodes", "free", "expected"),
    [
        ([2], 2, (1, 1)),  # a laptop
        ([2], 1.5, (1, 0.5)),  # with Serve's replicas on it
        ([1], 1, (1, 0)),
        ([16, 16], 32, (2, 8)),
        ([16, 16], 2.25, (1, 1)),  # a busy cluster: fewer workers
        ([], 0, (1, 0)),
    ],
)
def test_cpus_of_a_train_run(nodes: list[float], free: float, expected: tuple[int, float]) -> None:
    assert session.share_cpus(nodes, free) == (expected[0], {"CPU": expected[1]})


@given(st.lists(st.integers(1, 128), max_size=20), st.floats(0, 2560))
def test_ray_data_always_keeps_a_cpu(nodes: list[int], free: float) -> None:
    cpus = [float(n) for n in nodes]
    workers, resources = session.share_cpus(cpus, free)
    assert workers >= 1
    assert 0 <= workers * resources["CPU"] <= max(0.0, min(free, sum(cpus)) - 1)


@pytest.mark.parametrize(
    ("watched", "asked", "bars_off", "quiet"),
    [(True, None, None, False), (False, None, "1", True), (False, "0", "0", False), (False, "1", "1", True)],
)
def test_bars_are_drawn_for_people_or_who_asks_for_them(
    clean: pytest.MonkeyPatch, watched: bool, asked: str | None, bars_off: str | None, quiet: bool
) -> None:
    for name in ("RAY_DATA_DISABLE_PROGRESS_BARS", "RAY_DATA_LOGGING_CONFIG"):
        clean.setenv(name, "restore me")
        clean.delenv(name)
    if asked is not None:
        clean.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", asked)
    for stream in ("stdout", "stderr"):
        clean.setattr(sys, stream, SimpleNamespace(isatty=lambda: watched, write=lambda text: None, flush=lambda: None))
    session.set_flags()
    assert os.environ.get("RAY_DATA_DISABLE_PROGRESS_BARS") == bars_off
    assert (os.environ.get("RAY_DATA_LOGGING_CONFIG") == str(session.QUIET_RAY_DATA)) is quiet
    assert session.QUIET_RAY_DATA.exists()
