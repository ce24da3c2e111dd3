"""The plugin's node in OpenMMLab's registry tree: configs name its models as `type="restaurant_yowo.RecurrentYolo"`."""

from __future__ import annotations

from mmengine.registry import MODELS as ROOT
from mmengine.registry import Registry

MODELS = Registry("model", parent=ROOT, scope="restaurant_yowo")
