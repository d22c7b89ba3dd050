"""`scanpost send` and `scanpost echo`: DICOM tools for trying things; exit codes as DCMTK's dcmsend and echoscu."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scanpost.asking import size
from scanpost.common import json_option, print_json, say

if TYPE_CHECKING:
    from actors.dicom.bulk import SendReport
    from actors.dicom.scu import Node

INTERRUPTED = 130  # as a shell says it of a program ended by Ctrl-C
SHOWN = 20  # files that failed


_PEER = (
    click.argument("host"),
    click.argument("port", type=click.IntRange(1, 65535)),
    click.option("-aet", "--aetitle", "calling", default="SCANPOST", show_default=True, help="Calling AE title."),
    click.option("-aec", "--call", "called", default="ANY-SCP", show_default=True, help="Called AE title."),
    click.option(
        "-to", "--timeout", default=30.0, show_default=True, type=click.FloatRange(0, min_open=True),
        help="Seconds for each step: connecting at most 10.",
    ),
    click.option(
        "-pdu", "--max-pdu", default=131072, show_default=True, type=click.IntRange(4096, 1048576),
        help="Bytes of a PDU, both ways; the other side may want less.",
    ),
    click.option("--tls", is_flag=True, help="Encrypt; also said by the options below."),
    click.option("--ca", type=click.Path(exists=True), help="PEM: who signs the other side's certificate."),
    click.option("--cert", type=click.Path(exists=True), help="PEM: our certificate."),
    click.option("--key", type=click.Path(exists=True), help="PEM: its key, if that is not in --cert."),
    click.option("--insecure", is_flag=True, help="Take any certificate."),
)  # fmt: skip


def _peer(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds who is called and how; the command gets them as `peer`, for `_node`."""
    for add in reversed(_PEER):
        command = add(command)
    return command


def _node(
    host: str, port: int, calling: str, called: str, timeout: float, max_pdu: int, tls: bool, ca: str | None,
    cert: str | None, key: str | None, insecure: bool,
) -> Node:  # fmt: skip
    from actors.dicom.scu import Node

    if insecure and ca:
        raise click.BadOptionUsage("--insecure", "--insecure and --ca exclude each other")
    if key and not cert:
        raise click.BadOptionUsage("--key", "--key is of no use without --cert")
    secure = None
    if tls or ca or cert or insecure:
        from actors.dicom.tls import ClientTls

        secure = ClientTls(ca, cert, key or cert, not insecure)
    return Node(host, port, called, calling, max_pdu, min(10.0, timeout), timeout, timeout, secure)


@click.command()
@_peer
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--associations", default=1, show_default=True, type=click.IntRange(1, 64), help="How many at the same time."
)
@json_option
def send(paths: tuple[Path, ...], associations: int, as_json: bool, **peer: Any) -> None:
    """Send DICOM files (folders are searched) to HOST PORT, their datasets unchanged.

    \b
    Examples:
      scanpost send 127.0.0.1 11112 /data/series
      scanpost send pacs 104 a.dcm b.dcm -aet CT1 -aec PACS
      scanpost send pacs 2762 /data --ca ca.pem --cert me.pem --key me.key
      scanpost send pacs 104 /data --associations 4 --json

    \b
    Exit codes as dcmsend: 0 all sent, 21 no files, 22 some were no images, 23 none was one,
    61 no association, 62 not sent or refused, 65 no presentation context; 130 interrupted.
    """
    from actors.dicom.bulk import SendReport, send_files

    report = SendReport()
    node, interrupted = _node(**peer), False
    try:
        if not as_json and sys.stderr.isatty():
            from scanpost.bar import Bar

            with Bar() as bar:
                send_files(node, paths, bar, associations=associations, into=report)
        else:
            send_files(node, paths, associations=associations, into=report)
    except KeyboardInterrupt:
        interrupted = True
    _print_sent(report, as_json, interrupted)
    raise click.exceptions.Exit(INTERRUPTED if interrupted else report.exit_code)


def _print_sent(report: SendReport, as_json: bool, interrupted: bool) -> None:
    rate = report.sent / report.elapsed_s if report.elapsed_s else 0.0
    if as_json:
        print_json({"sent": report.sent, "failed": report.failed, "bytes": report.bytes, "seconds": report.elapsed_s,
                    "associations": report.associations, "interrupted": interrupted,
                    "exit": INTERRUPTED if interrupted else report.exit_code,
                    "files": [{"path": str(f.path), "ok": f.ok, "message": f.message,
                               "status": f.result.status if f.result else None} for f in report.files]})  # fmt: skip
        return
    failed = [file for file in report.files if not file.ok]
    for file in failed[:SHOWN]:
        say(f"{file.path}: {file.message}")
    if len(failed) > SHOWN:
        say(f"... and {len(failed) - SHOWN} more (all of them: --json)")
    say(f"{'interrupted: ' if interrupted else ''}{report.sent} sent ({size(report.bytes)}), {report.failed} failed,"
        f" {report.elapsed_s:.1f} s, {rate:.0f} images/s")  # fmt: skip


@click.command()
@_peer
@click.option("--repeat", default=1, show_default=True, type=click.IntRange(1, 1_000_000), help="How many times.")
@json_option
def echo(repeat: int, as_json: bool, **peer: Any) -> None:
    """Ask HOST PORT for a C-ECHO (PS3.4 annex A).

    \b
    Examples:
      scanpost echo 127.0.0.1 11112
      scanpost echo pacs 104 -aet CT1 -aec PACS --repeat 100
      scanpost echo pacs 2762 --ca ca.pem

    Exit codes as echoscu: 0 answered, 1 no association or another answer, 70 aborted; 130 interrupted.
    """
    from actors.dicom import tools

    try:
        report = tools.echo(_node(**peer), repeat)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None
    if as_json:
        print_json({"ok": report.ok, "step": report.step, "message": report.message, "seconds": report.elapsed_s,
                    "times_s": report.times_s, "exit": report.exit_code})  # fmt: skip
    else:
        times = sorted(report.times_s)
        middle = f" ({len(times)} times, median {times[len(times) // 2] * 1000:.2f} ms)" if repeat > 1 and times else ""
        say(report.message + middle)
    raise click.exceptions.Exit(report.exit_code)
