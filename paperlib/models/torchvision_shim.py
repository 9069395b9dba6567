"""The one door through which torchvision is imported: `from paperlib.models.torchvision_shim import torchvision`.

A torchvision wheel built for CUDA beside a CPU-only torch cannot load its compiled operators, and then stops
at import because `nms` and `qnms` have no schema. Models, transforms and data sets need neither operator, so
their schemas are declared and the import is repeated. Where torchvision imports normally nothing is declared.
"""

import sys
from types import ModuleType

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # the schemas live as long as their Library object


def _import() -> ModuleType:
    try:
        import torchvision as module
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(operator + _SCHEMA)
        _declared.append(library)
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]  # half-imported leftovers
        import torchvision as module
    return module


torchvision: ModuleType = _import()
