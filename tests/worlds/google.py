"""What Google Cloud Storage answers to the calls of its XML API that an object store's client makes, in memory.

It is our reading of Google's pages and of the client: it shows that our calls go there, not that Google takes them.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "gs://bucket"


@dataclass(frozen=True)
class Held:
    """An object; every put makes a new generation."""

    data: bytes
    generation: int

    @property
    def headers(self) -> dict[str, str]:
        at = formatdate(usegmt=True)
        return {"ETag": f'"{self.generation}"', "x-goog-generation": str(self.generation), "Last-Modified": at}


class Google:
    """The objects, and a lock around each call."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.lock = threading.Lock()
        self.puts = 0

    def put(self, name: str, data: bytes, generation: str | None) -> Held | None:
        """Nothing where the object is of another generation (0: there is none)."""
        with self.lock:
            found = self.held.get(name)
            if generation is not None and int(generation) != (found.generation if found else 0):
                return None
            self.puts += 1
            self.held[name] = Held(data, self.puts)
            return self.held[name]

    def listing(self, prefix: str, delimiter: str) -> str:
        with self.lock:
            held = {name: each for name, each in sorted(self.held.items()) if name.startswith(prefix)}
        behind = {name: name[len(prefix) :].partition(delimiter or "\0") for name in held}
        folders = sorted({prefix + first + cut for first, cut, _ in behind.values() if cut})
        files = [
            f"<Contents><Key>{escape(name)}</Key><Size>{len(each.data)}</Size><ETag>{each.generation}</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for name, each in held.items()
            if not behind[name][1]
        ]
        parts = [*files, *(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders)]
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(parts)}</ListBucketResult>"


def answering(google: Google) -> type[BaseHTTPRequestHandler]:
    """What speaks for it."""

    class Speaking(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        @property
        def name(self) -> str:
            return unquote(urlsplit(self.path).path).removeprefix("/bucket").lstrip("/")

        def say(self, status: int, data: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            made = google.put(self.name, data, self.headers["x-goog-if-generation-match"])
            self.say(412) if made is None else self.say(200, headers=made.headers)

        def do_GET(self) -> None:
            if not self.name:
                asked = parse_qs(urlsplit(self.path).query)
                text = google.listing(asked.get("prefix", [""])[0], asked.get("delimiter", [""])[0])
                self.say(200, text.encode(), {"Content-Type": "application/xml"})
            elif (found := google.held.get(self.name)) is None:
                self.say(404)
            elif wanted := self.headers["range"]:
                first, last = (int(each) for each in wanted.removeprefix("bytes=").split("-"))
                last = min(last, len(found.data) - 1)
                of = {"Content-Range": f"bytes {first}-{last}/{len(found.data)}", **found.headers}
                self.say(206, found.data[first : last + 1], of)
            else:
                self.say(200, found.data, found.headers)

        do_HEAD = do_GET

        def do_DELETE(self) -> None:
            with google.lock:
                self.say(404 if google.held.pop(self.name, None) is None else 204)

        def log_message(self, *_: object) -> None:
            pass

    return Speaking


@contextmanager
def google_storage() -> Iterator[str]:
    """Starts it, empty, with a bucket `BUCKET`; yields what `GOOGLE_SERVICE_ACCOUNT_KEY` must say."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), answering(Google()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        no_key = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": True}
        yield json.dumps({"gcs_base_url": f"http://127.0.0.1:{server.server_port}", **no_key})
    finally:
        server.shutdown()
        server.server_close()
