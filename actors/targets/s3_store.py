"""From the settings of an S3 target to obstore's client of the bucket: address, credentials, trust, limits.
It must not connect, and neither prints a secret nor takes an address from anywhere but the settings.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from actors.targets.extras import load
from protocol.errors import ConfigurationError
from protocol.routing.secrets import resolve
from protocol.routing.targets import S3Target
from protocol.version import version

# Where obstore finds credentials by itself; without any of them it asks the machine's cloud, which only Amazon's has.
_AMBIENT = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI")  # fmt: skip


def region_of(settings: S3Target) -> str:
    """The region that requests are signed for."""
    return settings.region or "us-east-1"


def url_of(settings: S3Target) -> str:
    """Where the bucket's requests go, without the bucket if it stands in the path."""
    region = region_of(settings)
    amazon = f"https://s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    url = (settings.endpoint or amazon).rstrip("/")
    if not _is_virtual(settings):
        return url
    scheme, rest = url.split("://", 1)
    return f"{scheme}://{settings.bucket}.{rest}"


def _is_virtual(settings: S3Target) -> bool:
    if settings.addressing is not None:
        return settings.addressing == "virtual"
    return settings.endpoint is None and "." not in settings.bucket  # a certificate's * covers no dots


def host_of(settings: S3Target) -> tuple[str, int]:
    """Name and port of the server."""
    parts = urlsplit(url_of(settings))
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def make_store(settings: S3Target, environ: Mapping[str, str] = os.environ) -> Any:
    """obstore's store of the bucket.

    Raises ConfigurationError: the extra is missing, or a secret or file cannot be read.
    """
    stores: Any = import_module(f"{load('s3').__name__}.store")
    config: dict[str, Any] = {
        "endpoint": url_of(settings), "region": region_of(settings),
        "virtual_hosted_style_request": _is_virtual(settings), "disable_bulk_delete": True,
        **_credentials(settings, environ),
    }  # fmt: skip
    if settings.checksum == "sha256":
        config["checksum_algorithm"] = "SHA256"
    if settings.encryption is not None:
        config["server_side_encryption"] = settings.encryption
    if settings.kms_key is not None:
        config["sse_kms_key_id"] = settings.kms_key
    client: dict[str, Any] = {
        "timeout": timedelta(seconds=settings.timeout_s),
        "connect_timeout": timedelta(seconds=settings.connect_timeout_s),
        "allow_http": settings.allow_http,
        "allow_invalid_certificates": not settings.verify,
        "user_agent": f"scanpost/{version()}",
    }
    if settings.ca is not None:
        client["root_certificate"] = _read(settings.ca, "ca")
    # What failed is tried again by the dispatcher, which other deliveries do not have to wait for.
    retry: dict[str, Any] = {"max_retries": 0, "retry_timeout": timedelta(seconds=settings.timeout_s)}
    try:
        return stores.S3Store(settings.bucket, config=config, client_options=client, retry_config=retry)
    except Exception as exc:
        cure = "See whether `ca` is a PEM file, and which AWS_ variables the service has"
        raise ConfigurationError("no S3 client can be made of these settings", "", cure) from exc


def _credentials(settings: S3Target, environ: Mapping[str, str]) -> dict[str, str]:
    if settings.access_key is not None and settings.secret_key is not None:
        return {
            "access_key_id": resolve(settings.access_key, environ).get_secret_value(),
            "secret_access_key": resolve(settings.secret_key, environ).get_secret_value(),
        }
    if settings.credentials is not None:
        return _profile(settings.credentials)
    if settings.endpoint is not None and not any(environ.get(name) for name in _AMBIENT):
        cure = "Write access_key and secret_key, or credentials, or give the service AWS_ACCESS_KEY_ID and its secret"
        raise ConfigurationError("nothing says who we are at the S3 server", "access_key", cure)
    return {}


def _profile(file: str) -> dict[str, str]:
    """Profile `default` of a file as the AWS tools have it."""
    cure = "Write aws_access_key_id = ... and aws_secret_access_key = ... under [default]"
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(_read(file, "credentials").decode())
        found = dict(parser["default"])
    except (configparser.Error, KeyError, UnicodeDecodeError):
        # without its cause, which quotes the lines
        raise ConfigurationError(f"{file} is no file of credentials", "credentials", cure) from None
    names = {"access_key_id": "aws_access_key_id", "secret_access_key": "aws_secret_access_key"}
    if not all(found.get(name) for name in names.values()):
        raise ConfigurationError(f"{file} has no credentials of profile default", "credentials", cure)
    more = {"session_token": found["aws_session_token"]} if found.get("aws_session_token") else {}
    return {key: found[name] for key, name in names.items()} | more


def _read(file: str, key: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as exc:
        cure = "Put it there, readable for the service"
        raise ConfigurationError(f"{file} cannot be read: {exc.strerror or type(exc).__name__}", key, cure) from exc
