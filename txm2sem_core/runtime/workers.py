"""Tasks beside each other in threads; what comes out does not depend on how many threads there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
Task = Callable[[], Any]
Outcome = Callable[[], Any]
"""What a task made, or an exception that it raised."""


class Workers:
    """So many threads; with one, tasks run in the thread that gives them.

    Array operations on more than a few thousand values leave Python to other threads.
    """

    def __init__(self, threads: int = 1) -> None:
        self.threads = max(1, threads)
        self._pool = ThreadPoolExecutor(self.threads, "worker") if self.threads > 1 else None

    def run(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Do all tasks; of each, in their order, a function that returns what it made or raises what it raised."""
        if self._pool is None:
            return [outcome_of(task) for task in tasks]
        futures = [self._pool.submit(task) for task in tasks]
        try:
            for future in futures:
                future.exception()  # waits
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return [future.result for future in futures]

    def ahead(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; while one is worked on, the next is made by another thread."""
        if self._pool is None:
            yield from items
            return
        source, end = iter(items), object()
        waiting: Future[Item | object] = self._pool.submit(next, source, end)
        try:
            while (item := waiting.result()) is not end:
                waiting = self._pool.submit(next, source, end)
                yield item  # type: ignore[misc]  # not the sentinel
        finally:
            waiting.cancel()

    def close(self) -> None:
        """End the threads; tasks that have not begun are left undone."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def outcome_of(task: Task) -> Outcome:
    """Do a task; what it made or raised is for later."""
    try:
        made = task()
    except Exception as error:
        raised = error

        def fails() -> Any:
            raise raised

        return fails
    return lambda: made


def slabs(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Adjacent items in lists of `size`; the last may be shorter."""
    held: list[Item] = []
    for item in items:
        held.append(item)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held
