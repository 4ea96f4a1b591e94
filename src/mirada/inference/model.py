"""A trained model: predict and explain. Whatever it is shown goes through the preprocessing in its file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mirada.compute import Compute, choose
from mirada.data.batches import chunks
from mirada.data.cache import Cache
from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.data.pixels.arrays import decode_image, digest
from mirada.data.pixels.decode import DecodeError
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.views import judged
from mirada.evaluation.calibration import fit_temperature
from mirada.evaluation.conformal import fit_conformal
from mirada.evaluation.estimate import group_numbers
from mirada.evaluation.features import Features, infer_cached
from mirada.evaluation.infer import images_at_once
from mirada.evaluation.predictions import Predictions
from mirada.evaluation.threshold import choose_threshold, positive_class
from mirada.events import OnProgress
from mirada.inference.ensemble import infer_each, joint_card, read_each
from mirada.inference.explained import Asked, Explained, Pixels, explained, look_at, number_of, stacked
from mirada.inference.matching import Known, as_known_to, covariates_of, unlabeled, with_covariates
from mirada.inference.pictures import Picture, named, read_picture
from mirada.inference.trained_on import UNREAD, remembered, short, splits_by_content
from mirada.layers.network import Network
from mirada.modelfile import Card, Member, load_file
from mirada.runs.folder import model_file
from mirada.samples import Classes, Excluded

EXPLAINED_AT_ONCE = 8  # photos are kept at their own size meanwhile


@dataclass(frozen=True, eq=False)
class Model:
    """A network with all that is needed to use it, or several that answer together; ``load_model`` opens one.

    Args:
        network: In eval mode, on the device of ``compute``; of an ensemble the first one.
        card: What its file says: classes or numbers, preprocessing, scalings, covariates, calibration, recipe; of an
            ensemble what is true of all its networks.
        compute: The device, and the precision (float32, whatever it was trained in).
        ensemble: The networks of an ensemble, each with its own scalings and temperature; none for one network.
    """

    network: Network
    card: Card
    compute: Compute
    ensemble: tuple[Member, ...] = ()

    @property
    def members(self) -> tuple[Member, ...]:
        """The networks of an ensemble, or the only one, each with its card."""
        return self.ensemble or (Member(self.network, self.card),)

    @property
    def _half_widths(self) -> tuple[float, ...]:
        return self.card.conformal.half_widths if self.card.conformal else ()

    def predict(
        self,
        images: Sequence[Picture] | Index,
        *,
        known: Known | None = None,
        on_event: OnProgress | None = None,
    ) -> Predictions:
        """Class probabilities, or values in their unit, for images or for every sample of an index.

        Args:
            images: A list of paths, bytes of files, NumPy arrays (H, W) or (H, W, C) and Pillow images; or an index,
                whose classes, targets and covariates are matched by name.
            known: Covariates that are the same for all images, such as ``{"male": 1}`` or ``{"sex": "F"}``.
            on_event: Called with each ``Progress`` as images are decoded.

        Returns:
            A row per image in the order given, with the covariates that were read and whether the network was trained
            on the image. Images that cannot be decoded have no row: they are in ``failed``, with the reason.

        Raises:
            DataError: The index has a class or a target that the model does not know, or a covariate that the model
                reads is not there.
            InvalidArgument: ``known`` has a covariate that the model does not read; or it is a single image in place
                of a list.
        """
        index, pictures = _with_pictures(images, self.card)
        if isinstance(images, Index):
            index = as_known_to(self.card, index)
        beside = covariates_of(self.card, index, known)
        index = with_covariates(index, self.card, beside)
        failed: list[Excluded] = []
        kept: list[int] = []
        outputs: list[Tensor] = []
        taught = remembered(self.card)
        digests = np.zeros(len(index) if taught else 0, dtype=np.uint64)
        for rows, batch in self._decoded(index, pictures, failed, digests, on_event):
            kept += rows
            outputs.append(infer_each(self.members, batch, self.compute, beside[rows]))
        empty = torch.empty(0, len(self.members), self.card.architecture.outputs)
        values, spreads = read_each(self.members, torch.cat(outputs) if outputs else empty)
        return Predictions.of(
            index.take(kept),
            values,
            half_widths=self._half_widths,
            spreads=spreads,
            trained_on=splits_by_content(taught, digests[kept]) == "train" if taught else None,
            failed=failed,
        )

    def predict_cached(
        self, cache: Cache, splits: Sequence[str], features: Features | None = None
    ) -> Predictions:
        """Probabilities, or values, for images that are decoded already.

        Args:
            cache: The images.
            splits: Those to predict, in this order.
            features: What the network's first parts make of these images; it serves if it is of this precision.

        Returns:
            A row per image.
        """
        return self._read(*self._outputs(cache, splits, features))

    def calibrated_on(
        self, cache: Cache, splits: Sequence[str], features: Features | None = None
    ) -> tuple["Model", Predictions]:
        """This model as ``calibrated`` by the validation images of a cache, and what it then says.

        Every image goes through the network once.

        Args:
            cache: The images.
            splits: Those to predict; ``val`` is among them.
            features: As for ``predict_cached``.

        Returns:
            The calibrated model, and its predictions for the images of ``splits``.
        """
        index, raw = self._outputs(cache, splits, features)
        better = self.calibrated(self._read(index, raw).of_split("val"))
        return better, better._read(index, raw)

    def calibrated(self, predictions: Predictions) -> "Model":
        """This model with a temperature, or with 90 % intervals, that are fitted on images it was not trained on.

        Args:
            predictions: By this model as it is, of validation images; rows without a target are passed over.

        Returns:
            A new model of the same network. For classes its temperature is one that betters the log loss by more than
            chance does, and as it was where none does; with another one a threshold is gone, which was of other
            probabilities. For numbers it has conformal intervals, or none if there are fewer than 9 images.

        Source:
            Guo et al. 2017, arXiv:1706.04599, for the temperature; Vovk et al. 2005 for the intervals.
        """
        table = predictions.take(np.flatnonzero(predictions.known))
        if isinstance(self.card.target, Classes):
            temperature = self.card.temperature * fit_temperature(
                table.class_numbers, table.outputs, groups=group_numbers(table.groups)
            )
            kept = (
                self.card.threshold if temperature == self.card.temperature else None
            )  # of other probabilities
            return replace(self, card=replace(self.card, temperature=temperature, threshold=kept))
        learnt = fit_conformal(table.values, table.outputs)
        return replace(self, card=replace(self.card, conformal=learnt))

    def with_threshold(self, predictions: Predictions, rule: str, positive: str = "") -> "Model":
        """This model with a threshold of the probability of one class, chosen on images it was not trained on.

        Args:
            predictions: By this model, as it is, of validation images; rows without a target are passed over.
            rule: As ``evaluation.threshold.choose_threshold`` takes it.
            positive: The class; by default that of ``evaluation.threshold.positive_class``.

        Returns:
            A new model of the same network, which answers as before.

        Raises:
            InvalidArgument: For numbers, an unknown class or rule, several classes and none named, or no images.
        """
        table = predictions.take(np.flatnonzero(predictions.known))
        name = positive_class(self.card.target, positive)
        chosen = choose_threshold(self.card.target, table.class_numbers, table.outputs, rule, name)
        return replace(self, card=replace(self.card, threshold=chosen))

    def explain(
        self,
        images: Sequence[Picture] | Index,
        *,
        target: str | None = None,
        method: str | None = None,
        layer: str | None = None,
        known: Known | None = None,
        max_side: int | None = None,
        on_event: OnProgress | None = None,
    ) -> Iterator[Explained]:
        """Where the network looks in each image, for its own answer or for the class ``target``.

        Args:
            images: Files, or an index.
            target: The class to show the evidence for, by default the predicted one; of several numbers the one to
                explain, by default the first.
            method: A key of ``mirada.explain.methods.METHODS``, such as ``grad_cam``; by default the first of them that
                network and layer allow.
            layer: Whose maps to weigh, such as ``stage3``; by default the part before the head, or the last one before
                it that still has places.
            known: As for ``predict``.
            max_side: Shrinks the photo under the map to this many pixels.
            on_event: Hears of the passes through the network, first of none, of a method that takes many for a batch.

        Returns:
            An iterator over the images in the order given; each is read when it is asked for, eight at a time.

        Raises:
            InvalidArgument: There is no such class, method or layer, or they do not go together.
            DataError: A covariate that the model reads is not there.
            DecodeError: A file cannot be decoded; it is named.
        """
        asked = Asked(number_of(self.card.target, target), method, layer, on_event)
        index, pictures = _with_pictures(images, self.card)
        covariates = covariates_of(self.card, index, known)
        for rows in chunks(np.arange(len(index)), EXPLAINED_AT_ONCE):
            batch = [(index.paths[row], pictures[row]) for row in rows]
            seen = look_at(batch, self.card.preprocessing, max_side)
            yield from explained(self.members, self.compute, seen, covariates[rows], asked)

    def _outputs(
        self, cache: Cache, splits: Sequence[str], features: Features | None
    ) -> tuple[Index, Tensor]:
        """The samples of some splits of a cache, as the model knows them, and raw outputs for them."""
        index = as_known_to(self.card, cache.index)
        rows = np.concatenate([index.rows(split) for split in splits])
        beside = covariates_of(self.card, index)
        usable = features if features and features.compute == self.compute and not self.ensemble else None
        raw = [
            infer_cached(
                network,
                cache,
                rows,
                card.preprocessing,
                self.compute,
                card.scale_covariates(beside),
                usable,
                judged(card.flip_average),
            )
            for network, card in self.members
        ]
        return index.take(rows), torch.stack(raw, dim=1)

    def _read(self, index: Index, raw: Tensor) -> Predictions:
        """What raw outputs for the samples of an index say."""
        values, spreads = read_each(self.members, raw)
        return Predictions.of(index, values, half_widths=self._half_widths, spreads=spreads)

    def _decoded(
        self,
        index: Index,
        pictures: Sequence[Picture],
        failed: list[Excluded],
        digests: NDArray[np.uint64],
        on_event: OnProgress | None,
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Batches of the files that can be decoded, and their rows; fills ``failed`` with the rest.

        Fills ``digests`` as well, unless it is empty: then nobody compares them.
        """
        rows: list[int] = []
        batch: list[Pixels] = []
        attempt = partial(_attempt, preprocessing=self.card.preprocessing, hashed=len(digests) > 0)
        for row, result in enumerate(parallel_map(attempt, pictures, what="predicting", on_event=on_event)):
            if isinstance(result, str):
                failed.append(Excluded(index.paths[row], result))
                continue
            rows.append(row)
            batch.append(result[0])
            if len(digests):
                digests[row] = result[1]
            if len(batch) == images_at_once(self.card.preprocessing.size, self.compute.device):
                yield rows, stacked(batch)
                rows, batch = [], []
        if batch:
            yield rows, stacked(batch)


