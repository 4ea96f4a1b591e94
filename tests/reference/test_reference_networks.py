"""Whole networks made of the reference's layers: every gradient against torch's autograd.

LeNet-5 (the modern one), the notes' cats-vs-dogs network and a small ResNet, each trained on for one batch.
"""

import numpy as np
import torch
from torch import nn

from mirada import reference as ref


def arrays(network):
    """Parameters by name, and their torch gradients by name."""
    weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
    gradients = {name: p.grad.numpy() for name, p in network.named_parameters()}
    return weights, gradients


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        np.testing.assert_allclose(gradient, theirs[name], rtol=1e-10, atol=1e-12, err_msg=name, strict=True)


def test_lenet5(rng):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    ).double()  # fmt: skip
    x, labels = rng.normal(size=(3, 1, 32, 32)), rng.integers(10, size=3)
    loss = nn.functional.cross_entropy(network(torch.tensor(x)), torch.tensor(labels))
    loss.backward()
    w, theirs = arrays(network)

    c1 = ref.conv2d(x, w["0.weight"], bias=w["0.bias"])
    a1 = ref.tanh(c1)
    s2 = ref.avg_pool2d(a1, 2)
    c3 = ref.conv2d(s2, w["3.weight"], bias=w["3.bias"])
    a3 = ref.tanh(c3)
    s4 = ref.avg_pool2d(a3, 2)
    c5 = ref.conv2d(s4, w["6.weight"], bias=w["6.bias"])
    a5 = ref.flatten(ref.tanh(c5))
    f6 = ref.linear(a5, w["9.weight"], bias=w["9.bias"])
    a6 = ref.tanh(f6)
    logits = ref.linear(a6, w["11.weight"], bias=w["11.bias"])
    np.testing.assert_allclose(ref.cross_entropy(logits, labels), loss.item(), rtol=1e-12)

    ours = {}
    dlogits = ref.cross_entropy_backward(logits, labels)
    da6, ours["11.weight"], ours["11.bias"] = ref.linear_backward(dlogits, a6, weight=w["11.weight"])
    df6 = ref.tanh_backward(da6, f6)
    da5, ours["9.weight"], ours["9.bias"] = ref.linear_backward(df6, a5, weight=w["9.weight"])
    dc5 = ref.tanh_backward(ref.flatten_backward(da5, c5), c5)
    ds4, ours["6.weight"], ours["6.bias"] = ref.conv2d_backward(dc5, s4, weight=w["6.weight"])
    dc3 = ref.tanh_backward(ref.avg_pool2d_backward(ds4, a3, kernel=2), c3)
    ds2, ours["3.weight"], ours["3.bias"] = ref.conv2d_backward(dc3, s2, weight=w["3.weight"])
    dc1 = ref.tanh_backward(ref.avg_pool2d_backward(ds2, a1, kernel=2), c1)
    _, ours["0.weight"], ours["0.bias"] = ref.conv2d_backward(dc1, x, weight=w["0.weight"])
    assert sum(gradient.size for gradient in ours.values()) == 61_706
    assert_same(ours, theirs)


def test_cats_vs_dogs(rng):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(6272, 128), nn.ReLU(), nn.Linear(128, 1),
    ).double()  # fmt: skip
    x, targets = rng.uniform(size=(2, 3, 64, 64)), np.array([[0.0], [1.0]])
    loss = nn.functional.binary_cross_entropy_with_logits(network(torch.tensor(x)), torch.tensor(targets))
    loss.backward()
    w, theirs = arrays(network)

    c1 = ref.conv2d(x, w["0.weight"], bias=w["0.bias"])
    a1 = ref.rectifier(c1)
    p1 = ref.max_pool2d(a1, 2)
    c2 = ref.conv2d(p1, w["3.weight"], bias=w["3.bias"])
    a2 = ref.rectifier(c2)
    p2 = ref.max_pool2d(a2, 2)
    flat = ref.flatten(p2)
    hidden = ref.linear(flat, w["7.weight"], bias=w["7.bias"])
    a3 = ref.rectifier(hidden)
    logits = ref.linear(a3, w["9.weight"], bias=w["9.bias"])
    np.testing.assert_allclose(ref.binary_cross_entropy(logits, targets), loss.item(), rtol=1e-12)

    ours = {}
    dlogits = ref.binary_cross_entropy_backward(logits, targets)
    da3, ours["9.weight"], ours["9.bias"] = ref.linear_backward(dlogits, a3, weight=w["9.weight"])
    dhidden = ref.rectifier_backward(da3, hidden).dz
    dflat, ours["7.weight"], ours["7.bias"] = ref.linear_backward(dhidden, flat, weight=w["7.weight"])
    da2 = ref.max_pool2d_backward(ref.flatten_backward(dflat, p2), a2, kernel=2)
    dc2 = ref.rectifier_backward(da2, c2).dz
    dp1, ours["3.weight"], ours["3.bias"] = ref.conv2d_backward(dc2, p1, weight=w["3.weight"])
    dc1 = ref.rectifier_backward(ref.max_pool2d_backward(dp1, a1, kernel=2), c1).dz
    _, ours["0.weight"], ours["0.bias"] = ref.conv2d_backward(dc1, x, weight=w["0.weight"])
    assert sum(gradient.size for gradient in ours.values()) == 813_217
    assert_same(ours, theirs)


