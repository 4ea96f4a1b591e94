"""What the frozen beginning of a network makes of the images of a cache: computed once and kept, or each time.

Both ways give the same numbers, but for the last bits, which may depend on how many images are computed at once.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mirada.compute import Compute
from mirada.data.batches import Rows, chunks, normalize, read, to_float
from mirada.data.cache import Cache
from mirada.data.cache_files import default_directory
from mirada.data.feature_store import FeatureStore, StoredRows
from mirada.data.parallel import TICK
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.views import MIRRORED, PLAIN, Views
from mirada.evaluation.infer import AT_ONCE, images_at_once, infer
from mirada.events import OnProgress, Progress
from mirada.layers.modes import evaluating
from mirada.layers.network import Network
from mirada.processes.ranks import here
from mirada.processes.shares import rows_of_chunks

VERSION = 1  # raise it when the same layers make other features of the same image
WHAT = "computing features"


class Demand(NamedTuple):
    """Which view of which rows of a cache's index is wanted."""

    view: int
    rows: Rows


@dataclass(frozen=True, eq=False)
class Features:
    """What the first parts of a network make of the images of a cache.

    Args:
        network: Whose parts up to ``place`` never change.
        place: The last of these parts, as ``Network.forward_to`` takes it.
        cache: The images.
        preprocessing: How their pixels are normalized.
        compute: The device and the precision.
        views: What may happen to an image first.
        store: Where they are kept; None to compute them each time.
    """

    network: Network
    place: str
    cache: Cache
    preprocessing: Preprocessing
    compute: Compute
    views: Views
    store: FeatureStore | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The frozen parts that the images go through."""
        parts = self.network.parts()
        return parts[: parts.index(self.place) + 1]

    def maps(self, rows: Rows, view: int = PLAIN) -> Tensor:
        """What ``place`` puts out for a view of some rows of the index: (n, C, h, w), on the device."""
        digests, name = self.digests(rows), self.views.name(view)
        if self.store is None or self.store.missing(name, digests):
            return self._computed(rows, view)
        return self.compute.to_device(_as_maps(torch.from_numpy(self.store.read(name, digests))))

    def pixels(self, rows: Rows, view: int) -> Tensor:
        """What the network sees of a view of some rows: (n, C, H, W), normalized, on the device."""
        images = to_float(self.compute.to_device(read(self.cache, rows)))
        images = self.views.show(images, self.digests(rows), view)
        return normalize(images, self.preprocessing).contiguous(memory_format=torch.channels_last)

    def keep(self, demands: Sequence[Demand], on_event: OnProgress, interrupted: Callable[[], bool]) -> bool:
        """Computes what is not kept yet; where nothing is kept, does nothing.

        Args:
            demands: What is wanted.
            on_event: Hears of progress, also while another process computes and this one waits.
            interrupted: Asked after every batch; what is there by then is kept.

        Returns:
            Whether it was not interrupted.

        Raises:
            OSError: The place of the features takes no more.
        """
        store = self.store
        if store is None or not self.missing(demands):
            return True

        def wait() -> None:
            on_event(Progress("waiting for another process, which computes these features", 0, total))

        total = self.missing(demands)
        with store.alone(wait):
            total, done = self.missing(demands), 0
            for view, rows in demands:
                row_of = dict(zip(self.digests(rows), rows.tolist(), strict=True))
                absent = store.missing(self.views.name(view), row_of)
                wanted = np.array([row_of[digest] for digest in absent], dtype=np.int64)
                if absent:
                    blocks = self._blocks(wanted, view, interrupted, _counted(on_event, done, total))
                    store.add(self.views.name(view), absent, blocks)
                if interrupted():
                    return False
                done += len(absent)
        return True

    def missing(self, demands: Sequence[Demand]) -> int:
        """How many rows are not kept yet."""
        if self.store is None:
            return 0
        return sum(
            len(self.store.missing(self.views.name(view), self.digests(rows))) for view, rows in demands
        )

    def _blocks(
        self, rows: Rows, view: int, interrupted: Callable[[], bool], report: Callable[[int], None]
    ) -> Iterator[StoredRows]:
        done = 0
        for part in chunks(rows, images_at_once(self.preprocessing.size, self.compute.device)):
            if interrupted():
                return
            yield _as_rows(self._computed(part, view)).numpy()
            done += len(part)
            report(done)

    def _computed(self, rows: Rows, view: int) -> Tensor:
        """The frozen parts, run; their batch normalization goes by the statistics that it has."""
        with evaluating(self.network), torch.no_grad(), self.compute.autocast():
            return self.network.forward_to(self.place, self.pixels(rows, view))

    def digests(self, rows: Rows) -> list[str]:
        """What the contents of some images go by."""
        return [self.cache.digests[row] for row in rows]


def open_features(features: Features, architecture: str) -> Features:
    """The features with the place on disk where they are kept, beside the decoded pixels; nothing is written yet.

    The place goes by all that decides a number: the architecture and the tensors of the frozen parts, the
    preprocessing, the precision and the kind of device. A view's name says what happened to the image, and its digest
    which one it is.

    Args:
        features: Without a place.
        architecture: What says how the frozen parts are built, in any words.
    """
    row = _as_rows(features.maps(np.zeros(1, dtype=np.int64)))[0].numpy()
    network, compute = features.network, features.compute
    decided_by = (VERSION, torch.__version__, compute.device.type, compute.precision, features.place)
    digest = blake2b(repr((*decided_by, features.preprocessing, architecture)).encode(), digest_size=8)
    for part in features.parts:
        module = network.get_submodule(part)
        digest.update(repr((part, module, row.shape)).encode())
        for name, value in module.state_dict().items():
            digest.update(name.encode())
            digest.update(_as_bytes(value))
    directory = features.cache.directory or default_directory()
    store = FeatureStore(features.cache.index.root, digest.hexdigest(), row.shape, row.dtype, directory)
    return replace(features, store=store)


def infer_cached(
    network: Network,
    cache: Cache,
    rows: Rows,
    preprocessing: Preprocessing,
    compute: Compute,
    covariates: Tensor | None = None,
    features: Features | None = None,
    views: Sequence[int] = (PLAIN,),
) -> Tensor:
    """Raw outputs (n, num_classes), float32 on the CPU, for images of a cache.

    Processes that train together each do their part of the rows, and all of them have all outputs.

    Args:
        network: On the compute's device.
        cache: The images.
        rows: Which of its index.
        preprocessing: How their values are normalized.
        compute: The device and the precision.
        covariates: Of all images of the cache, scaled, for a network that reads them.
        features: What the network's beginning makes of the images, if that is kept.
        views: Of which views of an image the outputs are averaged; without ``features`` that of its mirror image may
            be one, as for ``infer``.
    """
    ranks = here()
    together = images_at_once(preprocessing.size, compute.device) if features is None else AT_ONCE
    counts = rows_of_chunks(len(rows), together, ranks.size)  # whole ones: the bits are those of one process
    begin = sum(counts[: ranks.rank])
    outputs = []
    for part in chunks(rows[begin : begin + counts[ranks.rank]], together):
        known = None if covariates is None else covariates[torch.from_numpy(part)].to(compute.device)
        if features is None:
            outputs.append(
                infer(network, read(cache, part), preprocessing, compute, known, MIRRORED in views)
            )
            continue
        shown = [features.maps(part, view) for view in views]
        with evaluating(network), torch.inference_mode(), compute.autocast():
            each = [network.forward_from(features.place, maps, known).float() for maps in shown]
        outputs.append(torch.stack(each).mean(dim=0).cpu())
    return ranks.gather(torch.cat(outputs) if outputs else torch.empty(0, 0), counts)


def _counted(on_event: OnProgress, before: int, total: int) -> Callable[[int], None]:
    """Reports how far all demands together are, about ten times a second."""
    last = 0.0

    def report(done: int) -> None:
        nonlocal last
        if before + done == total or time.monotonic() - last >= TICK:
            last = time.monotonic()
            on_event(Progress(WHAT, before + done, total))

    return report


def _as_rows(maps: Tensor) -> Tensor:
    """Maps (n, C, h, w) as they are kept: (n, h, w, C) on the CPU; bfloat16, which NumPy does not know, as its bits."""
    rows = maps.permute(0, 2, 3, 1).contiguous().cpu()
    return rows.view(torch.int16) if rows.dtype == torch.bfloat16 else rows


def _as_maps(rows: Tensor) -> Tensor:
    """What ``_as_rows`` was given, in channels-last memory order."""
    return (rows.view(torch.bfloat16) if rows.dtype == torch.int16 else rows).permute(0, 3, 1, 2)


def _as_bytes(value: Tensor) -> bytes:
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
