"""Where and how precisely tensors are computed: device, number format, memory order."""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mirada.errors import InvalidArgument

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h

# Where Linux says how much memory a container may have, in its versions 2 and 1.
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")

Precision = Literal["auto", "bfloat16", "float32"]


@dataclass(frozen=True)
class Compute:
    """A device and the number format of its matrix products; weights and sums stay in float32."""

    device: torch.device
    precision: Literal["bfloat16", "float32"]

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which forward passes run."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16")

    @property
    def dtype(self) -> torch.dtype:
        """The number format as PyTorch names it."""
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def place(self, network: nn.Module) -> nn.Module:
        """Moves a network to the device, in channels-last memory order."""
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def to_device(self, images: Tensor) -> Tensor:
        """Moves images to the device as they are; ``data.batches.to_float`` comes after it, for bytes travel faster."""
        return images.to(self.device, non_blocking=True)

    def seed(self, number: int) -> None:
        """Seeds what dropout draws from. ``torch.manual_seed`` notes the stack for every absent device: 1 ms."""
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(number)
        else:
            torch.manual_seed(number)

    def release(self) -> None:
        """Gives back what PyTorch keeps of the device's memory for later, so that pieces of another size fit."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def memory(self) -> int | None:
        """Bytes that the device has in all, whoever uses them; None where nobody tells."""
        if self.device.type == "cuda":
            return int(torch.cuda.get_device_properties(self.device).total_memory)
        return machine_memory() if self.device.type == "cpu" else None

    def __str__(self) -> str:
        return f"{self.device} in {self.precision}"


def choose(device: str = "auto", precision: str = "auto") -> Compute:
    """Picks the device (CUDA, then Apple's MPS, then CPU) and bfloat16 where the hardware computes it.

    Raises ``InvalidArgument`` for a device that is not there or an unknown precision.
    """
    if precision not in get_args(Precision):
        raise InvalidArgument(f'`precision` must be {", ".join(get_args(Precision))}. Got "{precision}".')
    chosen = torch.device(_best_device()) if device == "auto" else _named_device(device)
    if precision == "auto":
        precision = "bfloat16" if _has_bfloat16(chosen) else "float32"
    return Compute(chosen, "bfloat16" if precision == "bfloat16" else "float32")


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _named_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # a device without memory, such as "meta", fails here
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InvalidArgument(f'The device "{name}" is not available here. Try --device cpu.') from error
    return device


def _has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 matrix products are faster than float32 ones, going by the kind of hardware.

    Intel's AVX512-BF16 without AMX is said to be support, yet computes at half the rate of float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    return torch.cpu._is_amx_tile_supported() or processor_vendor() != "GenuineIntel"


def processor_vendor() -> str:
    """The vendor in the processor's own words, as far as the system tells: GenuineIntel, AuthenticAMD, …"""
    return _cpuinfo("vendor_id") or platform.processor().rpartition(" ")[2]


def processor_name() -> str:
    """The processor's name, as far as the system tells."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def machine_memory() -> int | None:
    """Bytes that the machine has, or that a container leaves to its processes; None where nobody tells."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    for limit in CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            physical = min(physical, int(Path(limit).read_text(encoding="ascii")))
    return physical


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def flush_denormals() -> None:
    """Makes the processor take denormal numbers for zero, for the rest of the process.

    Once a network fits its images all but perfectly, gradients vanish, and with denormal numbers a step takes five
    times as long. It holds for threads that start afterwards, so it belongs before the first computation; the
    command line calls it, a library must not.
    """
    torch.set_flush_denormal(True)


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory instead of giving it back, for the rest of the process; elsewhere does nothing.

    A training step frees and takes the same memory again; mapped anew, every page of it costs a fault. Without
    them a step of ``simplecnn`` takes three quarters of the time. The command line calls it, a library must not.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # larger ones: more memory, no less time
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def deterministic() -> Iterator[None]:
    """Convolutions that give the same bits every time, for the time of the context."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before
