"""Whom notifications go to, as text: `mail:ADDRESS` and `webhook:URL`, and what may stand behind these words.
It must not look anybody up; what it lets through cannot become a second recipient, header or line.
"""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x20\x7f]{1,64}@[^\s@<>,;:\"()\[\]\\\x00-\x20\x7f]{1,253}")
_URL = re.compile(r"https?://[^\s/?#@\\\x00-\x20\x7f]+([/?][^\s#\x00-\x20\x7f]*)?")
CHANNELS = ("mail", "webhook")


def is_address(text: str) -> bool:
    """Whether this is one mail address, name@host (RFC 5321 section 4.1.2, without quoted names)."""
    return _ADDRESS.fullmatch(text) is not None


def is_url(text: str) -> bool:
    """Whether this is an http or https URL without user, password and fragment (RFC 9110 section 4.2)."""
    return _URL.fullmatch(text) is not None


def fault(recipient: str) -> str:
    """What is wrong with `mail:...` or `webhook:...`; empty if nothing is. It never repeats the text: a URL may hold a secret."""
    channel, _, rest = recipient.partition(":")
    if channel == "mail":
        return "" if is_address(rest) else "behind mail: stands one address, name@host"
    if channel == "webhook":
        return "" if is_url(rest) else "behind webhook: stands an http:// or https:// URL without user and password"
    return "a recipient is mail:ADDRESS or webhook:URL"
