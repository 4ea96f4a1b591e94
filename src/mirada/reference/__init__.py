"""The mathematics of the networks in NumPy: forward and backward of every layer, derived, in float64.

Made to be read, not to be fast. A backward function takes the gradient that arrives, what it needs of what its forward
function took, and the same options; it returns one array, or a named tuple where there are several gradients. The
guide reads through it in docs/guide/gradients.md:

- ``loops``: convolution and pooling as loops, a line for a Σ; ``convolution`` and ``pooling`` as one product;
- ``activation``, ``dense``, ``normalization``, ``local_response``, ``dropout``, ``transformer``: the other layers;
- ``loss`` and ``optimizer``: where gradients come from and what is done with them, the notes' momentum as printed too;
- ``skip``: the lecture notes' toy network with and without a skip;
- ``sequential``: a network of such layers that learns, LeNet-5 for one;
- ``differences``: the numeric gradient, which judges all others.

How layers are joined (sums, concatenations) is not here. Nothing in this folder uses torch; of the package the lessons
alone use it, and the tests, as their oracle.
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
from mirada.reference.convolution import Conv2dGradients, conv1d, conv1d_backward, conv2d, conv2d_backward
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
from mirada.reference.differences import numerical_gradient
from mirada.reference.dropout import dropout, dropout_backward
from mirada.reference.local_response import local_response_norm, local_response_norm_backward
from mirada.reference.loops import (
    conv2d_loops,
    conv2d_loops_backward,
    max_pool2d_loops,
    max_pool2d_loops_backward,
)
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
from mirada.reference.optimizer import (
    AdamStep,
    RmspropStep,
    SgdStep,
    adam_step,
    rmsprop_step,
    sgd_step,
    sgd_step_as_printed,
)
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
from mirada.reference.sequential import (
    ConvolutionByHand,
    DenseByHand,
    FlattenByHand,
    LayerByHand,
    MaxPoolByHand,
    ReluByHand,
    Sequential,
    he_normal,
    lenet5_by_hand,
    train_by_hand,
)
from mirada.reference.skip import ToyValues, ToyWeights, toy_backward, toy_forward, toy_loss
from mirada.reference.transformer import (
    TransformerGradients,
    spatial_transformer,
    spatial_transformer_backward,
)

__all__ = [
    "AdamStep",
    "BatchNormGradients",
    "ChannelStatistics",
    "Conv2dGradients",
    "ConvolutionByHand",
    "DenseByHand",
    "FlattenByHand",
    "LayerByHand",
    "LinearGradients",
    "MaxPoolByHand",
    "RadialBasisGradients",
    "RectifierGradients",
    "ReluByHand",
    "RmspropStep",
    "Sequential",
    "SgdStep",
    "SubsampleGradients",
    "ToyValues",
    "ToyWeights",
    "TransformerGradients",
    "adam_step",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm_eval",
    "batch_norm_eval_backward",
    "batch_norm_train",
    "batch_norm_train_backward",
    "binary_cross_entropy",
    "binary_cross_entropy_backward",
    "conv1d",
    "conv1d_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_loops",
    "conv2d_loops_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "dropout_backward",
    "flatten",
    "flatten_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "he_normal",
    "lenet5_by_hand",
    "linear",
    "linear_backward",
    "local_response_norm",
    "local_response_norm_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool2d_loops",
    "max_pool2d_loops_backward",
    "mean_absolute_error",
    "mean_absolute_error_backward",
    "mean_squared_error",
    "mean_squared_error_backward",
    "numerical_gradient",
    "radial_basis",
    "radial_basis_backward",
    "rectifier",
    "rectifier_backward",
    "rmsprop_step",
    "running_statistics",
    "scaled_tanh",
    "scaled_tanh_backward",
    "sgd_step",
    "sgd_step_as_printed",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "spatial_transformer",
    "spatial_transformer_backward",
    "subsample",
    "subsample_backward",
    "tanh",
    "tanh_backward",
    "toy_backward",
    "toy_forward",
    "toy_loss",
    "train_by_hand",
]
