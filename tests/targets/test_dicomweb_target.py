"""The DICOMweb target against servers that a test makes up: what it says, what it makes of answers, how it logs in."""

from __future__ import annotations

import base64
import os
import threading

import pytest
from pydantic import ValidationError
from web_fakes import QUIET, Visit, dicomweb, module, server_context, stored_image, storing, web

from actors.targets.ladder import climb
from actors.targets.registry import make_target
from protocol.errors import (
    AssociationAborted,
    AssociationRejected,
    NetworkError,
    PeerTimeout,
    TargetBusy,
    TargetUnreachable,
)
from tests.certificates import Authority
from tests.peers import HOST, free_port

MB = 1 << 20


@pytest.fixture
def images(tmp_path):
    return [stored_image(tmp_path, number) for number in (1, 2, 3, 4, 5)]


def session(port, images, **more):
    return make_target(dicomweb(port, **more)).open(images, QUIET)


def send_all(port, images, **more):
    line = session(port, images, **more)
    try:
        return [line.send(one) for one in images]
    finally:
        line.close()


def bodies_of(images):
    return [image.path.read_bytes()[4:] for image in images]


# -- what is asked ---------------------------------------------------------------------------------------------------


def test_each_image_is_a_request_of_its_own_and_all_go_over_one_connection(images):
    with web(storing) as there:
        answers = send_all(there.port, images)
    assert [(answer.ok, answer.status, answer.words) for answer in answers] == [(True, 0, "0000 stored")] * 5
    assert there.visits == 1 and [len(asked.files) for asked in there.asked] == [1] * 5
    for asked, body in zip(there.asked, bodies_of(images), strict=True):
        assert asked.line == "POST /dicom-web/studies HTTP/1.1" and asked.files[0].endswith(body)
        assert asked.headers["accept"] == "application/dicom+json" and asked.headers["host"] == f"{HOST}:{there.port}"
        assert int(asked.headers["content-length"]) == len(asked.body)


def test_chunks_instead_of_a_length_if_one_wants_them(images):
    with web(storing) as there:
        assert all(answer.ok for answer in send_all(there.port, images[:2], chunked=True))
    assert all("content-length" not in asked.headers for asked in there.asked)
    for asked, body in zip(there.asked, bodies_of(images[:2]), strict=True):
        assert len(asked.files) == 1 and asked.files[0].endswith(body)


def test_several_images_go_in_one_request_and_their_answers_wait_for_their_turn(images):
    with web(storing) as there:
        line = session(there.port, images, images_per_request=3)
        assert line.send(images[0]).ok and len(there.asked) == 1
        assert line.send(images[1]).ok and line.send(images[2]).ok and len(there.asked) == 1
        assert line.send(images[3]).ok and line.send(images[4]).ok
        line.close()
    assert [asked.uids for asked in there.asked] == [
        [one.sop_instance_uid for one in some] for some in (images[:3], images[3:])
    ]


def test_two_versions_of_an_instance_never_share_a_request(images):
    again = [images[0], images[1], type(images[0])(**{**vars(images[0]), "receipt": b"other" * 3})]
    with web(storing) as there:
        assert all(answer.ok for answer in send_all(there.port, again, images_per_request=10))
    assert [len(asked.files) for asked in there.asked] == [2, 1]


def test_together_they_are_not_larger_than_what_is_worth_repeating(tmp_path, images, monkeypatch):
    monkeypatch.setattr("actors.targets.dicomweb._REQUEST_BYTES", images[0].bytes * 2 + 1)
    with web(storing) as there:
        assert all(answer.ok for answer in send_all(there.port, images, images_per_request=10))
    assert [len(asked.files) for asked in there.asked] == [2, 2, 1]


