"""Tasks beside each other: in order whatever ends first, and no error is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from txm2sem_core.runtime.workers import Workers, outcome_of, slabs


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_outcomes_come_in_the_order_of_the_tasks(threads: int) -> None:
    def task(number: int) -> int:
        time.sleep(0.001 * (7 - number))  # the first ends last
        return number

    with Workers(threads) as workers:
        outcomes = workers.run([lambda number=number: task(number) for number in range(7)])  # type: ignore[misc]
        assert [outcome() for outcome in outcomes] == list(range(7))
        assert workers.run([]) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_out_where_the_result_would_and_the_others_are_done(threads: int) -> None:
    def fails() -> None:
        raise ValueError("no such thing")

    with Workers(threads) as workers:
        first, second, third = workers.run([lambda: 1, fails, lambda: 3])
    assert (first(), third()) == (1, 3)
    with pytest.raises(ValueError, match="no such thing"):
        second()
    with pytest.raises(ValueError, match="no such thing"):
        outcome_of(fails)()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_next_item_is_made_ahead_and_only_that(threads: int) -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            yield number

    with Workers(threads) as workers:
        for count, item in enumerate(workers.ahead(items())):
            assert item == count
            assert len(made) <= count + threads
    assert made == list(range(5))


def test_a_reader_s_error_ends_the_loop() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with Workers(2) as workers:
        taken = workers.ahead(items())
        assert next(taken) == 1
        with pytest.raises(OSError, match="gone"):
            next(taken)


def test_threads_end() -> None:
    before = threading.active_count()
    with Workers(4) as workers:
        workers.run([lambda: None] * 8)
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_slabs_of_items() -> None:
    assert list(slabs(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(slabs([], 2)) == []
