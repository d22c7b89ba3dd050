"""Which concepts of a dose report become which value, in which unit (PS3.16 TID 10002 to 10015, annex D: scheme DCM).
Only tables; meanings are in the language of the device, so nothing is found by them.
"""

from __future__ import annotations

REPORT = "113701"  # X-Ray Radiation Dose Report
ACCUMULATED = frozenset(("113811", "113702"))  # CT Accumulated Dose Data, Accumulated X-Ray Dose Data
EVENTS = {"113819": "ct", "113706": "projection"}  # CT Acquisition, Irradiation Event X-Ray Data

TOTALS = {  # (value, unit) of the accumulated data
    "113812": ("events_total", "1"),  # Total Number of Irradiation Events
    "113813": ("dlp_total", "mGy.cm"),  # CT Dose Length Product Total
    "113722": ("dose_area_total", "dGy.cm2"),  # Dose Area Product Total
    "113726": ("fluoro_dose_area", "dGy.cm2"),  # Fluoro Dose Area Product Total
    "113727": ("acquisition_dose_area", "dGy.cm2"),  # Acquisition Dose Area Product Total
    "113725": ("dose_rp_total", "mGy"),  # Dose (RP) Total
    "113730": ("fluoro_time", "s"),  # Total Fluoro Time
}
NUMBERS = {  # of an irradiation event; the first counts where several are told, as of pulses
    "113830": ("ctdivol", "mGy"),  # Mean CTDIvol
    "113838": ("dlp", "mGy.cm"),  # DLP
    "113825": ("scanning_length", "mm"),  # Scanning Length
    "113828": ("pitch", "1"),  # Pitch Factor
    "113733": ("kvp", "kV"),  # KVP
    "113734": ("tube_current", "mA"),  # X-Ray Tube Current
    "113824": ("exposure_time", "ms"),  # Exposure Time of CT
    "113735": ("exposure_time", "ms"),  # Exposure Time of projection
    "113736": ("exposure", "mA.s"),  # Exposure
    "122130": ("dose_area", "dGy.cm2"),  # Dose Area Product
    "113738": ("dose_rp", "mGy"),  # Dose (RP)
    "111631": ("glandular_dose", "mGy"),  # Average Glandular Dose
    "111636": ("entrance_dose", "mGy"),  # Entrance Exposure at RP
}
TEXTS = {  # of UIDREF, DATETIME and TEXT
    "113769": "event_uid",  # Irradiation Event UID
    "111526": "started",  # DateTime Started
    "125203": "protocol",  # Acquisition Protocol
}
CODES = {  # the meaning as it is written; what is also kept as scheme and value ends in _code
    "123014": "region",  # Target Region
    "113820": "type",  # CT Acquisition Type
    "113721": "type",  # Irradiation Event Type
}
PLANE, PLANES = "113764", {"113622": "single", "113620": "a", "113621": "b"}
PHANTOM, PHANTOMS = "113835", {"113690": "head", "113691": "body"}  # CTDIw Phantom Type
DEVICE = {"121014": "manufacturer", "121015": "model", "121016": "device_serial"}  # of the device that observed
