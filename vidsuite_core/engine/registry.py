"""The core's node in OpenMMLab's registry tree: configs name its parts as `type="vidsuite.ReadClip"`."""

from __future__ import annotations

from mmengine.registry import DATA_SAMPLERS as ROOT_DATA_SAMPLERS
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import OPTIM_WRAPPERS as ROOT_OPTIM_WRAPPERS
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import Registry

_LOCATIONS = ["vidsuite_core.engine.data"]
"""What registers them; mmengine imports it when the first of them is asked for."""

DATASETS = Registry("dataset", parent=ROOT_DATASETS, scope="vidsuite", locations=_LOCATIONS)
OPTIM_WRAPPERS = Registry(
    "optimizer wrapper", parent=ROOT_OPTIM_WRAPPERS, scope="vidsuite", locations=["vidsuite_core.engine.speedups"]
)
TRANSFORMS = Registry("transform", parent=ROOT_TRANSFORMS, scope="vidsuite", locations=_LOCATIONS)
MODELS = Registry("model", parent=ROOT_MODELS, scope="vidsuite", locations=["vidsuite_core.engine.floors"])
DATA_SAMPLERS = Registry("data sampler", parent=ROOT_DATA_SAMPLERS, scope="vidsuite", locations=_LOCATIONS)
