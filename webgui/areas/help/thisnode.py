"""What the conformance statement leaves open, as this node is configured: addresses, titles, sources, targets, security.
It must not read files: settings and routing are handed in.
"""

from __future__ import annotations

from protocol.addresses import with_port
from protocol.records import record
from protocol.routing.model import RoutingConfiguration
from protocol.routing.targets import DicomTarget
from protocol.settings import Settings

ANY = "any"


@record
class Table:
    """A part: its title, the names of its columns, its rows of texts."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str = ""


def this_node(settings: Settings, routing: RoutingConfiguration) -> list[Table]:
    """All parts, in the order of the statement."""
    return [_ports(settings), _acceptance(settings), _sources(routing), _targets(routing), _others(routing)]


def _ports(settings: Settings) -> Table:
    own = settings.receiver
    titles = ANY if own.accept_any_called_ae else ", ".join(own.called_ae_titles or (own.ae_title,))
    rows = [(own.host, str(own.port), own.ae_title, titles, "no")]
    if own.tls.enabled:
        asked = own.tls.ca is not None and own.tls.require_client_cert
        rows.append(
            (
                own.host,
                str(own.tls.port),
                own.ae_title,
                titles,
                "yes, client certificate " + ("needed" if asked else "not needed"),
            )
        )
    for one in own.listeners:
        called = ANY if one.accept_any_called_ae else ", ".join(one.called_ae_titles or (one.ae_title,))
        rows.append((one.host, str(one.port), one.ae_title, called, "yes" if one.tls else "no"))
    return Table("Where it listens", ("Address", "Port", "AE title", "Called AE titles accepted", "TLS"), tuple(rows))


def _acceptance(settings: Settings) -> Table:
    own = settings.receiver
    rows = (
        ("Unknown sources", "accepted" if own.unknown_sources == "accept" else "rejected"),
        ("Networks that may connect", ", ".join(own.allow) or ANY),
        ("Associations at once", str(own.max_associations)),
        ("Associations at once from one address", str(own.max_associations_per_address or "as many as in all")),
        ("Maximum PDU received", f"{own.max_pdu} bytes"),
        ("Largest object", f"{own.max_object_gb:g} GB"),
        ("Time for the association to be negotiated", f"{own.acse_timeout_s:g} s"),
        ("Silence after which an association is ended", f"{own.idle_timeout_s:g} s"),
        (
            "Objects that cannot be read",
            "kept aside, answered with success" if own.unreadable == "quarantine" else "refused (C000)",
        ),
        (
            "A success is answered once the image is",
            "on disk (fsync)" if own.durability == "fsync" else "handed to the system",
        ),
        ("Port for reports of storage commitment", str(own.commitment_port or "none")),
    )
    return Table("How it accepts", ("What", "Here"), rows)


def _sources(routing: RoutingConfiguration) -> Table:
    rows = tuple(
        (name, one.calling_ae or ANY, str(one.address or ANY), one.certificate or "–", "yes" if one.accept else "no",
         f"{len(one.sop_classes)} SOP classes" if one.sop_classes is not None else "all SOP classes")
        for name, one in sorted(routing.sources.items())
    )  # fmt: skip
    columns = ("Source", "Calling AE title", "Address", "Certificate", "Accepted", "May store")
    return Table("Sources it knows", columns, rows, "None; strangers are treated as above.")


def _targets(routing: RoutingConfiguration) -> Table:
    rows = tuple(
        (name, "the scanner's" if one.pass_calling_ae else one.calling_ae, "the one called" if one.pass_called_ae else one.called_ae,
         with_port(one.host, one.port), "yes" if one.tls is not None else "no", f"{one.associations} × {one.concurrency}")
        for name, one in sorted(routing.targets.items())
        if isinstance(one, DicomTarget)
    )  # fmt: skip
    columns = ("Target", "Calling AE title", "Called AE title", "Address", "TLS", "Associations × deliveries at once")
    return Table("Where it sends by C-STORE", columns, rows, "Nowhere yet.")


def _others(routing: RoutingConfiguration) -> Table:
    rows = tuple((name, one.type) for name, one in sorted(routing.targets.items()) if not isinstance(one, DicomTarget))
    return Table("Where it sends otherwise", ("Target", "Kind"), rows, "Nowhere.")
