"""Every package has one door, which exports exactly what its `__all__` names."""

import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = [
    "encoder",
    "encoder.datasets",
    "encoder.scenes",
    "encoder.training",
    "indexer",
    "retrieval",
    "retrieval.cli",
    "retrieval.evaluation",
]


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_sorted_and_exists(name: str) -> None:
    package = import_module(name)
    assert package.__all__ == sorted(package.__all__, key=_constants_then_classes_then_functions)
    for exported in package.__all__:
        getattr(package, exported)


def _constants_then_classes_then_functions(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("name", ["encoder", "retrieval"])
def test_lazy_doors_say_the_same_twice(name: str) -> None:
    package = import_module(name)
    homes = [exported for names in package._HOMES.values() for exported in names]
    assert sorted(homes) == sorted(package.__all__)
    for module, names in package._HOMES.items():
        for exported in names:
            assert getattr(package, exported) is getattr(
                import_module(f"{name}.{module}"), exported
            )
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        package.nonsense  # noqa: B018 - the access is the test


@pytest.mark.parametrize(
    ("name", "heavy"),
    [
        ("encoder", "torch,tokenizers,PIL,numpy"),
        ("encoder.datasets", "torch,tokenizers,pillow_heif"),
        ("indexer", "torch,tokenizers,faiss,alembic,click"),
        ("retrieval", "torch,tokenizers,faiss,sqlalchemy,numpy"),
    ],
)
def test_opening_a_door_loads_nothing_heavy(name: str, heavy: str) -> None:
    code = f"import {name}, sys; print(set({heavy.split(',')!r}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")
