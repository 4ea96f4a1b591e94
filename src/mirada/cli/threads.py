"""How the threads of a command wait for each other. It has to be said before torch is loaded."""

from collections.abc import MutableMapping

# OpenMP's threads meet at the end of every loop, and wait for the last one by spinning: some 300,000 turns in GNU's
# library, 200 ms in LLVM's and Intel's. Where anything else wants the processor, they keep it from the very thread that
# they wait for: training then takes twice as long and more. After 10,000 turns they sleep. An epoch of `simplecnn` at
# 64 pixels on two quiet cores then takes 0.38 s, as with the library's own 300,000 turns (after 1,000, 0.50 s);
# beside a process that keeps one core busy, 1.2 s, as after 1,000 (300,000: 3.0 s).
# Sums are as before, and so are the weights.
SHORT_SPIN = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
CHOICES = ("OMP_WAIT_POLICY", *SHORT_SPIN)


def spin_briefly(environment: MutableMapping[str, str]) -> None:
    """Lets waiting threads sleep soon, unless the environment says how they are to wait.

    The command line calls it for its own process; a library must not decide it for the program that uses it.
    """
    if not any(name in environment for name in CHOICES):
        environment.update(SHORT_SPIN)
