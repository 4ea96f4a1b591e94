"""Convolution against torch, against differences, and the equations the lecture notes print."""

import numpy as np
import pytest
import torch.nn.functional as F
from scipy.signal import convolve2d, correlate2d

from mirada.errors import InvalidArgument
from mirada.reference import conv2d, conv2d_backward


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("dilation", [1, 2, (1, 3)])
@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
@pytest.mark.parametrize("stride", [1, 2, (3, 1)])
def test_agrees_with_torch(rng, autograd, same, stride, padding, dilation, groups):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x, weight, bias = (
        rng.normal(size=(2, 4, 9, 8)),
        rng.normal(size=(8, 4 // groups, 3, 2)),
        rng.normal(size=8),
    )
    h = conv2d(x, weight, bias=bias, **options)
    dh = rng.normal(size=h.shape)
    value, gradients = autograd(lambda x, w, b: F.conv2d(x, w, b, **options), x, weight, bias, dy=dh)
    same(h, value)
    same(conv2d_backward(dh, x, weight=weight, **options), gradients)


@pytest.mark.parametrize(
    ("channels", "size", "filters", "kernel", "options"),
    [
        pytest.param(1, (32, 32), 6, (5, 5), {}, id="LeNet-5 C1"),
        pytest.param(3, (35, 33), 4, (7, 7), {"stride": 2, "padding": 3}, id="ResNet stem"),
        pytest.param(4, (9, 9), 8, (1, 1), {"stride": 2}, id="ResNet shortcut"),
        pytest.param(3, (31, 31), 4, (11, 11), {"stride": 4}, id="AlexNet conv1"),
        pytest.param(2, (9, 9), 3, (1, 7), {"padding": (0, 3)}, id="Inception 1×7"),
    ],
)
def test_agrees_with_torch_on_layers_of_the_papers(
    rng, autograd, same, channels, size, filters, kernel, options
):
    x, weight = rng.normal(size=(2, channels, *size)), rng.normal(size=(filters, channels, *kernel))
    h = conv2d(x, weight, **options)
    dh = rng.normal(size=h.shape)
    value, gradients = autograd(lambda x, w: F.conv2d(x, w, **options), x, weight, dy=dh)
    same(h, value)
    same(conv2d_backward(dh, x, weight=weight, **options)[:2], gradients)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1},
        {"dilation": 2, "padding": (2, 1)},
        {"groups": 2, "stride": (1, 3)},
        {"groups": 2, "stride": 2, "padding": 2, "dilation": (2, 1)},
    ],
)
def test_gradients_agree_with_differences(rng, differences, close, options):
    groups = options.get("groups", 1)
    x, weight, bias = (
        rng.normal(size=(2, 2, 5, 6)),
        rng.normal(size=(4, 2 // groups, 2, 3)),
        rng.normal(size=4),
    )

    def forward(x, weight, bias):
        return conv2d(x, weight, bias=bias, **options)

    dh = rng.normal(size=forward(x, weight, bias).shape)
    close(
        conv2d_backward(dh, x, weight=weight, **options), differences(forward, x, weight, bias, dy=dh, h=1e-3)
    )


def test_one_dimension_of_the_notes(rng):
    """§2.2: five inputs, three weights, zeros at both ends: s₁ … s₅."""
    x1, x2, x3, x4, x5 = x = rng.normal(size=5)
    w1, w2, w3 = w = rng.normal(size=3)
    s = conv2d(x.reshape(1, 1, 1, 5), w.reshape(1, 1, 1, 3), padding=(0, 1)).ravel()
    expected = [
        w2 * x1 + w3 * x2,
        w1 * x1 + w2 * x2 + w3 * x3,
        w1 * x2 + w2 * x3 + w3 * x4,
        w1 * x3 + w2 * x4 + w3 * x5,
        w1 * x4 + w2 * x5,
    ]
    np.testing.assert_allclose(s, expected, rtol=1e-14)


def test_parameter_sharing_of_the_notes():
    """§2.2, figure 7: as a dense layer the example has 25 weights, of which 3 differ; the rest are zeros."""
    w = np.array([[[[10.0, 20.0, 30.0]]]])
    each_input_alone = np.eye(5).reshape(5, 1, 1, 5)
    matrix = conv2d(each_input_alone, w, padding=(0, 1)).reshape(5, 5).T  # outputs × inputs
    assert matrix.size == 25
    np.testing.assert_array_equal(
        matrix,
        [[20, 30, 0, 0, 0], [10, 20, 30, 0, 0], [0, 10, 20, 30, 0], [0, 0, 10, 20, 30], [0, 0, 0, 10, 20]],
    )


def test_equation_1_of_the_notes(rng):
    """§2.2.1: H = X*W for a 3×3 image and a 2×2 kernel."""
    X, W = rng.normal(size=(3, 3)), rng.normal(size=(2, 2))
    expected = [
        [
            W[0, 0] * X[0, 0] + W[0, 1] * X[0, 1] + W[1, 0] * X[1, 0] + W[1, 1] * X[1, 1],
            W[0, 0] * X[0, 1] + W[0, 1] * X[0, 2] + W[1, 0] * X[1, 1] + W[1, 1] * X[1, 2],
        ],
        [
            W[0, 0] * X[1, 0] + W[0, 1] * X[1, 1] + W[1, 0] * X[2, 0] + W[1, 1] * X[2, 1],
            W[0, 0] * X[1, 1] + W[0, 1] * X[1, 2] + W[1, 0] * X[2, 1] + W[1, 1] * X[2, 2],
        ],
    ]
    np.testing.assert_allclose(conv2d(X[None, None], W[None, None])[0, 0], expected, rtol=1e-14)


def test_weight_gradient_of_the_notes(rng):
    """§2.2.1: the four equations ∂W[1,1] … ∂W[2,2], and the bias gradient they leave out."""
    X, W, dH = rng.normal(size=(3, 3)), rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    expected = [
        [
            X[0, 0] * dH[0, 0] + X[0, 1] * dH[0, 1] + X[1, 0] * dH[1, 0] + X[1, 1] * dH[1, 1],
            X[0, 1] * dH[0, 0] + X[0, 2] * dH[0, 1] + X[1, 1] * dH[1, 0] + X[1, 2] * dH[1, 1],
        ],
        [
            X[1, 0] * dH[0, 0] + X[1, 1] * dH[0, 1] + X[2, 0] * dH[1, 0] + X[2, 1] * dH[1, 1],
            X[1, 1] * dH[0, 0] + X[1, 2] * dH[0, 1] + X[2, 1] * dH[1, 0] + X[2, 2] * dH[1, 1],
        ],
    ]
    gradients = conv2d_backward(dH[None, None], X[None, None], weight=W[None, None])
    np.testing.assert_allclose(gradients.dweight[0, 0], expected, rtol=1e-14)
    np.testing.assert_allclose(gradients.dweight[0, 0], correlate2d(X, dH, mode="valid"), rtol=1e-13)
    np.testing.assert_allclose(gradients.dbias, [dH.sum()], rtol=1e-14)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_input_gradient_is_a_full_correlation_with_the_turned_kernel(rng, stride, dilation):
    """With stride − 1 zeros put between the entries of dH, and dilation − 1 between those of W."""

    def spread(image, step):
        size = [step * (side - 1) + 1 for side in image.shape]
        result = np.zeros(size)
        result[::step, ::step] = image
        return result

    W, dH = rng.normal(size=(3, 2)), rng.normal(size=(3, 4))
    size = [stride * (h - 1) + dilation * (k - 1) + 1 for h, k in zip(dH.shape, W.shape, strict=True)]
    X = rng.normal(size=size)
    dx = conv2d_backward(
        dH[None, None], X[None, None], weight=W[None, None], stride=stride, dilation=dilation
    ).dx[0, 0]
    wide_dh, wide_w = spread(dH, stride), spread(W, dilation)
    np.testing.assert_allclose(dx, correlate2d(wide_dh, np.rot90(wide_w, 2), mode="full"), atol=1e-13)
    np.testing.assert_allclose(dx, convolve2d(wide_dh, wide_w, mode="full"), atol=1e-13)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "output"),
    [
        pytest.param(6, 3, 1, 0, 4, id="figure 11"),
        pytest.param(64, 5, 1, 0, 60, id="§2.1: 64 and 5 make 60, not 59"),
        pytest.param(8, 3, 1, 1, 8, id="figure 10: c = (k − 1)/2 keeps the size"),
        pytest.param(227, 11, 4, 0, 55, id="AlexNet conv1"),
        pytest.param(224, 7, 2, 3, 112, id="ResNet stem: the floor the notes leave out"),
    ],
)
def test_output_size_of_the_notes(size, kernel, stride, padding, output):
    h = conv2d(np.zeros((1, 1, size, size)), np.zeros((1, 1, kernel, kernel)), stride=stride, padding=padding)
    assert h.shape == (1, 1, output, output)


