"""With a writer, four readers and a compactor, every answer is that of a committed state."""

import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.faults.crowd import QUESTIONS, READERS, Directions

ROOT = Path(__file__).parents[2]
SECONDS = 8
SECONDS_SLOW = 60


class Crowd:
    """The processes and their reports."""

    def __init__(self, folder: Path, seconds: int) -> None:
        self.folder, self.seconds = folder, seconds
        self.running: dict[str, subprocess.Popen] = {}
        (folder / "answers").mkdir()

    def start(self, role, *arguments):
        command = [sys.executable, "-m", "tests.faults.crowd", role, self.folder, self.seconds]
        self.running[" ".join([role, *arguments])] = subprocess.Popen(
            [str(part) for part in [*command, *arguments]],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self):
        self.start("write")
        while not (self.folder / "ready").exists():
            assert self.running["write"].poll() is None, self.running["write"].communicate()[1]
            time.sleep(0.05)
        self.start("compact")
        for name in READERS:
            self.start("read", name)
        reports = {}
        for name, process in self.running.items():
            out, errors = process.communicate(timeout=self.seconds + 120)
            assert (process.returncode, errors) == (0, ""), f"{name}: {errors}"
            reports[name] = json.loads(out)
        return reports

    def end(self):
        for process in self.running.values():
            process.kill()
            process.communicate()


@pytest.fixture
def crowd(tmp_path):
    made = []

    def make(seconds):
        made.append(Crowd(tmp_path, seconds))
        return made[-1]

    yield make
    for each in made:
        each.end()


class States:
    """Every committed state, and slow searches of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "states"
        self.seqs = sorted(int(path.stem) for path in self.folder.iterdir())
        self.questions = Directions().encode_texts(QUESTIONS).astype(np.float64)
        self.load, self.ranking = cache(self._load), cache(self._ranking)

    def _load(self, seq):
        with np.load(self.folder / f"{seq}.npz") as state:
            return state["ids"], state["rows"].astype(np.float64)

    def _ranking(self, seq, question):
        ids, rows = self.load(seq)
        scores = (rows * self.questions[question]).sum(axis=1).astype(np.float32)
        order = np.lexsort((ids, -scores))
        return ids[order], scores[order]

    def matching(self, before, after, question, k, exclude, ids, scores):
        """The first state between two changes that gives this answer; None if no state does."""
        for seq in self.seqs:
            if before <= seq <= after:
                known, exact = self.ranking(seq, question)
                kept = ~np.isin(known, exclude)
                if known[kept][:k].tolist() == ids and np.allclose(
                    exact[kept][:k], scores, rtol=0, atol=1e-6
                ):
                    return seq
        return None


def judge(folder):
    """Answers counted by reader, their states, answers that fit no state, and reasons for degraded
    answers counted."""
    states = States(folder)
    answers, degraded = Counter[str](), Counter[str | None]()
    seen, wrong = set(), []
    for path in sorted((folder / "answers").iterdir()):
        for line in path.read_text().splitlines():
            *answer, reason = json.loads(line)
            answers[path.stem] += 1
            degraded[reason] += 1
            seq = states.matching(*answer)
            seen.add(seq)
            if seq is None:
                wrong.append(f"{path.stem}: {line}")
    del degraded[None]
    return answers, seen - {None}, wrong, degraded


@pytest.mark.parametrize("seconds", [SECONDS, pytest.param(SECONDS_SLOW, marks=pytest.mark.slow)])
def test_every_answer_is_that_of_a_committed_state(crowd, tmp_path, seconds):
    reports = crowd(seconds).run()
    writer, compactor = reports["write"], reports["compact"]
    answers, seen, wrong, degraded = judge(tmp_path)
    kinds = Counter(kind for kind, _, _ in compactor["heads"])
    print(
        f"\n{sum(answers.values())} answers of {len(seen)} states checked, {len(wrong)} wrong,"
        f" {sum(degraded.values())} degraded; {writer['states']} commits in {writer['runs']} runs,"
        f" refused {writer['refused']} times; {dict(kinds)} compactions, refused"
        f" {compactor['refused']} times; write-ahead log up to {compactor['log_bytes']} bytes;"
        " 0 uncaught"
    )
    assert writer["problems"] == []
    assert wrong[:3] == []
    # Two compactions may pass while a search opens an index; it then searches without the index.
    gone = "cannot be read (No such file or directory); searching without it"
    assert [reason for reason in degraded if not reason.endswith(gone)] == []
    # Searches look into all lists, so the answers of an index with lists are exact too.
    assert all(nprobe == nlist for _, nlist, nprobe in writer["heads"] + compactor["heads"])
    assert compactor["log_bytes"] < 1 << 22  # it is emptied although searches never stop

    assert writer["runs"] >= 3
    assert kinds["flat"] >= 1
    assert kinds["ivf"] >= 1
    threads = [f"{name}-{n}" for name in READERS for n in range(READERS[name].threads)]
    assert [name for name in threads if answers[name] < 10] == []
    assert len(seen) >= 3
    with closing(sqlite3.connect(tmp_path / "photos/.align/library.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_wrong_answer_is_noticed(tmp_path):
    """The judge itself is given right answers, answers of an older state, and wrong scores."""
    (tmp_path / "states").mkdir()
    (tmp_path / "answers").mkdir()
    rows = Directions().encode_texts(["a", "b", "c"]).astype("<f2")
    np.savez(tmp_path / "states/2.npz", ids=[1, 2], rows=rows[:2])
    np.savez(tmp_path / "states/3.npz", ids=[1, 3], rows=rows[[0, 2]])
    query = Directions().encode_texts(QUESTIONS[:1])[0]
    scores = dict(enumerate((rows.astype(np.float32) @ query).tolist(), start=1))

    def answer(before, after, ids, error=0.0):
        best = sorted(ids, key=lambda id: -scores[id])
        return [before, after, 0, 5, [], best, [scores[id] + error for id in best], None]

    lines = [
        answer(2, 2, [1, 2]),
        answer(2, 3, [1, 3]),
        answer(3, 3, [1, 2]),
        answer(2, 3, [1, 2, 3]),
        answer(2, 2, [1, 2], error=0.01),
        answer(2, 2, [1]),
    ]
    (tmp_path / "answers/one-0.jsonl").write_text("\n".join(map(json.dumps, lines)))
    answers, seen, wrong, _ = judge(tmp_path)
    assert (answers["one-0"], seen) == (6, {2, 3})
    assert [json.loads(line.split(": ", 1)[1]) for line in wrong] == lines[2:]
