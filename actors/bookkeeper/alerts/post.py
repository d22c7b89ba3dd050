"""Makes letters of what is to be told, and has them carried until they are taken or too old. It must not judge what is told.

Each recipient has at most one letter under way; what comes meanwhile waits and becomes the next one, so that after an
outage of the mail server there are two mails and not two hundred. A recipient that hangs keeps nobody else waiting.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from actors.bookkeeper.alerts import mail, webhook
from actors.bookkeeper.alerts.calls import Refused
from actors.bookkeeper.alerts.words import When, letter_of
from actors.bookkeeper.hand import Hand, ThreadHand
from protocol.recipients import CHANNELS
from protocol.spool.letters import AT_ONCE, Item, Letter, Pile

if TYPE_CHECKING:
    from actors.base import Context
    from protocol.settings.alerts import Alerts as Limits

FIRST_RETRY_S, LONGEST_RETRY_S = 30.0, 3600.0
LASTING_S = 86_400.0
"""What the server refuses for good is tried for so long: people put things right, and the others wait behind it."""
MOST_HANDS = 16
IDLE_S = 1.0

Carry = Callable[[Letter], Sequence[str]]


class Carrier:
    """Carries one letter by its recipient's way; to which recipients it did not get, of several. Raises Refused. Called in
    threads of their own.
    """

    def __init__(self, limits: Limits, node: str) -> None:
        self._limits, self._node = limits, node

    def __call__(self, letter: Letter) -> Sequence[str]:
        id = f"{self._node}.{int(letter.created)}.{letter.id}"
        channel, _, rest = letter.recipient.partition(":")
        if channel == "mail":
            return self._mail(letter, id, [rest] if rest else self._limits.smtp.to)
        self._webhook(letter, id, rest or self._limits.webhook.url or "")
        return ()

    def _mail(self, letter: Letter, id: str, to: Any) -> Sequence[str]:
        if not self._limits.smtp.host:
            raise Refused("alerts.smtp.host is not set any more", retryable=False)
        body = letter.body
        left = mail.send(self._limits.smtp, mail.Mail(id, tuple(to), body["subject"], body["text"], letter.created))
        return [f"mail:{address}" for address in left]

    def _webhook(self, letter: Letter, id: str, url: str) -> None:
        if not url:
            raise Refused("alerts.webhook.url is not set any more", retryable=False)
        webhook.send(self._limits.webhook, webhook.Post(id, url, document(letter.body, id, self._node, letter.created)))


def document(body: Any, id: str, node: str, created: float) -> dict[str, Any]:
    """The JSON body of a webhook; see docs/alerts.md. `text` is what chat programs show."""
    items = json.loads(json.dumps(body["items"], default=str))
    alerts = [one for one in items if one.get("kind") == "alert"]
    rules = [one for one in items if one.get("kind") == "rule"]
    return {"id": id, "node": node, "time": created, "subject": body["subject"], "text": body["text"],
            "alerts": alerts, "notifications": rules}  # fmt: skip


def next_due(letter: Letter, now: float, lasting: bool, give_up_s: float, factor: float) -> float | None:
    """When a letter that was refused is tried again (seconds UTC); None: never. `factor` spreads tries, about 1."""
    if now - letter.created >= (min(LASTING_S, give_up_s) if lasting else give_up_s):
        return None
    return now + min(FIRST_RETRY_S * 2.0 ** min(letter.attempts, 16), LONGEST_RETRY_S) * factor


class Post:
    """One round after the other; see the module."""

    def __init__(
        self, context: Context, when: When, *, carry: Carry | None = None, hand: Callable[[], Hand] | None = None
    ) -> None:
        self._spool, self._clock, self._log, self._random = context.spool, context.clock, context.log, context.random
        self._limits, self._node, self._when = context.settings.alerts, context.settings.node.name, when
        self._carry: Carry = carry or Carrier(self._limits, self._node)
        wake = context.wire.wake
        self._new_hand: Callable[[], Hand] = hand or (lambda: ThreadHand(wake))
        self._hands: dict[str, tuple[Hand, Letter]] = {}  # recipient -> who carries its letter
        self._idle: list[Hand] = []
        self.waiting = True
        """Whether a letter, or what is to become one, waited for its time in the last round."""
        # Letters that were taken, which the spool could not be told yet, with the recipients that they did not get to.
        self._taken: dict[int, Sequence[str]] = {}

    @property
    def busy(self) -> bool:
        """Whether any letter is being carried."""
        return bool(self._hands)

    def round(self) -> None:
        """Take what ended, seal what waited for long enough, have carried what is due."""
        self._collect()
        waiting = self._spool.letters.waiting()
        piles = self._spool.letters.piles()
        waiting += self._seal(piles, {one.recipient for one in waiting})
        self.waiting = bool(waiting or piles)
        now = self._clock.now()
        for letter in waiting:
            # A clock that was set back must not put a letter off for a year.
            due = letter.due <= now or letter.due > now + 2 * LONGEST_RETRY_S
            room = len(self._hands) < MOST_HANDS or letter.recipient in CHANNELS
            if letter.id in self._taken:
                self._sent(letter, self._taken[letter.id])
            elif due and room and letter.recipient not in self._hands:
                self._give(letter)
        self._collect()

    def _seal(self, piles: Sequence[Pile], under_way: set[str]) -> list[Letter]:
        now, sealed = self._clock.now(), set()
        for pile in piles:
            ripe = not 0 <= now - pile.oldest < self._limits.group_s or pile.size >= AT_ONCE
            if ripe and pile.recipient not in under_way:
                items = self._spool.letters.items(pile.recipient)
                sealed.add(self._spool.letters.seal(items, letter_of(items, self._node, self._when)))
        return [one for one in self._spool.letters.waiting() if one.id in sealed] if sealed else []

    def _give(self, letter: Letter) -> None:
        hand = self._idle.pop() if self._idle else self._new_hand()
        self._hands[letter.recipient] = (hand, letter)
        hand.give(lambda: self._carry(letter))

    def _collect(self) -> None:
        for recipient, (hand, letter) in list(self._hands.items()):
            if hand.busy:
                continue
            del self._hands[recipient]
            self._idle.append(hand)
            try:
                left = hand.take() or ()
            except Refused as exc:
                self._refused(letter, str(exc), lasting=not exc.retryable)
            except Exception as exc:  # a text that no library takes: it must not be tried each second
                self._log.error("letter_failed", letter=letter.id, exc_info=True)
                self._refused(letter, f"internal error: {type(exc).__name__}", lasting=True)
            else:
                self._sent(letter, left)

    def _sent(self, letter: Letter, left: Sequence[str]) -> None:
        """It was taken; whom it was not taken for gets the same as a letter of their own, which nobody else waits for."""
        self._taken[letter.id] = left  # whatever the spool says: it is not sent again by this process
        self._spool.letters.sent(letter.id, [Item(one, body) for one in left for body in letter.body.get("items", ())])
        del self._taken[letter.id]
        if left:
            self._log.warning("letter_not_taken_for_all", letter=letter.id, recipients=len(left))
        self._log.info("letter_sent", letter=letter.id, channel=letter.channel, attempts=letter.attempts + 1)

    def _refused(self, letter: Letter, error: str, *, lasting: bool) -> None:
        factor = self._random.uniform(0.8, 1.2)
        due = next_due(letter, self._clock.now(), lasting, self._limits.give_up_h * 3600.0, factor)
        known = {"letter": letter.id, "channel": letter.channel, "attempts": letter.attempts + 1}
        if due is None:
            self._spool.letters.give_up(letter.id, error)
            self._log.error("letter_given_up", **known)
        else:
            self._spool.letters.failed(letter.id, error, due)
            self._log.warning("letter_not_taken", **known)

    def wait(self, timeout_s: float) -> None:
        """Let what is being carried come to an end, all of it within so many seconds of real time."""
        end = time.monotonic() + timeout_s
        for hand, _ in list(self._hands.values()):
            hand.wait(max(0.0, end - time.monotonic()))
        self._collect()
