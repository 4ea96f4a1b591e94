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


RUMELHART = "Rumelhart et al. 1986, Nature 323"
LECUN = "LeCun et al. 1998, Proc. IEEE 86(11), Fig. 2; common modern form"
LECUN_1998 = "LeCun et al. 1998, Proc. IEEE 86(11), Fig. 2"
CAFFE = "Caffe's LeNet example, after LeCun et al. 1998"
KRIZHEVSKY = "Krizhevsky et al. 2012, NIPS 25, §3"
KRIZHEVSKY_2014 = "Krizhevsky 2014, arXiv:1404.5997, as torchvision has it"
NOTES_ALEXNET = "Calderón 2019, lecture notes on convolutional networks, §3.3"
SERMANET = "Sermanet et al. 2013, arXiv:1312.6229, Tables 1 and 3"
SIMONYAN = "Simonyan & Zisserman 2014, arXiv:1409.1556, Table 1"
SZEGEDY_2014 = "Szegedy et al. 2014, arXiv:1409.4842, Table 1"
IOFFE = "Ioffe & Szegedy 2015, arXiv:1502.03167, Fig. 5"
SZEGEDY_2015 = "Szegedy et al. 2015, arXiv:1512.00567, Table 1"
SZEGEDY_2016 = "Szegedy et al. 2016, arXiv:1602.07261"
HE = "He et al. 2015, arXiv:1512.03385, Table 1"
HE_CIFAR = "He et al. 2015, arXiv:1512.03385, §4.2"
HUANG = "Huang et al. 2016, arXiv:1608.06993, Table 1"
NOTES = "Calderón 2019, lecture notes on convolutional networks, §5.1"
NOTES_BONET = "Calderón 2019, lecture notes on convolutional networks, §5.2"
ZHOU = "Zhou et al. 2016, arXiv:1512.04150, §3"
SPAMPINATO = "Spampinato et al. 2017, Medical Image Analysis 36; lecture notes §5.3"

# Networks that no paper has: one that is written as a stack of layers, and any module of Python's, whose class builds
# it. They are in no list; what is said of the first is that of its default, a linear model of the pixels.
MODULE = "module"
OF_ONES_OWN: dict[str, Entry] = {
    "layers": Entry("stack", "a stack of one's own", (3, 64, 64), 10, 122_890, 122_880),
    MODULE: Entry("module", "a module of one's own", (3, 64, 64), 10, 0, 0),
}

