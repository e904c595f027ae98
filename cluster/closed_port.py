"""What answers on a server's port while the server ends: 503 with Retry-After, to whoever still comes.

It also keeps the port from the proxy, which would take it again and answer 404 once it has no replica left.
"""

import json
import socket
import threading
import time
from contextlib import suppress

TEXT = json.dumps({"detail": "the server is stopping; try again, another one may answer"}).encode()
ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(TEXT), TEXT)
)
PATIENCE = 1.0
"""Seconds for one connection to send its request and read the answer."""


class ClosedPort:
    """Answers from a thread until it is closed."""

    def __init__(self, host: str, port: int, patience: float = 0.0):
        """Raises OSError when the port is somebody else's, and still is after `patience` seconds."""
        until = time.monotonic() + patience
        while True:
            try:
                self._socket = socket.create_server((host, port), backlog=512)
                break
            except OSError:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.01)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="closed-port", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    @staticmethod
    def _answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(PATIENCE)
            if connection.recv(1 << 16):
                connection.sendall(ANSWER)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):  # what is unread at a close would take the answer with it
                    pass

    def close(self) -> None:
        """Let go of the port."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(PATIENCE)
