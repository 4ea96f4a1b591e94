"""The two LeNets on MNIST, read in place: what their recipes reach on the 10,000 test images."""

from pathlib import Path

import pytest

from mirada import train


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "least"),
    [("lenet5", 0.990), ("lenet5_1998", 0.989)],  # LeCun et al. 1998, figure 9: 99.05 % after 20 passes
)
def test_mnist_in_twelve_epochs(shared_data: Path, tmp_path: Path, model: str, least: float) -> None:
    run = train(shared_data / "mnist", model=model, epochs=12, device="cpu", output=tmp_path / "run")
    evaluation = run.evaluations["test"]
    assert evaluation.n == 10_000
    accuracy = evaluation.metrics[0]
    assert accuracy.key == "accuracy" and accuracy.value is not None and accuracy.value >= least
