"""Imports torchvision, also beside a build of torch that it was not made for.

PyPI's torchvision for Linux is a CUDA build. Beside a CPU build of torch its compiled operators are missing, and its
import fails on two of them by name, which only detection uses; declared here, empty, they let the rest load.
"""

import torch

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    operators = torch.library.Library("torchvision", "DEF")  # they live as long as this module
    for operator in ("nms", "qnms"):
        operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision  # noqa: F401
