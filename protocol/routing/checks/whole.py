"""What is odd about a valid routing configuration: loops, rules that cannot act, parts that nobody uses.

Pure: time and what is known of this node are handed in. It must not call anything unreachable that is not proven to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from protocol.errors import RoutingError
from protocol.routing import extras
from protocol.routing.checks.findings import Finding, of_fault, warning
from protocol.routing.checks.loops import loops
from protocol.routing.checks.ourselves import Ourselves
from protocol.routing.checks.rules import rule_findings
from protocol.routing.faults import faults_of_tests
from protocol.routing.model import RoutingConfiguration, Rule
from protocol.routing.parse import SECTIONS
from protocol.routing.sources import Source
from protocol.routing.syntaxes import EXTRA, MADE, name_of, uid_of
from protocol.routing.targets import DicomTarget, DicomWebTarget, SftpTarget
from protocol.routing.terms import expired, not_in_force

_PRIVATE = re.compile(r"https:|http://(localhost|127\.0\.0\.1)(:\d+)?(/|\Z)")


def examine(
    configuration: RoutingConfiguration, now: datetime, node: Ourselves | None = None
) -> tuple[Finding, ...]:  # fmt: skip
    """All findings, in file order. `now` with the node's zone; without `node` what depends on it is not asked."""
    found = [of_fault(fault) for fault in faults_of_tests(configuration)]
    found += rule_findings(configuration, now)
    found += _unused(configuration, now)
    found += _same_node_twice(configuration)
    found += _nothing_routed(configuration, now)
    found += _in_clear(configuration)
    found += _unknown_servers(configuration)
    found += _transcoding(configuration)
    if node is not None:
        found += loops(configuration, node)
        found += _unmatched(configuration, node)
        found += _lacking(configuration, node)
    order = {name: at for at, name in enumerate(_places(configuration))}
    found.sort(key=lambda one: _position(one.place, order))
    return tuple(dict.fromkeys(found))


def errors_of(findings: Sequence[Finding], file: str, strict: bool = False) -> RoutingError | None:
    """The findings that stop a publication as one error, or None; `strict`: warnings too."""
    faults = [one.fault for one in findings if strict or one.level == "error"]
    return RoutingError.of(faults, file) if faults else None


def _places(configuration: RoutingConfiguration) -> Iterator[str]:
    for section in SECTIONS[:3]:
        yield section
        yield from (f"{section}.{name}" for name in getattr(configuration, section))
    yield "rules"
    yield from (f"rules[{at}]" for at in range(len(configuration.rules)))


def _position(place: str, order: dict[str, int]) -> int:
    """Where the part that a place begins with stands."""
    section, dot, rest = place.partition(".")
    name = (
        place.partition("]")[0] + "]" if "[" in section else f"{section}{dot}{rest.partition('.')[0].partition('[')[0]}"
    )
    return order.get(name, len(order))


def _users(configuration: RoutingConfiguration) -> dict[str, list[Rule]]:
    """For each target and group the rules that name it; a group's rules use its members too."""
    users: dict[str, list[Rule]] = {name: [] for name in (*configuration.targets, *configuration.groups)}
    for rule in configuration.rules:
        for name in rule.targets:
            users[name].append(rule)
    for name, group in configuration.groups.items():
        for member in group.members:
            users[member] += users[name]
    return users


def _unused(configuration: RoutingConfiguration, now: datetime) -> Iterator[Finding]:
    references = {source.commitment.target for source in configuration.sources.values()}
    grouped = {member for group in configuration.groups.values() for member in group.members}
    for name, rules in _users(configuration).items():
        kind = "groups" if name in configuration.groups else "targets"
        if name in references or any(rule.mode != "off" and not expired(rule.expires, now) for rule in rules):
            continue
        if rules:
            message = f"'{name}' is only used by rules that are off or expired"
            yield warning((kind, name), message, "remove it, or switch a rule on")
        elif name not in grouped:
            yield warning((kind, name), f"no rule names '{name}'", "name it in a rule, or remove it")


