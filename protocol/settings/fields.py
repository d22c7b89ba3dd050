"""Kinds of values that settings are made of, each with its own complaint. It must not read files or the environment."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from protocol.routing.fields import network_text

_WINDOW = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", re.ASCII)
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


def refuse(message: str, cure: str = "") -> PydanticCustomError:
    """An error for a validator to raise; `load` turns it into a SettingsError with file and place."""
    return PydanticCustomError("settings", "{message}", {"message": message, "cure": cure})


class Section(BaseModel):
    """A table of scanpost.toml: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_as_number(cls, value: Any, info: Any) -> Any:
        # pydantic takes true for 1; nobody means that in a configuration file.
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise refuse(f"{str(value).lower()} is not allowed here", "give a number or text")
        return value


def _ae_title(text: str) -> str:
    """PS3.5 section 6.2, VR AE: 1 to 16 characters of the default repertoire, no backslash, no control characters."""
    bad = not text.strip() or len(text) > 16 or "\\" in text or not text.isascii() or not text.isprintable()
    if bad:
        raise refuse(f"{text!r} is no AE title", "use 1 to 16 ASCII characters, no backslash")
    return text.strip()


def _window(text: str) -> str:
    if text not in ("always", "never") and not _WINDOW.fullmatch(text):
        raise refuse(f"{text!r} is no window", 'write "22:00-06:00", "always" or "never"')
    return text


def _node_name(text: str) -> str:
    if not _NODE.fullmatch(text):
        raise refuse(f"{text!r} is no node name", "use letters, digits, dot, dash, underscore; at most 63")
    return text


def _time_zone(text: str) -> str:
    try:
        if text:
            ZoneInfo(text)
    except (ValueError, OSError, ZoneInfoNotFoundError) as exc:
        raise refuse(
            f"{text!r} is no time zone", 'write a name such as "Europe/Berlin", or "" for the machine\'s'
        ) from exc
    return text


def _endpoint(text: str) -> str:
    if text and not text.startswith(("ipc://", "tcp://")):
        raise refuse(f"{text!r} is no endpoint", 'write "ipc:///path", "tcp://host:port", or "" for run/')
    return text


def _network(text: str) -> str:
    try:
        return network_text(text)
    except ValueError as exc:
        raise refuse(f"{text!r} is no address or network", "write 10.0.0.5, 10.0.0.0/24 or fd00::/64") from exc


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


def _never_is_none(value: Any) -> Any:
    return None if value in ("never", "", "null") else value


def _unlimited_is_none(value: Any) -> Any:
    return None if value in ("unlimited", "", "null") else value


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Port = Annotated[int, Field(ge=0, le=65535)]
"""0 lets the system choose: for tests."""
AeTitle = Annotated[str, AfterValidator(_ae_title)]
Network = Annotated[str, AfterValidator(_network)]
Window = Annotated[str, AfterValidator(_window)]
NodeName = Annotated[str, AfterValidator(_node_name)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Seconds = Annotated[float, Field(gt=0, le=1_000_000)]
"""Eleven days at most: beyond 2^31 ms poll(2) waits for another time than it was told, beyond 2^63 ns a socket refuses it."""
Gigabytes = Annotated[float, Field(ge=0)]
OptionalPath = Annotated[Path | None, BeforeValidator(_empty_is_none)]
OptionalHours = Annotated[Annotated[float, Field(ge=0)] | None, BeforeValidator(_never_is_none)]
OptionalDays = Annotated[Annotated[float, Field(gt=0, le=36_500)] | None, BeforeValidator(_never_is_none)]
OptionalText = Annotated[str | None, BeforeValidator(_empty_is_none)]
OptionalRate = Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(_unlimited_is_none)]
