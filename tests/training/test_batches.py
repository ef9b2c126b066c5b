"""Which batch a step gets."""

import itertools

import pytest

from voxhop.training.config import Phase
from voxhop.training.run.batches import BLOCK, Batches

PHASE = Phase()


def drawn(times, steps):
    asked = []
    batches = Batches(lambda number, _: asked.append(number) or number, times)
    return [batches.at(step, PHASE) for step in steps], asked, batches


def test_once_each_is_the_number_of_the_step():
    found, asked, _ = drawn(1, range(100))
    assert found == asked == list(range(100))


@pytest.mark.parametrize("times", [2, 5])
def test_each_comes_as_often_and_is_drawn_once(times):
    found, asked, batches = drawn(times, range(3 * BLOCK * times))
    blocks = [list(range(b * BLOCK, (b + 1) * BLOCK)) for b in range(3)]
    assert found == list(itertools.chain(*(block * times for block in blocks)))
    assert asked == list(range(3 * BLOCK))
    assert not batches._kept


@pytest.mark.parametrize("start", [1, BLOCK, BLOCK + 5, 4 * BLOCK - 1, 4 * BLOCK])
def test_a_resumed_run_gets_the_same(start):
    whole, _, _ = drawn(3, range(8 * BLOCK))
    rest, _, batches = drawn(3, range(start, 8 * BLOCK))
    assert rest == whole[start:]
    assert len(batches._kept) <= BLOCK


def test_another_phase_has_batches_of_its_own():
    batches = Batches(lambda number, phase: (number, phase.clips), 4)
    assert batches.at(0, PHASE) == (0, PHASE.clips)
    assert batches.at(BLOCK, Phase(clips=3)) == (0, 3)
    batches.at(4 * BLOCK, Phase(clips=3))
    assert len(batches._kept) == 1  # what phases leave unfinished is not kept for ever
