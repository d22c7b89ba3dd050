"""The pynetdicom of the tests gets its answers, also when its own thread is slow to go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pynetdicom import AE
from pynetdicom.sop_class import Verification


def then_sleep(does: Callable[..., None], seconds: float) -> Callable[..., None]:
    def done_slowly(*args: Any) -> None:
        does(*args)
        time.sleep(seconds)

    return done_slowly


def test_requests_in_a_row_get_their_answers_though_the_thread_of_the_association_is_slow_to_go_on():
    answering = AE("PACS")
    answering.add_supported_context(Verification)
    server = answering.start_server(("127.0.0.1", 0), block=False)
    try:
        asking = AE("CT1")
        asking.dimse_timeout = 30
        asking.add_requested_context(Verification)
        association = asking.associate(*server.server_address)
        # Let go, the thread takes its time; who sends is slower still to look for the answer.
        association._reactor_checkpoint.wait = then_sleep(association._reactor_checkpoint.wait, 0.02)
        association.dimse.send_msg = then_sleep(association.dimse.send_msg, 0.1)
        for _ in range(3):
            assert association.send_c_echo().get("Status") == 0x0000
        association.release()
    finally:
        server.shutdown()
