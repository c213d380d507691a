"""What is known about checkpoints beside their weights."""

import json
from pathlib import Path

from encoder.bundled import BUNDLED, Facts, facts


def test_facts_of_models_that_come_along_lie_in_a_folder_or_are_unknown(tmp_path: Path) -> None:
    small, mini = facts("align-small"), facts("align-mini")
    assert (small.near_duplicate, small.knows_only) == (0.94, None)
    assert (mini.near_duplicate, mini.knows_only) == (0.97, "drawn scenes")
    (tmp_path / "facts.json").write_text(json.dumps({"near_duplicate": 0.9}))
    assert facts(str(tmp_path)) == Facts(near_duplicate=0.9)
    assert facts("kakaobrain/align-base") == facts(str(tmp_path / "none")) == Facts()


def test_bundled_checkpoints_have_facts() -> None:
    for folder in BUNDLED.values():
        assert 0.9 < json.loads((folder / "facts.json").read_text())["near_duplicate"] < 1
