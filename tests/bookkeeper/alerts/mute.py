"""A server that takes connections and never says a whole word."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import Any

from tests.peers import HOST


@contextmanager
def mute_server(drip: bool) -> Any:
    """Takes connections and never says a whole word: nothing at all, or a byte each 50 ms."""
    listening, over = socket.create_server((HOST, 0)), threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"" if not drip else b"220 hello\r\n")
            while not over.wait(0.05):
                try:
                    connection.sendall(b"2" if drip else b"")
                except OSError:
                    return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        listening.close()
