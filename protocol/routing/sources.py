"""Sources: the sending AEs that are known, with their own completion times and policy.

It must not decide about unknown ones; `receiver.unknown_sources` does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, model_validator

from protocol.routing.commitment import SourceCommitment, as_commitment
from protocol.routing.fields import AETitle, Frozen, Network, Seconds, Switch, Text


class Source(Frozen):
    """A sending AE, known by calling AE title, by address or network, or both. Seconds of None: as in settings."""

    calling_ae: AETitle | None = None
    address: Network | None = None
    quiet_s: Seconds | None = None
    idle_s: Seconds | None = None
    accept: Switch = True
    resend: Literal["ignore", "deliver"] = "ignore"
    commitment: Annotated[SourceCommitment, BeforeValidator(as_commitment)] = SourceCommitment()
    comment: Text = ""

    @model_validator(mode="after")
    def _can_be_recognised(self) -> Source:
        if self.calling_ae is None and self.address is None:
            raise ValueError("a source needs calling_ae or address")
        return self


class SourceMatch(NamedTuple):
    """Which source it is (`name` None: unknown), and its own completion times in seconds (None: as in the settings)."""

    name: str | None
    quiet_s: float | None = None
    idle_s: float | None = None


def source_for(sources: Mapping[str, Source], calling_ae: str, address: str) -> SourceMatch:
    """The source that an association belongs to; the most specific one wins, then the first.

    More specific is: AE title and address before address before AE title; of two networks the smaller one.
    AE titles are compared exactly, without padding.
    """
    best: tuple[tuple[bool, int], str] | None = None
    title, place = calling_ae.strip(" \0"), _address(address)
    for name, source in sources.items():
        fit = _fit(source, title, place)
        if fit is not None and (best is None or fit > best[0]):
            best = fit, name
    if best is None:
        return SourceMatch(None)
    source = sources[best[1]]
    return SourceMatch(best[1], source.quiet_s, source.idle_s)


def commitment_for(
    sources: Mapping[str, Source], name: str | None, calling_ae: str, address: str
) -> SourceCommitment:  # fmt: skip
    """What counts for a source's requests for storage commitment: by its name if it still is one, else by what is known of
    it; an unknown one gets the default.
    """
    if name not in sources:
        name = source_for(sources, calling_ae, address).name
    return SourceCommitment() if name is None else sources[name].commitment


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as the operating system gives it: perhaps with a zone, perhaps IPv4 within IPv6."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _fit(
    source: Source, title: str, place: ipaddress.IPv4Address | ipaddress.IPv6Address | None
) -> tuple[bool, int] | None:
    """How specifically the source fits, or None. The larger the better: both named, then the longer prefix."""
    if source.calling_ae is not None and source.calling_ae != title:
        return None
    if source.address is None:
        return False, -1
    network = ipaddress.ip_network(source.address)
    if place is None or place.version != network.version or place not in network:
        return None
    return source.calling_ae is not None, network.prefixlen
