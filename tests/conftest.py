"""What several test files share: where the real data lies, and quiet single-threaded torch."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

DATA = Path(os.environ.get("MIRADA_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))

# The same examples every time, and no failure because the machine is busy.
settings.register_profile(
    "mirada", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("mirada")

WriteNoise = Callable[..., None]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip("the folder of real data sets is not here (set MIRADA_TEST_DATA)")
    return DATA


@pytest.fixture(scope="session")
def write_noise() -> WriteNoise:
    """``write_noise(root, count, shape)``: folders ``dark`` and ``bright`` with so many images of noise each."""

    def write(root: Path, count: int, shape: tuple[int, ...] = (32, 32)) -> None:
        from PIL import Image

        random = np.random.default_rng(0)
        for kind, low in (("dark", 0), ("bright", 120)):
            (root / kind).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(low, low + 130, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(root / kind / f"{number}.png")

    return write


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """A shell starts what runs in its background with Ctrl-C ignored, and all that is started from there, too.

    ``nohup`` does so with the signal of a closed terminal.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where the runs that a file's tests share are made, before ``private_cache`` is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIRADA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own cache."""
    monkeypatch.setenv("MIRADA_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def denormals_are_back() -> Iterator[None]:
    """``mirada train`` flushes them for the rest of its process, which here is that of all tests."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
