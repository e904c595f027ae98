"""HTTP services on this machine for tests of `external`: the page's own, and those that misbehave."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a server in a thread of its own."""
    quiet = type("Quiet", (handler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), quiet)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/candidates"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def handler_of(reply: Reply) -> type[BaseHTTPRequestHandler]:
    """A handler that reads the question and leaves the rest to `reply`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            reply(self, asked)

    return Handler


def send(http: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    """A whole answer."""
    http.send_response(status)
    http.send_header("content-length", str(len(body)))
    for name, value in headers.items():
        http.send_header(name.replace("_", "-"), value)
    http.end_headers()
    http.wfile.write(body)
