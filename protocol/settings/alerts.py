"""Settings of alerts: what counts as wrong, how often people are told, and by which way. docs/alerts.md explains them.
It must not read files: passwords and secrets stand in files that are read when they are used.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from protocol.recipients import is_address, is_url
from protocol.settings.fields import OptionalPath, OptionalText, Port, Seconds, Section, refuse

Hours = Annotated[float, Field(gt=0, le=87_600)]


def _address(text: str) -> str:
    if text and not is_address(text):
        raise refuse(f"{text!r} is no mail address", "write name@host, without a display name")
    return text


def _url(text: Any) -> Any:
    if text is not None and not is_url(text):
        raise refuse("this is no http:// or https:// URL", "write it without user and password; use token_file")
    return text


Address = Annotated[str, AfterValidator(_address)]


class Smtp(Section):
    """Mail (RFC 5321); off until a host is named. `starttls` (RFC 3207) or `tls` from the first byte (RFC 8314), not both."""

    host: str = ""
    port: Port = 25
    starttls: bool = False
    tls: bool = False
    ca: OptionalPath = None
    user: str = ""
    password_file: OptionalPath = None
    sender: Address = ""
    to: tuple[Address, ...] = ()
    timeout_s: Seconds = 20.0

    @model_validator(mode="after")
    def _complete(self) -> Smtp:
        if self.host and not (self.sender and self.to):
            raise refuse("mail needs a sender and somebody to send to", "set alerts.smtp.sender and alerts.smtp.to")
        if self.starttls and self.tls:
            raise refuse("starttls and tls exclude each other", "set tls for port 465, starttls for port 587")
        if bool(self.user) != (self.password_file is not None):
            raise refuse("user and password_file belong together", "set both, or none")
        return self


class Webhook(Section):
    """HTTP POST of JSON; off until a URL is named. With `secret_file` it is signed, with `token_file` it has a bearer token."""

    url: Annotated[OptionalText, AfterValidator(_url)] = None
    token_file: OptionalPath = None
    secret_file: OptionalPath = None
    ca: OptionalPath = None
    timeout_s: Seconds = 20.0


class Alerts(Section):
    """When something needs a person, and who is told."""

    target_down_s: Annotated[float, Field(ge=0)] = 120.0
    oldest_h: Hours = 4.0
    quarantine_h: Hours = 24.0
    disk_h: Annotated[float, Field(ge=0, le=8760)] = 12.0
    """0: no forecast."""
    actor_down_s: Annotated[float, Field(ge=0)] = 60.0
    silent_sources: bool = True
    clear_after_s: Annotated[float, Field(ge=0)] = 300.0
    group_s: Annotated[float, Field(ge=0, le=3600)] = 60.0
    repeat_h: tuple[Hours, ...] = (1.0, 4.0, 24.0)
    """After these times, the last again and again; empty: never."""
    give_up_h: Hours = 168.0
    patient_names: bool = False
    smtp: Smtp = Smtp()
    webhook: Webhook = Webhook()
