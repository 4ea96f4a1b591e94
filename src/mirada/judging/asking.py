"""What a trained model says of images that are changed, and where its maps then lie: a model as a ``Subject``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mirada.compute import Compute
from mirada.data.batches import chunks
from mirada.evaluation.infer import images_at_once
from mirada.inference.ensemble import infer_each, read_each
from mirada.inference.explained import Asked, Explained, Seen, explained, stacked
from mirada.judging.perturb import Pixels
from mirada.judging.subject import Grid, Rows, Subject
from mirada.judging.verdict import Floats
from mirada.layers.network import Network
from mirada.modelfile import Member
from mirada.samples import Classes, Numbers

MAPS_AT_ONCE = 16
NO_PHOTO = np.zeros((1, 1, 3), dtype=np.uint8)  # where only the network's own grid is asked for


@dataclass(frozen=True, eq=False)
class Asking:
    """N images and a model.

    Args:
        members: Its networks.
        compute: Where they are.
        seen: The images, as the network reads them and as they are drawn.
        covariates: What the networks read beside them, (N, K), in the units of the data.
        numbers: The class that is explained in each image, or which of several numbers, (N,).
        method: How; None for what the network allows.
        layer: Of which layer; None for the last with places.
    """

    members: Sequence[Member]
    compute: Compute
    seen: Sequence[Seen]
    covariates: NDArray[np.float64]
    numbers: Rows
    method: str | None = None
    layer: str | None = None

    def answers(self, images: Sequence[Pixels], rows: Rows) -> Floats:
        """What the model says of M images (H, W, C) in place of some rows: probabilities (M, K), or values (M, T)."""
        found = []
        together = images_at_once(self.members[0].card.preprocessing.size, self.compute.device)
        for part in chunks(np.arange(len(images)), together):
            batch = stacked([images[each] for each in part])
            raw = infer_each(self.members, batch, self.compute, self.covariates[rows[part]])
            found.append(read_each(self.members, raw)[0])
        return np.concatenate(found)

    def score(self, images: Sequence[Pixels], rows: Rows) -> Floats:
        """The probability of the class that is explained, or the value, for M images in place of some rows (M,)."""
        values = self.answers(images, rows)
        return np.asarray(values[np.arange(len(rows)), self.numbers[rows]])

    def look(self, images: Sequence[Seen], rows: Rows) -> list[Explained]:
        """The maps of M images in place of some rows, on their own photos."""
        found: dict[int, Explained] = {}
        for number in np.unique(self.numbers[rows]).tolist():
            places = np.flatnonzero(self.numbers[rows] == number)
            for part in chunks(places, MAPS_AT_ONCE):
                batch = [images[place] for place in part]
                asked = Asked(self._asked(number), self.method, self.layer)
                maps = explained(self.members, self.compute, batch, self.covariates[rows[part]], asked)
                found |= dict(zip(part.tolist(), maps, strict=True))
        return [found[place] for place in range(len(images))]

    def maps(self, images: Sequence[Pixels], rows: Rows) -> list[Grid]:
        """The maps of M images in place of some rows, on the network's grid."""
        bare = [
            Seen(self.seen[row].path, image, NO_PHOTO)
            for image, row in zip(images, rows.tolist(), strict=True)
        ]
        return [each.map for each in self.look(bare, rows)]

    def maps_of(self, network: nn.Module) -> list[Grid]:
        """The maps of all N images by another network in place of the first one, and of no other."""
        member = self.members[0]._replace(network=cast(Network, network))
        return replace(self, members=[member]).maps(self.images, np.arange(len(self.seen)))

    @property
    def images(self) -> list[Pixels]:
        """The N images as the network reads them."""
        return [each.pixels for each in self.seen]

    def subject(self, looked: Sequence[Explained], *, groups: NDArray[Any] | None, seed: int) -> Subject:
        """What the tests ask of: the images, their maps, and this model.

        Of a number whose map has no sign, such as saliency, the score is how near the value stays to that of the whole
        image, since there is no direction to follow.

        Args:
            looked: The maps of the N images.
            groups: A group per image, such as the patient; None where images are independent.
            seed: Draws all that is random.
        """
        card = self.members[0].card
        signed = looked[0].method.signed
        target = card.target
        numeric = isinstance(target, Numbers)
        whole = self.score(self.images, np.arange(len(self.seen))) if numeric and not signed else None

        def score(images: Sequence[Pixels], rows: Rows) -> Floats:
            values = self.score(images, rows)
            return values if whole is None else -np.abs(values - whole[rows])

        return Subject(
            images=self.images,
            maps=[each.map for each in looked],
            score=score,
            explain=self.maps,
            level=tuple(card.preprocessing.mean),
            groups=groups,
            seed=seed,
            probability=not numeric,
            unit=target.unit if isinstance(target, Numbers) else "",
        )

    def _asked(self, number: int) -> int | None:
        """The class, or which of several numbers; None for the only one."""
        target = self.members[0].card.target
        return number if isinstance(target, Classes) or target.several else None
