"""Names of ResNet-50's tensors in other libraries' checkpoints, turned into torchvision's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_RULES = (
    # mit-han-lab/temporal-shift-module: the shifted convolution is wrapped, the classifier of TSN is apart.
    (r"^base_model\.", ""),
    (r"^new_fc\.", "fc."),
    (r"\.conv1\.net\.", ".conv1."),
    # mmaction2: a ConvModule in place of each convolution and its batch norm.
    (r"^backbone\.", ""),
    (r"^cls_head\.fc_cls\.", "fc."),
    (r"^conv1\.conv\.", "conv1."),
    (r"^conv1\.bn\.", "bn1."),
    (r"\.conv1\.conv\.(?:net\.)?", ".conv1."),
    (r"\.conv([123])\.conv\.", r".conv\1."),
    (r"\.conv([123])\.bn\.", r".bn\1."),
    (r"\.downsample\.conv\.", ".downsample.0."),
    (r"\.downsample\.bn\.", ".downsample.1."),
)


def torchvision_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A ResNet-50's `state` of TSM's or mmaction2's layout (TSN's or TSM's) in torchvision's; of that one, itself."""
    renamed = {}
    for name, value in state.items():
        for pattern, new in _RULES:
            name = re.sub(pattern, new, name)
        renamed[name] = value
    return renamed
