"""When an ingress is ready: whatever is lacking, as long as it can answer."""

import pytest

from serving.http.readiness import not_ready, report
from serving.logs.health import LogHealth
from serving.request.served import ServedBundles, ServingProblem

GRAPH = {"graph": "20260131T120000-abc123"}
GONE = ServingProblem("walk", None, "the deployment does not answer: TimeoutError")


@pytest.mark.parametrize(
    ("served", "stages", "closing", "reasons"),
    [
        (ServedBundles(GRAPH), 0, False, []),
        (ServedBundles(GRAPH), 3, False, []),
        (ServedBundles(GRAPH, (GONE,), ("walk",)), 3, False, []),
        (ServedBundles(GRAPH, (GONE,), ("walk", "lightweight", "full")), 3, False, ["no stage answers: walk, "]),
        (ServedBundles({"graph": None}), 0, False, ["no graph is served"]),
        (ServedBundles(), 0, True, ["this process is closing", "no graph is served"]),
    ],
)
def test_why_no_request_should_come(served: ServedBundles, stages: int, closing: bool, reasons: list[str]) -> None:
    told = not_ready(served, stages, closing)
    assert len(told) == len(reasons)
    assert all(text.startswith(reason) for text, reason in zip(told, reasons, strict=True))


def test_the_report_names_problems_of_bundles_and_logs() -> None:
    log = LogHealth({"waiting": 3}, ("3 requests wait for the disk: full",))
    told = report("here", ServedBundles(GRAPH, (GONE,)), {"serving_log": log, "event_log": LogHealth({}, ())}, [])
    assert (told["status"], told["serving_log"], told["versions"]) == ("degraded", {"waiting": 3}, GRAPH)
    assert [problem["kind"] for problem in told["problems"]] == ["walk", "serving_log"]
    assert report("here", ServedBundles(GRAPH), {}, [])["status"] == "ok"
    assert report("here", ServedBundles(GRAPH), {}, ["this process is closing"])["status"] == "unready"
