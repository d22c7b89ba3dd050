"""The tree of settings with its defaults; deploy/scanpost.toml.example says a sentence about each.
It must not read files or the environment: `load` does.

Units are in the names; a GB is 10^9 bytes. Cross-checks live with the section they belong to.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from protocol.errors import SettingsError
from protocol.settings.alerts import Alerts
from protocol.settings.fields import (
    AeTitle,
    Endpoint,
    Gigabytes,
    Network,
    NodeName,
    OptionalDays,
    OptionalHours,
    OptionalPath,
    OptionalRate,
    Port,
    Seconds,
    Section,
    TimeZone,
    Window,
    is_loopback,
    refuse,
)
from protocol.settings.home import socket_path
from protocol.settings.mining import Mining


def _cores(value: Any) -> Any:
    return (os.cpu_count() or 1) if value in (0, "0") else value


def _host_name(value: Any) -> Any:
    return socket.gethostname()[:63] if value == "" else value


class Node(Section):
    """This machine among others."""

    name: Annotated[NodeName, BeforeValidator(_host_name)] = ""
    time_zone: TimeZone = ""

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone in which rules tell time, and schedules and windows are written; None: the machine's."""
        return ZoneInfo(self.time_zone) if self.time_zone else None


class ReceiverTls(Section):
    """DICOM over TLS (PS3.15 section B.12); off until a certificate is named. Without `ca` everybody may connect."""

    port: Port = 2762
    cert: OptionalPath = None
    key: OptionalPath = None
    ca: OptionalPath = None
    require_client_cert: bool = True
    """Only counts with `ca`."""

    @property
    def enabled(self) -> bool:
        """Whether the TLS port is served."""
        return self.cert is not None

    @model_validator(mode="after")
    def _complete(self) -> ReceiverTls:
        if (self.cert is None) != (self.key is None):
            raise refuse("certificate and key belong together", "set cert and key, or none")
        if self.ca is not None and self.cert is None:
            raise refuse("ca is of no use without a certificate of our own", "set cert and key, too")
        return self


class Listener(Section):
    """One more port of the receiver, with AE titles of its own; with `tls` it uses the certificates of receiver.tls."""

    host: str = "0.0.0.0"
    port: Port
    ae_title: AeTitle = "SCANPOST"
    tls: bool = False
    accept_any_called_ae: bool = True
    called_ae_titles: tuple[AeTitle, ...] = ()

    @model_validator(mode="after")
    def _titles_count(self) -> Listener:
        _check_titles(self.accept_any_called_ae, self.called_ae_titles)
        return self


def _check_titles(accept_any: bool, titles: tuple[str, ...]) -> None:
    if titles and accept_any:
        raise refuse(
            "called_ae_titles is of no use while any called AE title is accepted", "set accept_any_called_ae = false"
        )


class Receiver(Section):
    """How images come in."""

    host: str = "0.0.0.0"
    port: Port = 11112
    ae_title: AeTitle = "SCANPOST"
    max_pdu: Annotated[int, Field(ge=4096, le=1_048_576)] = 131_072
    durability: Literal["fsync", "relaxed"] = "fsync"
    unknown_sources: Literal["accept", "reject"] = "accept"
    unreadable: Literal["quarantine", "refuse"] = "quarantine"
    workers: Annotated[int, Field(ge=1, le=64), BeforeValidator(_cores)] = 0
    allow: tuple[Network, ...] = ()
    accept_any_called_ae: bool = True
    called_ae_titles: tuple[AeTitle, ...] = ()
    max_associations: Annotated[int, Field(ge=1, le=10_000)] = 200
    max_associations_per_address: Annotated[int, Field(ge=0, le=10_000)] = 0
    max_object_gb: Annotated[float, Field(gt=0, le=1000)] = 2.0
    acse_timeout_s: Seconds = 30.0
    idle_timeout_s: Seconds = 600.0
    commitment_port: Port = 0
    """Where scanners listen for reports of storage commitment whose source names no port; 0: nowhere."""
    tls: ReceiverTls = ReceiverTls()
    listeners: tuple[Listener, ...] = ()

    @model_validator(mode="after")
    def _ports_differ(self) -> Receiver:
        ports = [self.port, *(listener.port for listener in self.listeners)]
        ports += [self.tls.port] if self.tls.enabled else []
        fixed = [port for port in ports if port]
        if len(fixed) != len(set(fixed)):
            raise refuse("two listeners share a port", "give port, tls.port and each of listeners a port of its own")
        return self

    @model_validator(mode="after")
    def _listeners_can_be_served(self) -> Receiver:
        _check_titles(self.accept_any_called_ae, self.called_ae_titles)
        if any(listener.tls for listener in self.listeners) and not self.tls.enabled:
            raise refuse(
                "a listener speaks TLS, but there is no certificate", "set receiver.tls.cert and receiver.tls.key"
            )
        return self


class Spool(Section):
    """The two reserves of disk: the receiver stops at the first, database and cleaner may use it down to the second."""

    reserve_gb: Gigabytes = 5.0
    reserve2_gb: Gigabytes = 1.0
    ballast_mb: Annotated[float, Field(ge=0, le=100_000)] = 256.0

    @model_validator(mode="after")
    def _ordered(self) -> Spool:
        if self.reserve2_gb > self.reserve_gb:
            raise refuse("reserve2_gb is the lower reserve", "make it smaller than reserve_gb")
        return self


