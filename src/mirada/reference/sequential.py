"""A network by hand: layers in a row that learn by back-propagation, and nothing but NumPy.

Each layer keeps what its way forward saw, because its way back needs it. Back-propagation is then one loop, in
``Sequential.backward``: from the last layer to the first, each turns the gradient of what it put out into that of what
it took in, and puts those of its own parameters by. ``train_by_hand`` adds a loss and a step of gradient descent.

>>> rng = np.random.default_rng(0)
>>> network = lenet5_by_hand(rng)
>>> sum(parameter.size for parameter in network.parameters.values())
61706
"""

from collections.abc import Iterator, Sequence

import numpy as np

from mirada.reference._arrays import Array, Labels
from mirada.reference.activation import rectifier, rectifier_backward
from mirada.reference.convolution import conv2d, conv2d_backward
from mirada.reference.dense import flatten, flatten_backward, linear, linear_backward
from mirada.reference.loss import cross_entropy, cross_entropy_backward
from mirada.reference.optimizer import sgd_step
from mirada.reference.pooling import max_pool2d, max_pool2d_backward


class LayerByHand:
    """What a layer is: numbers that learn, by name, a way forward and a way back.

    ``gradients`` holds ∂L/∂parameter under the same names, once ``backward`` was called.
    """

    def __init__(self) -> None:
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}
        self.x = np.zeros(0)  # what came in last

    def forward(self, x: Array) -> Array:
        """What the layer makes of its input."""
        raise NotImplementedError

    def backward(self, dy: Array) -> Array:
        """∂L/∂input from ∂L/∂output."""
        raise NotImplementedError


class ConvolutionByHand(LayerByHand):
    """``conv2d`` of stride 1 without padding, with weights of its own.

    Args:
        channels: Those of its input.
        filters: How many maps it makes.
        kernel: The side of a filter in pixels.
        rng: Draws the weights.
    """

    def __init__(self, channels: int, filters: int, kernel: int, rng: np.random.Generator) -> None:
        super().__init__()
        weight = he_normal((filters, channels, kernel, kernel), rng)
        self.parameters = {"weight": weight, "bias": np.zeros(filters)}

    def forward(self, x: Array) -> Array:
        """H = X ⋆ W + b."""
        self.x = x
        return conv2d(x, self.parameters["weight"], bias=self.parameters["bias"])

    def backward(self, dy: Array) -> Array:
        """dX, with dW and db put by."""
        dx, dweight, dbias = conv2d_backward(dy, self.x, weight=self.parameters["weight"])
        self.gradients = {"weight": dweight, "bias": dbias}
        return dx


