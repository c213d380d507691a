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


@pytest.fixture(autouse=True)
def _own_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, _own_cache: Path
) -> None:
    """Nothing is read from the lists and the cache of whoever runs the tests, and nothing is
    written there."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("configuration")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(_own_cache))


@pytest.fixture(autouse=True)
def _torch_alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed by default computes, which is also sooner ready; a test of the other way
    has the mark ``openvino``."""
    if "openvino" not in request.keywords:
        monkeypatch.setattr("encoder.backends.openvino_backend.is_installed", lambda: False)


@pytest.fixture(scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")