def _same_node_twice(configuration: RoutingConfiguration) -> Iterator[Finding]:
    for name, group in configuration.groups.items():
        seen: dict[tuple[str, int, str], str] = {}
        for at, member in enumerate(group.members):
            node = _node(configuration, member)
            other = seen.setdefault(node, member) if node else member
            if other != member:
                message = f"'{member}' and '{other}' of group '{name}' are the same node"
                yield warning(("groups", name, "members", at), message, "leave one of them out")
    for at, rule in enumerate(configuration.rules):
        for target in rule.targets:
            inside = [
                one for one in rule.targets if one in configuration.groups and target in _members(configuration, one)
            ]
            if inside:
                message = (
                    f"rule '{rule.name}' routes to '{target}' and to group '{inside[0]}', which has it as a member"
                )
                yield warning(("rules", at, "targets"), message, "name one of them, or images may go there twice")


def _node(configuration: RoutingConfiguration, member: str) -> tuple[str, int, str] | None:
    target = configuration.targets.get(member)
    if not isinstance(target, DicomTarget):
        return None
    return target.host.lower(), target.port, target.called_ae


def _members(configuration: RoutingConfiguration, group: str) -> tuple[str, ...]:
    return configuration.groups[group].members


def _nothing_routed(configuration: RoutingConfiguration, now: datetime) -> Iterator[Finding]:
    anything = configuration.rules or configuration.targets or configuration.sources
    acting = (rule for rule in configuration.rules if not not_in_force(rule.expires, rule.off_until, now))
    if anything and not any(rule.mode == "active" and rule.action != "discard" for rule in acting):
        yield warning(("rules",), "no active rule routes or holds: every image is discarded", "switch a rule on")


def _in_clear(configuration: RoutingConfiguration) -> Iterator[Finding]:
    """Secrets that anybody on the way could read."""
    for name, target in configuration.targets.items():
        if isinstance(target, DicomWebTarget) and (target.token or target.password) and not _PRIVATE.match(target.url):
            message = f"the secret of target '{name}' goes over the network in clear"
            yield warning(("targets", name, "url"), message, "use https")


def _unknown_servers(configuration: RoutingConfiguration) -> Iterator[Finding]:
    """SSH servers that nobody vouched for: nothing is sent to them."""
    for name, target in configuration.targets.items():
        if isinstance(target, SftpTarget) and target.verify and target.known_hosts is None and target.host_key is None:
            message = f"nothing says which server is the right one, so target '{name}' gets nothing"
            cure = f"write host_key, which `scanpost target test {name}` shows, or known_hosts"
            yield warning(("targets", name), message, cure)


def _transcoding(configuration: RoutingConfiguration) -> Iterator[Finding]:
    """Targets that were to be sent changed images, and never will be."""
    for name, target in configuration.targets.items():
        if target.transcode == "never":
            continue
        listed = target.transfer_syntaxes
        if listed is None and not isinstance(target, DicomTarget):
            message = f"target '{name}' cannot be asked what it takes, so nothing is transcoded for it"
            yield warning(("targets", name, "transcode"), message, "list what it takes in transfer_syntaxes")
        elif listed is not None and not any(uid_of(one) in MADE for one in listed):
            message = f"nothing can be transcoded into what target '{name}' takes"
            yield warning(
                ("targets", name, "transfer_syntaxes"), message, f"add one of {', '.join(map(name_of, MADE))}"
            )


def _lacking(configuration: RoutingConfiguration, node: Ourselves) -> Iterator[Finding]:
    """Targets that cannot be sent to from this machine."""
    for name, target in configuration.targets.items():
        if target.type in node.lacking:
            yield warning(("targets", name, "type"), extras.words(target.type), extras.cure(target.type))
        if target.transcode != "never" and EXTRA in node.lacking:
            yield warning(("targets", name, "transcode"), extras.words(EXTRA), extras.cure(EXTRA))


def _unmatched(configuration: RoutingConfiguration, node: Ourselves) -> Iterator[Finding]:
    """Sources that no association can ever belong to."""
    for name, source in configuration.sources.items():
        if source.certificate is not None and not node.certificates:
            message = f"source '{name}' is known by a certificate, but no port asks for certificates"
            yield warning(
                ("sources", name, "certificate"), message, "set receiver.tls.cert, key and ca in scanpost.toml"
            )
        if node.allow and not _may_connect(source, node):
            message = f"source '{name}' comes from {source.address}, which may not connect"
            yield warning(("sources", name, "address"), message, "add it to receiver.allow in scanpost.toml")


def _may_connect(source: Source, node: Ourselves) -> bool:
    own = source.network
    return own is None or any(own.version == one.version and own.overlaps(one) for one in node.allow)
