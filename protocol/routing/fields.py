"""The small types that the routing configuration is made of: names, AE titles, ports, seconds, plain text.

They must not know each other's meaning; what has to fit together is checked in `model`.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from protocol.routing import shapes

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
NAME_RULE = "a name is 1 to 64 of a-z 0-9 _ - and starts with a letter or digit"
_LIMIT_HOST = 253  # RFC 1035 section 2.3.4, as text


class Frozen(BaseModel):
    """Base of every part: unknown keys are refused, nothing changes after it was made."""

    model_config = ConfigDict(extra="forbid", frozen=True, regex_engine="python-re", hide_input_in_errors=True)


class Unspoken(ValueError):
    """A value that a message must not repeat, since it may be or hold a secret."""

    def __init__(self, message: str, cure: str) -> None:
        self.cure = cure
        super().__init__(message)


def ae_title(text: str) -> str:
    """The title without the spaces around it. Raises ValueError: none that can be proposed (PS3.8 table 9-11)."""
    title = text.strip(" ")
    if not title:
        raise ValueError("an AE title is not blank")
    if len(title) > 16 or any(not " " <= letter <= "~" or letter == "\\" for letter in title):
        raise ValueError("an AE title has at most 16 ASCII characters, no backslash and no control characters")
    return title


def _host(text: str) -> str:
    if not text or len(text) > _LIMIT_HOST or not text.isascii() or any(not "!" <= letter <= "~" for letter in text):
        raise ValueError("a host is a name or an address without spaces")
    if "/" in text or "@" in text or "[" in text:
        raise ValueError("a host is a name or an address alone, without scheme, user, brackets or path")
    return text


def network_text(text: str) -> str:
    """An address or network in its usual form; IPv4 within IPv6 as IPv4. Raises ValueError."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as exc:
        raise ValueError("an address is like 10.0.0.5, 10.0.0.0/24 or fd00::5") from exc
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is not None and network.prefixlen >= 96:  # peers are compared as IPv4
        network = ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}")
    return str(network)


def _plain(text: str) -> str:
    if any(letter < " " and letter not in "\n\t\r" for letter in text):
        raise ValueError("control characters are not allowed")
    return text


def _absolute(text: str) -> str:
    if not text.startswith("/") or any(letter < " " for letter in text) or ".." in text.split("/"):
        raise ValueError("a path is absolute and has no `..` and no control characters")
    return text


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN + r"(?!\n)")]
AETitle = Annotated[str, AfterValidator(ae_title), shapes.AE_TITLE]
"""AE value representation, PS3.5 section 6.2: leading and trailing spaces do not count."""
Host = Annotated[str, AfterValidator(_host), shapes.HOST]
Network = Annotated[str, AfterValidator(network_text), shapes.NETWORK]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=31_536_000, allow_inf_nan=False)]
Timeout = Annotated[float, Field(strict=True, gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Trigger = Literal["series", "study", "image"]
Switch = Annotated[bool, Field(strict=True)]
Text = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_plain), shapes.PLAIN_TEXT]
AbsolutePath = Annotated[str, StringConstraints(max_length=1_000), AfterValidator(_absolute), shapes.ABSOLUTE_PATH]
