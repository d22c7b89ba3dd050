"""The addresses of series, studies and patients. It must not hold behaviour."""

from __future__ import annotations

from webgui.areas.series import acts, api, many, pages, studies
from webgui.areas.series.asked import EventsQuery, ImagesQuery, SearchSeries, SeriesAct, SeriesActs, SeriesQuery
from webgui.areas.series.shapes import (
    CanAnswer,
    EventsAnswer,
    HeaderAnswer,
    ImagesAnswer,
    PatientShown,
    SeriesAnswer,
    SeriesShown,
    StudyShown,
)
from webgui.guards import Need
from webgui.route import Route
from webgui.shapes import ActAnswer

LOOK, ACT = Need.VIEWER, Need.OPERATOR

ROUTES = (
    Route("GET", "/series", pages.show_list, LOOK),
    Route("POST", "/series/search", pages.search, LOOK),
    Route("POST", "/series/act", many.submit, ACT),
    Route("GET", "/series/{id}", pages.show, LOOK),
    Route("POST", "/series/{id}/find", pages.show, LOOK),
    Route("POST", "/series/{id}/{act}", acts.submit, ACT),
    Route("GET", "/studies/{uid}", studies.show_study, LOOK),
    Route("GET", "/patients/{key}", studies.show_patient, LOOK),
    Route("GET", "/api/v1/series", api.listed, LOOK, "Series, newest first.", query=SeriesQuery, answer=SeriesAnswer),
    Route(
        "POST",
        "/api/v1/series/search",
        api.searched,
        LOOK,
        "Series by a text that may be patient data.",
        body=SearchSeries,
        answer=SeriesAnswer,
    ),
    Route(
        "GET",
        "/api/v1/series/acts",
        acts.what_can_be_done,
        LOOK,
        "Acts on series, and in which states.",
        answer=CanAnswer,
    ),
    Route(
        "POST",
        "/api/v1/series/acts/{act}",
        acts.many,
        ACT,
        "Act on series: by number, or all that match.",
        body=SeriesActs,
        answer=ActAnswer,
    ),
    Route(
        "GET",
        "/api/v1/series/{id}",
        api.shown,
        LOOK,
        "One series: timeline, decisions, deliveries, attempts.",
        answer=SeriesShown,
    ),
    Route(
        "GET",
        "/api/v1/series/{id}/images",
        api.images,
        LOOK,
        "Its images, 500 at a time.",
        query=ImagesQuery,
        answer=ImagesAnswer,
    ),
    Route(
        "GET",
        "/api/v1/series/{id}/header",
        api.header,
        LOOK,
        "Header values of its first image, and what differs.",
        answer=HeaderAnswer,
    ),
    Route(
        "GET",
        "/api/v1/series/{id}/events",
        api.events,
        LOOK,
        "Its events, newest first, without patient data.",
        query=EventsQuery,
        answer=EventsAnswer,
    ),
    Route("POST", "/api/v1/series/{id}/{act}", acts.one, ACT, "Act on one series.", body=SeriesAct, answer=ActAnswer),
    Route("GET", "/api/v1/studies/{uid}", studies.api_study, LOOK, "A study and its series.", answer=StudyShown),
    Route("GET", "/api/v1/patients/{key}", studies.api_patient, LOOK, "A patient's studies.", answer=PatientShown),
)
