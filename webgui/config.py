"""What the web page needs of the settings, as one frozen object. It must not read files or the environment.

That passwords never cross a network in clear is checked with the settings (protocol/settings/model.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Settings of one web page process; times in seconds."""

    host: str = "127.0.0.1"
    port: int = 8080
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    """A proxy ends TLS in front of us: cookies are Secure, X-Forwarded-For is believed."""

    metrics_token_file: Path | None = None
    """Who asks for /metrics must know the token in this file; None: nobody must."""
    mask_phi: str = "nobody"
    """For whom patient data are masked: nobody, viewers, everybody."""
    viewers_may_reveal: bool = False
    zone: ZoneInfo | None = None
    """In which times are told to who chose none; None: the machine's."""

    ae_title: str = "SCANPOST"
    dicom_host: str = ""
    """Where scanners should send to, as shown on the page; empty: the machine's name."""
    dicom_port: int = 11112
    version: str = ""

    tick_s: float = 1.0
    """How often figures are read while somebody watches."""
    idle_tick_s: float = 5.0
    """How often while nobody does: keeps rates and chart ready for the next visitor."""
    still_tick_s: float = 60.0
    """How often while nobody does and the bus tells of nothing; whoever comes has figures read for him."""
    heartbeat_s: float = 2.0
    """A live socket gets some frame at least this often; the page calls itself stale after 5 s without."""
    session_check_s: float = 10.0
    """How often a live socket looks whether its session still lives."""

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over TLS."""
        return self.behind_proxy or self.tls_cert is not None
