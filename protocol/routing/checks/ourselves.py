"""This node as its targets may meet it: the ports it listens on and the names and addresses of its machine.

It must not ask the network: a name that only a name server knows is not recognised.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from protocol.records import record
from protocol.routing.extras import lacking
from protocol.routing.sources import IpNetwork
from protocol.settings.model import Settings
from protocol.spool.places import Places

_ANYWHERE = ("0.0.0.0", "::", "")
_LOOPBACK_NAMES = ("localhost", "ip6-localhost", "ip6-loopback", "localhost.localdomain")


@record
class Listening:
    """One port of the receiver. `host` is the address it is bound to."""

    host: str
    port: int
    ae_title: str


@record
class Ourselves:
    """What checks need to know of this node.

    Attributes:
        ports: where it takes associations.
        hosts: names and addresses of the machine, in lower case.
        certificates: whether a peer can show a certificate that is verified.
        allow: networks that may connect; empty: all.
        lacking: types of target whose library is not installed.
        folders: those of our own files, absolute, where nothing else may be written.
    """

    ports: tuple[Listening, ...]
    hosts: frozenset[str]
    certificates: bool = True
    allow: tuple[IpNetwork, ...] = ()
    lacking: frozenset[str] = frozenset()
    folders: tuple[Path, ...] = ()

    def listener_at(self, host: str, port: int) -> Listening | None:
        """The port of ours that a connection to this host and port reaches."""
        text = host.lower().rstrip(".")
        address = _address("127.0.0.1" if text in _LOOPBACK_NAMES else text)
        if address is None:
            here = text in self.hosts
        else:
            here = address.is_loopback or address.is_unspecified or str(address) in self.hosts
        if not here:
            return None
        return next((one for one in self.ports if one.port == port and _reached(one.host, address)), None)

    def namesake(self, called_ae: str, port: int) -> Listening | None:
        """The port of ours with this AE title and number, on whatever host."""
        return next((one for one in self.ports if one.port == port and one.ae_title == called_ae), None)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _reached(bound: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    """Whether a port bound to one address is reached under another; of a name that is not known."""
    own = _address(bound)
    if bound in _ANYWHERE or own is None or address is None or address.is_unspecified:
        return True
    return own == address or (own.is_loopback and address.is_loopback)


def ourselves(settings: Settings) -> Ourselves:
    """This node, as its settings and the operating system tell it. Ports that the system chooses are left out."""
    import psutil  # 60 ms, and only publishing and checking ask

    receiver, places = settings.receiver, Places(settings.home)
    ports = [Listening(receiver.host, receiver.port, receiver.ae_title)]
    if receiver.tls.enabled:
        ports.append(Listening(receiver.host, receiver.tls.port, receiver.ae_title))
    ports += [Listening(one.host, one.port, one.ae_title) for one in receiver.listeners]
    name = socket.gethostname().lower()
    hosts = {name, name.partition(".")[0]}
    for addresses in psutil.net_if_addrs().values():
        found = (_address(one.address) for one in addresses if one.family in (socket.AF_INET, socket.AF_INET6))
        hosts |= {str(address) for address in found if address is not None}
    return Ourselves(
        ports=tuple(one for one in ports if one.port),
        hosts=frozenset(hosts - {""}),
        certificates=receiver.tls.enabled and receiver.tls.ca is not None,
        allow=tuple(ipaddress.ip_network(str(one)) for one in receiver.allow),
        lacking=lacking(),
        folders=tuple(place.resolve() for place in (places.spool, places.config, places.run, places.log)),
    )