def load_model(file: str | Path, *, device: str = "auto", network: nn.Module | None = None) -> Model:
    """Opens a model file, which runs no code of it.

    Args:
        file: The ``.safetensors`` that ``train`` wrote, or ``cross_validate``: the ensemble of its folds.
        network: For the file of a module of your own, one that its class has built, such as ``TinyNet(classes=3)``; a
            copy of it gets the weights. For all others the file says how to build the network.
        device: As ``torch.device`` names it; ``auto`` is CUDA, else Apple's MPS, else the CPU.

    Returns:
        The model, in eval mode on the device.

    Raises:
        CheckpointError: The file is missing, no model file, truncated, altered, or of a newer Mirada; or its weights do
            not fit ``network``.
        InvalidArgument: The device is not there; or ``network`` is missing, or given where the file needs none.
    """
    members, together = load_file(model_file(file), network)
    compute = choose(device, "float32")
    for member in members:
        compute.place(member.network)
    ensemble = members if len(members) > 1 else ()
    return Model(members[0].network, joint_card(members, together), compute, ensemble)


def _with_pictures(images: Sequence[Picture] | Index, card: Card) -> tuple[Index, Sequence[Picture]]:
    """What is known of the images, and where their pixels are."""
    if isinstance(images, Index):
        return images, [images.path(row) for row in range(len(images))]
    return unlabeled(named(images), card), images


def _attempt(picture: Picture, *, preprocessing: Preprocessing, hashed: bool) -> tuple[Pixels, int] | str:
    """The network's input and the digest of the image, 0 unless it is asked for; or why it cannot be read."""
    try:
        image = read_picture(picture)
        return decode_image(image, preprocessing), short(digest(image)) if hashed else UNREAD
    except DecodeError as error:
        return str(error)
