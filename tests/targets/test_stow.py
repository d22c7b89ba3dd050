"""The body of a STOW-RS request as another program reads it, and what each answer means for each image."""

from __future__ import annotations

import email
import email.policy
import io

import pydicom
import pytest
from web_fakes import module, stored_image

from actors.targets.http_connection import Reply
from actors.targets.stow import Multipart, judge, retry_after_s
from protocol.errors import AssociationRejected, NetworkError, TargetBusy, UnreadableImage
from protocol.header.dictionary import uid_name

NOW = 1_700_000_000.0


@pytest.fixture
def images(tmp_path):
    return [stored_image(tmp_path, number) for number in (1, 2, 3)]


def verdict(images, status, body=b"", trust_status=False, **headers):
    return judge(Reply(status, headers, body), images, trust_status, NOW)


def test_another_program_reads_the_files_out_of_the_body(images):
    with Multipart(images) as body:
        data = b"".join(body)
        head = f"Content-Type: {body.media_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    assert len(data) == body.length
    message = email.message_from_bytes(head + data, policy=email.policy.HTTP)
    parts = [part.get_payload(decode=True) for part in message.iter_parts()]
    assert message.get_content_type() == "multipart/related" and message.get_param("type") == "application/dicom"
    read = [pydicom.dcmread(io.BytesIO(part)) for part in parts]
    assert [str(one.SOPInstanceUID) for one in read] == [image.sop_instance_uid for image in images]
    assert all(part.endswith(image.path.read_bytes()[4:]) for part, image in zip(parts, images, strict=True))


def test_a_request_without_images_is_well_formed_too():
    with Multipart([]) as body:
        assert b"".join(body).strip().startswith(b"--scanpost-") and len(b"".join(Multipart([]))) == body.length


def test_a_file_that_is_gone_leaves_none_of_the_others_open(images):
    import os

    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    images[2].path.unlink()
    with pytest.raises(UnreadableImage):
        Multipart(images)
    assert (len(os.listdir("/proc/self/fd")) if before else 0) == before


def test_each_image_gets_what_is_said_of_it(images):
    uids = [image.sop_instance_uid for image in images]
    answers = verdict(images, 202, module(uids[:1], [(uids[1], 0xA700)]))
    assert [answer and (answer.status, answer.ok, answer.retryable) for answer in answers] == [
        (0, True, False),
        (0xA700, False, True),
        None,  # not named: sent alone to find out
    ]


@pytest.mark.parametrize(
    ("reason", "status", "ok", "retryable"),
    [
        (0xA700, 0xA700, False, True),
        (0x0110, 0x0110, False, True),
        (0xA900, 0xA900, False, False),
        (0xC000, 0xC000, False, False),
        (0xC122, 0xC122, False, False),
        (0x0122, 0x0122, False, False),
        (0x0124, 0x0124, False, False),
        (0x0111, 0x0111, True, False),  # it has it
        (0xB00E, 0x0111, True, False),  # the same, as Azure says it
        (0xB00F, 0x0110, False, True),  # somebody stores it just now
        (0xA7FF, 0xA7FF, False, True),
        (0xA9FF, 0xA9FF, False, False),
        (0xCFFF, 0xCFFF, False, False),
        (0x0213, 0x0213, False, True),
        (0x0117, 0x0117, False, False),
        (0x0000, 0x0110, False, True),  # among those that failed
        (0xB000, 0x0110, False, True),
    ],
)
def test_failure_reasons_are_statuses_of_dicom(images, reason, status, ok, retryable):
    uid = images[0].sop_instance_uid
    for body in (module([], [(uid, reason)]), module([uid], [(uid, reason)])):
        for code in (200, 202, 409, 400, 500):
            (answer,) = verdict(images[:1], code, body)
            assert (answer.status, answer.ok, answer.retryable) == (status, ok, retryable)
            assert answer.words.startswith(f"{status:04X} ")


def test_a_transfer_syntax_that_is_not_taken_is_named(images):
    (answer,) = verdict(images[:1], 409, module([], [(images[0].sop_instance_uid, 0xC122)]))
    names = f"{uid_name(images[0].sop_class_uid)} in {uid_name(images[0].transfer_syntax_uid)}"
    assert names in answer.words and "1.2.840" not in answer.words


