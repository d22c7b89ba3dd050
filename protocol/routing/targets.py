"""Settings of targets, one model per type: where images go and how patiently.

It must not connect to anything; the doing of each type lives in actors/targets.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from protocol.routing import shapes
from protocol.routing.commitment import TargetCommitment, as_target_commitment
from protocol.routing.fields import (
    AbsolutePath,
    AETitle,
    Count,
    Frozen,
    Host,
    Port,
    Seconds,
    Switch,
    Text,
    Timeout,
    Unspoken,
)
from protocol.routing.layouts import Layout, keywords_of, scanned
from protocol.routing.secrets import Secret
from protocol.routing.syntaxes import Transcode, TransferSyntaxes
from protocol.routing.terms import Schedule


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@]+(/[^\s]*)?", text):
        cure = "Write https://host/path; user and password have keys of their own"
        raise Unspoken("a URL has no user, password or spaces in it", cure)
    return text


def _file_name(text: str) -> str:
    if text.endswith((".dcm", ".part")):
        raise ValueError("a marker's name does not end like that of an image (.dcm, .part)")
    return text


FileName = Annotated[
    str, StringConstraints(pattern=r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}\Z"), AfterValidator(_file_name), shapes.FILE_NAME
]
FileMode = Annotated[str, StringConstraints(pattern=r"^0[67][0-7]{2}\Z"), shapes.FILE_MODE]
Bandwidth = Annotated[float, Field(strict=True, ge=0.01, le=100_000, allow_inf_nan=False)]
Url = Annotated[str, StringConstraints(max_length=1_000), AfterValidator(_url), shapes.URL]


class Retry(Frozen):
    """How a delivery that failed is tried again: waits grow by `factor`; with neither end set it never gives up."""

    first_s: Timeout = 10.0
    factor: Annotated[float, Field(strict=True, ge=1, le=10, allow_inf_nan=False)] = 2.0
    max_s: Timeout = 3600.0
    give_up_after_s: Seconds | None = 259_200.0  # three days: a weekend outage needs nobody
    max_attempts: Count | None = None

    @model_validator(mode="after")
    def _waits_grow(self) -> Retry:
        if self.max_s < self.first_s:
            raise ValueError("max_s must not be smaller than first_s")
        return self


class _Target(Frozen):
    """What every target has. `schedule`: when deliveries to it may begin, by the node's clock; None: always.

    `retention_h`: series delivered here are kept on this node at least so many hours after they were delivered to all
    their targets, if that is longer than `cleaner.retention_delivered_h`; None: no wish of its own.
    `bandwidth_mbit_s`: all deliveries of a node to it together send at most so many million bits per second.
    `duplicates: "skip"`: an image that it was sent before, and no other version since, is not sent again but counts as sent.
    `transfer_syntaxes`: names or UIDs of those that it may be sent; None: what is stored. `transcode`: whether an image
    may be changed into one of them where it is stored in another, or where the target refuses the stored one.
    """

    WHERE: ClassVar[tuple[str, ...]] = ()
    """Settings that say where images go, beside those that say how; empty: all of the type's own."""

    concurrency: Annotated[int, Field(strict=True, ge=1, le=64)] = 2
    retry: Retry = Retry()
    schedule: Schedule = None
    retention_h: Annotated[float, Field(strict=True, ge=0, le=87_600, allow_inf_nan=False)] | None = None
    bandwidth_mbit_s: Bandwidth | None = None
    duplicates: Literal["send", "skip"] = "send"
    transfer_syntaxes: TransferSyntaxes | None = None
    transcode: Transcode = "never"
    comment: Text = ""

    @property
    def layout_keywords(self) -> frozenset[str]:
        """The names whose values the target needs with each image (`ImageFile.values`)."""
        return keywords_of(getattr(self, "layout", ""))

    @property
    def place(self) -> str:
        """Stands for where images go by these settings, whatever the policy: another host, folder or login is another."""
        return self.model_dump_json(exclude=set(_Target.model_fields))

    @property
    def location(self) -> str:
        """Stands for where images go, however: with other timeouts, logins or certificates it is the same."""
        return self.model_dump_json(include=set(self.WHERE)) if self.WHERE else self.place

    @property
    def keywords(self) -> frozenset[str]:
        """Those that the header scan has to take."""
        return scanned(self.layout_keywords)


