"""torchvision's plain loop: ``ImageFolder``, its transforms and network, ``torch.optim.Adam``, as its tutorials do."""

import plain
import torch
import torchvision_on_cpu  # noqa: F401
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
    optimizer = torch.optim.Adam(network.parameters(), lr=options.rate)
    plain.fit(network, training, validation, optimizer, options)


if __name__ == "__main__":
    main()
