"""Numbers that are known beside an image, such as the sex, joined to the features before the head.

They join right before the first linear layer behind the flattening, which is that much wider: behind dropout, which
is for features, and before the first hidden layer, so that they can change what the features mean.
"""

from collections import OrderedDict
from typing import cast

import torch
from torch import Tensor, nn

from mirada.errors import InvalidArgument
from mirada.layers.network import Network


class JoinedHead(nn.Sequential):
    """A head whose first linear layer reads covariates (N, K) behind its features.

    (N, C, h, w), (N, K) → (N, num_classes). The covariates are in standard deviations from their mean, and without
    any that mean is taken. The names of the layers, and so of the weights, are those of ``head``.

    Raises ``InvalidArgument`` for a head without a linear layer behind a flattening.
    """

    def __init__(self, head: nn.Module, count: int) -> None:
        super().__init__(OrderedDict(head.named_children()))
        self.count = count
        kinds = list(map(type, self)) if isinstance(head, nn.Sequential) else []
        if nn.Flatten not in kinds or nn.Linear not in kinds[kinds.index(nn.Flatten) :]:
            raise InvalidArgument(
                "Covariates cannot join this network: its head has no linear layer behind a flattening. Choose "
                "another network, or leave the covariates out."
            )
        self.place = kinds.index(nn.Linear, kinds.index(nn.Flatten))

    @property
    def joint(self) -> nn.Linear:
        """The layer that reads features and covariates."""
        return cast(nn.Linear, self[self.place])

    def forward(self, maps: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Runs the layers; the covariates are concatenated to what enters the joint."""
        values = maps
        for number, layer in enumerate(self):
            if number == self.place:
                known = values.new_zeros(len(values), self.count) if covariates is None else covariates
                values = torch.cat((values, known.to(values.dtype)), dim=1)
            values = layer(values)
        return values


def join_covariates(network: Network, count: int) -> Network:
    """The network, changed to read ``count`` covariates; at first it puts out what it did without them.

    The joint gets ``count`` columns of zeros behind those of its features. Auxiliary heads stay as they are. Raises
    ``InvalidArgument`` for a head that covariates cannot join.
    """
    head = JoinedHead(network.head, count)
    joint = head.joint
    wider = joint.weight.new_zeros(joint.out_features, joint.in_features + count)
    wider[:, : joint.in_features] = joint.weight.detach()
    joint.weight = nn.Parameter(wider)
    joint.in_features += count
    network.head = head
    network.covariates = count
    return network
