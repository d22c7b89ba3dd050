"""Buffers of connections are used again, but never while somebody still looks into one."""

from __future__ import annotations

import socket

import pytest

from actors.dicom import transport
from actors.dicom.transport import BUFFER_BYTES, Transport


@pytest.fixture(autouse=True)
def _no_spare(monkeypatch):
    monkeypatch.setattr(transport, "_spare", [])


def opened() -> Transport:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return Transport(socket.create_connection(listener.getsockname()))


def test_the_buffer_of_a_closed_connection_serves_the_next():
    one = opened()
    buffer = one._buffer
    one.close()
    one.close()  # allowed, and gives it back once
    other, third = opened(), opened()
    assert other._buffer is buffer and third._buffer is not buffer
    assert len(buffer) == len(third._buffer) == BUFFER_BYTES
    other.close()
    third.close()


def test_a_buffer_that_somebody_still_looks_into_is_not_used_again():
    one = opened()
    buffer, piece = one._buffer, one._view[10:20]
    one.close()
    other = opened()
    assert other._buffer is not buffer
    other._buffer[10:20] = b"another's "
    assert bytes(piece) == bytes(10)
    other.close()


def test_only_a_few_buffers_are_kept():
    many = [opened() for _ in range(20)]
    for one in many:
        one.close()
    assert len(transport._spare) == transport._MOST_SPARE