class DenseByHand(LayerByHand):
    """``linear``, with weights of its own.

    Args:
        inputs: Numbers that come in.
        units: Numbers that go out.
        rng: Draws the weights.
    """

    def __init__(self, inputs: int, units: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.parameters = {"weight": he_normal((units, inputs), rng), "bias": np.zeros(units)}

    def forward(self, x: Array) -> Array:
        """y = x·Wᵀ + b."""
        self.x = x
        return linear(x, self.parameters["weight"], bias=self.parameters["bias"])

    def backward(self, dy: Array) -> Array:
        """dx, with dW and db put by."""
        dx, dweight, dbias = linear_backward(dy, self.x, weight=self.parameters["weight"])
        self.gradients = {"weight": dweight, "bias": dbias}
        return dx


class ReluByHand(LayerByHand):
    """max{0, z}, which has nothing to learn and yet hands gradients back; its slope at 0 is taken as 0."""

    def forward(self, x: Array) -> Array:
        """What is above 0."""
        self.x = x
        return rectifier(x)

    def backward(self, dy: Array) -> Array:
        """dy where the input was above 0."""
        return rectifier_backward(dy, self.x).dz


class MaxPoolByHand(LayerByHand):
    """The largest pixel of each window of k × k, which alone gets a gradient.

    Args:
        kernel: k.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Array) -> Array:
        """The maxima."""
        self.x = x
        return max_pool2d(x, self.kernel)

    def backward(self, dy: Array) -> Array:
        """dy at the winners, 0 elsewhere."""
        return max_pool2d_backward(dy, self.x, kernel=self.kernel)


class FlattenByHand(LayerByHand):
    """Maps as one vector per image, and back."""

    def forward(self, x: Array) -> Array:
        """(N, C, H, W) → (N, C·H·W)."""
        self.x = x
        return flatten(x)

    def backward(self, dy: Array) -> Array:
        """These numbers, back in the shape of the maps."""
        return flatten_backward(dy, self.x)


class Sequential:
    """Layers in a row.

    Args:
        layers: From the image to the output.
    """

    def __init__(self, layers: Sequence[LayerByHand]) -> None:
        self.layers = list(layers)

    @property
    def parameters(self) -> dict[str, Array]:
        """All that learns, by the number of its layer and its name: ``0.weight``, as PyTorch calls it."""
        return {
            f"{n}.{name}": p for n, layer in enumerate(self.layers) for name, p in layer.parameters.items()
        }

    @property
    def gradients(self) -> dict[str, Array]:
        """∂L/∂parameter under the same names, once ``backward`` was called."""
        return {
            f"{n}.{name}": g for n, layer in enumerate(self.layers) for name, g in layer.gradients.items()
        }

    def forward(self, x: Array) -> Array:
        """What the last layer puts out."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy: Array) -> Array:
        """Back-propagation: ∂L/∂input from ∂L/∂output; each layer has then the gradients of its parameters."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


def he_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Weights of N(0, 2 / inputs of a unit), which ReLU layers neither blow up nor fade.

    Shapes: (units, inputs …) → the same.
    Source: He et al. 2015, arXiv:1502.01852, eq. 10.
    """
    return rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[1:])), shape)


def lenet5_by_hand(rng: np.random.Generator) -> Sequential:
    """LeNet-5 in its common modern form, 61,706 parameters: the layers of ``mirada.create_model("lenet5")``.

    Shapes: images (N, 1, 32, 32) → logits (N, 10).
    Source: LeCun, Bottou, Bengio & Haffner 1998, §II-B, with ReLU, maxima and ten linear outputs.
    """
    return Sequential(
        [
            *(ConvolutionByHand(1, 6, 5, rng), ReluByHand(), MaxPoolByHand(2)),  # C1, S2: 6 × 14 × 14
            *(ConvolutionByHand(6, 16, 5, rng), ReluByHand(), MaxPoolByHand(2)),  # C3, S4: 16 × 5 × 5
            *(ConvolutionByHand(16, 120, 5, rng), ReluByHand(), FlattenByHand()),  # C5: 120
            *(DenseByHand(120, 84, rng), ReluByHand()),  # F6
            DenseByHand(84, 10, rng),
        ]
    )


def train_by_hand(
    network: Sequential,
    images: Array,
    labels: Labels,
    *,
    epochs: int,
    rng: np.random.Generator,
    batch_size: int = 32,
    lr: float = 0.02,
    momentum: float = 0.9,
) -> Iterator[float]:
    """Stochastic gradient descent with momentum on the cross-entropy; yields the mean loss of each epoch.

    Shapes: images (N, C, H, W), labels (N,) whole numbers → ``epochs`` numbers.
    Source: lecture notes §2.2.2, with the momentum as ``sgd_step`` corrects it.
    """
    velocities = [
        {name: np.zeros_like(p) for name, p in layer.parameters.items()} for layer in network.layers
    ]
    for _ in range(epochs):
        losses = []
        for rows in np.array_split(rng.permutation(len(images)), max(1, len(images) // batch_size)):
            logits = network.forward(images[rows])
            losses.append(cross_entropy(logits, labels[rows]))
            network.backward(cross_entropy_backward(logits, labels[rows]))
            for layer, velocity in zip(network.layers, velocities, strict=True):
                for name, gradient in layer.gradients.items():
                    layer.parameters[name], velocity[name] = sgd_step(
                        layer.parameters[name], gradient, velocity=velocity[name], lr=lr, momentum=momentum
                    )
        yield float(np.mean(losses))
