"""One thread pool for everything that is done to each image file; Pillow lets go of the GIL while it decodes."""

import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from mirada.events import OnProgress, Progress

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4  # results waiting per thread: bounds memory when the consumer is slower than the decoders
TICK = 0.1  # seconds between two progress events


def parallel_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    what: str,
    on_event: OnProgress | None = None,
) -> Iterator[Result]:
    """Yields ``function(item)`` for every item, in order, computed by all cores.

    ``on_event`` hears ``Progress`` about ten times a second. Pillow's warnings about odd files are silenced
    meanwhile: what matters in them becomes a reason or a finding.
    """
    last = 0.0
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        warnings.simplefilter("ignore")
        for done, result in enumerate(_in_order(pool, function, items), start=1):
            yield result
            if on_event and (done == len(items) or time.monotonic() - last >= TICK):
                last = time.monotonic()
                on_event(Progress(what, done, len(items)))


def _in_order(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Like ``pool.map``, with a bounded number of results waiting."""
    rest = iter(items)
    waiting: deque[Future[Result]] = deque(
        pool.submit(function, item) for item in islice(rest, AHEAD * (os.cpu_count() or 1))
    )
    try:
        while waiting:
            result = waiting.popleft().result()
            for item in islice(rest, 1):
                waiting.append(pool.submit(function, item))
            yield result
    finally:
        for future in waiting:
            future.cancel()