# -- what is made of answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422, 500])
def test_a_request_that_fails_as_a_whole_is_sent_again_image_by_image(images, status):
    bad = images[1].sop_instance_uid

    def serve(visit: Visit) -> None:
        while True:
            uids = visit.request().uids
            if bad in uids:
                visit.answer(status)
            else:
                visit.answer(200, module(uids))

    with web(serve) as there:
        answers = send_all(there.port, images[:3], images_per_request=3)
    assert [answer.ok for answer in answers] == [True, False, True]
    assert [len(asked.files) for asked in there.asked] == [3, 1, 1, 1]


@pytest.mark.parametrize("how", ["504", "reset", "half an answer"])
def test_an_image_at_which_server_or_proxy_breaks_off_costs_only_itself_in_a_request_of_several(images, how):
    bad = images[2].sop_instance_uid

    def serve(visit: Visit) -> None:
        while True:
            uids = visit.request().uids
            if bad not in uids:
                visit.answer(200, module(uids))
            elif how == "504":
                visit.answer(504)
            else:
                visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{" if how == "half an answer" else b"")
                visit.reset()

    last = [*images[:2], *images[3:], images[2]]  # as the dispatcher hands them out after the first attempt
    with web(serve) as there:
        line = session(there.port, last, images_per_request=5)
        assert all(line.send(one).ok for one in last[:4])
        with pytest.raises(NetworkError):
            line.send(last[4])
        line.close()
    sizes = [len(asked.files) for asked in there.asked]
    assert (
        sizes[0] == 5 and set(sizes[1:]) == {1} and len(sizes) in (6, 7)
    )  # one that ended without a byte is asked once more


def test_images_that_the_answer_forgot_are_sent_again_alone_and_the_others_not(images):
    def serve(visit: Visit) -> None:
        while True:
            uids = visit.request().uids
            visit.answer(200, module(uids[:1] if len(uids) > 1 else uids))

    with web(serve) as there:
        assert all(answer.ok for answer in send_all(there.port, images[:3], images_per_request=3))
    assert [asked.uids for asked in there.asked] == [
        [one.sop_instance_uid for one in some] for some in (images[:3], images[1:2], images[2:3])
    ]


def test_a_file_that_breaks_within_a_request_costs_only_itself(images):
    images[1].path.write_bytes(images[1].path.read_bytes()[:-10])
    with web(storing) as there:
        answers = send_all(there.port, images[:3], images_per_request=3)
    assert [(answer.ok, answer.retryable) for answer in answers] == [(True, False), (False, False), (True, False)]


def test_an_answer_about_another_image_is_not_taken_for_this_one(images):
    def serve(visit: Visit) -> None:
        while True:
            visit.request()
            visit.answer(200, module(["1.2.3.4"]))

    with web(serve) as there:
        (answer,) = send_all(there.port, images[:1])
        assert not answer.ok and answer.retryable
        assert send_all(there.port, images[:1], trust_status=True)[0].ok


@pytest.mark.parametrize(("status", "error", "retryable"), [
    (401, AssociationRejected, False), (403, AssociationRejected, False), (404, AssociationRejected, True),
    (503, TargetBusy, True), (502, NetworkError, True), (308, AssociationRejected, False),
])  # fmt: skip
def test_what_is_no_fault_of_the_image_ends_the_session(images, status, error, retryable):
    def serve(visit: Visit) -> None:
        while True:
            visit.request()
            visit.answer(status, Retry_After="17", Location="http://elsewhere.example/studies")

    with web(serve) as there:
        line = session(there.port, images)
        with pytest.raises(error) as caught:
            line.send(images[0])
        assert caught.value.retryable is retryable and not line.again(images, QUIET)
    assert len(there.asked) == 1
    if isinstance(caught.value, TargetBusy):
        assert caught.value.after_s == 17


@pytest.mark.parametrize("how", ["says it", "does not say it", "resets"])
def test_a_server_that_ends_connections_after_each_answer_gets_all_images(images, how):
    def serve(visit: Visit) -> None:
        uids = visit.request().uids
        visit.answer(200, module(uids), **({"Connection": "close"} if how == "says it" else {}))
        if how == "resets":
            visit.exactly(1)  # of the next request, whose fate is then clear: there was no answer at all
            visit.reset()

    with web(serve) as there:
        assert [answer.ok for answer in send_all(there.port, images)] == [True] * 5
    assert there.visits == 5


def test_a_server_that_fails_at_each_image_is_not_asked_for_ever(images):
    def serve(visit: Visit) -> None:
        visit.request()
        visit.reset()

    with web(serve) as there:
        line = session(there.port, images)
        with pytest.raises(AssociationAborted):
            line.send(images[0])
    assert len(there.asked) == 1


def test_an_image_whose_fate_is_unknown_after_half_an_answer_is_not_sent_again_by_itself(images):
    def serve(visit: Visit) -> None:
        visit.answer(200, module(visit.request().uids))
        visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")

    with web(serve) as there:
        line = session(there.port, images)
        assert line.send(images[0]).ok
        with pytest.raises(AssociationAborted):
            line.send(images[1])
    assert len(there.asked) == 2


def test_consent_is_asked_for_large_images_only_and_done_without_where_it_is_refused(tmp_path):
    small, large = stored_image(tmp_path, 1), stored_image(tmp_path, 2, 2 * MB)

    def serve(visit: Visit) -> None:
        while True:
            _, headers = visit.head()
            asked.append(headers.get("expect"))
            if "expect" in headers:
                visit.answer(417)
                return
            visit.exactly(int(headers["content-length"]))
            visit.answer(200, module([small.sop_instance_uid, large.sop_instance_uid]))

    asked: list[str | None] = []
    with web(serve) as there:
        answers = send_all(there.port, [small, large, small, large], expect_continue=True)
    assert all(answer.ok for answer in answers)
    assert asked == [None, "100-continue", None, None, None]


@pytest.mark.parametrize("trust_status", [False, True])
@pytest.mark.parametrize("expect_continue", [False, True])
def test_yes_to_an_image_that_the_server_cannot_have_is_not_taken_for_stored(tmp_path, trust_status, expect_continue):
    """Proxies, portals and broken servers answer 200 before they have read the body, or instead of it."""
    large = stored_image(tmp_path, 1, 8 * MB)
    more = {"trust_status": trust_status, "expect_continue": expect_continue}

    def yes(visit: Visit) -> None:
        visit.head()
        if not expect_continue:
            visit.exactly(MB)
        visit.answer(200, b"" if trust_status else module([large.sop_instance_uid]))
        visit.wait_for_the_end()

    with web(yes) as there:
        line = session(there.port, [large], **more)
        with pytest.raises(AssociationAborted, match="HTTP 200 came before"):
            line.send(large)
        assert not line.again([large], QUIET)
    with web(storing) as there:
        assert send_all(there.port, [large], **more)[0].ok


@pytest.mark.slow
def test_a_server_that_hangs_is_given_up_within_the_patience(images):
    def serve(visit: Visit) -> None:
        visit.request()
        visit.wait_for_the_end()

    with web(serve) as there:
        target = make_target(dicomweb(there.port, connect_timeout_s=1.0, timeout_s=0.3))
        with pytest.raises(PeerTimeout):
            target.open(images, QUIET).send(images[0])
        assert target.patience_s >= 1.0 + 3 * 0.3


# -- who we are ------------------------------------------------------------------------------------------------------


def test_a_token_is_read_anew_for_each_request(images, tmp_path):
    (tmp_path / "token").write_text("first\n")
    with web(storing) as there:
        line = session(there.port, images, token=f"file:{tmp_path}/token")
        assert line.send(images[0]).ok
        (tmp_path / "token").write_text("second\n")
        assert line.send(images[1]).ok
        line.close()
    assert [asked.headers["authorization"] for asked in there.asked] == ["Bearer first", "Bearer second"]


def test_user_and_password_go_as_rfc_7617_says(images, monkeypatch):
    monkeypatch.setenv("WEB_PASSWORD", "pä:ss")
    with web(storing) as there:
        assert send_all(there.port, images[:1], user="röntgen", password="${WEB_PASSWORD}")[0].ok
    scheme, _, pair = there.asked[0].headers["authorization"].partition(" ")
    assert scheme == "Basic" and base64.b64decode(pair).decode() == "röntgen:pä:ss"


@pytest.mark.parametrize("value", [None, "tök", "two words", "a\nb"])
def test_a_secret_that_cannot_be_used_is_named_but_never_said(images, monkeypatch, value):
    if value is not None:
        monkeypatch.setenv("WEB_TOKEN", value)
    with web(storing) as there:
        line = session(there.port, images, token="${WEB_TOKEN}")
        with pytest.raises(TargetUnreachable) as caught:
            line.send(images[0])
    assert "${WEB_TOKEN}" in str(caught.value) and (value is None or value not in str(caught.value))
    assert there.asked == []


def test_proxies_of_the_environment_are_not_used(images, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{HOST}:{free_port()}")
    with web(storing) as there:
        assert send_all(there.port, images[:1])[0].ok


def test_a_proxy_of_the_settings_gets_the_whole_url(images):
    with web(storing) as proxy:
        settings = {"url": "http://archive.example/dicom-web", "proxy": f"http://{HOST}:{proxy.port}"}
        assert send_all(0, images[:1], **settings)[0].ok
    assert proxy.asked[0].line == "POST http://archive.example/dicom-web/studies HTTP/1.1"
    assert proxy.asked[0].headers["host"] == "archive.example"


def relay(to_port: int):
    """A proxy that connects to `to_port`, whatever it is asked for."""
    import socket

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def serve(visit: Visit) -> None:
        line, _ = visit.head()
        if "refused" in line:
            visit.answer(403)
            return
        with socket.create_connection((HOST, to_port)) as there:
            visit.say(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(there, visit.sock), daemon=True)
            back.start()
            pump(visit.sock, there)
            back.join(60)

    return serve


def test_https_goes_through_a_proxy_as_a_tunnel_with_the_servers_own_certificate(images, tmp_path):
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("archive", host="archive.example")
    with web(storing, server_context(pair)) as there, web(relay(there.port)) as proxy:
        more = {"proxy": f"http://{HOST}:{proxy.port}", "tls": {"ca": str(authority.cert)}}
        assert send_all(0, images[:2], url="https://archive.example/dicom-web", **more)[1].ok
        with pytest.raises(AssociationRejected, match="certificate") as caught:
            send_all(0, images[:1], url="https://other.example/dicom-web", **more)
        assert caught.value.retryable
        with pytest.raises(AssociationRejected, match="proxy") as caught:
            send_all(0, images[:1], url="https://refused.example/dicom-web", **more)
        assert not caught.value.retryable


def test_certificates_of_both_sides_are_checked(images, tmp_path):
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    theirs, ours = authority.issue("web"), authority.issue("scanpost")
    with web(storing, server_context(theirs, authority.cert)) as there:
        ca = {"ca": str(authority.cert)}
        who = {"cert": str(ours.cert), "key": str(ours.key)}
        assert send_all(there.port, images[:2], tls={**ca, **who})[1].ok
        assert send_all(there.port, images[:1], tls={**ca, **who, "server_name": "localhost"})[0].ok
        for wrong in (
            {**ca},
            {"ca": str(other.cert), **who},
            {**ca, **who, "server_name": "elsewhere.example"},
            {**who},
        ):
            with pytest.raises((AssociationRejected, AssociationAborted)) as caught:
                send_all(there.port, images[:1], tls=wrong)
            assert caught.value.retryable and "TLS" in str(caught.value)


def test_a_base_url_with_a_query_and_odd_letters_is_kept(images):
    with web(storing) as there:
        send_all(there.port, images[:1], url=f"http://{HOST}:{there.port}/röntgen/web/?key=a%20b")
    assert there.asked[0].line == "POST /r%C3%B6ntgen/web/studies?key=a%20b HTTP/1.1"


@pytest.mark.parametrize("url", ["http://[::1/x", "http://host:99999/", "http://:80/", "http://a..ü/"])
def test_a_url_without_a_host_is_told_when_it_is_used(images, url):
    with pytest.raises(TargetUnreachable) as caught:
        send_all(0, images, url=url)
    assert not caught.value.retryable


def test_settings_that_contradict_each_other_are_refused():
    assert dicomweb(1, connections=4).connections == make_target(dicomweb(1, connections=4)).sessions == 4
    with pytest.raises(ValidationError, match="one image per request"):
        dicomweb(1, connections=2, images_per_request=2)
    with pytest.raises(ValidationError):
        dicomweb(1, proxy="https://proxy.example")


# -- the ladder ------------------------------------------------------------------------------------------------------


def archive(query: int = 200, store: int = 400, body: bytes = b""):
    def serve(visit: Visit) -> None:
        while True:
            asked = visit.request()
            visit.answer(query if asked.line.startswith("GET") else store, body)

    return serve


def steps(settings):
    return [(step.name, step.ok) for step in climb(settings)]


GOOD = [(name, True) for name in ("name", "tcp", "http", "login", "store")]


def test_the_ladder_goes_to_the_top_without_an_image_and_shows_nobodys_name():
    with web(archive(body=b'[{"00100010": "Geheim^Patient"}]')) as there:
        found = climb(dicomweb(there.port))
    assert [(step.name, step.ok) for step in found] == GOOD
    assert not any("Geheim" in step.text for step in found)
    assert there.asked[0].line == "GET /dicom-web/studies?limit=1 HTTP/1.1" and there.asked[1].files == []


@pytest.mark.parametrize(
    ("query", "store", "last"),
    [
        (404, 400, ("store", True)),  # no queries, which nobody needs
        (403, 409, ("store", True)),  # a token for storing only
        (200, 401, ("login", False)),
        (200, 403, ("login", False)),
        (404, 404, ("store", False)),
        (200, 405, ("store", False)),
        (501, 501, ("store", False)),
        (302, 302, ("http", False)),
        (503, 503, ("http", False)),
        (200, 500, ("store", False)),
    ],
)
def test_the_ladder_ends_where_something_is_wrong(query, store, last):
    with web(archive(query, store)) as there:
        assert steps(dicomweb(there.port))[-1] == last


def test_a_page_for_people_is_no_dicomweb_server():
    with web(archive(200, 200, b"<html>Welcome</html>")) as there:
        assert steps(dicomweb(there.port))[-1] == ("store", False)


def test_the_ladder_names_certificate_and_its_end_and_the_proxy(tmp_path):
    authority = Authority(tmp_path / "ca")
    with web(archive(), server_context(authority.issue("web"))) as there, web(relay(there.port)) as proxy:
        tls = {"ca": str(authority.cert)}
        found = climb(dicomweb(there.port, tls=tls, token="${HOME}"))
        assert [step.name for step in found] == ["name", "tcp", "tls", "http", "login", "store"]
        assert "CN=web" in found[2].text and "until 20" in found[2].text and "token" in found[4].text
        through = climb(dicomweb(there.port, tls=tls, proxy=f"http://{HOST}:{proxy.port}"))
        assert [step.name for step in through] == ["name", "tcp", "proxy", "tls", "http", "login", "store"]
        assert all(step.ok for step in [*found, *through])
        untrusted = climb(dicomweb(there.port, tls={}))
        assert (untrusted[-1].name, untrusted[-1].ok) == ("tls", False)
    assert "NOT" not in found[2].text and os.environ["HOME"] not in " ".join(step.text for step in found)


def test_nobody_there_ends_the_ladder_at_tcp_and_a_bad_url_at_its_name():
    assert steps(dicomweb(free_port()))[-1] == ("tcp", False)
    assert steps(dicomweb(1, url="http://host:99999/"))[-1] == ("name", False)
