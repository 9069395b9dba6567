"""Where torchvision is imported: `from paperlib.models.torchvision_shim import torchvision`.

A torchvision wheel built for CUDA beside a CPU-only torch cannot load its compiled operators, and then stops
at import because `nms` and `qnms` have no schema. Models, transforms and data sets need neither operator, so
their schemas are declared and the import is repeated. Where torchvision imports normally nothing is declared.
"""

import sys

import torch

try:
    import torchvision
except RuntimeError as error:
    if "torchvision::" not in str(error):
        raise
    _library = torch.library.Library("torchvision", "FRAGMENT")  # the schemas live as long as this object
    for _operator in ("nms", "qnms"):
        _library.define(f"{_operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for _name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[_name]  # half-imported leftovers
    import torchvision

__all__ = ["torchvision"]
