"""Nodes in OpenMMLab's registry tree: the core's, named in configs as `type="vidsuite.ReadClip"`, and plugins'."""

from __future__ import annotations

from typing import Literal

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


def plugin_registry(kind: Literal["models", "transforms", "datasets", "samplers"], plugin: str) -> Registry:
    """A plugin's own node, made once: its configs, and everybody's, name what it holds as `type="PLUGIN.Name"`.

    mmengine splits a type at its first dot into scope and name, so a dotted name in the root registry would never be
    found.
    """
    root = {
        "models": ROOT_MODELS,
        "transforms": ROOT_TRANSFORMS,
        "datasets": ROOT_DATASETS,
        "samplers": ROOT_DATA_SAMPLERS,
    }[kind]
    found: Registry | None = root.children.get(plugin)
    return found or Registry(root.name, parent=root, scope=plugin)
