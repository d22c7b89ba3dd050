"""Sources: the sending AEs that are known, how they are recognised, and the policy of each.

It must not decide about unknown ones; `receiver.unknown_sources` does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from protocol.header.charset import resolve
from protocol.header.uids import valid_uid
from protocol.routing import shapes
from protocol.routing.commitment import CommitmentPolicy, SourceCommitment, as_commitment
from protocol.routing.fields import AETitle, Count, Frozen, Network, Seconds, Switch, Text
from protocol.routing.subjects import Subject, common_name, parse_subject

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Rank = tuple[int, bool, int, bool]


def _certificate(text: str) -> str:
    text = text.strip(" ")
    if not text or not text.isprintable():
        raise ValueError("a certificate is a common name, or a subject like CN=mr1,OU=Radiology,O=Hospital")
    if "=" in text:
        parse_subject(text)
    return text


def _charset(text: str) -> str:
    """One or more defined terms (PS3.3 section C.12.1.1.2); all must be known, or every text would be flagged."""
    terms = [term.strip(" ") for term in text.split("\\")]
    if not text.isascii() or not any(terms) or not resolve("\\".join(terms).encode("ascii")).known:
        raise ValueError('a charset is one or more defined terms, such as "ISO_IR 100" or "\\\\ISO 2022 IR 87"')
    return "\\".join(terms)


def _uid(text: str) -> str:
    if not valid_uid(text):
        raise ValueError("a SOP class is named by its UID, such as 1.2.840.10008.5.1.4.1.1.2")
    return text


class Source(Frozen):
    """A sending AE, known by calling AE title, address or network, TLS certificate, or several of them: all must match.

    Attributes:
        certificate: subject of the verified TLS certificate, as RFC 4514 text if it has a "=", else its common name.
        label: the name that people are shown; empty: the source's name.
        quiet_s, idle_s: completion times in seconds; None: as in settings.
        accept: False rejects its associations, and images (0124) of one that was open when this was set.
        charset: Specific Character Set of its objects that name none.
        resend: what happens to an object that came before, bit for bit: "ignore" it, or "deliver" it again.
        unreadable: as receiver.unreadable, for this source.
        max_associations: at once; more are rejected transiently.
        max_images_per_s: more are answered later, so that the sender waits; never refused.
        max_object_mb: larger data sets (1 MB = 10^6 bytes) are refused with 0124.
        sop_classes: what it may store; others are refused with 0124. None: all.
    """

    model_config = shapes.config(
        {"anyOf": [shapes.given(one) for one in ("calling_ae", "address", "certificate")]}
    )  # fmt: skip

    calling_ae: AETitle | None = None
    address: Network | None = None
    certificate: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_certificate)] | None = None
    label: Annotated[Text, StringConstraints(max_length=64, pattern=r"^[^\n\r\t]*\Z"), shapes.LABEL] = ""
    quiet_s: Seconds | None = None
    idle_s: Seconds | None = None
    accept: Switch = True
    charset: Annotated[str, StringConstraints(max_length=200), AfterValidator(_charset)] | None = None
    resend: Literal["ignore", "deliver"] = "ignore"
    unreadable: Literal["quarantine", "refuse"] | None = None
    max_associations: Count | None = None
    max_images_per_s: Annotated[float, Field(strict=True, ge=0.1, le=1_000_000, allow_inf_nan=False)] | None = None
    max_object_mb: Annotated[float, Field(strict=True, gt=0, le=1_000_000, allow_inf_nan=False)] | None = None
    sop_classes: Annotated[tuple[Annotated[str, AfterValidator(_uid), shapes.UID], ...], Field(min_length=1)] | None = (
        None
    )
    commitment: Annotated[
        SourceCommitment,
        BeforeValidator(as_commitment, json_schema_input_type=SourceCommitment | CommitmentPolicy),
    ] = SourceCommitment()
    comment: Text = ""

    @model_validator(mode="after")
    def _can_be_recognised(self) -> Source:
        if self.calling_ae is None and self.address is None and self.certificate is None:
            raise ValueError("a source needs calling_ae, address or certificate")
        return self

    @cached_property
    def network(self) -> IpNetwork | None:
        """Where it may come from; None: anywhere."""
        return None if self.address is None else ipaddress.ip_network(self.address)

    @cached_property
    def subject(self) -> Subject | str | None:
        """What its certificate must show: a whole subject, or a common name; None: anything or nothing."""
        if self.certificate is None or "=" not in self.certificate:
            return self.certificate
        return parse_subject(self.certificate)

    @property
    def criteria(self) -> tuple[object, ...]:
        """What it is recognised by. Two sources that are equally specific for one association have the same."""
        return self.calling_ae, self.address, self.subject


class SourceMatch(NamedTuple):
    """Which source it is (`name` None: unknown), and its own completion times in seconds (None: as in the settings)."""

    name: str | None
    quiet_s: float | None = None
    idle_s: float | None = None


def source_for(sources: Mapping[str, Source], calling_ae: str, address: str, subject: str = "") -> SourceMatch:
    """The source that an association belongs to; `subject` is that of the verified certificate (RFC 4514), if any.

    The most specific one wins: what is proven before what is claimed, so a certificate (a whole subject before a common
    name) before AE title and address together before an address (of two networks the smaller one) before an AE title.
    Two sources can only tie with the same criteria, which `model` refuses: the order in the file never counts.
    AE titles are compared exactly, without padding.
    """
    best: tuple[Rank, str] | None = None
    title, place, shown = calling_ae.strip(" \0"), _address(address), _shown(subject)
    for name, source in sources.items():
        rank = _rank(source, title, place, shown)
        if rank is not None and (best is None or rank > best[0]):
            best = rank, name
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


def _address(text: str) -> Address | None:
    """An address as the operating system gives it: perhaps with a zone, perhaps IPv4 within IPv6."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def in_networks(address: str, networks: Collection[IpNetwork]) -> bool:
    """Is an address, as the operating system gives it, in one of these networks?"""
    place = _address(address)
    return place is not None and any(place in network for network in networks)


def _shown(subject: str) -> Subject:
    try:
        return parse_subject(subject)
    except ValueError:
        return ()


def _rank(source: Source, title: str, place: Address | None, shown: Subject) -> Rank | None:
    """How specifically the source fits, or None. The larger the better."""
    if source.calling_ae is not None and source.calling_ae != title:
        return None
    network = source.network
    if network is not None and (place is None or place not in network):
        return None
    wanted = source.subject
    if wanted is not None and wanted != (common_name(shown) if isinstance(wanted, str) else shown):
        return None
    proven = 0 if wanted is None else 1 if isinstance(wanted, str) else 2
    prefix = -1 if network is None else network.prefixlen
    return proven, network is not None and source.calling_ae is not None, prefix, source.calling_ae is not None
