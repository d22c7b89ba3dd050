"""A real SMTP server for tests (aiosmtpd, of the extra `test`) that keeps what it gets. It must not import scanpost."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest

from tests.peers import HOST, free_port


class Box:
    """What a server got; `refuse` answers a recipient, `answer` the message."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.encrypted: list[bool] = []
        self.refuse: dict[str, str] = {}
        self.answer = "250 ok"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            self.taken.append(envelope)
            self.encrypted.append(session.ssl is not None)
        return self.answer


@contextmanager
def smtp_server(box: Box, **how: Any) -> Any:
    """A real server; gives its port. `ssl_context` makes it speak TLS from the first byte."""
    controlled = pytest.importorskip("aiosmtpd.controller", reason="install the extra test: aiosmtpd")
    controller = controlled.Controller(box, hostname=HOST, port=free_port(), server_hostname="mail.test", **how)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
