"""Lightweight rankers from a synthetic log on a local Ray: published, compared with the incumbent, refused, swapped."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb

from cluster.errors import DataError, ModelError
from cluster.features.drift import REFERENCE, FeatureHistograms
from cluster.settings.clients import LabelSettings
from cluster.store.bundles import BundleStore
from tests.worlds.logs import LogsWorld, make_world, project_at
from tests.worlds.training import joined_table
from training.judge.gate import Gate
from training.lightweight import fit as fit_module
from training.lightweight.examples import build_examples
from training.lightweight.fit import fit_clients
from training.lightweight.jobs import Fitted
from training.lightweight.train import train_all_lightweight, train_lightweight
from training.log.arrays import COLUMNS
from training.log.requests import join_logs
from training.log.tasks import LogWindow
from training.log.windows import windows_of

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LogsWorld:
    return make_world(tmp_path_factory.mktemp("logs"), requests=200, n=40)


def test_clients_are_trained_published_and_trained_again(world: LogsWorld, tmp_path: Path) -> None:
    store, seen = BundleStore(tmp_path), []
    clients = {**world.clients, "search": world.clients["homefeed"].model_copy(update={"name": "search"})}
    out = train_all_lightweight(world.project, clients, store, world.logs, progress=lambda s, p: seen.append((s, p)))
    assert list(out) == ["homefeed", "notifications", "search"]
    assert out["search"].reason == "not trained: no logged requests"
    assert ("evaluate", 1.0) in seen
    for name in ("homefeed", "notifications"):
        assert out[name].published, out[name].reason
        assert out[name].metrics["differences"]["visit_count"]["ndcg@10"]["low"] > 0
        bundle = store.open(f"lightweight/{name}").require_schema(world.features)
        assert bundle.version == out[name].version
        assert bundle.meta["examples"]["train"]["action"] > 0
        assert "most of them by cross-validation" in out[name].reason
        assert out[name].metrics["requests"] == 200, "a fifth is held out, and too few: the others judge too"
        assert bundle.meta["events"]["used"] == world.logs.read_events()[0].num_rows
        booster = xgb.Booster(model_file=str(bundle.path / "model.ubj"))
        assert booster.feature_names == list(world.features.names)
        assert (bundle.path / "features.json").exists()
        reference = FeatureHistograms.from_dict(json.loads((bundle.path / REFERENCE).read_text()))
        assert reference.names == world.features.names
        assert len(set(reference.counts.sum(axis=1).tolist())) == 1, "every feature of the same candidates"
        assert reference.counts.sum() > 0

    first = out["homefeed"].version
    again = train_lightweight(world.project, world.clients["homefeed"], store, world.logs)
    assert again.incumbent == first
    assert again.metrics["differences"]["incumbent"]["ndcg@10"]["mean"] == 0.0  # same log, same trees
    assert again.metrics["requests"] == 40, "the others have taught what serves now, so they are no judges of it"
    assert "cross-validation" not in again.reason
    assert store.current("lightweight/homefeed") == again.version != first


def test_a_refused_model_is_stored_but_not_served(world: LogsWorld, tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    client = world.clients["homefeed"]
    out = train_lightweight(world.project, client, store, world.logs, gate=Gate(min_requests=10_000))
    assert not out.published
    assert "let the log grow" in out.reason
    assert store.current("lightweight/homefeed") is None
    assert store.open("lightweight/homefeed", out.version).meta["gate"]["publish"] is False


def test_a_log_in_a_bucket_trains_a_model_into_a_bucket(s3: str, tmp_path: Path) -> None:
    project = project_at(tmp_path, home=f"{s3}/site", local=str(tmp_path))
    world = make_world(tmp_path, names=("homefeed",), requests=40, n=20, project=project)
    store = BundleStore(f"{s3}/site/bundles", cache=tmp_path / "cache")
    out = train_lightweight(project, world.clients["homefeed"], store, world.logs, gate=Gate(min_requests=1))
    assert store.open("lightweight/homefeed", out.version).require_schema(world.features).version == out.version
    assert [path.name for path in tmp_path.iterdir()] == ["cache"], "no folder is made of the bucket's name"


def test_the_shuffle_join_gives_what_the_broadcast_gives(world: LogsWorld) -> None:
    def rows(limit: int) -> dict[str, list[float]]:
        joined = join_logs(world.project, world.logs, ["homefeed"], broadcast_bytes=limit)
        taken = joined.requests(COLUMNS, {"homefeed": LogWindow()}).to_pandas()
        return {r.request_id: list(r.actions) for r in taken.itertuples()}

    broadcast = rows(1 << 30)
    local = joined_table(world, "homefeed")
    expected = dict(zip(local.column("request_id").to_pylist(), local.column("actions").to_pylist(), strict=True))
    assert broadcast == expected
    assert rows(0) == expected


def test_workers_tell_of_a_log_what_this_process_tells(world: LogsWorld) -> None:
    names = list(world.clients)
    here, there = (join_logs(world.project, world.logs, names, local_rows=rows) for rows in (1 << 30, 0))
    assert there.counts == here.counts
    assert here.counts is not None
    assert here.counts.used
    assert windows_of(there, names, 0.2) == windows_of(here, names, 0.2)
    liked = [joined.requests(COLUMNS, {"homefeed": LogWindow()}).to_pandas() for joined in (here, there)]
    one, two = ({r.request_id: list(r.actions) for r in rows.itertuples()} for rows in liked)
    assert one == two


@pytest.mark.parametrize("workers", [1, 2])
def test_train_workers_fit_what_this_process_fits(world: LogsWorld, workers: int) -> None:
    joined = join_logs(world.project, world.logs, list(world.clients))
    examples = build_examples(joined, world.clients, windows_of(joined, list(world.clients), 0.2)[0])
    here = fit_clients(examples, world.project.gbdt)
    settings = world.project.gbdt.model_copy(update={"workers": workers, "cpus_per_worker": 0.4})
    there = fit_clients(examples, settings, local_rows=0)
    for name, one in here.items():
        two: Fitted = there[name]
        if workers == 1:
            assert replace(two, seconds=0) == replace(one, seconds=0)
        else:
            assert two.rows == pytest.approx(one.rows / 2, abs=4)
            assert two.loss == pytest.approx(one.loss, rel=0.15)


def test_where_no_cpu_is_free_this_process_fits(world: LogsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = join_logs(world.project, world.logs, ["homefeed"])
    only = {"homefeed": world.clients["homefeed"]}
    examples = build_examples(joined, only, windows_of(joined, ["homefeed"], 0.2)[0])
    here = fit_clients(examples, world.project.gbdt)["homefeed"]
    monkeypatch.setattr(fit_module, "plan_lanes", lambda *_: (1, 0.0))
    there = fit_clients(examples, world.project.gbdt, local_rows=0)["homefeed"]
    assert there.model == here.model


def test_distillation_follows_the_full_rankers_scores(world: LogsWorld, tmp_path: Path) -> None:
    client = world.clients["homefeed"].model_copy(update={"labels": LabelSettings(strategy="distillation")})
    out = train_lightweight(world.project, client, BundleStore(tmp_path), world.logs)
    assert out.published, out.reason
    means = {name: row["teacher_top25@20"]["mean"] for name, row in out.metrics["orders"].items()}
    assert set(means) == {"lightweight", "visit_count", "boost"}
    booster = xgb.Booster(model_file=str(BundleStore(tmp_path).open("lightweight/homefeed").path / "model.ubj"))
    assert "squarederror" in booster.save_config()


def test_clear_errors_instead_of_models(world: LogsWorld, tmp_path: Path) -> None:
    store = BundleStore(tmp_path)
    with pytest.raises(DataError, match="no logged requests"):
        train_lightweight(
            world.project, world.clients["homefeed"].model_copy(update={"name": "ads"}), store, world.logs
        )
    other = project_at(tmp_path, features={"pin_numeric": ("likes",)})
    with pytest.raises(DataError, match="present features"):
        train_lightweight(other, world.clients["homefeed"], store, world.logs)
    hasty = world.project.model_copy(update={"attribution_hours": 1e-4})
    with pytest.raises(ModelError, match="no actions"):
        train_lightweight(hasty, world.clients["homefeed"], store, world.logs)
    assert not np.any(store.kinds())
