"""The one part that setup.cfg cannot say: a compiled helper that may be missing (see actors/dicom/_fast.c)."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension("actors.dicom._fast", ["actors/dicom/_fast.c"], optional=True, py_limited_api=True,
                  extra_compile_args=["-O2", "-Wall", "-Wextra"])
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)  # fmt: skip
