"""A tracking server is told of rankers, and nothing that it does or lacks keeps training from its end."""

import socket
import sys
from pathlib import Path

import pytest

from cluster.errors import ConfigError
from cluster.settings.parsing import parse
from cluster.settings.project import Project
from cluster.settings.telemetry import MlflowSettings, TelemetrySettings
from cluster.store.bundles import BundleStore
from training.tracking.story import Story
from training.tracking.tell import tell_versions

PROJECT = Project.model_validate({"data": {"edges": {"path": "none"}}})


class Heard:
    """A server that keeps what it is told, and breaks after `calls` calls."""

    address = "http://here"

    def __init__(self, calls: int = 100):
        self.stories: list[tuple[Story, bool, list[str]]] = []
        self.calls = calls
        self.asked = 0

    def tell(self, story: Story, folder: Path, published: bool) -> str:
        self.asked += 1
        if self.asked > self.calls:
            raise ConnectionError("no answer")
        self.stories.append((story, published, sorted(path.name for path in folder.iterdir())))
        return f"run {self.asked}"


def stored(store: BundleStore, kind: str, publish: bool = True) -> tuple[str, str]:
    with store.write(kind, {"strategy": "engagement"}, publish) as (folder, version):
        (folder / "weights.pt").write_bytes(b"")
    return kind, version


def with_server(given: object) -> Project:
    telemetry = TelemetrySettings.model_validate({"mlflow": given})
    return PROJECT.model_copy(update={"telemetry": telemetry})


def test_rankers_are_told_and_graphs_are_not(tmp_path: Path) -> None:
    store, heard = BundleStore(tmp_path), Heard()
    named = [stored(store, "graph"), stored(store, "full"), stored(store, "full", publish=False)]
    told = tell_versions(PROJECT, store, named, heard)
    assert told.runs == {named[1]: "run 1", named[2]: "run 2"}
    assert [(story.version, published) for story, published, _ in heard.stories] == [
        (named[1][1], True),
        (named[2][1], False),
    ]
    assert heard.stories[0][2] == ["manifest.json", "weights.pt"]
    assert (told.untold, told.reason) == ((), "")


def test_nothing_is_told_where_no_server_is_set(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    assert tell_versions(PROJECT, store, [stored(store, "full")]).runs == {}


def test_the_first_failure_ends_it_with_one_warning_that_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, heard = BundleStore(tmp_path), Heard(calls=1)
    named = [stored(store, "full", publish=False) for _ in range(4)]
    told = tell_versions(PROJECT, store, named, heard)
    assert list(told.runs) == named[:1]
    assert told.untold == tuple(named[1:])
    assert told.reason == "ConnectionError: no answer"
    assert heard.asked == 2
    [record] = caplog.records
    assert "3 of 4 trained version(s) untold" in record.getMessage()
    assert "pinfunnel models track" in record.getMessage()


def test_a_damaged_version_is_untold(tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    kind, version = stored(store, "full")
    (tmp_path / kind / version / "weights.pt").write_bytes(b"other")
    assert tell_versions(PROJECT, store, [(kind, version)], Heard()).untold == ((kind, version),)


def test_a_server_that_is_not_there_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mlflow", reason="pip install 'pinfunnel[mlflow]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        store = BundleStore(tmp_path)
        named = stored(store, "full")
        told = tell_versions(with_server(f"http://127.0.0.1:{free.getsockname()[1]}"), store, [named])
    assert told.untold == (named,)
    assert "1 of 1 trained version(s) untold" in caplog.text


def test_a_missing_package_and_a_missing_address_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BundleStore(tmp_path)
    named = stored(store, "full")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "MLFLOW_TRACKING_URI" in tell_versions(with_server({}), store, [named]).reason
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert "pip install 'pinfunnel[mlflow]'" in tell_versions(with_server({}), store, [named]).reason


def test_an_address_alone_is_enough_and_holds_no_password() -> None:
    assert TelemetrySettings.model_validate({"mlflow": "http://there:5000"}).mlflow == MlflowSettings(
        uri="http://there:5000"
    )
    for wrong in ("there:5000", "sqlite:///x.db", "http://", "https://me:secret@there"):
        with pytest.raises(ValueError, match=r"MLFLOW_TRACKING_USERNAME|expected http"):
            MlflowSettings(uri=wrong)
    unknown = {"data": {"edges": {"path": "none"}}, "telemetry": {"mlflow": {"url": "x"}}}
    with pytest.raises(ConfigError, match=r"telemetry\.mlflow\.url: unknown key"):
        parse(Project, unknown, "pinfunnel.yaml")
