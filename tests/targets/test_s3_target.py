"""What only targets of type s3 do: parts, markers, storage classes, encryption, TLS, credentials; against moto's server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.targets.ladder import climb
from actors.targets.registry import make_target
from protocol.errors import ConfigurationError, NetworkError, TargetUnreachable
from protocol.routing import targets as settings
from protocol.routing.parse import parse
from tests.certificates import Authority
from tests.moto import KEY, SECRET, S3Server, needs_moto
from tests.peers import HOST, free_port
from tests.relay import Relay
from tests.targets.battery import dataset_of, large_image, quiet, send_all, spool_image
from tests.targets.files import dataset_in

pytestmark = [needs_moto, pytest.mark.slow]
PART = 5 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("S3_KEY", KEY)
    monkeypatch.setenv("S3_SECRET", SECRET)


def s3(server: S3Server, bucket: str, **more) -> settings.S3Target:
    said = {"bucket": bucket, "endpoint": f"http://{HOST}:{server.port}", "allow_http": True,
            "access_key": "${S3_KEY}", "secret_key": "${S3_SECRET}", "connect_timeout_s": 30.0, "timeout_s": 30.0, **more}  # fmt: skip
    return settings.S3Target(type="s3", **said)


def send(target, *images):
    session = target.open(images, quiet)
    answers = send_all(session, images)
    session.close()
    return answers


def steps(target: settings.S3Target) -> list[tuple[str, bool]]:
    return [(step.name, step.ok) for step in climb(target)]


# ---- objects -------------------------------------------------------------------------------------------------------
def test_an_object_has_the_class_the_encryption_and_the_type_of_the_settings(server, tmp_path):
    bucket, image = server.bucket(), spool_image(tmp_path)
    more = {"storage_class": "STANDARD_IA", "encryption": "aws:kms", "kms_key": "arn:aws:kms:x:1:key/2"}
    assert send(make_target(s3(server, bucket, **more)), image)[0].ok
    (name,) = server.names(bucket)
    head = server.head(bucket, name)
    assert (head["StorageClass"], head["ServerSideEncryption"], head["ContentType"]) == (
        "STANDARD_IA", "aws:kms", "application/dicom",
    )  # fmt: skip
    assert head["SSEKMSKeyId"] == "arn:aws:kms:x:1:key/2"


def test_the_layout_says_where_objects_stand_and_may_be_empty(server, tmp_path):
    bucket, image = server.bucket(), spool_image(tmp_path)
    send(make_target(s3(server, bucket, layout="trial/{SeriesInstanceUID}")), image)
    send(make_target(s3(server, bucket, layout="")), image)
    series = image.values["SeriesInstanceUID"]
    assert sorted(server.names(bucket)) == sorted(
        [f"{image.sop_instance_uid}.dcm", f"trial/{series}/{image.sop_instance_uid}.dcm"]
    )


def test_a_large_image_goes_in_parts_and_is_whole(server, tmp_path):
    bucket, image = server.bucket(), spool_image(tmp_path, content=bytes(range(256)) * (3 * PART // 256))
    assert send(make_target(s3(server, bucket, part_mb=5)), image)[0].ok
    ((name, data),) = server.objects(bucket).items()
    assert dataset_in(data) == (image.sop_instance_uid, dataset_of(image))
    assert server.head(bucket, name)["ETag"].strip('"').endswith("-4")
    assert server.unfinished(bucket) == []


def test_a_file_that_is_cut_while_it_is_sent_leaves_nothing_behind(server, tmp_path):
    bucket, image = server.bucket(), large_image(tmp_path)

    def cut() -> None:
        with open(image.path, "r+b") as file:
            file.truncate(PART)

    target = make_target(s3(server, bucket, part_mb=5))
    session = target.open([image], quiet)
    session.again([image], cut)  # its first sign of life cuts the file
    answer = session.send(image)
    assert not answer.ok and not answer.retryable and answer.words.startswith("not sent")
    assert server.names(bucket) == [] and server.unfinished(bucket) == []


def test_a_connection_that_is_cut_between_parts_is_mended_by_sending_again(server, tmp_path):
    bucket, image = server.bucket(), spool_image(tmp_path, content=bytes(3 * PART))
    with Relay(server.port) as relay:
        target = make_target(s3(server, bucket, part_mb=5, endpoint=f"http://{HOST}:{relay.port}"))
        session = target.open([image], quiet)
        relay.cut_after = relay.forwarded + PART + 1000
        with pytest.raises(NetworkError) as caught:
            session.send(image)
        assert caught.value.retryable and server.names(bucket) == []
        relay.cut_after = None
        assert send(target, image)[0].ok
    assert [dataset_in(data)[1] for data in server.objects(bucket).values()] == [dataset_of(image)]


def test_a_marker_stands_beside_the_images_after_the_last_one_and_may_be_put_again(server, tmp_path):
    bucket, images = server.bucket(), [spool_image(tmp_path, number) for number in (1, 2)]
    target = make_target(s3(server, bucket, layout="{SeriesInstanceUID}", done=".done"))
    assert target.finishes and not make_target(s3(server, bucket)).finishes
    send(target, *images)
    for _ in range(2):
        target.finish(images, quiet)
    marker = f"{images[0].values['SeriesInstanceUID']}/.done"
    assert server.objects(bucket)[marker] == b"" and len(server.names(bucket)) == 3
    with pytest.raises(NetworkError):
        make_target(s3(server, "nobody", done=".done")).finish(images, quiet)


# ---- who the server is, and who we are ------------------------------------------------------------------------------
def test_a_server_with_a_certificate_of_its_own_authority_needs_that_authority(tmp_path):
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("s3")
    server = S3Server((pair.cert, pair.key, authority.cert))
    try:
        bucket, image = server.bucket(), spool_image(tmp_path)
        secure = {"endpoint": f"https://{HOST}:{server.port}", "allow_http": False}
        assert send(make_target(s3(server, bucket, **secure, ca=str(authority.cert))), image)[0].ok
        assert send(make_target(s3(server, bucket, **secure, verify=False)), image)[0].ok
        with pytest.raises(TargetUnreachable, match="certificate"):
            make_target(s3(server, bucket, **secure)).open([image], quiet)
        good, bad = (
            steps(s3(server, bucket, **secure, ca=str(authority.cert))),
            steps(s3(server, bucket, **secure)),
        )
    finally:
        server.close()
    assert good == [(name, True) for name in ("name", "tcp", "tls", "bucket", "write", "delete")]
    assert bad == [("name", True), ("tcp", True), ("tls", False)]


def test_credentials_come_from_a_file_as_the_aws_tools_write_it(server, tmp_path):
    bucket, file = server.bucket(), tmp_path / "credentials"
    file.write_text(f"[other]\nx = y\n[default]\naws_access_key_id = {KEY}\naws_secret_access_key={SECRET}\n")
    given = {"access_key": None, "secret_key": None, "credentials": str(file)}
    assert send(make_target(s3(server, bucket, **given)), spool_image(tmp_path))[0].ok


@pytest.mark.parametrize(
    "text", [None, "", "[default]\n", f"aws_access_key_id = {KEY}", f"[default]\n{SECRET}", "\xff"]
)
def test_credentials_that_cannot_be_used_are_a_fault_of_the_configuration_that_quotes_nothing(server, tmp_path, text):
    file = tmp_path / "credentials"
    if text is not None:
        file.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigurationError) as caught:
        make_target(s3(server, "images", access_key=None, secret_key=None, credentials=str(file)))
    assert str(file) in str(caught.value) and caught.value.cure
    assert KEY not in str(caught.value) and SECRET not in str(caught.value)


def test_without_any_credentials_nothing_is_asked_of_the_machine_s_cloud(server, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(ConfigurationError, match="who we are"):
        make_target(s3(server, "images", access_key=None, secret_key=None))


def test_an_authority_that_cannot_be_read_is_a_fault_of_the_configuration(server, tmp_path):
    with pytest.raises(ConfigurationError, match="ca: "):
        make_target(s3(server, "images", ca=str(tmp_path / "none.pem")))


@pytest.mark.parametrize(
    ("more", "url", "virtual"),
    [
        ({}, "https://s3.us-east-1.amazonaws.com", True),
        ({"bucket": "my.images"}, "https://s3.us-east-1.amazonaws.com", False),
        ({"region": "cn-north-1"}, "https://s3.cn-north-1.amazonaws.com.cn", True),
        ({"endpoint": "https://minio:9000/"}, "https://minio:9000", False),
        ({"endpoint": "https://minio:9000", "addressing": "virtual"}, "https://minio:9000", True),
        ({"addressing": "path"}, "https://s3.us-east-1.amazonaws.com", False),
    ],
)
def test_the_bucket_stands_in_the_host_name_or_in_the_path(more, url, virtual):
    from actors.targets.s3_store import url_of

    said = settings.S3Target(type="s3", **{"bucket": "images", **more})
    assert url_of(said) == (url.replace("://", f"://{said.bucket}.") if virtual else url)


# ---- the test of the way ----------------------------------------------------------------------------------------------
def test_the_steps_lead_from_the_name_to_writing_and_leave_nothing(server):
    bucket = server.bucket()
    assert steps(s3(server, bucket)) == [(name, True) for name in ("name", "tcp", "bucket", "write", "delete")]
    assert server.names(bucket) == []
    assert steps(s3(server, "nobody"))[-1] == ("bucket", False)
    assert steps(s3(server, bucket, endpoint=f"http://{HOST}:{free_port()}"))[-1] == ("tcp", False)
    assert steps(s3(server, bucket, endpoint="http://nowhere.invalid"))[-1] == ("name", False)
    assert steps(s3(server, bucket, access_key="${NOT_SET}")) == [("settings", False)]


def test_a_plain_endpoint_has_to_be_allowed():
    import json

    from protocol.errors import RoutingError

    plain = {"type": "s3", "bucket": "images", "endpoint": "http://minio:9000"}
    with pytest.raises(RoutingError, match="allow_http"):
        parse(json.dumps({"targets": {"store": plain}}).encode(), "routing.json")
    parse(json.dumps({"targets": {"store": {**plain, "allow_http": True}}}).encode(), "routing.json")


def test_no_path_of_a_file_of_ours_is_in_the_words_of_an_image_that_cannot_be_read(server, tmp_path: Path):
    image = spool_image(tmp_path)
    image.path.unlink()
    (answer,) = send(make_target(s3(server, server.bucket())), image)
    assert not answer.ok and str(tmp_path) not in answer.words
