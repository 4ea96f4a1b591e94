"""Which share of the work each of several processes has: pure functions of numbers, the same in every process.

The order of an epoch is a function of (seed, epoch), and its batches are those of one process. A process takes its
slice of each; so whatever their number, now or after a resume, the same images are shown at the same step, each once.
"""

from itertools import pairwise


def ends(count: int, size: int) -> list[int]:
    """Where the shares of ``size`` processes in ``count`` things in a row begin and end: as even as can be.

    >>> ends(10, 4)
    [0, 3, 6, 8, 10]
    """
    whole, rest = divmod(count, size)
    return [rank * whole + min(rank, rest) for rank in range(size + 1)]


def share(count: int, rank: int, size: int, *, least: int = 1) -> slice:
    """The share of one process in ``count`` things in a row.

    Args:
        count: Such as the images of a batch, in the order of the epoch.
        rank: Of the process, from 0.
        size: Processes.
        least: Things that a process has, if it has any: batch normalization takes two images. Where there are too few,
            the last processes have none.

    Returns:
        The slice; all shares in a row are the whole.

    >>> [share(5, rank, 4, least=2) for rank in range(4)]
    [slice(0, 3, None), slice(3, 5, None), slice(5, 5, None), slice(5, 5, None)]
    """
    busy = max(1, min(size, count // least))
    if rank >= busy:
        return slice(count, count)
    found = ends(count, busy)
    return slice(found[rank], found[rank + 1])


def rows_of_chunks(count: int, chunk: int, size: int) -> list[int]:
    """How many of ``count`` rows, cut into chunks, each process has, if it takes whole chunks.

    >>> rows_of_chunks(150, 64, 2)
    [128, 22]
    """
    borders = [min(each * chunk, count) for each in ends(-(-count // chunk), size)]
    return [after - before for before, after in pairwise(borders)]


def traffic(size: int, bytes_each: int) -> int:
    """Bytes that each of ``size`` processes sends when all add up ``bytes_each`` bytes in a ring.

    Every process passes on each part of a ring twice but once: 2 · (size − 1) / size of all, so that it hardly grows
    with their number.

    Source:
        Patarasuk & Yuan 2009, J. Parallel Distrib. Comput. 69:117, Theorem 1.

    >>> traffic(1, 100), traffic(2, 100), traffic(64, 6400)
    (0, 100, 12600)
    """
    return 2 * (size - 1) * bytes_each // size
