"""The plugin's nodes in OpenMMLab's registry tree: configs name its parts as `type="driving_fanet.FanetSegmentor"`."""

from __future__ import annotations

from vidsuite_core.engine.registry import plugin_registry

MODELS = plugin_registry("models", "driving_fanet")
TRANSFORMS = plugin_registry("transforms", "driving_fanet")
