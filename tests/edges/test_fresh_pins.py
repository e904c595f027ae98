"""A pin that came a moment ago: in answers of every source that can find it, in every process, whatever is built."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from apps.cli import app
from apps.commands import fresh
from apps.project import Opened, open_project
from apps.world.in_process import InProcess
from cluster.catalog.build import build_catalog
from cluster.errors import BundleError
from cluster.settings.clients import SourceSettings
from serving.deploy.process import Process
from serving.request.candidates import Candidates
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import ask, opened_world
from tests.worlds.toy import toy_project

PATH = "/v1/related_pins/recommendations"
NEW = 10**9
AT_ONCE = {"fresh": {"seconds": 1e-9}}


def world_of(folder: Path, **settings: Any) -> Opened:
    path = toy_project(folder, settings={"serving": {"simulation": True}, **AT_ONCE, **settings})
    opened = open_project(path)
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    return opened


def boards_of(process: Process, pin: int) -> list[int]:
    graph = process.catalogs.current.graph
    at = int(graph.pin_ids.index_of([pin])[0])
    start = int(graph.pin_offsets[at])
    return graph.board_ids.ids_of(graph.pin_boards[start : start + int(graph.pin_degree[at])]).tolist()


def popular_pin(process: Process) -> int:
    catalog = process.catalogs.current
    return int(catalog.graph.pin_ids.ids_of(catalog.pins.popular(-1, 1))[0])


def candidates(process: Process, pin: int) -> Candidates:
    return process.sources.candidates(ask("related_pins", query_pins=((pin, None),)))


def test_over_http_a_new_pin_is_walked_to_ranked_and_explained(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    process = world.new_process()
    start = popular_pin(process)
    with InProcess(world) as inside:
        http = Face(inside.app)
        new = {"pin_id": NEW, "boards": boards_of(process, start)}
        told = http.post("/v1/pins", json={"pins": [new, {"pin_id": "no"}, {"pin_id": NEW + 1}]})
        assert told.status_code == 200
        assert told.json()["accepted"] == 2
        [refused] = told.json()["refused"]
        assert refused["row"] == 1
        assert refused["reason"].startswith("pin_id: ids of this project are int64")
        before = http.get("/v1/models").json()
        inside._watcher.poll()
        assert http.get("/v1/models").json() == before
        body = {"query_pins": [{"pin_id": start}], "limit": 500, "explain": True, "order": "visit_count"}
        answer = http.post(PATH, json=body).json()
        [found] = [pin for pin in answer["pins"] if pin["pin_id"] == NEW]
        assert {each["source"] for each in found["explanation"]["found_by"]} >= {"walk"}
        assert answer["versions"]["graph"] == f"{world.new_process().store.current('graph')}+1"
        assert answer["degraded"] == ""
        named = http.post(PATH, json={"query_pins": [{"pin_id": NEW}]}).json()
        assert start in {pin["pin_id"] for pin in named["pins"]}
        for body in ({"pins": []}, {"pins": "x"}, {}, {"pins": [{}] * 1001}):
            assert http.post("/v1/pins", json=body).status_code == 422


def test_a_process_that_starts_later_has_it_at_once_and_another_can_be_named_any_version(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    log = world.new_process().fresh_log
    first = world.new_process()
    start = popular_pin(first)
    for at in range(3):
        log.append([{"pin_id": NEW + at, "boards": boards_of(first, start)}])
    later = world.new_process()
    assert NEW + 2 in candidates(later, start).pin_ids
    base = later.store.current("graph")
    old = later.catalogs.get(f"{base}+1")
    assert old.graph.n_pins == later.catalogs.get(base).graph.n_pins + 1
    assert later.catalogs.get(f"{base}+3") is later.catalogs.current
    with pytest.raises(BundleError, match="has 3 entries"):
        later.catalogs.get(f"{base}+4")
    same = candidates(world.new_process(), start)
    np.testing.assert_array_equal(same.pin_ids, candidates(later, start).pin_ids)


def test_walks_go_on_while_pins_arrive(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    process = world.new_process()
    watcher = process.watcher()
    watcher.poll()
    start = popular_pin(process)
    boards = boards_of(process, start)
    failed: list[BaseException] = []
    ended = threading.Event()

    def walk() -> None:
        try:
            while not ended.is_set():
                got = candidates(process, start)
                assert (got.pins < process.catalogs.get(got.graph_version).graph.n_pins).all()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=walk) for _ in range(2)]
    for thread in threads:
        thread.start()
    for at in range(15):
        process.fresh_log.append([{"pin_id": NEW + at, "boards": [*boards, NEW + at % 3]}])
        watcher.poll()
    ended.set()
    for thread in threads:
        thread.join()
    assert not failed
    alone = process.catalogs.get(process.store.current("graph") or "")
    assert process.catalogs.current.graph.n_pins == alone.graph.n_pins + 15


def test_merged_by_add_edges_it_is_laid_over_no_more_and_a_build_without_it_keeps_it(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    path = tmp_path / "pinfunnel.yaml"
    process = world.new_process()
    start = popular_pin(process)
    topic = process.catalogs.current.pins.vocabulary.topics[0]
    lines = [
        {"pin_id": NEW, "boards": boards_of(process, start), "topics": [topic]},
        {"pin_id": start, "boards": [NEW]},
    ]
    file = tmp_path / "new.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = CliRunner().invoke(app, ["add-pins", str(file), "--project", str(path)])
    assert done.exit_code == 0, done.output
    assert "2 pins added, 0 refused" in done.output
    overlaid = world.new_process().catalogs.current
    done = CliRunner().invoke(app, ["add-edges", "--project", str(path)])
    assert done.exit_code == 0, done.output
    merged = world.new_process()
    serving = merged.catalogs.current
    alone = merged.catalogs.get(merged.store.current("graph") or "")
    assert alone.counts == overlaid.counts
    assert serving.graph is alone.graph
    index = int(alone.graph.pin_ids.index_of([NEW])[0])
    behind = int(overlaid.graph.pin_ids.index_of([NEW])[0])
    np.testing.assert_array_equal(np.asarray(alone.pins.topics[index]), overlaid.pins.topics[behind])
    build_catalog(world.project, merged.store, in_memory=True)  # from inputs that do not have it
    built = world.new_process()
    assert built.catalogs.get(built.store.current("graph") or "").graph.pin_ids.index_of([NEW]).tolist() == [-1]
    assert NEW in candidates(built, start).pin_ids


def test_parquet_is_read_as_json_lines_are(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    table = pa.table(
        {"pin_id": [NEW, NEW + 1], "boards": [[1, 2], []], "created_at": pa.array([0, 1], pa.timestamp("us"))}
    )
    pq.write_table(table, tmp_path / "new.parquet")
    arguments = ["add-pins", str(tmp_path / "new.parquet"), "--project", str(tmp_path / "pinfunnel.yaml")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert world.new_process().fresh_log.rows().edges["board_id"].to_pylist() == [1, 2]
    for name, text, said in (("bad.jsonl", "{", "line 1: no JSON"), ("bad.parquet", "x", "no complete Parquet")):
        (tmp_path / name).write_text(text)
        arguments[1] = str(tmp_path / name)
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 1
        assert said in " ".join(done.output.split())


def test_a_bad_line_is_named_and_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "AT_ONCE", 3)
    toy_project(tmp_path)
    bad = ["{", "[" * 100_000, "\udcff", '{"pin_id": "x"}', "7", "NaN"]
    lines = [part for at, each in enumerate(bad) for part in (each, f'{{"pin_id": {NEW + at}, "boards": [1]}}', "")]
    file = tmp_path / "new.jsonl"
    file.write_text("\n".join(["\ufeff" + lines[1], *lines]), encoding="utf-8", errors="surrogateescape")
    project = str(tmp_path / "pinfunnel.yaml")
    done = CliRunner().invoke(app, ["add-pins", str(file), "--project", project, "--json", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "out").read_text())
    assert told["accepted"] == len(bad) + 1
    assert sorted(line.split(":")[0] for line in told["refused"]) == sorted(
        f"line {2 + 3 * at}" for at, _ in enumerate(bad)
    )
    stored = open_project(project).new_process().fresh_log.rows().pins["pin_id"].to_pylist()
    assert sorted(stored) == [NEW + at for at, _ in enumerate(bad)]


def test_what_waits_is_told_in_health_and_nothing_is_lost(tmp_path: Path) -> None:
    world = world_of(tmp_path, fresh={"seconds": 1e-9, "pins": 1})
    world.new_process().fresh_log.append([{"pin_id": NEW + at, "boards": [1]} for at in range(3)])
    with InProcess(world) as inside:
        health = Face(inside.app).get("/readyz").json()
        assert health["status"] == "degraded"
        assert "2 pins and 0 saves wait for `pinfunnel add-edges`" in " ".join(map(str, health["problems"]))
    assert CliRunner().invoke(app, ["add-edges", "--project", str(tmp_path / "pinfunnel.yaml")]).exit_code == 0
    with InProcess(world) as inside:
        assert "wait for" not in str(Face(inside.app).get("/readyz").json())


@pytest.mark.parametrize("source", ["walk", "boards", "content", "similar", "popular", "recent"])
def test_every_source_works_over_fresh_pins(tmp_path: Path, source: str) -> None:
    world = opened_world(tmp_path)
    client = world.clients["homefeed"].model_copy(update={"sources": {source: SourceSettings(quota=400)}})
    world.clients["homefeed"] = client
    before = world.new_process()
    start = popular_pin(before)
    old = before.sources.candidates(ask("homefeed", query_pins=((start, None),)))
    before.fresh_log.append([{"pin_id": NEW + at, "boards": boards_of(before, start)} for at in range(5)])
    after = world.new_process()
    new = after.sources.candidates(ask("homefeed", query_pins=((start, None),)))
    assert len(new.pins) >= len(old.pins) > 0
    assert (new.pins < after.catalogs.current.graph.n_pins).all()
