"""What leaves the house: no secrets, no patient data, no free text; what helps stays."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from webgui.areas.system.scrub import LEFT_OUT, condition, line, rule, scrubbed


def test_secrets_and_free_text_are_named_but_not_told():
    told = scrubbed(
        {"smtp": {"host": "mail", "password_file": "/etc/x", "user": "u"}, "last_error": "Müller", "reason": ""}
    )
    assert told == {
        "smtp": {"host": "mail", "password_file": LEFT_OUT, "user": "u"},
        "last_error": LEFT_OUT,
        "reason": "",
    }
    assert scrubbed({"url": "postgresql://joe:secret@db:5432/scanpost?x=y"}) == {"url": "postgresql://db:5432/scanpost"}
    assert scrubbed({"url": "https://[bad"}) == {"url": LEFT_OUT}


def test_conditions_stay_readable_but_do_not_name_patients():
    assert condition("Modality == 'MR' and NumberOfImages > 1000") == "Modality == 'MR' and NumberOfImages > 1000"
    assert condition('PatientID == \'12345\' or PatientID == "67\\"8"') == "PatientID == '…' or PatientID == '…'"
    assert condition("PatientBirthDate > 19700101") == "PatientBirthDate > …"
    written = {"name": "a", "when": "PatientName == 'MUELLER'", "tests": [{"header": "x"}], "comment": "for M"}
    assert rule(written) == {"name": "a", "when": "PatientName == '…'", "tests": LEFT_OUT, "comment": LEFT_OUT}


def test_lines_of_logs_keep_numbers_and_our_own_words():
    told = {
        "action": "delivery_failed", "actor": "dispatcher", "level": "error", "arrival": 7, "error": "Mueller^Eva",
        "text": "x", "target": "pacs", "library": "Mueller Eva",
        "exception": 'Traceback:\n  File "/opt/scanpost/actors/x.py", line 7, in send\n    raise X\nX: Mueller',
    }  # fmt: skip
    assert line(told) == {
        "action": "delivery_failed", "actor": "dispatcher", "level": "error", "arrival": 7, "error": LEFT_OUT,
        "text": LEFT_OUT, "target": "pacs", "library": LEFT_OUT, "exception": ["x.py:7 send"],
    }  # fmt: skip


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(), VALUES))
def test_whatever_is_put_in_comes_out_as_json(data):
    json.dumps([scrubbed(data), line(data)])
