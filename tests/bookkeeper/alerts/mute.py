"""A server that takes connections and never says a whole word."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import Any

from tests.peers import HOST


@contextmanager
def mute_server(word: bytes) -> Any:
    """Takes connections and never comes to an end: says nothing at all, or this each 50 ms. A single byte follows a greeting."""
    listening, over = socket.create_server((HOST, 0)), threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"220 hello\r\n" if len(word) == 1 else b"")
            while not over.wait(0.05):
                try:
                    connection.sendall(word)
                except OSError:
                    return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        listening.close()
