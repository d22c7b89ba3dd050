"""The one part that setup.cfg cannot say: compiled helpers that may be missing (actors/dicom/fast.py, actors/receiver/alike.py)."""

from typing import Any

from setuptools import Extension, setup

HEADERS = [
    "actors/dicom/_reading.h",
    *(f"actors/receiver/_alike_{part}.h" for part in ("digest", "laps", "plan", "store", "take")),
]
HELPER: dict[str, Any] = {
    "depends": HEADERS, "optional": True, "py_limited_api": True, "extra_compile_args": ["-O2", "-Wall", "-Wextra"],
}  # fmt: skip

setup(
    ext_modules=[
        Extension("actors.dicom._fast", ["actors/dicom/_fast.c"], **HELPER),
        Extension("actors.receiver._alike", ["actors/receiver/_alike.c"], include_dirs=["actors/dicom"], libraries=["dl"],
                  **HELPER),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)  # fmt: skip
