"""The plugin's nodes in OpenMMLab's registry tree: configs name its parts as `type="embryo_timelapse.PhaseNet"`."""

from __future__ import annotations

from vidsuite_core.engine.registry import plugin_registry

DATASETS = plugin_registry("datasets", "embryo_timelapse")
MODELS = plugin_registry("models", "embryo_timelapse")
TRANSFORMS = plugin_registry("transforms", "embryo_timelapse")
