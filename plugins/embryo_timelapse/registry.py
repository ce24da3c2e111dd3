"""The plugin's nodes in OpenMMLab's registry tree: configs name its parts as `type="embryo_timelapse.PhaseNet"`."""

from __future__ import annotations

from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import Registry

DATASETS = Registry("dataset", parent=ROOT_DATASETS, scope="embryo_timelapse")
MODELS = Registry("model", parent=ROOT_MODELS, scope="embryo_timelapse")
TRANSFORMS = Registry("transform", parent=ROOT_TRANSFORMS, scope="embryo_timelapse")
