"""The ready queries of `scanpost mine`, as SQL over the documented views that both databases understand.
Only texts: who asks them is asking.py, how they are spelled for a database is spelling.py. It must not import a database.

Forms in braces are spelled by the database: {day(x)}, {hour(x)}, {month(x)}, {clock(x)}, {time(x)} are local times of
seconds, {median(x)} is the median, {number(x)} a number as text; {where} is the selection by time, scanner, modality, node.
"""

from __future__ import annotations

from protocol.dose import FLAGS
from protocol.records import record


@record
class Query:
    """A ready query; `sentence` says what it answers, `about` what has to be known to read the answer."""

    name: str
    sentence: str
    sql: str
    about: str = ""


_GB = "round(CAST(sum(bytes) / 1e9 AS NUMERIC), 3) AS gb"
_DRIFTING = ("slice_thickness", "kvp", "repetition_time", "echo_time", "flip_angle", "field_strength", "pitch")
_PARTS = " UNION ALL ".join([
    *(
        f"SELECT scanner, protocol, series_description, received, '{name}' AS parameter, {{number({name})}} AS value"
        f" FROM mine_series WHERE {{where}} AND {name} IS NOT NULL"
        for name in _DRIFTING
    ),
    "SELECT scanner, protocol, series_description, received, 'software' AS parameter, software AS value"
    " FROM mine_series WHERE {where} AND software IS NOT NULL",
])  # fmt: skip

_NO_LOCALIZER = "coalesce(type_code, '') <> 'DCM:113805'"  # Constant Angle Acquisition

