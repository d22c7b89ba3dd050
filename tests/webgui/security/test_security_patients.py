"""Where patient data are masked, no page and no answer shows them; where they are not, none stands in an address or a log."""

import io
import logging
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from real_node import ALL, PACS
from walking import filled, parameters, table
from webgui_fakes import HOME, PAGE, log_in

from protocol.testing.images import TestImage
from webgui.app import init_app
from webgui.node import Node
from webgui.rules_source import RulesSource
from webgui.source import SpoolSource

NAME, ID, ACCESSION = "Zebrafink", "PX815-4711", "ACC-998877"


class PatientImage(TestImage):
    """An image of a patient whose values stand nowhere else."""

    def dataset(self):
        data = Dataset()
        data.SOPClassUID, data.SOPInstanceUID, data.Modality = self.sop_class_uid, self.sop_uid, "CT"
        data.PatientName, data.PatientID, data.AccessionNumber = f"{NAME}^Anna", ID, ACCESSION
        data.StudyInstanceUID, data.SeriesInstanceUID, data.StudyDate = self.study_uid, self.series_uid, "20260101"
        data.SeriesDescription = "ax t1"
        out = DicomFileLike(io.BytesIO())
        out.is_implicit_VR, out.is_little_endian = False, True
        write_dataset(out, data)
        return out.parent.getvalue()


@pytest.fixture
def make(config, accounts, real, people):
    """Makes applications over the node with settings of their own."""
    behind, source = Node(real.settings, real.clock), SpoolSource(real.settings, real.clock)
    yield lambda **more: init_app(
        replace(config, **more), accounts, source, real.clock, RulesSource(real.settings, real.clock), behind
    )
    behind.close()
    source.close()


async def answers(client, values, headers, only_api=False):
    """Path -> text of every answer to GET, as page and as file."""
    found = {}
    for route in table(client.app):
        if route.method != "GET" or route.path == "/ws" or (only_api and not route.in_api):
            continue
        for query in ("", "?format=csv"):
            path = filled(route.path, values) + query
            answer = await client.get(path, headers=headers)
            found[path] = (await answer.read()).decode("utf-8", "replace")
    return found


def seen(found):
    return sorted(path for path, text in found.items() if NAME in text or ID in text)


async def test_masked_patient_data_stand_on_no_page_and_in_no_answer(real, make, aiohttp_client, people):
    values = parameters(real, real.arrival(PatientImage()), ID)
    real.record()
    masking = await aiohttp_client(make(mask_phi="viewers"))
    stranger = await aiohttp_client(make())
    headers = {"Authorization": "Bearer " + people.tokens.create("ann", "no phi", ["admin"])}
    assert seen(await answers(await log_in(masking, "ann"), values, PAGE)), (
        "nobody sees them: the test looks at nothing"
    )
    assert seen(await answers(await log_in(masking, "vera"), values, PAGE)) == []
    assert seen(await answers(stranger, values, headers, only_api=True)) == []
    for app, more in ((masking, HOME), (stranger, headers)):
        for word in (NAME, ID, ACCESSION):
            for path in ("/api/v1/series/search",):
                told = await (await app.post(path, json={"q": word}, headers=more)).text()
                assert NAME not in told.replace(word, "", 1) and "Anna" not in told, "found by asking"


async def test_a_rule_tried_on_an_arrival_tells_no_masked_value(real, make, aiohttp_client, people):
    arrival = real.arrival(PatientImage())
    body = {"arrival": arrival, "rule": {"name": "x", "when": "PatientName == 'x' or PatientID == 'y'"}}
    masking = await log_in(await aiohttp_client(make(mask_phi="viewers")), "vera")
    seeing = await log_in(await aiohttp_client(make(mask_phi="viewers")), "ann")
    told = await (await seeing.post("/api/v1/rules/test", json=body, headers=HOME)).text()
    assert NAME in told
    refused = await masking.post("/api/v1/rules/test", json=body, headers=HOME)
    assert refused.status == 422 and "masked for you" in await refused.text()
    draft = {"targets": {"pacs": PACS}, "rules": [ALL | {"when": f"PatientID == '{ID}'"}]}
    for path, of in (("/api/v1/rules/backtest", {}), ("/api/v1/rules/test", {"arrival": arrival})):
        guess = await masking.post(path, json={**of, "routing": draft}, headers=HOME)
        assert guess.status == 422 and "masked for you" in await guess.text(), path
    real.publish(ALL | {"when": "PatientName == 'x' or Modality == 'CT'"})
    told = await (await masking.post("/api/v1/rules/test", json={"arrival": arrival}, headers=HOME)).text()
    assert NAME not in told and ID not in told and "CT" in told


async def test_no_search_for_a_patient_stands_in_an_address_or_a_log(real, make, aiohttp_client, people, caplog):
    caplog.set_level(logging.DEBUG)
    values = parameters(real, real.arrival(PatientImage()), ID)
    client = await log_in(await aiohttp_client(make()), "ann")
    answer = await client.post("/series/search", data={"q": NAME}, headers=HOME | PAGE, allow_redirects=False)
    assert NAME not in answer.headers.get("Location", "")
    for path, text in (await answers(client, values, PAGE)).items():
        assert NAME not in path and ID not in path
        for link in text.split('href="')[1:]:
            assert NAME not in link.partition('"')[0] and ID not in link.partition('"')[0], path
    assert NAME not in caplog.text and ID not in caplog.text
    assert ID not in (await (await client.get("/metrics")).text())
