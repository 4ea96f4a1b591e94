"""The shape that every network has: ``stem``, ``stage1 … stageN``, ``head``."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from mirada.arithmetic import output_size
from mirada.errors import InvalidArgument, nearest
from mirada.layers.onednn import laid_out

Size = tuple[int, int]  # (height, width) in pixels


class Network(nn.Module):
    """A convolutional network whose parts have names: ``stem``, ``stage1 … stageN``, ``head``.

    Images (N, in_channels, H, W) → outputs (N, num_classes), before any softmax or sigmoid.

    Args:
        stem: What the images enter.
        stages: ``stage1`` and so on, each (N, C, h, w) → (N, C′, h′, w′).
        head: The maps of the last stage → outputs (N, num_classes).
        in_channels: Channels of an image.
        image_size: (height, width) in pixels that the network was built for.
        min_size: The smallest side that it can take, in pixels.
        auxiliary: Names of stages, and heads that read what those put out, in training only.
        auxiliary_weight: How much their losses count (Szegedy et al. 2014, arXiv:1409.4842, §5).

    Attributes:
        name: Its name in the catalogue, which ``create_model`` writes here; empty for another.
        covariates: How many numbers it reads beside an image; ``join_covariates`` sets it.
        drawn: The stage that joins a cut network to its new head, which files of the whole network do not have; empty
            for a network that is whole.
        reading: The layer whose inputs are the features of an image, by which similar ones are found; "" for the whole
            network.
        pixel_scale: Mean and deviation per channel, of values 0 … 1 in the order red, green, blue, by which images are
            to be normalized; ``mirada.create_model`` writes here what public weights expect. None where nobody knows.
    """

    stem: nn.Module
    head: nn.Module

    def __init__(
        self,
        *,
        stem: nn.Module,
        stages: Sequence[nn.Module],
        head: nn.Module,
        in_channels: int,
        image_size: Size,
        min_size: int,
        auxiliary: Mapping[str, nn.Module] | None = None,
        auxiliary_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.name = ""
        self.in_channels = in_channels
        self.image_size = image_size
        self.min_size = min_size
        self.depth = len(stages)
        self._parts = ("stem", *(f"stage{number}" for number in range(1, self.depth + 1)), "head")
        self.covariates = 0
        self.drawn = ""
        self.reading = "head"
        self.pixel_scale: tuple[tuple[float, ...], tuple[float, ...]] | None = None
        self.stem = stem
        for number, stage in enumerate(stages, start=1):
            self.add_module(f"stage{number}", stage)
        self.head = head
        self.auxiliary_weight = auxiliary_weight
        if auxiliary:
            self.auxiliary = nn.ModuleDict(auxiliary)

    def parts(self) -> tuple[str, ...]:
        """The names of what the images go through, in order.

        Returns:
            ``stem``, ``stage1 … stageN``, ``head``.
        """
        return self._parts

    def trunk(self) -> tuple[str, ...]:
        """The names of the parts before the head, but for the stage that was drawn with it.

        Returns:
            ``stem``, ``stage1 …``: what has learnt something where training starts from weights.
        """
        return tuple(name for name in self.parts()[:-1] if name != self.drawn)

    def auxiliary_heads(self) -> dict[str, nn.Module]:
        """The heads that are there in training only.

        Returns:
            By the stage that each reads; none for most networks.
        """
        heads = dict(self.named_children()).get("auxiliary")
        return dict(heads.named_children()) if heads else {}

    def forward_from(self, name: str, maps: Tensor, covariates: Tensor | None = None) -> Tensor:
        """The outputs for maps of a part before the head, which go through all later parts.

        Args:
            name: A part before the head, such as ``stage2``.
            maps: What it put out, (N, C, h, w).
            covariates: As for ``forward``.

        Returns:
            Outputs (N, num_classes).

        Raises:
            InvalidArgument: There is no such part before the head.
        """
        for _, put_out in self._walk(maps, after=name):
            maps = put_out
        return self._answer(maps, covariates)

    def forward_to(self, name: str, images: Tensor) -> Tensor:
        """What a part before the head puts out, as small as the later parts take it; ``forward_from`` goes on from it.

        Where the head begins by averaging the maps, those of the last stage are averaged here already, if that makes
        them smaller: averaged once more, they stay the same to the last bit.

        Args:
            name: ``stem`` or a stage.
            images: (N, in_channels, H, W).

        Returns:
            (N, C, h, w).

        Raises:
            InvalidArgument: There is no such part before the head, or the images are smaller than the network allows.
        """
        self._require_before_the_head(name)
        maps = images
        for part, put_out in self._walk(images):
            maps = put_out
            if part == name:
                break
        layers = list(self.head) if isinstance(self.head, nn.Sequential) else []
        if name == self.parts()[-2] and layers and isinstance(layers[0], nn.AdaptiveAvgPool2d):
            averaged: Tensor = layers[0](maps)
            return averaged if averaged.numel() < maps.numel() else maps
        return maps

    def features(self, images: Tensor) -> Tensor:
        """The maps that enter the head.

        Args:
            images: (N, in_channels, H, W), normalized.

        Returns:
            Maps (N, C, h, w).

        Raises:
            InvalidArgument: The images are smaller than the network allows.
        """
        maps = images
        for _, put_out in self._walk(images):  # none is kept longer than the next stage needs it
            maps = put_out
        return maps

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """The outputs, before any softmax or sigmoid.

        Args:
            images: (N, in_channels, H, W), normalized.
            covariates: (N, K), scaled, for a network that ``join_covariates`` has widened by K.

        Returns:
            Outputs (N, num_classes).

        Raises:
            InvalidArgument: The images are smaller than the network allows, or the covariates are not as many as it
                reads.
        """
        return self._answer(self.features(images), covariates)

    def training_outputs(
        self, images: Tensor, covariates: Tensor | None = None, *, after: str = ""
    ) -> list[Tensor]:
        """The outputs of the head and of every auxiliary head.

        Args:
            images: As for ``forward``; with ``after``, what ``forward_to`` that part has given of them.
            covariates: As for ``forward``; auxiliary heads read the images alone.
            after: The part behind which to begin; auxiliary heads that read it, or parts before it, are left out.

        Returns:
            The head's outputs first; each is (N, num_classes).

        Raises:
            InvalidArgument: As for ``forward``.
        """
        heads = self.auxiliary_heads()
        extra = []
        maps = images
        for name, put_out in self._walk(images, after=after):
            maps = put_out
            if name in heads:
                extra.append(heads[name](maps))
        return [self._answer(maps, covariates), *extra]

    def laid_out(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        """Images in the order of memory in which ``forward`` and ``training_outputs`` take the least time.

        Args:
            images: As for ``forward``, and finite.
            dtype: The number format in which convolutions compute.

        Returns:
            (N, in_channels, H, W); layers of a network that they go through may see maps in that order, too.
        """
        return laid_out(images, (getattr(self, name) for name in self.parts()[:-1]), dtype)

    def _answer(self, maps: Tensor, covariates: Tensor | None) -> Tensor:
        self._require_covariates(covariates, len(maps))
        maps = maps.to_dense() if maps.is_mkldnn else maps
        outputs: Tensor = self.head(maps) if covariates is None else self.head(maps, covariates)
        return outputs

    def _require_covariates(self, covariates: Tensor | None, count: int) -> None:
        """Raises ``InvalidArgument`` for covariates that are not as many as the network reads."""
        if covariates is not None and covariates.shape[1:] != (self.covariates,):
            reads = f"{self.covariates} covariates beside each image" if self.covariates else "images alone"
            raise InvalidArgument(
                f"This network reads {reads}. Got covariates of shape {tuple(covariates.shape)}; leave them out or "
                f"give ({count}, {self.covariates})."
            )

    def _walk(self, maps: Tensor, *, after: str = "") -> Iterator[tuple[str, Tensor]]:
        """What the stem and every stage put out, with its name: of images, or of what the part ``after`` put out."""
        parts = self.parts()[:-1]
        if after:
            self._require_before_the_head(after)
            parts = parts[parts.index(after) + 1 :]
        else:
            height, width = maps.shape[-2:]
            require_size((height, width), self.min_size)
        for part in parts:
            maps = getattr(self, part)(maps)
            yield part, maps

    def _require_before_the_head(self, name: str) -> None:
        parts = self.parts()[:-1]
        if name not in parts:
            raise InvalidArgument(f'There is no part "{name}" before the head. {nearest(name, parts)}')


def require_size(image_size: Size, min_size: int) -> None:
    """Raises ``InvalidArgument`` for images with a side shorter than ``min_size``."""
    height, width = image_size
    if min(height, width) < min_size:
        raise InvalidArgument(
            f"Images of {height} × {width} pixels are too small for this network; it needs at least "
            f"{min_size} × {min_size}."
        )


def conv_pool_size(image_size: Size, kernels: Sequence[int]) -> Size:
    """The size of the maps after convolutions without padding, each followed by 2 × 2 max pooling.

    h ← ⌊(h − k + 1) / 2⌋ per kernel k, and so for the width. Computed, not tried out: a convolution on the meta
    device, where networks are built whose weights are still to be read, makes PyTorch import its compiler.
    """
    height, width = image_size
    for kernel in kernels:
        height, width = (output_size(output_size(side, kernel), 2, stride=2) for side in (height, width))
    return height, width
