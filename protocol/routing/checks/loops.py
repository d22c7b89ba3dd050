"""Images that come back: targets that are this node itself, and targets that are sources at the same time.

It must not ask the network who is who; names, addresses and AE titles as they are written are all it knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from protocol.routing.checks.findings import Finding, error, warning
from protocol.routing.checks.ourselves import Ourselves
from protocol.routing.model import RoutingConfiguration, Rule
from protocol.routing.sources import Source
from protocol.routing.targets import DicomTarget, FolderTarget

_SENDER_NAMES = {"SenderAET", "SenderAddress", "Source"}


def loops(configuration: RoutingConfiguration, node: Ourselves) -> Iterator[Finding]:
    """Loops among the DICOM targets, and folders that are our own."""
    for name, target in configuration.targets.items():
        if isinstance(target, FolderTarget) and any(map(PurePosixPath(target.path).is_relative_to, node.folders)):
            message = f"target '{name}' writes into a folder of scanpost's own files"
            yield error(("targets", name, "path"), message, "give it a folder that nothing else uses")
        if not isinstance(target, DicomTarget):
            continue
        place = ("targets", name)
        own = node.listener_at(target.host, target.port)
        if own is not None:
            message = f"target '{name}' is this node itself ({own.ae_title}, port {own.port}): images would go round in circles"
            yield error(place, message, "correct its host or port, or remove it")
        elif (other := node.namesake(target.called_ae, target.port)) is not None:
            message = (
                f"target '{name}' has our AE title {other.ae_title} and port {other.port}; under its host it may be us"
            )
            yield warning(place, message, "give each node an AE title of its own (receiver.ae_title)")
        else:
            yield from _returns(configuration, name, target)


def _returns(configuration: RoutingConfiguration, name: str, target: DicomTarget) -> Iterator[Finding]:
    """A target that also sends: what it sends back would go to it again, unless the rule looks at the sender."""
    senders = [one for one, source in configuration.sources.items() if _same_node(source, target)]
    for at, rule in enumerate(configuration.rules):
        if senders and _routes_to(configuration, rule, name) and not _SENDER_NAMES & set(rule.compiled.names):
            message = f"rule '{rule.name}' may send back to '{name}' what source '{senders[0]}', the same node, sent"
            yield warning(("rules", at, "when"), message, f"add: and Source != '{senders[0]}'")


def _same_node(source: Source, target: DicomTarget) -> bool:
    """The same single address; or the same AE title where the source is known by nothing else."""
    if source.address is not None:
        return source.address.removesuffix("/32").removesuffix("/128") == target.host.lower()
    return source.calling_ae == target.called_ae


def _routes_to(configuration: RoutingConfiguration, rule: Rule, target: str) -> bool:
    if rule.mode != "active" or rule.action != "route":
        return False
    groups = (configuration.groups[one].members for one in rule.targets if one in configuration.groups)
    return target in rule.targets or any(target in members for members in groups)
