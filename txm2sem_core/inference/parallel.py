"""Several planes at once, each by its share of PyTorch's threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Made = TypeVar("Made")


def parallel_map(work: Callable[[Item], Made], items: Iterable[Item], at_once: int) -> Generator[Made, None, None]:
    """`map`, with `at_once` items worked on at the same time; results come in order.

    Threads that share one plane wait for each other at the end of every layer; threads with a plane each do not.
    PyTorch's threads are divided among them until the end, or until the iterator is closed. An error of the work comes
    out where its result would.
    """
    if at_once == 1:
        yield from map(work, items)
        return
    threads = torch.get_num_threads()
    share = max(1, threads // at_once)  # with a GPU there may be one thread
    with ThreadPoolExecutor(at_once, "predictor", torch.set_num_threads, (share,)) as pool:
        begun: deque[Future[Made]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) > at_once:  # one waits, so that no thread does
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)
