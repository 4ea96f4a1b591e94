"""One thread pool for everything that is done to each image file; Pillow lets go of the GIL while it decodes."""

import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Watch = Callable[[dict[str, Any]], None]

AHEAD = 4  # results waiting per thread: bounds memory when the consumer is slower than the decoders
TICK = 0.1  # seconds between two progress events


def each(
    function: Callable[[Item], Result], items: Sequence[Item], *, what: str, watch: Watch | None = None
) -> Iterator[Result]:
    """Yields ``function(item)`` for every item, in order, computed by all cores.

    ``watch`` hears ``{"event": "progress", "what", "done", "total"}`` about ten times a second. Pillow's
    warnings about odd files are silenced meanwhile: what matters in them becomes a reason or a finding.
    """
    last = 0.0
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        warnings.simplefilter("ignore")
        for done, result in enumerate(_in_order(pool, function, items), start=1):
            yield result
            if watch and (done == len(items) or time.monotonic() - last >= TICK):
                last = time.monotonic()
                watch({"event": "progress", "what": what, "done": done, "total": len(items)})


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
