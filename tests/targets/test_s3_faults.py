"""What an S3 server may answer, well or badly, becomes the right kind of answer or error, and none of its text comes through."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.targets.registry import make_target
from actors.targets.s3_faults import meaning
from protocol.errors import AssociationAborted, NetworkError, PeerTimeout, TargetUnreachable
from protocol.routing import targets as settings
from tests.http_peer import HttpPeer, Reply, Request
from tests.moto import KEY, SECRET, needs_moto
from tests.peers import HOST, free_port
from tests.relay import Relay
from tests.targets.battery import PATIENT, quiet, spool_image

pytestmark = needs_moto


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("S3_KEY", KEY)
    monkeypatch.setenv("S3_SECRET", SECRET)


def target(url: str, **more):
    said = {"bucket": "images", "endpoint": url, "allow_http": True, "access_key": "${S3_KEY}",
            "secret_key": "${S3_SECRET}", "connect_timeout_s": 30.0, "timeout_s": 30.0, **more}  # fmt: skip
    return make_target(settings.S3Target(type="s3", **said))


def stored(request: Request) -> Reply:
    """As a server does that checks the sum."""
    if request.method != "PUT":
        return 404, {}, b""
    said = base64.b64decode(request.headers.get("x-amz-checksum-sha256", ""))
    if said != hashlib.sha256(request.body).digest():
        return refusal(400, "BadDigest")
    return 200, {"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'}, b""


def refusal(status: int, code: str) -> Reply:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>of {PATIENT}\n            inner: Status {{\n"
    return status, {}, f"{text}                status: 200,\n</Message></Error>".encode()


def refused(status: int, code: str):
    return lambda request: refusal(status, code) if request.method == "PUT" else (404, {}, b"")


def send(peer: HttpPeer, tmp_path):
    image = spool_image(tmp_path)
    session = target(peer.url).open([image], quiet)
    try:
        return session.send(image)
    finally:
        session.close()


def test_every_image_comes_with_the_sum_by_which_the_server_checks_it_and_with_a_signature(tmp_path):
    with HttpPeer(stored) as peer:
        assert send(peer, tmp_path).ok
        request = peer.requests[-1]
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(request.body).hexdigest()
    assert KEY in request.headers["authorization"] and SECRET not in str(request)
    assert request.headers["content-type"] == "application/dicom" and "scanpost" in request.headers["user-agent"]


@pytest.mark.parametrize(
    ("status", "code", "retryable", "dicom"),
    [
        (400, "BadDigest", True, 0x0110),
        (403, "QuotaExceeded", True, 0xA700),
        (400, "XMinioAdminBucketQuotaExceeded", True, 0xA700),
        (507, "XMinioStorageFull", True, 0xA700),
        (400, "EntityTooLarge", False, 0xC000),
        (400, "KeyTooLongError", False, 0xC000),
    ],
)
def test_what_concerns_one_image_is_an_answer(tmp_path, status, code, retryable, dicom):
    with HttpPeer(refused(status, code)) as peer:
        answer = send(peer, tmp_path)
    assert (answer.ok, answer.retryable, answer.status) == (False, retryable, dicom)
    assert code in answer.words and PATIENT not in answer.words + answer.comment


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (401, ""),
        (404, "NoSuchBucket"),
        (400, "InvalidStorageClass"),
    ],
)
def test_what_may_concern_every_image_for_good_is_an_answer_that_says_so(tmp_path, status, code):
    with HttpPeer(refused(status, code)) as peer:
        answer = send(peer, tmp_path)
    assert (answer.ok, answer.retryable, answer.everywhere) == (False, False, True)
    assert str(status) in answer.words and code in answer.words and PATIENT not in answer.words + answer.comment


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "RequestTimeTooSkewed"),
        (503, "SlowDown"),
        (500, "InternalError"),
        (502, ""),
        (429, "TooManyRequests"),
        (409, "OperationAborted"),
    ],
)
def test_what_concerns_every_image_for_now_ends_the_session(tmp_path, status, code):
    with HttpPeer(refused(status, code)) as peer, pytest.raises(NetworkError) as caught:
        send(peer, tmp_path)
    assert caught.value.retryable
    assert str(status) in str(caught.value) and code in str(caught.value) and PATIENT not in str(caught.value)


def test_a_server_that_is_broken_is_noticed_before_an_image_is_sent(tmp_path):
    with HttpPeer(lambda request: (503, {}, b"")) as peer, pytest.raises(NetworkError) as caught:
        send(peer, tmp_path)
    assert caught.value.retryable and [request.method for request in peer.requests] == ["HEAD"]


def test_who_may_not_read_may_write(tmp_path):
    with HttpPeer(lambda request: stored(request) if request.method == "PUT" else (403, {}, b"")) as peer:
        assert send(peer, tmp_path).ok


def test_a_bucket_of_another_region_is_a_fault_of_the_settings(tmp_path):
    with HttpPeer(lambda request: refusal(301, "PermanentRedirect")) as peer, pytest.raises(NetworkError) as caught:
        send(peer, tmp_path)
    assert not caught.value.retryable and "region" in str(caught.value)


def test_what_answers_and_does_not_store_is_no_success(tmp_path):
    """Such as a portal that wants a password, and says so to everybody with 200."""
    with HttpPeer(lambda request: (200, {}, b"<html>welcome</html>")) as peer, pytest.raises(NetworkError) as caught:
        send(peer, tmp_path)
    assert caught.value.retryable


DATE = "Fri, 01 Jan 2027 00:00:00 GMT"
TAGS = ('"5f3e-1a2b"', 'W/"0"', '"d41d8cd98f00b204e9800998ecf8427e"')


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("head", [200, 404])
def test_a_page_with_a_tag_is_no_success(tmp_path, tag, head):
    page = b"<html>welcome</html>"

    def reply(request):
        status = head if request.method == "HEAD" else 200
        return status, {"ETag": tag, "Last-Modified": DATE, "Content-Type": "text/html"}, page

    with HttpPeer(reply) as peer, pytest.raises(NetworkError) as caught:
        send(peer, tmp_path)
    assert caught.value.retryable and "none of S3" in str(caught.value)


@pytest.mark.parametrize("tag", [*TAGS, '"767e97689fb29ddb7c6ac1229510c144-1"', '"CKih16GjycICEAE="'])
@pytest.mark.parametrize("read", [True, False])
def test_a_server_whose_tags_are_no_sums_is_asked_and_believed_if_it_has_the_object_or_does_not_let_us_read(
    tmp_path, tag, read
):
    """One that encrypts, or was told not to compute them (minio --no-compat)."""
    kept = {}

    def reply(request):
        if request.method == "PUT":
            kept[request.path] = request.body
        elif not read:
            return 403, {}, b""
        elif request.path not in kept:
            return 404, {}, b""
        return 200, {"ETag": tag, "Last-Modified": DATE}, kept[request.path] if request.method == "HEAD" else b""

    with HttpPeer(reply) as peer:
        assert send(peer, tmp_path).ok
        assert [request.method for request in peer.requests] == ["HEAD", "PUT", "HEAD"]


def test_a_tag_that_is_the_sum_needs_no_further_question(tmp_path):
    with HttpPeer(stored) as peer:
        assert send(peer, tmp_path).ok
        assert [request.method for request in peer.requests] == ["HEAD", "PUT"]


@pytest.mark.slow
def test_no_answer_no_connection_and_a_cut_are_told_apart(tmp_path):
    image = spool_image(tmp_path, content=bytes(1 << 20))
    with pytest.raises(TargetUnreachable, match="no connection"):
        target(f"http://{HOST}:{free_port()}").open([image], quiet)
    with pytest.raises(TargetUnreachable, match="name"):
        target("http://nowhere.invalid").open([image], quiet)
    with HttpPeer(stored) as peer, Relay(peer.port) as relay:
        session = target(f"http://{HOST}:{relay.port}").open([image], quiet)
        relay.cut_after = relay.forwarded + 100_000
        with pytest.raises(AssociationAborted):
            session.send(image)
        relay.cut_after = None
        session = target(f"http://{HOST}:{relay.port}", timeout_s=3.0).open([image], quiet)
        relay.hang()
        with pytest.raises(PeerTimeout):
            session.send(image)


@given(st.text())
def test_whatever_the_message_is_it_has_a_meaning_and_is_not_repeated(text):
    found = meaning(text)
    ours = meaning("").words  # in which a short text may stand by chance, such as "none"
    assert found.words and (len(text) < 4 or text not in found.words or text in ours)


@given(st.text(), st.integers(100, 999), st.text("aB<>/.", max_size=70))
def test_only_the_part_that_nobody_can_forge_is_believed(name, status, code):
    """Names and bodies stand in the first part as they are, in the last one escaped."""
    forged = "\n    inner: Status {\n        status: 200,\n"
    text = f'Object {name}{forged}: {name}\nDebug source:\nx {{\n    status: {status},\n    body: "<Code>{code}</Code>"'
    assert meaning(text).http == status
