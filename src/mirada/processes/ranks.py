"""The processes that train together, as torchrun starts them: how they add up, gather, wait and agree.

``here()`` is what this process is among them: ``ALONE``, for which all of it is nothing, or what ``joined`` has made.
Nothing of ``torch.distributed`` is imported by a process that is alone.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor

from mirada.errors import InvalidArgument, ProcessLost
from mirada.processes.shares import share
from mirada.processes.watching import OnLost, Watch

BUCKET = (
    25 * 2**20
)  # bytes that are added up at once: few messages, and room for one bucket beside the gradients
SILENCE = timedelta(days=1)  # the others may decode a million images; who is lost is found by the watch


class Ranks:
    """One process that trains alone; ``SeveralRanks`` is one of several.

    Args:
        rank: Of this process, from 0.
        size: Processes.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size
        self.idle = False  # at this step: a batch has fewer images than there are processes

    @property
    def first(self) -> bool:
        """Whether this process writes: one does."""
        return self.rank == 0

    def share(self, count: int, least: int = 1) -> slice:
        """The share of this process in ``count`` things in a row; ``least`` as for ``shares.share``."""
        return slice(0, count)

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process. All of them have to ask."""
        return flag

    def told(self, text: str) -> str:
        """What the first process says. All of them have to ask."""
        return text

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Adds tensors of any shape up over all processes, in place."""

    def same(self, tensors: Sequence[Tensor]) -> None:
        """Gives tensors of any shape the values that they have in the first process."""

    def gather(self, rows: Tensor, counts: Sequence[int]) -> Tensor:
        """The rows (n, K) of all processes, one process after the other, which have so many; K where n is 0 is any."""
        return rows

    @contextmanager
    def turns(self) -> Iterator[None]:
        """The first process does what stands in the context before all others do it."""
        yield


ALONE = Ranks()
_here = ALONE


def here() -> Ranks:
    """What this process is among those that train together."""
    return _here


@contextmanager
def by_itself() -> Iterator[None]:
    """For the time of the context this process asks no other, and does all of the work that it is given."""
    global _here
    before, _here = _here, ALONE
    try:
        yield
    finally:
        _here = before


class SeveralRanks(Ranks):
    """One of several processes that train together.

    Args:
        rank: Of this process.
        size: Processes.
        device: Where gradients are.
        watch: Which looks after the others.
    """

    def __init__(self, rank: int, size: int, device: torch.device, watch: Watch) -> None:
        from torch import distributed

        super().__init__(rank, size)
        self.device = device
        self.watch = watch
        self.control = distributed.new_group(backend="gloo", timeout=SILENCE)  # words between processors

    def share(self, count: int, least: int = 1) -> slice:
        """The share of this process in ``count`` things in a row."""
        return share(count, self.rank, self.size, least=least)

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process, by one small message."""
        from torch import distributed

        said = torch.tensor([float(flag)])
        with self._waiting():
            distributed.all_reduce(said, group=self.control)
        return bool(said > 0)

    def told(self, text: str) -> str:
        """What the first process says."""
        from torch import distributed

        data = torch.frombuffer(bytearray(text.encode(errors="surrogateescape") or b"\0"), dtype=torch.uint8)
        length = torch.tensor([len(data)])
        with self._waiting():
            distributed.broadcast(length, 0, group=self.control)
            heard = data if self.first else torch.zeros(int(length), dtype=torch.uint8)
            distributed.broadcast(heard, 0, group=self.control)
        return bytes(heard.tolist()).rstrip(b"\0").decode(errors="surrogateescape")

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Adds tensors of any shape up, a bucket at a time."""
        from torch import distributed

        for bucket in _buckets(tensors):
            flat = torch.cat([each.reshape(-1) for each in bucket])
            with self._waiting():
                distributed.all_reduce(flat)
            _spread(flat, bucket)

    def same(self, tensors: Sequence[Tensor]) -> None:
        """Gives tensors of any shape the values of the first process."""
        from torch import distributed

        for bucket in _buckets(tensors):
            flat = torch.cat([each.reshape(-1) for each in bucket]).to(self.device)
            with self._waiting():
                distributed.broadcast(flat, 0)
            _spread(flat, bucket)

    def gather(self, rows: Tensor, counts: Sequence[int]) -> Tensor:
        """The rows (n, K) of all processes, in their order."""
        from torch import distributed

        width = torch.tensor([rows.shape[1] if len(rows) else 0])
        with self._waiting():
            distributed.all_reduce(width, distributed.ReduceOp.MAX, group=self.control)
            whole = torch.zeros(sum(counts), int(width))
            begin = sum(counts[: self.rank])
            if len(rows):
                whole[begin : begin + len(rows)] = rows
            distributed.all_reduce(whole, group=self.control)  # of each row all but one process have zeros
        return whole

    @contextmanager
    def turns(self) -> Iterator[None]:
        """The first process, and then the others."""
        if self.first:
            yield
            self.any(False)
        else:
            self.any(False)
            yield

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Around what takes all processes. Raises ``ProcessLost`` that names the one that is lost."""
        with self.watch.waiting():
            try:
                yield
            except RuntimeError as error:  # gloo's and NCCL's, when a connection is gone
                raise ProcessLost(self.watch.who_is_lost()) from error


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one type and device, in their order, as many as fit into a bucket."""
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for each in tensors:
        kinds.setdefault((each.dtype, each.device), []).append(each)
    for kind in kinds.values():
        bucket: list[Tensor] = []
        room = BUCKET
        for each in kind:
            if bucket and room < each.nbytes:
                yield bucket
                bucket, room = [], BUCKET
            bucket.append(each)
            room -= each.nbytes
        yield bucket