def test_a_kernel_as_large_as_the_image_is_a_dense_layer(rng):
    """§2.2: N = M."""
    x, weight = rng.normal(size=(3, 2, 4, 5)), rng.normal(size=(7, 2, 4, 5))
    np.testing.assert_allclose(
        conv2d(x, weight)[:, :, 0, 0], x.reshape(3, -1) @ weight.reshape(7, -1).T, rtol=1e-12
    )


def test_shifted_input_gives_shifted_output(rng):
    """§2.2: what the notes call invariance to translation is equivariance."""
    x, weight = np.zeros((1, 1, 9, 9)), rng.normal(size=(2, 1, 3, 3))
    x[0, 0, 3:5, 3:5] = rng.normal(size=(2, 2))
    moved = np.roll(x, (1, 2), axis=(2, 3))
    np.testing.assert_array_equal(
        conv2d(moved, weight, padding=1), np.roll(conv2d(x, weight, padding=1), (1, 2), axis=(2, 3))
    )


def test_a_masked_weight_is_a_partial_table_of_connections(rng):
    """LeNet-5's C3, first row of its table: a map that sees the first three of six maps only."""
    x, weight = rng.normal(size=(2, 6, 6, 6)), rng.normal(size=(1, 6, 5, 5))
    mask = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]).reshape(1, 6, 1, 1)
    np.testing.assert_allclose(conv2d(x, weight * mask), conv2d(x[:, :3], weight[:, :3]), rtol=1e-13)