class Router(Section):
    """When a series counts as complete (a source may have its own times)."""

    quiet_s: Seconds = 5.0
    idle_s: Seconds = 60.0
    study_quiet_s: Seconds = 300.0
    sweep_s: Seconds = 1.0


class Dispatcher(Section):
    """How much is sent at once."""

    instances: Annotated[int, Field(ge=1, le=8)] = 1
    slots: Annotated[int, Field(ge=1, le=64)] = 4
    urgent_lane: bool = True
    """One more slot in each dispatcher, for urgent deliveries while all others are busy."""
    aging_s: Annotated[float, Field(ge=0)] = 1800.0
    """0: never."""
    offpeak_window: Window = "20:00-06:00"
    offpeak_after_h: Annotated[float, Field(gt=0)] = 24.0


class Cleaner(Section):
    """How long what is finished is kept, and when it may be deleted."""

    retention_delivered_h: Annotated[float, Field(ge=0)] = 72.0
    retention_discarded_h: Annotated[float, Field(ge=0)] = 72.0
    retention_quarantined_h: OptionalHours = None
    window: Window = "22:00-06:00"
    sweep_s: Seconds = 60.0
    files_per_s: OptionalRate = 500.0
    """None: as fast as the disk can; so it is, too, while the disk is short of space."""
    clock_wait_h: Annotated[float, Field(ge=0, le=8760)] = 24.0
    """Hours of running in which nothing is deleted after the clock went ahead by days while this node was off. 0: it never waits."""
    outbox_days: Annotated[float, Field(ge=0)] = 7.0
    rows_days: Annotated[float, Field(ge=0)] = 90.0
    headers_days: Annotated[float, Field(ge=0)] = 30.0


class Ledger(Section):
    """The database of history."""

    url: str = "sqlite:///$SCANPOST_HOME/ledger.sqlite3"
    away_alert_s: Annotated[float, Field(gt=0)] = 60.0
    headers_days: Annotated[float, Field(ge=0, le=36_500)] = 365.0
    lag_alert_s: Annotated[float, Field(gt=0)] = 300.0
    patient_days: OptionalDays = None
    """Patient's id, name and accession number. None: as long as the rows."""
    rows_days: OptionalDays = None
    """Everything about what is over. None: for ever."""

    @model_validator(mode="after")
    def _known(self) -> Ledger:
        if not self.url.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg2://")):
            raise refuse("this is no ledger URL", "write sqlite:///PATH or postgresql://USER@HOST/DATABASE")
        return self


class WebTls(Section):
    """HTTPS; off until a certificate is named."""

    cert: OptionalPath = None
    key: OptionalPath = None

    @model_validator(mode="after")
    def _complete(self) -> WebTls:
        if (self.cert is None) != (self.key is None):
            raise refuse("certificate and key belong together", "set cert and key, or none")
        return self


class Webgui(Section):
    """The web page."""

    host: str = "127.0.0.1"
    port: Port = 8080
    behind_proxy: bool = False
    metrics_token_file: OptionalPath = None
    mask_phi: Literal["nobody", "viewers", "everybody"] = "nobody"
    """For whom names and ids of patients are masked; operators and admins may reveal them, which stands in the audit."""
    viewers_may_reveal: bool = False
    tls: WebTls = WebTls()

    @model_validator(mode="after")
    def _not_in_clear(self) -> Webgui:
        if self.tls.cert is None and not self.behind_proxy and not is_loopback(self.host):
            raise refuse(
                f"refusing to listen on {self.host} without TLS",
                "set webgui.tls.cert and webgui.tls.key, or webgui.behind_proxy = true if a proxy ends TLS",
            )
        return self


class Bus(Section):
    """The event bus; without it everything still works, only slower. Empty endpoints are ipc sockets in run/."""

    enabled: bool = True
    endpoint_in: Endpoint = ""
    endpoint_out: Endpoint = ""
    endpoint_replay: Endpoint = ""
    endpoint_arrivals: Endpoint = ""
    endpoint_offers: Endpoint = ""


class Settings(BaseModel):
    """All settings of one node, frozen. Made by `load_settings` only."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    home: Path
    node: Node = Node()
    receiver: Receiver = Receiver()
    spool: Spool = Spool()
    router: Router = Router()
    dispatcher: Dispatcher = Dispatcher()
    cleaner: Cleaner = Cleaner()
    ledger: Ledger = Ledger()
    mining: Mining = Mining()
    webgui: Webgui = Webgui()
    bus: Bus = Bus()
    alerts: Alerts = Alerts()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def origin(self, key: str) -> str:
        """Where the value of `section.key` came from: default, the file, the variable or the flag.

        Raises SettingsError for a key that does not exist.
        """
        at: Any = self
        for part in key.split("."):
            if not hasattr(type(at), "model_fields") or part not in type(at).model_fields:
                raise SettingsError(f"there is no setting {key!r}", "settings", "see `scanpost config show`")
            at = getattr(at, part)
        while key:
            if key in self._origins:
                return self._origins[key]
            key = key.rpartition(".")[0]
        return "default"

    @property
    def run_folder(self) -> Path:
        """Lock files and sockets."""
        return self.home / "run"

    @property
    def log_folder(self) -> Path:
        """Logs of all programs."""
        return self.home / "log"

    def socket(self, name: str) -> Path:
        """Path of a unix socket of this node, short enough for the system. May raise SettingsError."""
        return socket_path(self.home, name)
