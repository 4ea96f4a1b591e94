"""What there is: one row per network, readable without torch. A test holds every number against the built network."""

from typing import NamedTuple


class Entry(NamedTuple):
    """One network as its paper has it.

    ``family`` is the file in this folder, and the function in it that builds the network. ``image`` is
    (channels, height, width); ``parameters`` are the trainable ones and ``macs`` the multiply-adds per image
    (convolutions and linear layers, bias excluded), both for ``num_classes`` outputs.
    """

    family: str
    source: str
    image: tuple[int, int, int]
    num_classes: int
    parameters: int
    macs: int


LECUN = "LeCun et al. 1998, Proc. IEEE 86(11); common modern form"
NOTES = "Calderón 2019, lecture notes on convolutional networks, §5.1"
HE = "He et al. 2015, arXiv:1512.03385, Table 1"

# fmt: off
CATALOGUE: dict[str, Entry] = {
    #                  family        source  image          outputs  parameters            MACs
    "lenet5":    Entry("lenet",      LECUN,  (1, 32, 32),      10,      61_706,        416_520),
    "simplecnn": Entry("simplecnn",  NOTES,  (3, 64, 64),       1,     813_217,     11_874_816),
    "resnet18":  Entry("resnet",     HE,     (3, 224, 224),  1000,  11_689_512,  1_814_073_344),
    "resnet34":  Entry("resnet",     HE,     (3, 224, 224),  1000,  21_797_672,  3_663_761_408),
    "resnet50":  Entry("resnet",     HE,     (3, 224, 224),  1000,  25_557_032,  4_089_184_256),
    "resnet101": Entry("resnet",     HE,     (3, 224, 224),  1000,  44_549_160,  7_801_405_440),
    "resnet152": Entry("resnet",     HE,     (3, 224, 224),  1000,  60_192_808, 11_513_626_624),
}
# fmt: on
