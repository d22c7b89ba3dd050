"""Pseudonyms and shifted dates by a secret key: the same key gives the same pseudonym and shift, without it neither can be
computed or undone. Pure; it must not write the key anywhere.
"""

from __future__ import annotations

import hashlib
import hmac

MIN_KEY = 16  # bytes
UID_ROOT = "2.25."  # UUID-derived UIDs, PS3.5 section B.2
DAY_S = 86_400.0


class Pseudonyms:
    """HMAC-SHA256 (RFC 2104) of each identifier with what kind it is, so that equal texts of two kinds differ."""

    def __init__(self, key: bytes, shift_days: int = 0) -> None:
        """`shift_days`: dates go back by 1 to so many days, the same for all of a patient; 0: they stay.

        Raises ValueError for a key that is too short to be one.
        """
        if len(key) < MIN_KEY:
            raise ValueError(f"the key must have at least {MIN_KEY} bytes; make one: openssl rand -hex 32 > key")
        self._key, self._days = key, shift_days

    def name(self, kind: str, value: str | None) -> str | None:
        """Sixteen letters and digits of an identifier that is no UID."""
        return None if not value else self._digest(kind, value)[:8].hex()

    def uid(self, value: str | None) -> str | None:
        """A valid UID (PS3.5 section 9) in the place of another one, whichever of study, series or SOP instance."""
        if not value:
            return None
        raw = bytearray(self._digest("uid", value)[:16])
        raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80  # a UUID of version 8, RFC 9562 section 5.8
        return UID_ROOT + str(int.from_bytes(raw, "big"))

    def shift(self, patient: str) -> float:
        """Seconds to take from every time of this patient (or study, if nobody knows whose it is): whole days, so that hours
        of the day and intervals stay.
        """
        if not self._days:
            return 0.0
        return (1 + int.from_bytes(self._digest("shift", patient)[:8], "big") % self._days) * DAY_S

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.new(self._key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
