"""The core's node in OpenMMLab's registry tree: configs name its parts as `type="vidsuite.ReadClip"`."""

from __future__ import annotations

from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import Registry

DATASETS = Registry("dataset", parent=ROOT_DATASETS, scope="vidsuite")
TRANSFORMS = Registry("transform", parent=ROOT_TRANSFORMS, scope="vidsuite")