def _spread(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Puts the numbers of a bucket back into the tensors that they are of."""
    with torch.no_grad():
        for each, part in zip(tensors, torch.split(flat, [each.numel() for each in tensors]), strict=True):
            each.copy_(part.view(each.shape))


def expected(environment: Mapping[str, str] | None = None) -> int:
    """How many processes torchrun has started, this one among them; 1 without torchrun.

    Raises:
        InvalidArgument: The variables by which torchrun says so are not all there, or are no numbers.
    """
    variables = os.environ if environment is None else environment
    if "RANK" not in variables or variables.get("WORLD_SIZE", "") == "1":
        return 1
    missing = [name for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in variables]
    if missing or not (variables["RANK"].isdecimal() and variables["WORLD_SIZE"].isdecimal()):
        lack = f"{missing[0]} is not there" if missing else "they are no numbers"
        raise InvalidArgument(
            f"RANK is set as torchrun sets it, but {lack}. Start several processes with torchrun, or unset RANK."
        )
    return int(variables["WORLD_SIZE"])


@contextmanager
def joined(device: str = "auto", on_lost: OnLost | None = None) -> Iterator[Ranks]:
    """Joins the processes that torchrun has started, for the time of the context; without torchrun it is ``ALONE``.

    Args:
        device: As the recipe names it; of GPUs each process takes one of its own.
        on_lost: Called in a thread of its own once a process is lost, with a sentence that names it, while this one may
            be waiting for it; what it does should end this process. By default what ``watching.when_lost`` was told.

    Raises:
        InvalidArgument: If torchrun's variables are not all there, or a node has fewer GPUs than processes.
    """
    global _here
    size = expected()
    if size == 1 or _here is not ALONE:
        yield _here
        return
    from torch import distributed
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    gpus = torch.cuda.is_available() and device in ("auto", "cuda")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if gpus and local >= torch.cuda.device_count():
        raise InvalidArgument(
            f"Each process needs a GPU of its own, and this node has {torch.cuda.device_count()}. Start fewer "
            f"processes (--nproc-per-node), or train on processors: --device cpu."
        )
    if gpus:
        torch.cuda.set_device(local)
    store, rank, _ = next(rendezvous("env://"))
    distributed.init_process_group(
        "nccl" if gpus else "gloo",
        store=PrefixStore("mirada", store),
        rank=rank,
        world_size=size,
        timeout=SILENCE,
    )
    watch = Watch(store, rank, size, on_lost)
    try:
        with watch.running():
            _here = SeveralRanks(
                rank, size, torch.device("cuda", local) if gpus else torch.device("cpu"), watch
            )
            yield _here
            _here.any(False)  # all leave together: torchrun ends the others when the first one has stopped
    finally:
        _here = ALONE
        distributed.destroy_process_group()
