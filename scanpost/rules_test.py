"""`scanpost rules test` and `add-test`: rules tried on files, pasted headers and arrivals; test cases kept with a rule.
Trying changes nothing; a test case is stored by publishing a version.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from scanpost.common import Options, json_option, pass_options, print_json, say
from scanpost.rule_lines import decision_line, rule_lines
from scanpost.trying import Origin, Tried, of_arrival, of_files, of_header, received_at, rules_of

_PATH = click.Path(exists=True, path_type=Path)
ROUTING = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


def origin_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say where tried images come from; the command gets `origin`."""
    for option, name, text in (
        ("--received", "received", "Time of receipt, ISO 8601 (default: now)."),
        ("--source", "source", "Name of the source."),
        ("--receiver-aet", "called_ae", "Called AE title."),
        ("--sender-address", "address", "Address of the sender."),
        ("--sender-aet", "calling_ae", "AE title of the sender."),
    ):
        command = click.option(option, name, default=None, help=text)(command)
    return command


def made_origin(options: Options, told: dict[str, Any]) -> Origin:
    """The origin that the options say."""
    received = received_at(told.pop("received"), options.settings().node.zone)
    return Origin(**{name: value for name, value in told.items() if value is not None}, received=received)


@click.command("test")
@click.argument("files", nargs=-1, type=_PATH)
@click.option("--rule", default="", help="This rule alone.")
@click.option("--routing", "routing_file", type=ROUTING, help="Rules of this file instead of the current ones.")
@click.option(
    "--header", "header_file", help="A pasted header: JSON, DICOM JSON model or dcmdump text; - for standard input."
)
@click.option("--arrival", type=int, help="A past arrival, from the spool or the ledger.")
@origin_options
@json_option
@pass_options
def test(
    options: Options, files: tuple[Path, ...], rule: str, routing_file: Path | None, header_file: str | None,
    arrival: int | None, as_json: bool, **told: Any,
) -> None:  # fmt: skip
    """What the rules make of DICOM FILES (or folders of them), of a pasted header or of a past arrival. Changes nothing.

    \b
    Examples:
      scanpost rules test scans/ --sender-aet MR1
      dcmdump image.dcm | scanpost rules test --header - --rule cardiac
      scanpost rules test --arrival 217500123 --routing draft.json
    """
    configuration, revision = rules_of(options, routing_file)
    origin, zone = made_origin(options, told), options.settings().node.zone
    cases: list[Tried] = []
    if header_file is not None:
        cases.append(of_header(header_file, origin, zone))
    if arrival is not None:
        cases.append(of_arrival(options, arrival, configuration))
    cases += of_files(files, configuration, origin, zone)
    if not cases:
        raise click.UsageError("nothing to test: name files, --header or --arrival")
    from protocol.routing.trying import tried

    documents = [
        {"title": one.title, "notes": one.notes} | tried(configuration, revision, one.case, rule) for one in cases
    ]
    if as_json:
        print_json({"revision": revision, "cases": documents})
        return
    for document in documents:
        _show(document, bool(rule))


def _show(document: dict[str, Any], one_rule: bool) -> None:
    click.echo(f"\n{document['title']}")
    for note in document["notes"]:
        say(note)
    for rule in document["rules"]:
        for line in rule_lines(rule):
            click.echo("  " + line)
    if not one_rule:
        click.echo("  " + decision_line(document["decision"]))


@click.command("add-test")
@click.argument("rule")
@click.option("--header", "header_file", required=True, help="A pasted header, or a DICOM file; - for standard input.")
@click.option("--expect", type=click.Choice(["true", "false", "unknown", "error"]), required=True)
@click.option("--name", default="", help="What the test case is about.")
@click.option("--reason", "-r", default="", help="Why, for the history.")
@origin_options
@json_option
@pass_options
def add_test(
    options: Options, rule: str, header_file: str, expect: str, name: str, reason: str, as_json: bool, **told: Any
) -> None:
    """Keep a test case with RULE: a header and the result that is expected. Publishes a version.

    Only what the rule reads is kept of the header. A rule whose own test cases fail cannot be activated.

    \b
    Example: scanpost rules add-test cardiac --header header.json --expect true
    """
    from protocol.routing.edits import add_test as edit_of
    from scanpost.publishing import edit

    origin = {key: value for key, value in told.items() if value is not None}
    configuration, _ = rules_of(options, None)
    images = _images(header_file, configuration.keywords)
    change = edit_of(rule, images, _origin_names(options, origin), expect, name)
    edit(options, change, reason or f"test case for rule {rule}", as_json)


def _images(file: str, keywords: frozenset[str]) -> list[dict[str, Any]]:
    """A DICOM file if it is one, else a pasted header."""
    import sys

    from protocol.errors import UnreadableImage
    from protocol.header.pasted import read_pasted
    from scanpost.trying import header_of

    if file == "-":
        return read_pasted(sys.stdin.read())
    try:
        return [header_of(Path(file), keywords)]
    except UnreadableImage:
        try:
            return read_pasted(Path(file).read_text("utf-8", "replace"))
        except OSError as exc:
            raise click.BadParameter(f"{file}: {exc.strerror}", param_hint="--header") from exc


def _origin_names(options: Options, told: dict[str, Any]) -> dict[str, Any]:
    """The origin as test cases write it, by the names that rules use."""
    names = {"calling_ae": "SenderAET", "address": "SenderAddress", "called_ae": "ReceiverAET", "source": "Source"}
    origin = {names[key]: value for key, value in told.items() if key in names}
    if "received" in told:
        from datetime import UTC, datetime

        seconds = received_at(told["received"], options.settings().node.zone)
        origin["ReceivedAt"] = datetime.fromtimestamp(seconds, UTC).isoformat()
    return origin