@pytest.mark.parametrize(
    ("channels", "weight", "groups", "found"),
    [
        (3, (4, 2, 3, 3), 1, r"1 group\(s\) with weight \(4, 2, 3, 3\) needs 2 input .* Got 3 channels"),
        (3, (4, 1, 3, 3), 1, r"needs 1 input .* Got 3 channels and 4 filters\."),
        (4, (3, 2, 3, 3), 2, r"needs 4 input channels and a number of filters that 2 divides\. .* 3 filters"),
        (4, (4, 4, 3, 3), 0, r"in 0 group\(s\)"),
    ],
)
def test_channels_that_do_not_fit(channels, weight, groups, found):
    x, w = np.zeros((1, channels, 5, 5)), np.zeros(weight)
    with pytest.raises(InvalidArgument, match=found):
        conv2d(x, w, groups=groups)
    with pytest.raises(InvalidArgument, match=found):
        conv2d_backward(np.zeros((1, weight[0], 3, 3)), x, weight=w, groups=groups)


def test_kernel_larger_than_the_image():
    with pytest.raises(
        InvalidArgument, match=r"reaches over \(5, 3\) .* image of \(6, 2\) with padding \(0, 0\)"
    ):
        conv2d(np.zeros((1, 1, 6, 2)), np.zeros((1, 1, 3, 2)), dilation=2)


def test_gradient_of_another_size():
    x, weight = np.zeros((1, 2, 5, 5)), np.zeros((3, 2, 2, 2))
    with pytest.raises(InvalidArgument, match=r"size of the window's output, \(4, 4\)\. Got \(1, 1\)\."):
        conv2d_backward(np.zeros((1, 3, 1, 1)), x, weight=weight)
