"""The process of the web page: settings, seat, listening, orderly stop on SIGTERM. It must not know pages.

It starts in any order with the actors: without a spool it serves and says so.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from protocol.accounts import Accounts
from protocol.addresses import with_port
from protocol.clock import SystemClock
from protocol.errors import AccountError, ConfigurationError
from protocol.settings import Settings, load_settings
from protocol.version import version
from protocol.wire.telling import tell_committed
from webgui import feed, log
from webgui.app import init_app
from webgui.config import WebConfig
from webgui.keys import HUB
from webgui.node import Node
from webgui.rules_source import RulesSource
from webgui.seat import Seat
from webgui.source import SpoolSource

EXIT_FAILED, EXIT_CONFIGURATION = 1, 78
NICE = 5  # images first where processors are short, then pages
LAST_REQUESTS_S = 5.0
"""How long requests under way may take after SIGTERM; live pages are told at once."""

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m webgui")
    parser.add_argument("--instance", default="0", help="tells web pages of one node apart (default 0)")
    instance: str = parser.parse_args(argv).instance
    try:
        settings = load_settings()
        tls = tls_context(settings)
    except ConfigurationError as exc:
        print(f"scanpost: {exc}", file=sys.stderr)
        return EXIT_CONFIGURATION
    log.configure()
    os.nice(NICE)
    try:
        asyncio.run(serve(settings, tls, instance))
    except (OSError, AccountError) as exc:
        logger.error("cannot serve: %s", exc, extra={"action": "process_failed"})
        return EXIT_FAILED
    return 0


def web_config(settings: Settings) -> WebConfig:
    """What the application needs of the settings."""
    page, receiver = settings.webgui, settings.receiver
    return WebConfig(
        host=page.host,
        port=page.port,
        tls_cert=page.tls.cert,
        tls_key=page.tls.key,
        behind_proxy=page.behind_proxy,
        metrics_token_file=page.metrics_token_file,
        mask_phi=page.mask_phi,
        viewers_may_reveal=page.viewers_may_reveal,
        zone=settings.node.zone,
        ae_title=receiver.ae_title,
        dicom_host="" if receiver.host in ("0.0.0.0", "::") else receiver.host,
        dicom_port=receiver.port,
        version=version(),
    )


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Server side of TLS (1.2 or newer, BCP 195), or None. Raises ConfigurationError for unusable files."""
    tls = settings.webgui.tls
    if tls.cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigurationError(
            f"cannot be used ({exc})", f"webgui.tls.cert {tls.cert}", "Give a PEM certificate and its key"
        ) from exc
    return context


async def serve(settings: Settings, tls: ssl.SSLContext | None, instance: str) -> None:
    """Listen, wait for SIGTERM or SIGINT, stop in order. Raises OSError if the address is taken."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings.run_folder.mkdir(parents=True, exist_ok=True)
    clock = SystemClock()
    seat = Seat(settings.run_folder, "webgui" if instance == "0" else f"webgui-{instance}", instance, clock)
    if not await seat.take(stop):
        return
    accounts, source = Accounts(settings.home / "accounts.sqlite3", clock), SpoolSource(settings, clock)
    node = Node(settings, clock, lambda: tell_committed(settings, f"/{settings.node.name}/webgui/{instance}"))
    try:
        app = init_app(web_config(settings), accounts, source, clock, RulesSource(settings, clock), node)
        app[HUB].told = settings.bus.enabled
        app.cleanup_ctx.append(lambda app: feed.listen(settings, app[HUB].poke, app[HUB].hear))
        async with _listening(app, settings, tls) as url:
            logger.info("serving %s", url, extra={"action": "ready", "url": url})
            await seat.stay("ready", stop)
            logger.info("stopping", extra={"action": "stopping"})
    finally:
        node.close()
        source.close()
        accounts.close()
        seat.leave()


@asynccontextmanager
async def _listening(app: web.Application, settings: Settings, tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=LAST_REQUESTS_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.webgui.host, settings.webgui.port, ssl_context=tls).start()
        host, port = runner.addresses[0][:2]
        yield f"{'https' if tls else 'http'}://{with_port(host, port)}/"
    finally:
        await runner.cleanup()
