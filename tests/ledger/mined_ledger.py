"""A ledger with a department's few days in it, for tests of mining: series of two scanners, studies, deliveries."""

from protocol.wire import events as e
from tests.ledger.ledger_events import EPOCH, example, record, wrap

HOUR = 3600.0
CT = {"Modality": "CT", "ProtocolName": "Thorax", "SliceThickness": 5.0, "KVP": 120.0, "SoftwareVersions": "VA10",
      "SeriesDescription": "Lung", "Manufacturer": "ACME", "ManufacturerModelName": "One", "StationName": "CT1",
      "PatientID": "P1", "PatientName": "SECRET^NAME", "AccessionNumber": "A1", "PatientSex": "F", "PatientAge": "050Y",
      "PatientBirthDate": "19760203", "StudyDate": "20270115", "StudyTime": "080000", "AcquisitionDate": "20270115",
      "AcquisitionTime": "080500"}  # fmt: skip


class MinedLedger:
    """Writes one ledger; each series is one arrival."""

    def __init__(self, ledger):
        self.ledger, self.at, self.seq = ledger, (0, 0), 0

    def tell(self, event, time, phi=None):
        self.seq += 1
        batch = [wrap(event, self.seq, phi=phi, time=time)]
        assert record(self.ledger, batch, self.at).flagged == []
        self.at = (batch[-1].epoch, batch[-1].seq)

    def series(
        self,
        arrival,
        *,
        opened=EPOCH,
        study="1.2",
        series=None,
        source="ct1",
        more=None,
        doses=(),
        extra=(),
        target="pacs",
        **values,
    ):
        """A series that came in, was completed a minute later and delivered after another one."""
        header = {**CT, **values}
        uid = series or f"{study}.{arrival}"
        here = {"arrival": arrival, "calling_ae": source.upper(), "study_uid": study, "series_uid": uid}
        self.tell(example(e.ArrivalOpened, **here, addendum_of=0), opened)
        for number in (1, 2):
            self.tell(
                example(
                    e.ImageReceived, arrival=arrival, receipt=f"{arrival:030x}{number:02x}", sop_uid=f"{uid}.{number}"
                ),
                opened,
            )
        origin = {"called_ae": "R", "address": "10.0.0.1", "source": source, "addendum_of": 0, "opened": opened}
        phi = {"header": header, "first": {}, "columns": b"", "count": 10, "dropped": [], "origin": origin,
               "mining": {"values": more or {}, "extra": list(extra), "zone": "UTC", "doses": list(doses)}}  # fmt: skip
        self.tell(example(e.ArrivalCompleted, **here, images=10, bytes=10_000_000, why="released", modality=header["Modality"]),
                  opened + 60, phi)  # fmt: skip
        if target:
            self.tell(
                example(
                    e.DeliveryCreated, delivery=arrival, arrival=arrival, target=target, images=10, bytes=10_000_000
                ),
                opened + 61,
            )
            self.tell(example(e.DeliveryCompleted, delivery=arrival, arrival=arrival, target=target), opened + 120)
            self.tell(example(e.ArrivalDelivered, arrival=arrival, calling_ae=source.upper()), opened + 120)
