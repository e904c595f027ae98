"""A server as others see it: whom it answers, its logs, metrics and spans, and the processes that it has started."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from apps.commands.serve import SERVER
from apps.faults.server import ServerUnderFault
from apps.project import Opened
from cluster.processes import below, marked
from tests.worlds import calls
from tests.worlds.funnel import some_user

T = TypeVar("T")


class Collector:
    """Takes what OTLP exporters send."""

    def __init__(self) -> None:
        spans: list[tuple[str, Any]] = []
        self.spans = spans

        class Taking(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    service = {each.key: each.value.string_value for each in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        spans.extend((service["service.name"], span) for span in scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def trace(self, trace_id: str) -> list[Any]:
        return [span for _, span in list(self.spans) if span.trace_id.hex() == trace_id]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Seen:
    """The server, its keys by scope, the folder of its Ray, and who takes its spans."""

    def __init__(self, opened: Opened, server: ServerUnderFault, keys: dict[str, str], ray: Path, collector: Collector):
        self.opened = opened
        self.server = server
        self.keys = keys
        self.ray = ray
        self.collector = collector
        self.user = some_user(opened)

    def ask(self, **headers: str) -> httpx.Response:
        url = f"{self.server.url}/v1/homefeed/recommendations"
        body, key = {"user_id": self.user}, {"x-api-key": self.keys["recommend"]}
        return calls.post(url, json=body, headers={**key, **headers}, timeout=60)

    def tell(self, event: dict[str, Any]) -> httpx.Response:
        """What its user has just done."""
        now = datetime.now(UTC).isoformat()
        body, key = (
            {"events": [{"event_id": uuid4().hex, "occurred_at": now, **event}]},
            {"x-api-key": self.keys["events"]},
        )
        return calls.post(f"{self.server.url}/v1/events", json=body, headers=key, timeout=60)

    def get(self, path: str) -> httpx.Response:
        """As who may see all."""
        return calls.get(f"{self.server.url}{path}", headers={"x-api-key": self.keys["admin"]}, timeout=30)

    def pids(self) -> set[int]:
        """Of all that the server has started, and its own."""
        pid = self.server.process.pid
        return {pid, *below(pid), *marked(SERVER, str(pid))}

    def lines(self) -> list[dict[str, Any]]:
        """Of all replicas' logs."""
        found = []
        for path in self.ray.glob("ray/session_2*/logs/serve/replica_*.log"):
            found += [json.loads(line) for line in path.read_text().splitlines()]
        return found

    def metrics(self) -> str:
        file = self.ray / "ray" / "prom_metrics_service_discovery.json"
        targets = [target for group in json.loads(file.read_text()) for target in group["targets"]]
        found = []
        for target in targets:
            with suppress(httpx.ConnectError):  # one that does not listen yet is asked again, as Prometheus does
                found.append(calls.get(f"http://{target}/metrics", timeout=30).text)
        return "\n".join(found)


def soon(look: Callable[[], T], good: Callable[[T], bool], seconds: float = 60.0) -> T:
    """What is seen once it is as it should be, or at last."""
    for _ in range(int(2 * seconds)):
        found = look()
        if good(found):
            break
        time.sleep(0.5)
    return found
