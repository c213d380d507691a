"""Fixtures that the tests of every package share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of outside data that `ALIGN_TEST_DATA` names."""
    name = os.environ.get("ALIGN_TEST_DATA")
    if not name:
        pytest.skip("ALIGN_TEST_DATA is not set: no outside pictures or vocabularies")
    return Path(name)
