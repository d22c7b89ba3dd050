"""The test button: a message by one channel, step by step, for a person who wonders why nobody was told.
It must not leave anything in the spool; what it sends says that it is a test.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from actors.bookkeeper.alerts import mail, webhook
from actors.bookkeeper.alerts.calls import Step, climb
from protocol import recipients

if TYPE_CHECKING:
    from protocol.settings.alerts import Alerts as Limits


def try_channel(limits: Limits, node: str, recipient: str) -> list[Step]:
    """Send a test to `mail`, `webhook`, `mail:ADDRESS` or `webhook:URL`; the steps up to the first that failed."""
    channel, _, rest = recipient.partition(":")
    missing = _missing(limits, channel, rest)
    if missing:
        return [Step("settings", False, 0.0, missing)]
    id, now = f"{node}.test.{uuid.uuid4().hex[:12]}", time.time()
    subject, text = (
        f"[scanpost {node}] test message",
        f"scanpost on {node} can reach you. Nothing is wrong; this is a test.\n",
    )
    if channel == "mail":
        to = (rest,) if rest else limits.smtp.to
        return climb(mail.rungs(limits.smtp, mail.Mail(id, to, subject, text, now)), mail.words)
    body = {"id": id, "node": node, "time": now, "subject": subject, "text": text, "alerts": [], "notifications": []}
    return climb(webhook.rungs(limits.webhook, webhook.Post(id, rest or limits.webhook.url or "", body)), webhook.words)


def _missing(limits: Limits, channel: str, rest: str) -> str:
    """What the settings lack; empty: nothing."""
    if channel not in recipients.CHANNELS:
        return "a channel is mail, webhook, mail:ADDRESS or webhook:URL"
    if rest and (fault := recipients.fault(f"{channel}:{rest}")):
        return fault
    if channel == "mail" and not limits.smtp.host:
        return "there is no mail server: set alerts.smtp.host, sender and to in scanpost.toml"
    if channel == "webhook" and not rest and not limits.webhook.url:
        return "there is no webhook: set alerts.webhook.url in scanpost.toml"
    return ""
