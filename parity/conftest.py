"""Lets torchvision load, and with it timm, before the tests import them."""

import torchvision_on_cpu  # noqa: F401
