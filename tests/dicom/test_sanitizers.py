"""The compiled helpers under the sanitizers of the compiler: no byte outside of a buffer, nothing undefined, in all their tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PYTHON_H = Path(sysconfig.get_paths()["include"]) / "Python.h"
HELPERS = {"actors.dicom._fast": "actors/dicom/_fast.c", "actors.receiver._alike": "actors/receiver/_alike.c"}
TESTS = (
    "tests/dicom/test_fast.py", "tests/header/test_alike.py", "tests/receiver/test_alike_taken.py",
    "tests/receiver/test_alike_trouble.py", "tests/dicom/test_scp_fuzz.py",
)  # fmt: skip
RUN = """
import importlib.util, sys, pytest
for name, path in zip(sys.argv[1:3], sys.argv[3:5]):
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
import actors.receiver.alike as alike
assert alike.helper is sys.modules["actors.receiver._alike"], alike.why_not
sys.exit(pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", *sys.argv[5:]]))
"""


def build(name: str, source: str, folder: Path) -> str:
    built = folder / f"{name}.so"
    subprocess.run(
        ["gcc", "-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-shared",
         "-fPIC", f"-I{PYTHON_H.parent}", f"-I{TOP}/actors/dicom", source, "-o", str(built), "-ldl"],
        check=True, cwd=TOP,
    )  # fmt: skip
    return str(built)


def library(name: str) -> str:
    return subprocess.run(
        ["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.soak
@pytest.mark.skipif(
    not (shutil.which("gcc") and PYTHON_H.exists()), reason="no C compiler; install gcc and python3-dev"
)
def test_nothing_is_read_or_written_outside_and_nothing_is_undefined(tmp_path: Path) -> None:
    built = [build(name, source, tmp_path) for name, source in HELPERS.items()]
    preload = " ".join(library(name) for name in ("libasan.so", "libubsan.so"))
    # Python keeps what it has until its end; leaks are seen by the tests that count descriptors.
    options = {"LD_PRELOAD": preload, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc", "CI": "true"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, *HELPERS, *built, *TESTS],
        cwd=TOP, env={**os.environ, **options}, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "100%" in said and "Sanitizer" not in said, said[-6000:]
