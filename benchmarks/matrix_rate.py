"""How fast this machine multiplies matrices: float32, in GFLOP/s, the median of some products, as one number."""

import time
from statistics import median

import torch

SIDE = 2048
PRODUCTS = 7


def main() -> None:
    """Multiplies and prints."""
    first, second = torch.rand(2, SIDE, SIDE)
    seconds = []
    for _ in range(1 + PRODUCTS):  # the first one is not counted
        started = time.perf_counter()
        first @ second
        seconds.append(time.perf_counter() - started)
    print(2 * SIDE**3 / median(seconds[1:]) / 1e9)


if __name__ == "__main__":
    main()
