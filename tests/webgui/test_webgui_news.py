"""What pages are told of the events of the node: which topics changed, and toasts."""

from protocol.spool.outbox import Cursor
from protocol.testing.images import TestImage
from protocol.wire.codec import pack
from protocol.wire.events import AlertRaised, DeliveryParked, DeliveryProgress, TargetPaused, TargetResumed
from protocol.wire.messages import REGISTRY, envelope
from webgui.feed import pass_on
from webgui.hub import Hub
from webgui.news import SAYINGS, TOPICS, toasts, topics_of
from webgui.progress import FINISHED_S, GONE_S, MOST, Progress
from webgui.source import SpoolSource


def test_a_delivery_changes_the_queue_and_its_own_series_and_nothing_about_sources():
    found = topics_of([("delivery.images.sent", "17")])
    assert {"queue", "series", "series:17"} <= found
    assert "sources" not in found and "series:" not in found


def test_the_longest_beginning_of_a_type_counts():
    assert topics_of([("image.received", "7")]) == {"series", "series:7"}
    assert "quarantine" in topics_of([("image.quarantined", "")])


def test_what_is_in_the_tables_are_real_event_types():
    for start in TOPICS:
        if start not in ("silence", "letter"):
            assert any(kind == start or kind.startswith(f"{start}.") for kind in REGISTRY), start
    assert set(SAYINGS) <= set(REGISTRY)


def told(*events):
    return toasts(envelope(one, source="/n/a/0", time=1.0) for one in events)


def test_alike_events_are_told_together_with_a_link():
    (toast,) = told(*[DeliveryParked(1, 2, "ai 7", 3, "refused")] * 37)
    assert toast["text"] == "37 deliveries to ai 7 used up all attempts"
    assert (toast["sev"], toast["href"]) == ("bad", "/queue?state=parked")


def test_a_flood_is_cut():
    assert len(told(*[TargetPaused(f"t{number}", "", 0.0, "ann") for number in range(50)])) == 5


def test_names_in_links_are_escaped():
    (toast,) = told(TargetResumed("a/b?c", ""))
    assert toast["href"] == "/targets/a%2Fb%3Fc"


def test_the_outbox_tells_kinds_and_the_loud_events(real):
    before = real.spool.outbox.head()
    arrival = real.arrival()
    real.spool.outbox.record(AlertRaised("clock", "the clock jumped"))
    found = real.spool.outbox.happened(before, SAYINGS)
    assert ("arrival.decided", str(arrival)) in found.kinds
    assert found.events[-1].data["alert"] == "clock"
    assert found.head == real.spool.outbox.head()
    assert real.spool.outbox.happened(found.head, SAYINGS) == (found.head, frozenset(), [])
    assert real.spool.outbox.happened(Cursor(0, 5), SAYINGS).kinds >= found.kinds  # a cursor of an earlier epoch


def test_the_source_tells_what_is_new_once(real):
    source = SpoolSource(real.settings, real.clock)
    real.arrival()
    assert source.news().topics == frozenset()  # what was before the page is no news
    arrival = real.arrival(TestImage(study=2))
    assert {"series", "queue", f"series:{arrival}"} <= source.news().topics
    assert source.news().topics == frozenset()
    (real.settings.home / "accounts.sqlite3").write_bytes(b"x")
    assert source.news().topics == {"audit", "users"}
    source.close()


async def test_a_list_is_said_to_have_changed_once_a_second_and_no_change_is_lost(live, node, app):
    await live.subscribe(marks=["queue"])
    node.changed = {"queue", "series"}
    frame = await live.frame(lambda frame: frame["t"] != "hb")
    assert frame == {"t": "inv", "topic": "queue", "seq": frame["seq"]}
    node.changed = {"queue"}
    again = await live.frame(lambda frame: frame["t"] == "inv")
    assert again["seq"] > frame["seq"] + 5  # ticks of 0.05 s in between


async def test_toasts_go_to_who_asked(live, node):
    await live.subscribe("kpi", events=True)
    await live.frame(lambda frame: frame["t"] == "snap")
    node.toasts = [{"id": 7, "sev": "bad", "text": "<b>x</b>", "href": "/alerts"}]
    frame = await live.frame(lambda frame: frame["t"] == "event")
    assert frame == {"t": "event", "id": 7, "sev": "bad", "text": "<b>x</b>", "href": "/alerts"}


async def test_bars_of_sends_move_without_a_look_at_the_spool(node, config, app):
    hub = Hub(node, config, app_clock := FixedClock())
    viewer = hub.join()
    viewer.subscribe(frozenset({"progress"}))
    viewer.take(hub.snapshot)
    message = envelope(DeliveryProgress(5, 7, "pacs", 20, 200), source="/n/d/0", time=1.0)
    pass_on([b"tmp.delivery.progress.pacs.", pack(message.to_map())], hub.hear)
    app_clock.now_s += 1
    hub.hear(5, 60, 200)
    hub._offer_progress()
    (text,) = viewer.take(hub.snapshot)
    assert '"5":{"sent":"60","total":"200","percent":30.0,"rate":"40.0 images/s","left":"3 s left"}' in text
    assert node.looks == 0


def test_odd_words_about_progress_are_nothing():
    for frames in ([b"tmp.delivery.progress."], [b"x", b"\xff"], [b"x", pack({"data": 3})]):
        pass_on(frames, None)


class FixedClock:
    now_s = 0.0

    def monotonic(self):
        return self.now_s

    now = monotonic


def test_bars_leave_when_nothing_is_heard_and_memory_is_bounded():
    progress = Progress()
    progress.hear(1, 10, 10, 0.0)
    progress.hear(2, 5, 10, 0.0)
    assert set(progress.rows(FINISHED_S + 1)) == {"2"}
    assert progress.rows(GONE_S + 1) == {}
    for number in range(2 * MOST):
        progress.hear(number, 1, 2, 100.0)
    assert len(progress.rows(100.0)) == MOST


def test_a_send_that_begins_again_has_no_negative_rate():
    progress = Progress()
    progress.hear(1, 90, 100, 0.0)
    progress.hear(1, 3, 100, 1.0)
    assert progress.rows(1.0)["1"]["rate"] == ""
