"""For handlers that want each object whole, in memory: small servers, demonstrations, tests. It must not write anything.

The receiver does not use it: an object may be larger than what memory there is.
"""

from __future__ import annotations

from actors.dicom.service import CommitmentHandler, Peer, StoreCommand, StoreRequest, Way


class WholeObjects:
    """Mix-in for a `ScpHandler` that has a `store`; see there for what exceptions mean."""

    commitment: CommitmentHandler | None = None

    def store(self, association_id: bytes, peer: Peer, request: StoreRequest) -> int:
        """Take one object; the DIMSE status."""
        raise NotImplementedError

    def begin(self, association_id: bytes, peer: Peer, command: StoreCommand) -> Collected:
        return Collected(self, association_id, peer, command)

    def whole(self, association_id: bytes, peer: Peer, command: StoreCommand, pieces: list[memoryview]) -> int:
        taking = self.begin(association_id, peer, command)
        taking.write(pieces, True)
        return taking.finish()

    def refused(self, association_id: bytes, command: StoreCommand, status: int, reason: str) -> None:
        return

    def rest(self, association_id: bytes) -> None:
        return

    def taker(self, association_id: bytes, way: Way, pieces: list[memoryview]) -> None:
        return


class Collected:
    """An intake that keeps the bytes until all are there."""

    def __init__(self, handler: WholeObjects, association_id: bytes, peer: Peer, command: StoreCommand) -> None:
        self._handler, self._association_id, self._peer, self._command = handler, association_id, peer, command
        self._dataset = bytearray()

    def write(self, pieces: list[memoryview], last: bool) -> None:
        for piece in pieces:
            self._dataset += piece

    def finish(self) -> int:
        command = self._command
        request = StoreRequest(
            command.sop_class_uid, command.sop_instance_uid, command.transfer_syntax_uid,
            memoryview(self._dataset).toreadonly(), command.message_id,
        )  # fmt: skip
        return self._handler.store(self._association_id, self._peer, request)

    def abandon(self) -> None:
        self._dataset = bytearray()
