"""The way to a bucket, step by step: name, TCP, TLS if asked for, bucket, writing and deleting.
It must not send an image, nor know of deliveries.
"""

from __future__ import annotations

import ssl
from collections.abc import Generator

from actors.dicom.dialling import connect
from actors.targets.interface import Rung
from actors.targets.resolving import addresses
from actors.targets.s3_bucket import PROBE, Bucket
from actors.targets.s3_faults import Meaning
from actors.targets.s3_store import host_of, url_of
from protocol.addresses import with_port
from protocol.routing.targets import S3Target


def rungs(settings: S3Target, bucket: Bucket) -> Generator[Rung, None, None]:
    """See Target.rungs."""
    host, port = host_of(settings)
    yield Rung("name", lambda: addresses(host, port))
    yield Rung("tcp", lambda: _connect(settings))
    if url_of(settings).startswith("https:"):
        yield Rung("tls", lambda: _secure(settings))
    yield Rung("bucket", lambda: _look(settings, bucket))
    yield Rung("write", lambda: _held(bucket, bucket.put(PROBE, b""), "an object was written"))
    yield Rung("delete", lambda: _delete(bucket))


def _connect(settings: S3Target) -> str:
    host, port = host_of(settings)
    connect(host, port, settings.connect_timeout_s).close()
    return f"{with_port(host, port)} is open"


def _secure(settings: S3Target) -> str:
    host, port = host_of(settings)
    context = ssl.create_default_context()
    if settings.ca is not None:
        context.load_verify_locations(settings.ca)
    if not settings.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connect(host, port, settings.connect_timeout_s) as sock:
        sock.settimeout(settings.timeout_s)
        with context.wrap_socket(sock, server_hostname=host) as secured:
            shown = secured.getpeercert() or {}
            until = f", certificate until {shown['notAfter']}" if "notAfter" in shown else ", NOT verified"
            return f"{secured.version()}{until}"


def _look(settings: S3Target, bucket: Bucket) -> str:
    found = bucket.look()
    if found is not None and found.code == "AccessDenied":
        return f"{settings.bucket} answers; we may not list it, which nothing needs"
    return _held(bucket, found, f"{settings.bucket} is there")


def _delete(bucket: Bucket) -> str:
    found = bucket.delete(PROBE)
    if found is not None and found.code == "AccessDenied":
        return f"we may not delete, which nothing needs; {PROBE} stays in the bucket"
    return _held(bucket, found, "and deleted again")


def _held(bucket: Bucket, found: Meaning | None, words: str) -> str:
    if found is not None:
        raise bucket.error(found)
    return words
