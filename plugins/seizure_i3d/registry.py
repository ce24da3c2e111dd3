"""The plugin's nodes in OpenMMLab's registry tree: configs name its parts as `type="seizure_i3d.LstmFc"`."""

from __future__ import annotations

from vidsuite_core.engine.registry import plugin_registry

MODELS = plugin_registry("models", "seizure_i3d")
TRANSFORMS = plugin_registry("transforms", "seizure_i3d")
