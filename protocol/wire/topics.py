"""Names under which events travel (`root.type.shard.`) and the patterns people write to choose among them.
This is the only place that builds or cuts a topic; it must not know sockets.

Subscriptions match by prefix only, so every topic ends with a dot: `ev.delivery.` never catches `ev.deliveryman.`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from protocol.errors import WireError
from protocol.records import record
from protocol.wire.messages import Envelope

ROOTS = ("ev", "tmp", "phi", "sys")  # recorded facts, progress, patient data, beacons and status
OPEN_ROOTS = ("ev", "tmp", "sys")  # what anybody on the bus may hear; phi needs a grant
WORD = r"[a-z][a-z0-9_]*"
TYPE = rf"{WORD}(?:\.{WORD})*"
SHARD = r"(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+"
LEGAL = re.compile(rf"(?:ev|tmp|phi|sys)\.{TYPE}\.(?:{SHARD}\.)?")
WELCOME = "sys.welcome."  # one frame `sys.welcome.<bus_id>.<protocol version>.`: the subscription's path works

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_PATTERN = re.compile(r"[a-z0-9_.*?]+")


def escape(shard: str) -> str:
    """Make a shard one part of a topic: everything but letters, digits, `_` and `-` as %XX of its UTF-8 bytes.

    AE titles may hold dots and spaces (PS3.5 section 6.2, AE).
    """
    raw = shard.encode("utf-8", "replace")
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)


def unescape(part: str) -> str:
    """Inverse of `escape`."""
    return unquote_to_bytes(part).decode("utf-8", "replace")


def topic(envelope: Envelope) -> str:
    """The topic of an event. Raises WireError if root or type cannot be part of one."""
    shard = f"{escape(envelope.shard)}." if envelope.shard else ""
    made = f"{envelope.root}.{envelope.type}.{shard}"
    if not LEGAL.fullmatch(made):
        raise WireError(f"no legal topic for event type {envelope.type!r} under root {envelope.root!r}")
    return made


@record
class _Glob:
    text: str  # as written, without the `!`
    rooted: bool  # begins with a root: compared with `root.type`
    regex: re.Pattern[str]

    def matches(self, root: str, kind: str) -> bool:
        return self.regex.fullmatch(f"{root}.{kind}" if self.rooted else kind) is not None

    def prefixes(self) -> list[str]:
        """Longest literal beginnings of the topics this can match."""
        literal = re.split(r"[*?]", self.text, maxsplit=1)[0]
        end = "." if literal == self.text else ""
        return [literal + end] if self.rooted else [f"{root}.{literal}{end}" for root in OPEN_ROOTS]


class Patterns:
    """A choice of events by globs on their type: `delivery.*`, `*.failed`, `!*.progress`, `sys.actor.*`.

    An event passes if one of the positive patterns matches (none given: every recorded event) and no negative one.
    `*` and `?` also match dots. A pattern may begin with a root. Raises WireError for anything else.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts = tuple(texts)
        self._wanted = [_glob(text) for text in self.texts if not text.startswith("!")]
        self._unwanted = [_glob(text[1:]) for text in self.texts if text.startswith("!")]

    @property
    def everything_recorded(self) -> bool:
        """True if no recorded event is filtered out: then a hole in the numbers is a loss."""
        wanted = not self._wanted or any(glob.text in ("*", "ev.*") for glob in self._wanted)
        return wanted and not self._unwanted

    def match(self, envelope: Envelope) -> bool:
        """Decide about one event; patient data (`phi`) never passes."""
        return self.fits(envelope.root, envelope.type)

    def fits(self, root: str, kind: str) -> bool:
        """The same of every event of a type."""
        if root == "phi" or any(glob.matches(root, kind) for glob in self._unwanted):
            return False
        if not self._wanted:
            return root == "ev"
        return any(glob.matches(root, kind) for glob in self._wanted)

    def prefixes(self) -> list[str]:
        """Topic prefixes to subscribe to: few, none inside another; `match` filters what comes."""
        found = {prefix for glob in self._wanted for prefix in glob.prefixes()} if self._wanted else {"ev."}
        short = sorted(found)
        return [one for one in short if not any(one != other and one.startswith(other) for other in short)]


def _glob(text: str) -> _Glob:
    if not _PATTERN.fullmatch(text):
        raise WireError(f"cannot use pattern {text!r}: small letters, digits, `.`, `_`, and `*` or `?` for any")
    rooted = text.partition(".")[0] in ROOTS and "." in text
    parts = (".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in text)
    return _Glob(text, rooted, re.compile("".join(parts)))