class TargetTls(Frozen):
    """DICOM over TLS (PS3.15 section B.12). Certificates and keys are files (PEM), read anew for each connection.

    Without `ca` the authorities that the machine trusts count; `server_name` is the name that the target's certificate
    carries, if that is not `host`. `verify: false` takes any certificate. `key_password` refers to that of `key`.
    """

    model_config = shapes.config(
        shapes.needs("cert", "key"),
        shapes.needs("key", "cert"),
        shapes.needs("key_password", "key"),
        shapes.where("verify", False, {"not": shapes.given("ca")}),
    )

    ca: AbsolutePath | None = None
    cert: AbsolutePath | None = None
    key: AbsolutePath | None = None
    key_password: Secret | None = None
    verify: Switch = True
    server_name: Host | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> TargetTls:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together")
        if self.key_password is not None and self.key is None:
            raise ValueError("key_password is of no use without a key")
        if not self.verify and self.ca is not None:
            raise ValueError("ca is of no use with verify false")
        return self


class DicomTarget(_Target):
    """A DICOM node that takes C-STORE (PS3.4 annex B). Timeouts in seconds; `max_pdu` in bytes, 0 is unlimited.

    `pass_calling_ae`: the target sees the AE title of the scanner that sent the series, instead of `calling_ae`;
    `pass_called_ae`: it is called by the title that the scanner called us. A title that cannot be proposed is not passed.
    `probe`: after a failure C-ECHO (PS3.4 annex A) finds out whether it is there again; without it the next delivery does.
    One delivery's images are spread over up to `associations`; `concurrency` deliveries may have as many each. After a
    delivery its associations stay open for `reuse_s` seconds for the next one; 0 ends them at once.
    """

    WHERE: ClassVar[tuple[str, ...]] = ("type", "host", "port", "called_ae")

    type: Literal["dicom"]
    host: Host
    port: Port
    called_ae: AETitle
    calling_ae: AETitle = "SCANPOST"
    pass_calling_ae: Switch = False
    pass_called_ae: Switch = False
    connect_timeout_s: Timeout = 10.0
    acse_timeout_s: Timeout = 30.0
    dimse_timeout_s: Timeout = 60.0  # silence this long after a request is a hang; the association is given up
    max_pdu: Annotated[int, Field(strict=True, ge=0, le=1_048_576), shapes.NO_PDU_BELOW_4096] = 131_072
    associations: Annotated[int, Field(strict=True, ge=1, le=16)] = 1
    reuse_s: Annotated[float, Field(strict=True, ge=0, le=300, allow_inf_nan=False)] = 2.0
    tls: TargetTls | None = None
    probe: Switch = True
    commitment: Annotated[
        TargetCommitment | None,
        BeforeValidator(as_target_commitment, json_schema_input_type=TargetCommitment | bool | None),
    ] = None

    @model_validator(mode="after")
    def _pdu_is_usable(self) -> DicomTarget:
        if 0 < self.max_pdu < 4096:
            raise ValueError("max_pdu is 0 (unlimited) or at least 4096")
        return self

    @property
    def layout_keywords(self) -> frozenset[str]:
        """The AE titles that are passed."""
        passed = {"SenderAET": self.pass_calling_ae, "ReceiverAET": self.pass_called_ae}
        return frozenset(name for name, wanted in passed.items() if wanted)


