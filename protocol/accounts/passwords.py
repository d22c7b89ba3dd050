"""Password hashing (argon2id, RFC 9106) and the rules for names and passwords. It must not store anything.

Hashing takes 100-300 ms and 64 MiB on purpose: callers keep it off the event loop and off any lock.
"""

from __future__ import annotations

import re
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from protocol.errors import AccountError

PASSWORD_MIN = 12
"""Characters. Length beats composition rules (NIST SP 800-63B section 5.1.1.2)."""

PASSWORD_MAX = 1024
"""Characters; a bound, so that a log-in cannot be made to hash megabytes."""

DIFFERENT_MIN = 5
REST_MIN = 6
"""Characters that a password has besides the user's name, or a common word, in it."""

_WORDS = """
password passwort motdepasse contrasena passw0rd p4ssword administrator letmein welcome willkommen iloveyou qwertyuiop
qwertzuiop asdfghjkl yxcvbnm zxcvbnm qwerty123 1q2w3e4r5t6y 1qaz2wsx3edc abcdefghijkl abcdefghijklmnop 1234567890
0123456789 0987654321 123123123 changeme trustno1 superman sunshine princess football baseball starwars dragonball
whatever nothing secret computer internet hospital radiology radiologie scanpost dicomrouter router mercure orthanc
karnak healthcare medical patient xray
"""
COMMON = frozenset(_WORDS.split())
"""Words that people choose; longer lists hold little more that is as long as we ask for."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}\Z")


class Passwords:
    """Hashes and verifies. Tests inject a cheap `PasswordHasher`."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()

    def hash(self, password: str, name: str = "") -> str:
        """The encoded hash. Raises AccountError if the password breaks the rules."""
        check_password(password, name)
        return self._hasher.hash(password)

    def rehash(self, password: str) -> str:
        """The hash of a password that was good when it was set, whatever the rules are today."""
        return self._hasher.hash(password)

    def verify(self, encoded: str | None, password: str) -> bool:
        """Whether the password fits; without a hash (unknown user) it takes as long and says no."""
        known = encoded is not None
        if len(password) > PASSWORD_MAX:
            return False
        try:
            return self._hasher.verify(encoded if encoded is not None else _dummy(self._hasher), password) and known
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, encoded: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(encoded)


@cache
def _dummy(hasher: PasswordHasher) -> str:
    """A hash that nobody's password fits, made once per hasher, so that unknown names cost the same time."""
    return hasher.hash("\0 no such user \0")


def check_name(name: str) -> str:
    """The name itself. Raises AccountError if it is no user name."""
    if not _NAME.match(name):
        raise AccountError(
            f"{name[:80]!r} is no user name: 1 to 64 of a-z 0-9 . _ @ -, starting with a letter or digit"
        )
    return name


def check_password(password: str, name: str = "") -> None:
    """Raises AccountError if the password is too short, too long, the user's name or one that many people choose."""
    if len(password) < PASSWORD_MIN:
        raise AccountError(f"a password has at least {PASSWORD_MIN} characters")
    if len(password) > PASSWORD_MAX:
        raise AccountError(f"a password has at most {PASSWORD_MAX} characters")
    plain = "".join(char for char in password.casefold() if char.isalnum())
    if len(set(plain)) < DIFFERENT_MIN:
        raise AccountError(f"a password has at least {DIFFERENT_MIN} different letters or digits")
    if name and _rest(plain, "".join(char for char in name if char.isalnum())) < REST_MIN:
        raise AccountError("a password is not the user's name")
    letters = "".join(char for char in plain if char.isalpha())
    if letters in COMMON or any(_rest(plain, word) < REST_MIN for word in COMMON):
        raise AccountError("this password is one of those that are guessed first: take a short sentence")


def _rest(plain: str, word: str) -> int:
    """How many characters a password has besides a word; without the word as many as one may want."""
    return len(plain.replace(word, "")) if word and word in plain else PASSWORD_MAX
