"""Work in as many processes as there are cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from vidsuite_core.errors import VidsuiteError


class Workers:
    """`map` in this process or, for many items, in several that are started on first use.

    Args:
        workers: how many processes; None takes one a core.
    """

    def __init__(self, workers: int | None) -> None:
        self._workers = workers or len(os.sched_getaffinity(0))
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable, items: Sequence, many: int, chunk: int) -> Iterable:
        """`function` of each item, in order; from `many` items on in other processes, `chunk` of them at a time.

        Raises:
            VidsuiteError: one of the processes was ended from outside.
        """
        if self._workers == 1 or len(items) < many:
            return map(function, items)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"))
        return self._guarded(self._pool.map(function, items, chunksize=chunk))

    def _guarded(self, results: Iterator) -> Iterator:
        try:
            yield from results
        except BrokenProcessPool as error:
            raise VidsuiteError(
                "a worker process was ended from outside, most often because memory ran out; entries that were scored "
                f"are kept: build again with fewer than --workers {self._workers}"
            ) from error