QUERIES: tuple[Query, ...] = (
    Query(
        "series-per-hour",
        "How many series each scanner sent in each hour.",
        f"SELECT {{hour(received)}} AS hour, scanner, count(*) AS series, sum(images) AS images, {_GB}"
        " FROM mine_series WHERE {where} GROUP BY {hour(received)}, scanner ORDER BY 1, 2",
    ),
    Query(
        "busy-hours",
        "At which hours of the day each scanner sends.",
        f"SELECT scanner, {{clock(received)}} AS hour_of_day, count(*) AS series, sum(images) AS images, {_GB},"
        " count(DISTINCT {day(received)}) AS days"
        " FROM mine_series WHERE {where} GROUP BY scanner, {clock(received)} ORDER BY 1, 2",
    ),
    Query(
        "contrast",
        "How often contrast was used, by scanner, protocol and month.",
        "SELECT {month(received)} AS month, scanner, protocol, count(*) AS series, sum(contrast) AS with_contrast,"
        " round(CAST(100.0 * sum(contrast) / count(*) AS NUMERIC), 1) AS percent,"
        " count(DISTINCT study_uid) AS studies, count(DISTINCT CASE WHEN contrast = 1 THEN study_uid END) AS studies_with,"
        " count(DISTINCT contrast_agent) AS agents"
        " FROM mine_series WHERE {where} AND modality NOT IN ('SR', 'PR', 'KO', 'DOC')"
        " GROUP BY {month(received)}, scanner, protocol ORDER BY 1, 2, 3",
        "With contrast counts a series whose header names an agent other than none, or a volume above 0.",
    ),
    Query(
        "protocol-drift",
        "Parameters that changed within the same series of the same protocol on the same scanner.",
        "SELECT scanner, protocol, series_description, parameter, value, series, {time(first)} AS first_seen,"
        " {time(last)} AS last_seen FROM (SELECT scanner, protocol, series_description, parameter, value,"
        " count(*) AS series, min(received) AS first, max(received) AS last,"
        " count(*) OVER (PARTITION BY scanner, protocol, series_description, parameter) AS different"
        f" FROM ({_PARTS}) seen GROUP BY scanner, protocol, series_description, parameter, value) counted"
        " WHERE different > 1 ORDER BY scanner, protocol, series_description, parameter, first, value",
        "Looked at: " + ", ".join((*_DRIFTING, "software")) + "; only where more than one value was seen.",
    ),
    Query(
        "repeats",
        "Series with the same description that came more than once in one study.",
        "SELECT {time(min(received))} AS received, scanner, modality, protocol, series_description, study_uid,"
        " count(DISTINCT series_uid) AS times, sum(images) AS images FROM mine_series"
        " WHERE {where} AND series_description IS NOT NULL AND modality NOT IN ('SR', 'PR', 'KO', 'DOC')"
        " GROUP BY scanner, modality, protocol, series_description, study_uid"
        " HAVING count(DISTINCT series_uid) > 1 ORDER BY times DESC, 1, study_uid, series_description",
        "Parts of one series that came late count as that series.",
    ),
    Query(
        "dose",
        "Dose and exposure, by scanner and protocol, as dose reports and images tell it.",
        "SELECT scanner, modality, protocol, 'reports' AS told_by, count(*) AS times, count(DISTINCT study_uid) AS studies,"
        " {median(ctdivol)} AS median_ctdivol, max(ctdivol) AS max_ctdivol, {median(dlp)} AS median_dlp, max(dlp) AS max_dlp,"
        " {median(dose_area)} AS median_dose_area, {median(dose_rp)} AS median_dose_rp,"
        " {median(coalesce(entrance_dose, glandular_dose))} AS median_entrance_dose, {median(kvp)} AS median_kvp,"
        " {median(exposure)} AS median_exposure, CAST(NULL AS DOUBLE PRECISION) AS median_activity"
        f" FROM mine_dose_events WHERE {{where}} AND {_NO_LOCALIZER} GROUP BY scanner, modality, protocol"
        " UNION ALL SELECT scanner, modality, protocol, 'images', count(*), count(DISTINCT study_uid), {median(ctdivol)},"
        " max(ctdivol), {median(dlp)}, max(dlp), {median(dose_area)}, CAST(NULL AS DOUBLE PRECISION),"
        " {median(entrance_dose)}, {median(kvp)}, {median(exposure)}, {median(activity)}"
        " FROM mine_series WHERE {where} GROUP BY scanner, modality, protocol"
        " HAVING count(ctdivol) + count(dlp) + count(dose_area) + count(entrance_dose) + count(exposure)"
        " + count(activity) > 0 ORDER BY 1, 2, 3, 4",
        "Reports: of each irradiation, without localizers. Images: of the first image of each series, for devices that write"
        " no reports. Do not add the two. CTDIvol, dose at the reference point and entrance dose in mGy, DLP in mGy*cm, dose"
        " area product in dGy*cm2, exposure in mAs, activity in MBq.",
    ),
    Query(
        "dose-studies",
        "Dose of whole examinations, by scanner and procedure, out of dose reports.",
        "SELECT scanner, modality, procedure, count(*) AS studies, {median(dlp)} AS median_dlp, max(dlp) AS max_dlp,"
        " {median(ctdivol)} AS median_ctdivol, {median(dose_area)} AS median_dose_area, max(dose_area) AS max_dose_area,"
        " {median(dose_rp)} AS median_dose_rp, max(dose_rp) AS max_dose_rp, {median(irradiations)} AS median_irradiations"
        " FROM (SELECT node, study_uid, scanner, modality, max(coalesce(procedure, study_description)) AS procedure,"
        " sum(dlp) AS dlp, max(ctdivol) AS ctdivol, sum(dose_area) AS dose_area, sum(dose_rp) AS dose_rp,"
        " count(*) AS irradiations FROM mine_dose_events WHERE {where} AND study_uid IS NOT NULL"
        " GROUP BY node, study_uid, scanner, modality) study GROUP BY scanner, modality, procedure ORDER BY 1, 2, 3",
        "Sums over the irradiations of each study (CTDIvol: the largest), each counted once however often it was reported:"
        " the numbers that diagnostic reference levels are about.",
    ),
    Query(
        "dose-reports",
        "The dose reports that came, with their totals and what is wrong with them.",
        "SELECT {time(received)} AS received, scanner, modality, model, arrival, events, dlp_total, dose_area_total,"
        " dose_rp_total, fluoro_time, flags FROM mine_dose_reports WHERE {where} ORDER BY mine_dose_reports.received, arrival,"
        " report",
        "DLP in mGy*cm, dose area product in dGy*cm2, dose at the reference point in mGy, fluoroscopy in s. Flags: "
        + "; ".join(f"{flag}: {words}" for flag, words in FLAGS.items()) + ".",
    ),
    Query(
        "software",
        "Which software each scanner ran, and since when.",
        "SELECT scanner, manufacturer, model, device_serial, software, count(*) AS series,"
        " {time(min(received))} AS first_seen, {time(max(received))} AS last_seen"
        " FROM mine_series WHERE {where} GROUP BY scanner, manufacturer, model, device_serial, software"
        " ORDER BY scanner, min(received), software",
    ),
    Query(
        "delays",
        "Seconds from the scan to the arrival, to complete, to delivered, by scanner and target.",
        "SELECT scanner, target, count(*) AS deliveries, {median(scan_to_arrival_s)} AS median_scan_to_arrival,"
        " {median(completed - received)} AS median_coming_in, {median(after_completion_s)} AS median_to_deliver,"
        " max(after_completion_s) AS longest_to_deliver, {median(scan_to_delivered_s)} AS median_scan_to_delivered"
        " FROM mine_deliveries WHERE {where} AND state = 'delivered' GROUP BY scanner, target ORDER BY 1, 2",
        "From the scan: by the scanner's clock, in its own zone (node.time_zone where it does not say). A clock that is wrong"
        " shows here.",
    ),
    Query(
        "volumes",
        "Received and delivered, by day, modality and target.",
        f"SELECT {{day(received)}} AS day, '(received)' AS target, modality, count(*) AS series, sum(images) AS images, {_GB}"
        " FROM mine_series WHERE {where} GROUP BY {day(received)}, modality"
        f" UNION ALL SELECT {{day(received)}}, target, modality, count(*), sum(images), {_GB}"
        " FROM mine_deliveries WHERE {where} AND state = 'delivered' GROUP BY {day(received)}, target, modality"
        " ORDER BY 1, 2, 3",
        "The day is that on which the series came in. GB are 10^9 bytes as stored.",
    ),
)  # fmt: skip

BY_NAME = {query.name: query for query in QUERIES}
