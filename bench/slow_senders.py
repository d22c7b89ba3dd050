"""Many associations that send slowly, in one process: `python -m bench.slow_senders PORT COUNT`; says `open`, goes on
until its stdin ends. Each has an image under way that never ends: 32 KB at once, then a PDU of 1 KB every second.
"""

from __future__ import annotations

import select
import socket
import sys

from actors.dicom import dimse, pdus
from actors.dicom.pdus import AssociateRq, ProposedContext
from actors.dicom.upper import fragments

MR, EXPLICIT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"
ROOT = "1.2.826.0.1.3680043.8.498.7."


def _open(port: int, number: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    contexts = (ProposedContext(1, MR, (EXPLICIT,)),)
    sock.sendall(AssociateRq("SCANPOST", f"SLOW{number}", contexts, 16384).encode())
    header = sock.recv(6, socket.MSG_WAITALL)
    if header[0] != pdus.ASSOCIATE_AC:
        raise SystemExit(f"association {number} was not accepted")
    sock.recv(int.from_bytes(header[2:], "big"), socket.MSG_WAITALL)
    parts = fragments(1, dimse.store_request(1, MR, f"{ROOT}{number + 1}"), True, True, 16384)
    parts += fragments(1, _beginning(number), False, False, 16384)
    sock.sendall(b"".join(bytes(part) for part in parts))
    return sock


def _beginning(number: int) -> bytes:
    """The UIDs of an image and the begin of its pixels."""
    data = b""
    values = ((0x0008, 0x0016, MR), (0x0008, 0x0018, f"{ROOT}{number + 1}"), (0x0020, 0x000D, f"{ROOT}{number + 1}.1"),
              (0x0020, 0x000E, f"{ROOT}{number + 1}.2"))  # fmt: skip
    for group, element, text in values:
        value = text.encode() + b"\0" * (len(text) % 2)
        data += (
            group.to_bytes(2, "little")
            + element.to_bytes(2, "little")
            + b"UI"
            + len(value).to_bytes(2, "little")
            + value
        )
    data += b"\xe0\x7f\x10\x00OW\0\0" + (64 * 1024 * 1024).to_bytes(4, "little")
    return data + bytes(32 * 1024)


def main() -> None:
    port, count = int(sys.argv[1]), int(sys.argv[2])
    piece = b"".join(bytes(part) for part in fragments(1, bytes(1024), False, False, 16384))
    sockets = [_open(port, number) for number in range(count)]
    print("open", flush=True)
    while True:
        for number, sock in enumerate(sockets):
            if number % 20 == 0 and select.select([sys.stdin], [], [], 20 / count)[0]:
                return
            sock.sendall(piece)


if __name__ == "__main__":
    main()
