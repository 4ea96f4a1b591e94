"""torchvision's plain loop: ``ImageFolder``, its transforms and network, ``torch.optim.Adam``, as its tutorials do."""

import time

import plain
import torch
import torchvision_on_cpu  # noqa: F401
from torch import nn
from torch.utils.data import DataLoader
from torchvision import models
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2


def loaders(options: plain.argparse.Namespace) -> tuple[DataLoader, DataLoader]:
    """Training and validation images."""
    to_values = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(plain.MEAN, plain.STD)]
    training = v2.Compose(
        [v2.RandomResizedCrop(options.size, scale=plain.CROP), v2.RandomHorizontalFlip(), *to_values]
    )
    validation = v2.Compose([v2.Resize((options.size, options.size)), *to_values])
    common = {
        "batch_size": options.batch, "num_workers": options.workers, "persistent_workers": options.workers > 0,
    }  # fmt: skip
    return (
        DataLoader(ImageFolder(options.data / "train", training), shuffle=True, **common),
        DataLoader(ImageFolder(options.data / "val", validation), **common),
    )


def validate(network: nn.Module, images: DataLoader) -> float:
    """The share of the images that are right."""
    network.eval()
    right = 0
    with torch.inference_mode():
        for inputs, targets in images:
            right += int((network(inputs).argmax(1) == targets).sum())
    return right / len(images.dataset)


def main() -> None:
    """Trains, and validates after every epoch."""
    options = plain.options(__doc__)
    torch.manual_seed(0)
    training, validation = loaders(options)
    classes = len(training.dataset.classes)
    if options.model == "simplecnn":
        network = plain.simplecnn(classes, options.size)
    else:
        network = models.get_model(options.model, num_classes=classes)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=options.rate)
    seconds, accuracies = [], []
    for _ in range(options.epochs):
        started = time.perf_counter()
        network.train()
        for inputs, targets in training:
            loss = criterion(network(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        accuracies.append(validate(network, validation))
        seconds.append(time.perf_counter() - started)
    torch.save(network.state_dict(), options.weights)
    plain.tell(seconds, accuracies)


if __name__ == "__main__":
    main()
