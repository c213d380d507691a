"""What the tests of every package share."""

import os
from pathlib import Path

import pytest

from encoder.checkpoint import BUNDLED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of align-mini wait for its weights, which are still being trained (docs/LOG.md)."""
    if not BUNDLED["align-mini"].exists():
        wait = pytest.mark.skip(reason="align-mini's weights are not in the repository yet")
        for item in items:
            if item.get_closest_marker("align_mini"):
                item.add_marker(wait)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of outside data that `ALIGN_TEST_DATA` names."""
    name = os.environ.get("ALIGN_TEST_DATA")
    if not name:
        pytest.skip("ALIGN_TEST_DATA is not set: no outside pictures and vocabularies")
    return Path(name)
