"""Several networks that answer together, such as those of the folds of a cross-validation.

The answer is the mean of their probabilities, each at its own temperature, or of their values in the unit of the data.
Source: Lakshminarayanan, Pritzel & Blundell 2017, "Simple and Scalable Predictive Uncertainty Estimation using Deep
Ensembles", arXiv:1612.01474, §2.4.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mirada.compute import Compute
from mirada.evaluation.infer import infer
from mirada.inference.trained_on import KEY as IMAGES
from mirada.inference.trained_on import joined
from mirada.modelfile import NO_MORE, Card, Member, Together
from mirada.samples import Classes, Numbers

Floats = NDArray[np.float64]


def joint_card(members: Sequence[Member], together: Together = NO_MORE) -> Card:
    """What is true of all members together; of one member, its own card.

    An image is said to be trained on if any of them was. The probabilities have been scaled by each member's own
    temperature already, so there is none left: one for their mean could only be learnt from images that none of them
    was trained on.

    Args:
        members: The networks.
        together: What was learnt for their mean, as the file has it; what one member has is of its own answers.
    """
    first = members[0].card
    if len(members) == 1:
        return first
    images = joined([member.card for member in members])
    provenance = {**first.provenance, IMAGES: images} if images else dict(first.provenance)
    return replace(first, temperature=1.0, provenance=provenance, **together._asdict())


def infer_each(members: Sequence[Member], images: Tensor, compute: Compute, covariates: Floats) -> Tensor:
    """The raw outputs (N, M, outputs) of M members for N decoded images.

    Args:
        members: On the device of ``compute``.
        images: (N, C, H, W) as they are decoded.
        compute: The device and the precision.
        covariates: What they read beside the images, (N, K), in the units of the data.
    """
    return torch.stack(
        [
            infer(
                network,
                images,
                card.preprocessing,
                compute,
                card.scale_covariates(covariates),
                card.flip_average,
            )
            for network, card in members
        ],
        dim=1,
    )


def read_each(members: Sequence[Member], raw: Tensor) -> tuple[Floats, Floats]:
    """What raw outputs (N, M, outputs) mean, and how far the members are apart.

    Args:
        members: The M networks.
        raw: Of ``infer_each``.

    Returns:
        Mean class probabilities (N, K), or values (N, T); and the standard deviation among members, of the probability
        of the class that is predicted, (N, 1), or of each value, (N, T): NaN for one member.
    """
    answers = np.stack([card.read_outputs(raw[:, place]).numpy() for place, (_, card) in enumerate(members)])
    mean = answers.mean(axis=0)
    spread = answers.std(axis=0, ddof=1) if len(members) > 1 else np.full_like(mean, np.nan)
    match members[0].card.target:
        case Classes():
            return mean, np.take_along_axis(spread, mean.argmax(axis=1)[:, np.newaxis], axis=1)
        case Numbers():
            return mean, spread
