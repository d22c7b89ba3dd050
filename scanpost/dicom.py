"""`scanpost send` and `scanpost echo`: DICOM tools for trying things; exit codes as DCMTK's dcmsend and echoscu."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scanpost.common import json_option, print_json, say

if TYPE_CHECKING:
    from actors.dicom.scu import Node


def _node(host: str, port: int, calling: str, called: str, timeout: float) -> Node:
    from actors.dicom.scu import Node

    return Node(host, port, called, calling, 131072, min(10.0, timeout), timeout, timeout)


def _peer(command):  # type: ignore[no-untyped-def]
    command = click.option("-to", "--timeout", default=30.0, show_default=True, help="Seconds for each step.")(command)
    command = click.option("-aec", "--call", "called", default="ANY-SCP", show_default=True, help="Called AE title.")(
        command
    )
    command = click.option(
        "-aet", "--aetitle", "calling", default="SCANPOST", show_default=True, help="Calling AE title."
    )(command)
    command = click.argument("port", type=click.IntRange(1, 65535))(command)
    return click.argument("host")(command)


@click.command()
@_peer
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@json_option
def send(
    host: str, port: int, calling: str, called: str, timeout: float, paths: tuple[Path, ...], as_json: bool
) -> None:
    """Send DICOM files (folders are searched) to HOST PORT, their data sets unchanged.

    \b
    Example: scanpost send 127.0.0.1 11112 /data/series -aet CT1 -aec SCANPOST
    Exit codes as dcmsend: 0 sent, 21 no input, 23 none valid, 43 some failed, 60 to 65 network.
    """
    from actors.dicom.tools import send_files

    report = send_files(_node(host, port, calling, called, timeout), list(paths))
    if as_json:
        print_json({"sent": report.sent, "failed": report.failed, "seconds": report.elapsed_s, "exit": report.exit_code,
                    "files": [{"path": str(f.path), "ok": f.ok, "message": f.message} for f in report.files]})  # fmt: skip
    else:
        for file in report.files:
            if not file.ok:
                say(f"{file.path}: {file.message}")
        say(f"{report.sent} sent, {report.failed} failed, {report.elapsed_s:.1f} s")
    raise click.exceptions.Exit(report.exit_code)


@click.command()
@_peer
@json_option
def echo(host: str, port: int, calling: str, called: str, timeout: float, as_json: bool) -> None:
    """Ask HOST PORT for a C-ECHO (PS3.4 annex A). Exit 0 if it answers."""
    from actors.dicom import tools

    report = tools.echo(_node(host, port, calling, called, timeout))
    if as_json:
        print_json({"ok": report.ok, "step": report.step, "message": report.message, "seconds": report.elapsed_s})
    else:
        say(report.message)
    raise click.exceptions.Exit(report.exit_code)
