"""No history of two thousand makes the auditor say what is not so; `python -m benchmarks.simulate` plays more."""

from __future__ import annotations

import pytest

from lineage_pipeline.core import recall as recall_module
from lineage_pipeline.remembering import Remembering
from tests.simulation.history import BrokenPromiseError
from tests.simulation.play import LATER, play

HISTORIES = 2_000  # a minute
FIRSTS = [*range(0, HISTORIES // 2, 50), *range(LATER, LATER + HISTORIES // 2, 50)]
# of the long run: an aborted record behind the log's start called lost before anything was indexed; a cut that no
# auditor could know of; a memory that could not be read; the entry of the quicker of two audits, lost before the
# next; markers that the log's start had passed before an audit could know of transactions;
# markers that were explained before an index file with their neighbours seemed to have vanished;
# markers of a topic that was recreated while the index could not be read;
# another cluster's answer while a deployment record could not be read; records of a file that the job held back until
# the log's start had passed them; an entry of a ledger that a person had given up;
# rows of a recreated topic while the record that told so could not be read; and two (8003112, 8033881) in which the
# simulation itself showed a later file before an earlier one
ONCE_BROKEN = (
    *(1_002_453, 1_002_651, 1_003_149, 1_006_235, 3_001_051, 6_012_576, 6_045_737, 6_057_663, 6_066_114),
    *(6_080_484, 6_089_627, 6_093_943, 6_096_291, 7_045_878),
    *(8_003_112, 8_033_881),
)
SOME = 100  # in which a broken auditor is found out, from a seed on that is near to the first that does


@pytest.mark.parametrize("first", FIRSTS)
def test_every_report_of_a_random_history_is_true(first: int) -> None:
    for seed in range(first, first + 50):
        play(seed)


@pytest.mark.parametrize("seed", ONCE_BROKEN)
def test_what_once_was_not_true_is_true_now(seed: int) -> None:
    play(seed)


def broken_from(first: int) -> bool:
    for seed in range(first, first + SOME):
        try:
            play(seed)
        except BrokenPromiseError:
            return True
    return False


def test_the_simulation_notices_an_auditor_that_forgets_how_far_a_log_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall_module, "_truncated", lambda *_: [])
    assert broken_from(60)


def test_the_simulation_notices_an_auditor_that_ignores_a_lost_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Remembering, "_problems", lambda _: ())
    assert broken_from(60)


def test_the_simulation_notices_rows_of_a_sealed_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall_module, "_is_sealed", lambda *_: False)
    assert broken_from(90)
