"""For tests of reading: once with the compiled helper, once without, by `pytest.mark.usefixtures("both_ways")`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.dicom import fast

HELPER = fast.helper


@pytest.fixture(scope="module", params=["compiled", "pure"])
def both_ways(request: pytest.FixtureRequest) -> Iterator[str]:
    """The tests of a module run twice."""
    if request.param == "compiled" and HELPER is None:
        pytest.skip(f"the compiled helper is {fast.why_not}; install gcc and python3-dev, and scanpost again")
    fast.helper = HELPER if request.param == "compiled" else None
    yield request.param
    fast.helper = HELPER
