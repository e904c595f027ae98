"""What a server tells: one id and one trace through all stages, log lines and metrics, and that it is ready."""

import os
import time
from typing import Any

import httpx

from serving.deploy.declared import ALL
from tests.worlds.bundles import pointer_of
from tests.worlds.outside import Seen, soon

STAGES = {"walk", "lightweight", "full"}


def test_it_lives_and_is_ready(seen: Seen) -> None:
    alive = seen.get("/healthz")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok", "home": seen.opened.project.home})
    ready = seen.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok"), ready.text
    assert {"serving_log", "event_log", "versions"} <= set(ready.json())


def test_one_id_is_in_the_lines_of_the_ingress_and_of_every_stage(seen: Seen) -> None:
    answer = seen.ask(**{"x-request-id": "from-the-app-1"})
    assert answer.headers.get_list("x-request-id") == ["from-the-app-1"]
    assert answer.json()["degraded"] == ""

    def mine() -> list[dict[str, Any]]:
        return [line for line in seen.lines() if line.get("request_id") == "from-the-app-1"]

    lines = soon(mine, lambda lines: len(lines) >= 4)
    assert {line["deployment"] for line in lines} == {f"pinfunnel_{name}" for name in ("ingress", *STAGES)}
    assert {line["stage"] for line in lines if line["message"] == "stage"} == STAGES
    [told] = [line for line in lines if line["message"] == "answered"]
    assert told["answer"] == answer.json()["request_id"]
    assert set(told["stages"]) >= STAGES
    assert not [line for line in seen.lines() if "user_id" in str(line)], "nobody is named"


def test_without_an_id_one_is_given_and_a_bad_one_is_refused(seen: Seen) -> None:
    [given] = seen.ask().headers.get_list("x-request-id")
    assert len(given) >= 32
    refused = seen.ask(**{"x-request-id": "x" * 201})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["header", "x-request-id"]


def test_one_trace_goes_from_the_caller_through_the_ingress_to_every_stage(seen: Seen) -> None:
    # not by the name of Serve's own span of the ingress: Serve (2.60) renames the last of a list that its threads share
    expected = STAGES | {
        f"replica_handle_request {name} {call}" for name, call in (("walk", "generate"), ("lightweight", "rank"))
    }

    def whole(spans: list[Any]) -> bool:
        """A span comes when it ends, so its parent behind it."""
        ids = {span.span_id.hex() for span in spans} | {"b7ad6b7169203331"}
        return expected <= {span.name for span in spans} and all(span.parent_span_id.hex() in ids for span in spans)

    for number in range(3):  # exporters drop spans rather than wait for a busy machine
        caller = f"0af7651916cd43dd8448eb211c8031{number:02x}"
        assert seen.ask(traceparent=f"00-{caller}-b7ad6b7169203331-01").status_code == 200
        spans = soon(lambda caller=caller: seen.collector.trace(caller), whole, 20.0)  # type: ignore[misc]
        if whole(spans):
            break
    told = [(span.name, span.span_id.hex(), span.parent_span_id.hex()) for span in spans]
    assert expected <= {span.name for span in spans}, told
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        while span.parent_span_id.hex() != "b7ad6b7169203331":
            span = by_id[span.parent_span_id]
    assert {service for service, _ in seen.collector.spans} == {"toy-site"}
    kept = " ".join(str(span.attributes) for span in spans)
    assert f'"{seen.user}"' not in kept


def test_a_caller_that_does_not_trace_is_left_out(seen: Seen) -> None:
    before, after = "1" * 32, "2" * 32
    assert seen.ask(traceparent=f"00-{before}-{'a' * 16}-00").status_code == 200
    assert seen.ask(traceparent=f"00-{after}-{'a' * 16}-01").status_code == 200
    soon(lambda: seen.collector.trace(after), lambda spans: len(spans) > 5)
    assert seen.collector.trace(before) == []
    roots = {span.name for _, span in seen.collector.spans if not span.parent_span_id}
    inside = [name for name in roots if name.startswith("replica_handle_request") and " ingress " not in name]
    assert inside == [], "no trace begins in the middle of a request"


def test_prometheus_finds_every_metric_and_each_replica_tells_its_own(seen: Seen) -> None:
    after_100_requests = {"pinfunnel_feature_psi", "pinfunnel_feature_nan_share"}
    while_experiments_run = {"pinfunnel_exposed_total"}
    rare = after_100_requests | while_experiments_run
    wanted = {f"ray_{metric.name}" for metric in ALL if metric.name not in rare}

    def there(text: str) -> set[str]:
        return {name for name in wanted if name in text}

    for _ in range(3):
        seen.ask()
    text = soon(seen.metrics, lambda text: there(text) == wanted)
    assert there(text) == wanted

    def value(text: str, name: str, **labels: str) -> list[float]:
        rows = [line for line in text.splitlines() if line.startswith(f"ray_{name}{{")]
        rows = [row for row in rows if all(f'{key}="{label}"' in row for key, label in labels.items())]
        return [float(row.rsplit(" ", 1)[1]) for row in rows]

    late = {"client": "notifications", "stage": "walk", "reason": "late"}
    assert value(text, "pinfunnel_fallbacks_total", **late) == [0.0], "0 before anything happens"
    shown = {"client": "homefeed", "stage": "answer", "side": "out"}
    text = soon(seen.metrics, lambda text: value(text, "pinfunnel_candidates_total", **shown) >= [3 * 25.0])
    assert value(text, "pinfunnel_candidates_total", **shown) >= [3 * 25.0]
    for deployment in ("ingress", "walk", "lightweight", "full"):
        [made] = value(text, "pinfunnel_bundle_timestamp_seconds", kind="graph", deployment=deployment)
        assert abs(made - time.time()) < 3600
    assert value(text, "pinfunnel_log_waiting_rows", log="events", deployment="events") == [0.0]


def test_what_an_answer_lacks_is_logged_and_a_dead_stage_does_not_make_it_unready(seen: Seen) -> None:
    pointer = pointer_of(seen.opened.new_process().store, "lightweight/homefeed")
    pointer.parent.mkdir(parents=True)
    pointer.write_bytes(b"\xff\xfe")

    def ready() -> httpx.Response:
        return seen.get("/readyz")

    told = soon(ready, lambda answer: answer.json()["status"] == "degraded")
    assert (told.status_code, told.json()["status"], told.json()["reasons"]) == (200, "degraded", [])
    pointer.unlink()

    [walker] = seen.server.find("walk")
    os.kill(walker, 19)  # it hangs
    try:
        answer = seen.ask(**{"x-request-id": "lacks-1", "x-deadline-ms": "800"})
        assert answer.json()["degraded"].startswith("walk: "), answer.text
        told = ready()
        assert (told.status_code, told.json()["status"]) == (200, "degraded"), told.text
        assert seen.get("/healthz").json()["status"] == "ok"
    finally:
        os.kill(walker, 18)

    def warned() -> list[dict[str, Any]]:
        lines = [line for line in seen.lines() if line.get("request_id") == "lacks-1"]
        return [line for line in lines if line["message"] == "an answer lacks something"]

    [line] = soon(warned, bool)
    assert line["levelname"] == "WARNING"
    assert line["lacks"][0].startswith("walk: ")
