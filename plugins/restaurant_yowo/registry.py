"""The plugin's nodes in OpenMMLab's registry tree: configs name its parts as `type="restaurant_yowo.RecurrentYolo"`."""

from __future__ import annotations

from vidsuite_core.engine.registry import plugin_registry

MODELS = plugin_registry("models", "restaurant_yowo")
TRANSFORMS = plugin_registry("transforms", "restaurant_yowo")
DATA_SAMPLERS = plugin_registry("samplers", "restaurant_yowo")
