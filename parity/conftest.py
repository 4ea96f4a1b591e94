"""Lets torchvision load beside a CPU build of torch.

PyPI's torchvision is a CUDA build. Without CUDA its compiled operators are missing, and its import fails on two of
them by name, so they are declared here first, empty. Only detection uses them.
"""

import torch

torchvision_operators = torch.library.Library("torchvision", "DEF")  # lives as long as this module
for operator in ("nms", "qnms"):
    torchvision_operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