# fmt: off
CATALOGUE: dict[str, Entry] = {
    # name                           family          source           image          outputs  parameters           MACs
    "mlp":                      Entry("mlp",         RUMELHART,       (1, 28, 28),     10,     235_146,        234_752),
    "lenet5_1998":              Entry("lenet",       LECUN_1998,      (1, 32, 32),     10,      60_000,        325_680),
    "lenet5":                   Entry("lenet",       LECUN,           (1, 32, 32),     10,      61_706,        416_520),
    "lenet_caffe":              Entry("lenet",       CAFFE,           (1, 28, 28),     10,     431_080,      2_293_000),
    "alexnet":                  Entry("alexnet",     KRIZHEVSKY,      (3, 227, 227), 1000,  60_965_224,    724_406_816),
    "alexnet_bn":               Entry("alexnet",     NOTES_ALEXNET,   (3, 227, 227), 1000,  62_379_048,  1_135_256_096),
    "alexnet_owt":              Entry("alexnet",     KRIZHEVSKY_2014, (3, 224, 224), 1000,  61_100_840,    714_188_480),
    "alexnet_gap":              Entry("alexnet",     ZHOU,            (3, 227, 227), 1000,   5_719_400,  1_065_529_888),
    "overfeat_fast":            Entry("overfeat",    SERMANET,        (3, 231, 231), 1000, 145_920_872,  2_801_403_904),
    "overfeat_accurate":        Entry("overfeat",    SERMANET,        (3, 221, 221), 1000, 144_656_488,  5_355_446_784),
    "vgg11":                    Entry("vgg",         SIMONYAN,        (3, 224, 224), 1000, 132_863_336,  7_609_090_048),
    "vgg11_bn":                 Entry("vgg",         SIMONYAN,        (3, 224, 224), 1000, 132_868_840,  7_609_090_048),
    "vgg13":                    Entry("vgg",         SIMONYAN,        (3, 224, 224), 1000, 133_047_848, 11_308_466_176),
    "vgg13_bn":                 Entry("vgg",         SIMONYAN,        (3, 224, 224), 1000, 133_053_736, 11_308_466_176),
    "vgg16_c":                  Entry("vgg",         SIMONYAN,        (3, 224, 224), 1000, 133_638_952, 11_770_888_192),
    "vgg16":                    Entry("vgg",         SIMONYAN,        (3, 224, 224), 1000, 138_357_544, 15_470_264_320),
    "vgg16_bn":                 Entry("vgg",         SIMONYAN,        (3, 224, 224), 1000, 138_365_992, 15_470_264_320),
    "vgg19":                    Entry("vgg",         SIMONYAN,        (3, 224, 224), 1000, 143_667_240, 19_632_062_464),
    "vgg19_bn":                 Entry("vgg",         SIMONYAN,        (3, 224, 224), 1000, 143_678_248, 19_632_062_464),
    "vgg16_gap":                Entry("vgg",         ZHOU,            (3, 224, 224), 1000,  18_100_008, 15_810_076_672),
    "googlenet":                Entry("googlenet",   SZEGEDY_2014,    (3, 224, 224), 1000,   6_998_552,  1_582_671_872),
    "googlenet_bn":             Entry("googlenet",   SZEGEDY_2014,    (3, 224, 224), 1000,   6_624_904,  1_498_376_192),
    "googlenet_gap":            Entry("googlenet",   ZHOU,            (3, 224, 224), 1000,  12_179_752,  2_963_766_272),
    "bn_inception":             Entry("inception",   IOFFE,           (3, 224, 224), 1000,  11_285_224,  2_032_600_064),
    "inception_v2":             Entry("inception",   SZEGEDY_2015,    (3, 299, 299), 1000,  25_954_248,  6_352_562_784),
    "inception_v3":             Entry("inception",   SZEGEDY_2015,    (3, 299, 299), 1000,  23_834_568,  5_713_216_096),
    "inception_v4":             Entry("inception_v4",SZEGEDY_2016,    (3, 299, 299), 1000,  42_679_816, 12_253_974_624),
    "inception_resnet_v1":      Entry("inception_v4",SZEGEDY_2016,    (3, 299, 299), 1000,  22_756_328,  6_206_361_696),
    "inception_resnet_v2":      Entry("inception_v4",SZEGEDY_2016,    (3, 299, 299), 1000,  55_843_464, 13_155_794_016),
    "inception_resnet_v2_paper":Entry("inception_v4",SZEGEDY_2016,    (3, 299, 299), 1000,  32_433_928,  9_257_953_632),
    "resnet18":                 Entry("resnet",      HE,              (3, 224, 224), 1000,  11_689_512,  1_814_073_344),
    "resnet34":                 Entry("resnet",      HE,              (3, 224, 224), 1000,  21_797_672,  3_663_761_408),
    "resnet50":                 Entry("resnet",      HE,              (3, 224, 224), 1000,  25_557_032,  4_089_184_256),
    "resnet101":                Entry("resnet",      HE,              (3, 224, 224), 1000,  44_549_160,  7_801_405_440),
    "resnet152":                Entry("resnet",      HE,              (3, 224, 224), 1000,  60_192_808, 11_513_626_624),
    "plain18":                  Entry("resnet",      HE,              (3, 224, 224), 1000,  11_515_688,  1_794_805_760),
    "plain34":                  Entry("resnet",      HE,              (3, 224, 224), 1000,  21_623_848,  3_644_493_824),
    "resnet20":                 Entry("resnet",      HE_CIFAR,        (3, 32, 32),     10,     269_722,     40_551_040),
    "resnet32":                 Entry("resnet",      HE_CIFAR,        (3, 32, 32),     10,     464_154,     68_862_592),
    "resnet44":                 Entry("resnet",      HE_CIFAR,        (3, 32, 32),     10,     658_586,     97_174_144),
    "resnet56":                 Entry("resnet",      HE_CIFAR,        (3, 32, 32),     10,     853_018,    125_485_696),
    "resnet110":                Entry("resnet",      HE_CIFAR,        (3, 32, 32),     10,   1_727_962,    252_887_680),
    "plain20":                  Entry("resnet",      HE_CIFAR,        (3, 32, 32),     10,     269_722,     40_551_040),
    "plain32":                  Entry("resnet",      HE_CIFAR,        (3, 32, 32),     10,     464_154,     68_862_592),
    "plain44":                  Entry("resnet",      HE_CIFAR,        (3, 32, 32),     10,     658_586,     97_174_144),
    "plain56":                  Entry("resnet",      HE_CIFAR,        (3, 32, 32),     10,     853_018,    125_485_696),
    "plain110":                 Entry("resnet",      HE_CIFAR,        (3, 32, 32),     10,   1_727_962,    252_887_680),
    "densenet121":              Entry("densenet",    HUANG,           (3, 224, 224), 1000,   7_978_856,  2_834_161_664),
    "densenet161":              Entry("densenet",    HUANG,           (3, 224, 224), 1000,  28_681_000,  7_727_907_072),
    "densenet169":              Entry("densenet",    HUANG,           (3, 224, 224), 1000,  14_149_480,  3_359_843_328),
    "densenet201":              Entry("densenet",    HUANG,           (3, 224, 224), 1000,  20_013_928,  4_291_365_888),
    "simplecnn":                Entry("simplecnn",   NOTES,           (3, 64, 64),      1,     813_217,     11_874_816),
    "bonet_simple":             Entry("bonet",       NOTES_BONET,     (1, 220, 220),    1,   4_564_673,  5_956_652_896),
    "bonet":                    Entry("bonet",       SPAMPINATO,      (3, 220, 220),    1,  44_784_513, 21_902_417_440),
}
# fmt: on