class SmallResNet(nn.Module):
    """ResNet's stem, one block with a projection, the global average and the classifier, 4 maps wide."""

    def __init__(self):
        super().__init__()
        self.conv0, self.bn0 = nn.Conv2d(3, 4, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(4)
        self.conv1, self.bn1 = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv3, self.bn3 = nn.Conv2d(4, 8, 1, stride=2, bias=False), nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 5)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn0(self.conv0(x))), 3, stride=2, padding=1)
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return self.linear(torch.relu(y + self.bn3(self.conv3(x))).mean(dim=(2, 3)))


def test_residual_network(rng):
    torch.manual_seed(0)
    network = SmallResNet().double()
    for parameter in network.parameters():
        nn.init.normal_(parameter)  # so that γ and β are not 1 and 0
    x, labels = rng.normal(size=(4, 3, 33, 33)), rng.integers(5, size=4)
    loss = nn.functional.cross_entropy(network(torch.tensor(x)), torch.tensor(labels), label_smoothing=0.1)
    loss.backward()
    w, theirs = arrays(network)
    options = [{"stride": 2, "padding": 3}, {"stride": 2, "padding": 1}, {"padding": 1}, {"stride": 2}]
    pool = {"stride": 2, "padding": 1}
    ours = {}

    def conv_norm(i, x):
        c = ref.conv2d(x, w[f"conv{i}.weight"], **options[i])
        return c, ref.batch_norm_train(c, gamma=w[f"bn{i}.weight"], beta=w[f"bn{i}.bias"])

    def conv_norm_backward(i, dy, c, x):
        dc, ours[f"bn{i}.weight"], ours[f"bn{i}.bias"] = ref.batch_norm_train_backward(
            dy, c, gamma=w[f"bn{i}.weight"]
        )
        dx, ours[f"conv{i}.weight"], _ = ref.conv2d_backward(dc, x, weight=w[f"conv{i}.weight"], **options[i])
        return dx

    c0, n0 = conv_norm(0, x)
    a0 = ref.rectifier(n0)
    p0 = ref.max_pool2d(a0, 3, **pool)
    c1, n1 = conv_norm(1, p0)
    a1 = ref.rectifier(n1)
    c2, n2 = conv_norm(2, a1)
    c3, n3 = conv_norm(3, p0)
    joined = n2 + n3
    a2 = ref.rectifier(joined)
    means = ref.global_avg_pool2d(a2)
    logits = ref.linear(means, w["linear.weight"], bias=w["linear.bias"])
    np.testing.assert_allclose(
        ref.cross_entropy(logits, labels, label_smoothing=0.1), loss.item(), rtol=1e-12
    )

    dlogits = ref.cross_entropy_backward(logits, labels, label_smoothing=0.1)
    dmeans, ours["linear.weight"], ours["linear.bias"] = ref.linear_backward(
        dlogits, means, weight=w["linear.weight"]
    )
    djoined = ref.rectifier_backward(ref.global_avg_pool2d_backward(dmeans, a2), joined).dz
    da1 = conv_norm_backward(2, djoined, c2, a1)
    dp0 = conv_norm_backward(1, ref.rectifier_backward(da1, n1).dz, c1, p0)
    dp0 = dp0 + conv_norm_backward(3, djoined, c3, p0)  # the sum hands its gradient to both ways
    da0 = ref.max_pool2d_backward(dp0, a0, kernel=3, **pool)
    conv_norm_backward(0, ref.rectifier_backward(da0, n0).dz, c0, x)
    assert_same(ours, theirs)