class DicomWebTarget(_Target):
    """A DICOMweb server that takes STOW-RS (PS3.18 section 10.5); `url` is its base, without `/studies`.

    It is told who we are by a bearer `token` (RFC 6750), by `user` and `password` (RFC 7617), by a certificate in `tls`,
    or not at all. Timeouts in seconds: `timeout_s` is for each piece that the server takes and for its answer.
    One delivery's images are spread over up to `connections`. With several `images_per_request` a crash may send so many
    twice. `chunked`: no Content-Length. `expect_continue`: large images wait for the server's consent. `proxy`: the URL
    of an HTTP proxy; those of the environment are not used. `trust_status`: 200 (OK) counts as stored even if the answer
    does not name the image, for servers that answer nothing or give images other UIDs.
    """

    model_config = shapes.config(
        shapes.needs("user", "password"),
        shapes.needs("password", "user"),
        shapes.excludes("token", "user"),
        {"if": shapes.given("tls"), "then": {"properties": {"url": {"pattern": "^https:"}}}},
        {"anyOf": [{"properties": {name: {"const": 1}}} for name in ("connections", "images_per_request")]},
        {"if": shapes.given("transfer_syntaxes"), "then": {"properties": {"images_per_request": {"const": 1}}}},
    )

    WHERE: ClassVar[tuple[str, ...]] = ("type", "url")

    type: Literal["dicomweb"]
    url: Url
    connect_timeout_s: Timeout = 10.0
    timeout_s: Timeout = 60.0
    connections: Annotated[int, Field(strict=True, ge=1, le=16)] = 1
    images_per_request: Annotated[int, Field(strict=True, ge=1, le=100)] = 1
    reuse_s: Annotated[float, Field(strict=True, ge=0, le=300, allow_inf_nan=False)] = 2.0
    chunked: Switch = False
    expect_continue: Switch = False
    trust_status: Switch = False
    token: Secret | None = None
    user: Annotated[Text, StringConstraints(min_length=1, pattern=r"^[^:\n\r\t]*\Z")] | None = None
    password: Secret | None = None
    tls: TargetTls | None = None
    proxy: Annotated[Url, StringConstraints(pattern="^http:"), shapes.PROXY] | None = None

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> DicomWebTarget:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together")
        if self.token is not None and self.user is not None:
            raise ValueError("a target logs in by token or by user and password, not by both")
        if self.tls is not None and not self.url.startswith("https:"):
            raise ValueError("tls is for https URLs")
        return self

    @model_validator(mode="after")
    def _images_of_a_request_stay_together(self) -> DicomWebTarget:
        if self.connections > 1 and self.images_per_request > 1:
            raise ValueError("several connections send one image per request each")
        if self.transfer_syntaxes is not None and self.images_per_request > 1:
            raise ValueError("with transfer_syntaxes every image has a request of its own: images_per_request is 1")
        return self


class FolderTarget(_Target):
    """A folder; `layout` names each series' place below `path`, placeholders are DICOM keywords.

    `path` must be there: a share that is not mounted must not be filled on the local disk. With `create` it is made; with
    `mounted` it must be, or lie in, a mounted file system. `existing`: whether another version of an image that is there
    is replaced or kept. `done` is the name of an empty file that is written into the folder after its last image. `mode`
    is that of files, such as "0664"; folders can be entered by who may read them. `timeout_s`: silence after which the
    file system counts as hanging. One delivery's images are written by up to `sessions` at once.
    """

    WHERE: ClassVar[tuple[str, ...]] = ("type", "path", "layout")

    type: Literal["folder"]
    path: AbsolutePath
    layout: Layout = "{StudyInstanceUID}/{SeriesInstanceUID}"
    create: Switch = False
    mounted: Switch = False
    existing: Literal["replace", "keep"] = "replace"
    done: FileName | None = None
    mode: FileMode | None = None
    timeout_s: Timeout = 60.0
    sessions: Annotated[int, Field(strict=True, ge=1, le=16)] = 1


