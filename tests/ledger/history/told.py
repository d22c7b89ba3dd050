"""A small history for tests: two nodes, three patients, series that were delivered, held, redirected and bound to a group."""

from protocol.wire import events as e
from tests.ledger.ledger_events import EPOCH, example, record, wrap

ASSOCIATION, RECEIPT, SECOND, TWIN = "f" * 32, "a" * 32, "b" * 32, "c" * 32
SOP = "1.2.840.1.1"
PEOPLE = {1: ("P1", "DOE^JANE", "A100"), 2: ("P2", "Müller^Jörg", "A200"), 3: ("P2", "Müller^Jörg", "A201"),
          4: ("P3", "van der Berg^Jan", "A300")}  # fmt: skip


def series(number, **fields):
    """The fields that all events of an arrival share."""
    found = {"arrival": number, "calling_ae": f"CT{number % 2 + 1}", "study_uid": f"1.2.{PEOPLE[number][2][1:]}",
             "series_uid": f"1.2.{number}.9", "addendum_of": 0}  # fmt: skip
    return {**found, **fields}


def opened(number):
    return example(e.ArrivalOpened, **series(number), called_ae="SCANPOST")


def completed(number, **fields):
    common = {name: value for name, value in series(number).items() if name != "addendum_of"}
    return example(e.ArrivalCompleted, **{**common, "modality": "MR" if number == 2 else "CT", "images": 2, **fields})


def phi_of(number):
    patient, name, accession = PEOPLE[number]
    return {"header": {"PatientID": patient, "PatientName": name, "AccessionNumber": accession}}


def received(number, receipt, sop):
    common = {name: value for name, value in series(number).items() if name != "addendum_of"}
    return example(e.ImageReceived, **common, receipt=receipt, association=ASSOCIATION, sop_uid=sop, bytes=1_000_000)


def delivery(number, arrival, target="pacs"):
    return {"delivery": number, "arrival": arrival, "target": target}


def full_story():
    """Arrival 1: two images, a duplicate, a quarantined object, a failed and a good attempt, confirmed, deleted."""
    pacs = delivery(11, 1)
    return [
        example(e.AssociationOpened, association=ASSOCIATION, calling_ae="CT2", called_ae="SCANPOST", address="10.0.0.2"),
        opened(1), received(1, RECEIPT, SOP), received(1, SECOND, "1.2.840.1.2"),
        example(e.ImageDuplicate, receipt=TWIN, association=ASSOCIATION, arrival=1, calling_ae="CT2", sop_uid=SOP, twin=RECEIPT),
        example(e.ImageQuarantined, receipt="d" * 32, association=ASSOCIATION, calling_ae="CT2", reason="no UID"),
        example(e.AssociationClosed, association=ASSOCIATION, calling_ae="CT2", how="released", images=3, bytes=3_000_000),
        completed(1, why="released", bytes=2_000_000),
        example(e.ArrivalDecided, arrival=1, calling_ae="CT2", revision=4, outcome="route", targets=["pacs"],
                rules=["cardiac", "archive"], reason="", by="", command=0),
        example(e.DeliveryCreated, **pacs, priority="normal", images=2, bytes=2_000_000),
        example(e.DeliveryClaimed, **pacs, attempt=1, owner="d0"),
        example(e.ImagesSent, **pacs, images=[[RECEIPT, 0]]),
        example(e.AttemptFailed, **pacs, attempt=1, error="peer went away", cause="aborted", retry_at=float(EPOCH + 60)),
        example(e.DeliveryClaimed, **pacs, attempt=2, owner="d1"),
        example(e.ImagesSent, **pacs, images=[[SECOND, 0xB000]]),
        example(e.DeliveryConfirming, **pacs, until=float(EPOCH + 900)),
        example(e.ConfirmationAsked, **pacs, images=2), example(e.ConfirmationAnswered, **pacs, committed=2, failed=0),
        example(e.DeliveryCompleted, **pacs, images=2, bytes=2_000_000, warnings=1),
        example(e.ArrivalDelivered, arrival=1, calling_ae="CT2"),
        example(e.ArrivalDeleted, arrival=1, calling_ae="CT2", images=2, bytes=2_000_000, policy="delivered 72 h"),
    ]  # fmt: skip


def other_stories():
    """Arrival 2: parked, then redirected. 3: bound to a member of a group. 4: held by a rule."""
    parked = delivery(12, 2)
    bound = delivery(13, 3, "ai")
    return [
        opened(2), completed(2),
        example(e.ArrivalDecided, arrival=2, outcome="route", targets=["pacs"], rules=["archive"]),
        example(e.DeliveryCreated, **parked), example(e.DeliveryClaimed, **parked, attempt=1),
        example(e.DeliveryParked, **parked, attempts=1, error="status 0110", cause="processing_failed"),
        example(e.DeliveryRedirected, **{**parked, "target": "share"}, before="pacs", command=5, by="anna"),
        opened(3), completed(3),
        example(e.ArrivalDecided, arrival=3, outcome="route", targets=["ai"], rules=["brain"]),
        example(e.DeliveryCreated, **bound), example(e.DeliveryClaimed, **{**bound, "target": "ai1"}, attempt=1),
        opened(4), completed(4), example(e.ArrivalDecided, arrival=4, outcome="hold", targets=[], rules=["odd"]),
        example(e.ArrivalHeld, arrival=4, reason="odd"),
    ]  # fmt: skip


def tell_all(ledger, told, epoch=EPOCH, gap=1.0):
    """Record events one second apart; patient data goes with the completions."""
    batch = [
        wrap(one, seq, epoch=epoch, time=epoch + seq * gap,
             phi=phi_of(one.arrival) if isinstance(one, e.ArrivalCompleted) else None)
        for seq, one in enumerate(told, 1)
    ]  # fmt: skip
    record(ledger, batch)
    return batch