@pytest.mark.parametrize(("warning", "status"), [(0xB000, 0xB000), (0xB006, 0xB006), (0xB007, 0xB007), (45, 0xB000)])
def test_a_warning_is_a_success_with_its_status(images, warning, status):
    (answer,) = verdict(images[:1], 202, module([images[0].sop_instance_uid], warning=warning))
    assert (answer.status, answer.ok, answer.retryable) == (status, True, False)


@pytest.mark.parametrize("body", [b"", b"{}", module(["1.2.3"]), module()])
def test_an_image_that_is_not_named_is_not_taken_for_stored_unless_one_says_so(images, body):
    (answer,) = verdict(images[:1], 200, body)
    assert (answer.status, answer.ok, answer.retryable) == (0x0110, False, True) and "trust_status" in answer.words
    assert verdict(images[:1], 200, body, trust_status=True)[0].ok
    assert not verdict(images[:1], 202, body, trust_status=True)[0].ok  # 202: for some there is a failure
    assert verdict(images, 200, body, trust_status=True) == [None] * 3


@pytest.mark.parametrize("trust_status", [False, True])
def test_a_page_for_people_is_never_a_success(images, trust_status):
    with pytest.raises(AssociationRejected, match="no DICOMweb server") as caught:
        verdict(images[:1], 200, b"<!DOCTYPE html><html>Welcome, Mr Secret</html>", trust_status)
    assert caught.value.retryable and "Secret" not in str(caught.value)


def test_a_failure_of_an_instance_without_name_is_that_of_the_only_image(images):
    body = b'{"0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [49152]}}]}}'
    (answer,) = verdict(images[:1], 409, body)
    assert (answer.status, answer.ok) == (0xC000, False)


@pytest.mark.parametrize(
    ("code", "status", "retryable"),
    [
        (400, 0xC000, False),
        (409, 0x0110, False),
        (413, 0xA700, False),
        (415, 0x0122, False),
        (422, 0xC000, False),
        (451, 0x0110, False),
        (500, 0x0110, True),
        (507, 0xA700, True),
        (599, 0x0110, True),
    ],
)
def test_a_request_that_fails_as_a_whole_is_the_answer_for_its_only_image(images, code, status, retryable):
    (answer,) = verdict(images[:1], code, b"<h1>Error of Mr Secret</h1>")
    assert (answer.status, answer.ok, answer.retryable) == (status, False, retryable)
    assert answer.words.startswith(f"HTTP {code}") and "Secret" not in answer.words + answer.comment
    assert verdict(images, code) == [None] * 3


@pytest.mark.parametrize(
    ("code", "retryable"),
    [(301, False), (302, True), (304, True), (307, True), (308, False), (401, False), (403, False), (404, True),
     (405, True), (407, False), (408, True), (410, True), (411, False), (425, True), (429, True), (501, True), (502, True),
     (503, True), (504, True)],
)  # fmt: skip
@pytest.mark.parametrize("count", [1, 3])
def test_what_is_no_fault_of_an_image_ends_the_attempt(images, code, retryable, count):
    with pytest.raises(NetworkError, match=f"^HTTP {code}") as caught:
        verdict(images[:count], code)
    assert caught.value.retryable is retryable


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://other.example:8443/dicom-web/studies", True),
        ("/moved/studies", True),
        ("https://x/?token=abc", False),
        ("https://user:pw@x/", False),
        ("javascript:alert(1)", False),
        ("", False),
        ("/x" * 5000, False),
    ],
)
def test_a_redirect_says_where_to_unless_there_is_more_in_it(images, location, shown):
    with pytest.raises(AssociationRejected) as caught:
        verdict(images[:1], 302, location=location)
    assert (f"redirects to {location}" in str(caught.value)) is shown


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2022 22:14:20 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("999999999", 3600.0),
        ("9" * 400, 0.0),
        ("-5", 0.0),
        ("1e9", 0.0),
        ("soon", 0.0),
        ("²", 0.0),
        ("", 0.0),
        ("Tue, 99 Nov 2023 99:99:99 GMT", 0.0),
    ],
)
def test_how_long_a_busy_server_wants_to_be_left_alone(images, value, seconds):
    assert retry_after_s(value, NOW) == seconds
    with pytest.raises(TargetBusy) as caught:
        verdict(images[:1], 503, **{"retry-after": value})
    assert caught.value.after_s == seconds