class S3Target(_Target):
    """A bucket of an S3 store (Amazon S3 API, PutObject and multipart upload).

    Who we are: a file of `credentials` (as the AWS tools write it, profile `default`), or `access_key` and `secret_key`
    by reference, or what the service's environment has (AWS_ACCESS_KEY_ID, ...). Without `endpoint` it is Amazon's of
    `region`; `addressing` says where the bucket stands in a URL, by default in the path for an `endpoint`, in the host
    name at Amazon. `ca` is a file of authorities (PEM) trusted besides those of the machine. Images above `part_mb`
    (MiB) go in parts. `timeout_s` is the longest that one request may take, an image or a part of one. `done` is the name of an
    empty object that is put beside the images after the last one. One delivery's images go over up to `connections`.
    """

    model_config = shapes.config(
        shapes.needs("access_key", "secret_key"),
        shapes.needs("secret_key", "access_key"),
        shapes.excludes("credentials", "access_key"),
        shapes.needs("kms_key", "encryption"),
        {"if": shapes.given("kms_key"), "then": {"properties": {"encryption": {"const": "aws:kms"}}}},
        shapes.where("verify", False, {"not": shapes.given("ca")}),
        {
            "if": {"properties": {"endpoint": {"type": "string", "pattern": "^http:"}}, "required": ["endpoint"]},
            "then": {"properties": {"allow_http": {"const": True}}, "required": ["allow_http"]},
        },
    )

    WHERE: ClassVar[tuple[str, ...]] = ("type", "bucket", "endpoint", "layout")

    type: Literal["s3"]
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")]
    endpoint: Url | None = None
    allow_http: Switch = False
    region: Text | None = None
    addressing: Literal["path", "virtual"] | None = None
    layout: Layout = "{StudyInstanceUID}/{SeriesInstanceUID}"
    done: FileName | None = None
    credentials: AbsolutePath | None = None
    access_key: Secret | None = None
    secret_key: Secret | None = None
    ca: AbsolutePath | None = None
    verify: Switch = True
    storage_class: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_]{1,64}\Z")] | None = None
    encryption: Literal["AES256", "aws:kms"] | None = None
    kms_key: Annotated[Text, StringConstraints(min_length=1)] | None = None
    checksum: Literal["sha256", "none"] = "sha256"
    part_mb: Annotated[int, Field(strict=True, ge=5, le=512)] = 8
    connections: Annotated[int, Field(strict=True, ge=1, le=16)] = 4
    reuse_s: Annotated[float, Field(strict=True, ge=0, le=300, allow_inf_nan=False)] = 2.0
    connect_timeout_s: Timeout = 10.0
    timeout_s: Timeout = 60.0

    @model_validator(mode="after")
    def _fits_together(self) -> S3Target:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key belong together")
        if self.credentials is not None and self.access_key is not None:
            raise ValueError("a target has credentials or access_key and secret_key, not both")
        if self.kms_key is not None and self.encryption != "aws:kms":
            raise ValueError("kms_key is for encryption aws:kms")
        if not self.verify and self.ca is not None:
            raise ValueError("ca is of no use with verify false")
        if self.endpoint is not None and self.endpoint.startswith("http:") and not self.allow_http:
            raise ValueError("an http:// endpoint needs allow_http true: everybody on the way can read the images")
        return self


class SftpTarget(_Target):
    """A folder of an SFTP server (SSH file transfer, version 3).

    Who we are: a `key_file`, perhaps with its `key_password`, or a `password`. Who the server is: a file of
    `known_hosts`, or the fingerprint `host_key` (SHA256:..., `scanpost target test` shows it); `verify: false` trusts
    any server. `done` is the name of an empty file that is written into the folder after its last image. One delivery's
    images go over up to `connections`; they stay open for `reuse_s` seconds after it. `timeout_s` is the longest to wait
    for any single answer; every `keepalive_s` of silence the server is asked whether it is still there.
    """

    model_config = shapes.config(
        shapes.needs("key_password", "key_file"),
        shapes.excludes("known_hosts", "host_key"),
        shapes.where("verify", False, {"not": {"anyOf": [shapes.given("known_hosts"), shapes.given("host_key")]}}),
    )

    WHERE: ClassVar[tuple[str, ...]] = ("type", "host", "port", "user", "path", "layout")

    type: Literal["sftp"]
    host: Host
    port: Port = 22
    user: Annotated[Text, StringConstraints(min_length=1)]
    path: AbsolutePath
    layout: Layout = "{StudyInstanceUID}/{SeriesInstanceUID}"
    done: FileName | None = None
    key_file: AbsolutePath | None = None
    key_password: Secret | None = None
    password: Secret | None = None
    known_hosts: AbsolutePath | None = None
    host_key: Annotated[str, StringConstraints(pattern=r"^SHA256:[A-Za-z0-9+/]{43}\Z")] | None = None
    verify: Switch = True
    connections: Annotated[int, Field(strict=True, ge=1, le=16)] = 2
    reuse_s: Annotated[float, Field(strict=True, ge=0, le=300, allow_inf_nan=False)] = 2.0
    connect_timeout_s: Timeout = 10.0
    timeout_s: Timeout = 60.0
    keepalive_s: Timeout = 15.0

    @model_validator(mode="after")
    def _fits_together(self) -> SftpTarget:
        if self.key_password is not None and self.key_file is None:
            raise ValueError("key_password is of no use without a key_file")
        if self.known_hosts is not None and self.host_key is not None:
            raise ValueError("a target has known_hosts or host_key, not both")
        if not self.verify and (self.known_hosts is not None or self.host_key is not None):
            raise ValueError("known_hosts and host_key are of no use with verify false")
        return self


Target = Annotated[
    DicomTarget | DicomWebTarget | FolderTarget | S3Target | SftpTarget,
    Field(discriminator="type"),
]
TARGETS: dict[str, type[_Target]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(Target)[0])
}
TARGET_TYPES = tuple(TARGETS)
