"""Play a history from its seed: random steps, then an end without faults in which everything must come right."""

from __future__ import annotations

import random
from datetime import timedelta

from tests.simulation.history import FOLD_KEY, BrokenPromiseError, History
from tests.simulation.once import read_once
from tests.simulation.world import MAX_DELAY, SETTLE, World

HARMLESS = {"job-ahead", "produced", "deployed", "held-back", "stopped", "partition-added", "file-copied", "recreated"}
_MINOR = (("produce", 8), ("checkpoint", 10), ("audit", 10), ("wait", 6))
_FAULTS = (
    *(("hold", 2), ("release", 2), ("stop", 1), ("resume", 2), ("lose records", 1), ("expire", 1), ("cut back", 1)),
    *(("add partition", 1), ("recreate", 1), ("vanish", 1), ("spoil", 1), ("copy", 1), ("lose state", 1)),
    *(("broker", 2), ("elsewhere", 1), ("clock", 1), ("anew", 1), ("index only", 2), ("full", 2)),
)

_LATER_FAULTS = (("job's clock", 1),)
# the first seed whose history has these, and faults in swarms: those below play what they always did
LATER = 10_000_000


@read_once()
def play(seed: int, steps: int = 14) -> History:
    """The history of this seed. Raises BrokenPromiseError, with the seed, when the auditor said what is not so."""
    dice = random.Random(seed)
    history = History(seed, World(dice, transactional=dice.random() < 0.3), dice)
    faults = _FAULTS if seed < LATER else (*_FAULTS, *_LATER_FAULTS)
    chosen = dice.sample(faults, dice.randint(0, 5))  # few kinds of fault in one history: so that each is looked into
    if seed >= LATER:
        chosen = [(name, weight * dice.choice([1, 1, 4])) for name, weight in chosen]
    names, weights = zip(*_MINOR, *chosen, strict=True)
    for _ in range(steps):
        step = dice.choices(names, weights)[0]
        history.log.append(step)
        _do(step, history)
        if dice.random() < 0.5:
            history.world.passes(dice.choice([1.0, 9.0, SETTLE + 1]))
    _come_right(history)
    return history


def _do(step: str, history: History) -> None:  # noqa: C901, PLR0912 - a list of steps
    world, dice = history.world, history.dice
    if step == "produce":
        world.produce()
    elif step == "checkpoint":
        world.release()
        world.checkpoint()
    elif step == "audit":
        history.audit()
    elif step == "full":
        history.audit(full=True)
    elif step == "index only":
        history.audit(broker=False)
    elif step == "wait":
        world.passes(dice.choice([SETTLE / 2, SETTLE * 2, 3600.0, 30 * 3600.0]))
    elif step == "hold":
        world.checkpoint(holds=True)
    elif step == "release":
        world.release()
    elif step == "stop":
        world.stop()
    elif step == "resume":
        world.resume()
    elif step == "lose records":
        world.release()  # as above: a checkpoint commits the files of the one before it first
        world.checkpoint(loses=True)
    elif step == "expire":
        world.expire()
    elif step == "cut back":
        world.cut_back()
    elif step == "add partition":
        world.add_partition()
    elif step == "recreate":
        world.recreate()
        if dice.random() < 0.7:
            world.deploy()
    elif step in {"vanish", "spoil", "copy"}:
        {"vanish": world.lose_file, "spoil": world.spoil_file, "copy": world.copy_file}[step]()
    elif step == "lose state":
        history.lose_state()
    elif step == "broker":
        world.down, world.silent = dice.choice([(False, None), (True, None), (False, 0)])
    elif step == "elsewhere":
        world.elsewhere = not world.elsewhere
    elif step == "clock":
        history.skew = timedelta(seconds=dice.choice([-86400, -3600, -5, 0, 5, 3600, 86400]))
        history.tolerant = True  # ahead once is enough: looks seem older than they are
    elif step == "job's clock":
        world.set_job_ahead(dice.choice([0, 1, 2, 400]))
    elif step == "anew" and not world.elsewhere:  # nobody vouches for a topic that is not there
        history.begin_anew()


def _come_right(history: History) -> None:
    world = history.world
    world.down, world.silent, world.elsewhere, history.skew = False, None, False, timedelta(0)
    world.passes(2 * 86400.0)  # behind every jump of the clock
    if world.stopped is not None or world.writer is None:
        world.resume()
    world.release()
    if history.damaged:
        history.begin_anew()
    for _ in range(2):
        history.plain_audit(full=True)
        world.passes(SETTLE + 5)
        world.produce()
        world.checkpoint()
    history.plain_audit()
    world.passes(MAX_DELAY + 5)
    report = history.plain_audit()
    if "recreated" in world.marks and report.verdict != "complete":  # before anybody had audited the topic before it
        history.begin_anew()
        world.passes(SETTLE + 5)
        report = history.plain_audit()
    if world.lost() and report.verdict == "complete":
        raise BrokenPromiseError(history.told(f"complete, but lost: {world.lost()}"))
    if world.marks <= HARMLESS and not history.tolerant and report.verdict != "complete":
        raise BrokenPromiseError(history.told("nothing is wrong, but it is not complete"))
    _same_fold(history)


def _same_fold(history: History) -> None:
    """Read onto the fold, or everything anew: the same bytes."""
    before = history.kept.objects.get(FOLD_KEY)
    history.plain_audit(full=True)
    if before is not None and history.kept.objects[FOLD_KEY][0] != before[0]:
        raise BrokenPromiseError(history.told("the fold is not what a rebuild gives"))
