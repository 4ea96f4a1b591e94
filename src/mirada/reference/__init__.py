"""NumPy forward and backward of every layer of the networks in ``mirada.models``: the oracle of the tests, in float64.

Made to be read, not to be fast; each is derived in its docstring. A backward function takes the gradient that arrives,
what it needs of what its forward function took, and the same options; it returns one array, or a named tuple where
there are several gradients. Losses, optimizers and the lecture notes' toy network with a skip are here as well; not
here are spatial transformers, which no network of the package has, and how layers are joined (sums, concatenations).
Nothing in this folder uses torch; of the package the lessons alone use it.
"""

from mirada.reference.activation import (
    RectifierGradients,
    rectifier,
    rectifier_backward,
    scaled_tanh,
    scaled_tanh_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)
from mirada.reference.convolution import Conv2dGradients, conv2d, conv2d_backward
from mirada.reference.dense import (
    LinearGradients,
    RadialBasisGradients,
    flatten,
    flatten_backward,
    linear,
    linear_backward,
    radial_basis,
    radial_basis_backward,
)
from mirada.reference.dropout import dropout, dropout_backward
from mirada.reference.local_response import local_response_norm, local_response_norm_backward
from mirada.reference.loss import (
    binary_cross_entropy,
    binary_cross_entropy_backward,
    cross_entropy,
    cross_entropy_backward,
    mean_absolute_error,
    mean_absolute_error_backward,
    mean_squared_error,
    mean_squared_error_backward,
    softmax,
)
from mirada.reference.normalization import (
    BatchNormGradients,
    ChannelStatistics,
    batch_norm_eval,
    batch_norm_eval_backward,
    batch_norm_train,
    batch_norm_train_backward,
    running_statistics,
)
from mirada.reference.optimizer import AdamStep, RmspropStep, SgdStep, adam_step, rmsprop_step, sgd_step
from mirada.reference.pooling import (
    SubsampleGradients,
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
    subsample,
    subsample_backward,
)
from mirada.reference.skip import ToyValues, ToyWeights, toy_backward, toy_forward, toy_loss

__all__ = [
    "AdamStep",
    "BatchNormGradients",
    "ChannelStatistics",
    "Conv2dGradients",
    "LinearGradients",
    "RadialBasisGradients",
    "RectifierGradients",
    "RmspropStep",
    "SgdStep",
    "SubsampleGradients",
    "ToyValues",
    "ToyWeights",
    "adam_step",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm_eval",
    "batch_norm_eval_backward",
    "batch_norm_train",
    "batch_norm_train_backward",
    "binary_cross_entropy",
    "binary_cross_entropy_backward",
    "conv2d",
    "conv2d_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "dropout_backward",
    "flatten",
    "flatten_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "linear",
    "linear_backward",
    "local_response_norm",
    "local_response_norm_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "mean_absolute_error",
    "mean_absolute_error_backward",
    "mean_squared_error",
    "mean_squared_error_backward",
    "radial_basis",
    "radial_basis_backward",
    "rectifier",
    "rectifier_backward",
    "rmsprop_step",
    "running_statistics",
    "scaled_tanh",
    "scaled_tanh_backward",
    "sgd_step",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "subsample",
    "subsample_backward",
    "tanh",
    "tanh_backward",
    "toy_backward",
    "toy_forward",
    "toy_loss",
]
