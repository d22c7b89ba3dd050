"""Forms out of settings models give back what they were filled with; windows and rows of conditions say the same twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RuleSyntaxError
from protocol.routing.parse import build, to_data
from protocol.routing.rules.compiler import compile_rule
from protocol.routing.rules.english import english
from webgui import modelform, windows
from webgui.areas.rules.builder import TESTS, rows_of, text_of
from webgui.areas.targets.reading import SPECS

TARGETS = {
    "dicom": {"host": "pacs", "port": 104, "called_ae": "PACS", "tls": {"ca": "/etc/ca.pem"}, "commitment": {"wait_s": 60.0},
              "retry": {"give_up_after_s": None}, "schedule": [{"days": ["sat", "sun"]}, {"start": "22:00", "end": "06:00"}]},
    "dicomweb": {"url": "https://x.org/dicom", "token": "${T}", "transfer_syntaxes": ["jpeg2000-lossless"]},
    "folder": {"path": "/data", "create": True, "existing": "keep", "bandwidth_mbit_s": 0.5},
    "s3": {"bucket": "images", "verify": False, "addressing": "path"},
    "sftp": {"host": "h", "user": "u", "path": "/in", "password": "file:/run/secret"},
}  # fmt: skip


@pytest.mark.parametrize("kind", list(TARGETS))
def test_a_form_gives_back_the_settings_it_was_filled_with(kind):
    data = to_data(build({"targets": {"x": TARGETS[kind] | {"type": kind}}}, "test"))["targets"]["x"]
    values = modelform.filled(SPECS[kind], data)
    sent = {name: "true" if value is True else value for name, value in values.items() if value not in (False, "")}
    read = modelform.read(SPECS[kind], sent) | {"type": kind}
    assert to_data(build({"targets": {"x": read}}, "test"))["targets"]["x"] == data


DAY = st.sampled_from(windows.DAYS)
TIME = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))


@given(st.lists(st.fixed_dictionaries(
    {"days": st.lists(DAY, min_size=1, unique=True).map(lambda days: sorted(days, key=windows.DAYS.index)),
     "start": TIME, "end": TIME}), max_size=4))  # fmt: skip
def test_windows_are_read_as_they_were_written(schedule):
    read = [{"days": list(windows.DAYS)} | one for one in windows.read(windows.text_of(schedule))]
    assert read == schedule


@pytest.mark.parametrize(
    ("text", "days"),
    [("Mon-Fri 7-18", ["mon", "tue", "wed", "thu", "fri"]), ("sat, sun 8:00 to 12:00", ["sat", "sun"]),
     ("fri-mon", ["fri", "sat", "sun", "mon"])],
)  # fmt: skip
def test_windows_are_read_as_people_write_them(text, days):
    assert windows.read(text)[0]["days"] == days


ROW = st.fixed_dictionaries({
    "scope": st.sampled_from(["", "any_image", "all_images"]),
    "field": st.sampled_from(["Modality", "StudyDescription", "SeriesNumber", "ImageType", "SenderAET"]),
    "test": st.sampled_from([test for test, _ in TESTS]), "value": st.text(min_size=1, max_size=12),
})  # fmt: skip


@given(st.sampled_from(["and", "or"]), st.lists(ROW, min_size=1, max_size=4))
def test_rows_that_make_a_condition_are_found_in_it_again_or_it_has_none(op, rows):
    try:
        tree = compile_rule(text_of({"op": op, "rows": rows})).tree
    except RuleSyntaxError:  # what somebody typed into a row need not make sense: the compiler says so
        return
    found = rows_of(text_of({"op": op, "rows": rows}))
    assert found is None or english(compile_rule(text_of(found)).tree) == english(tree)
