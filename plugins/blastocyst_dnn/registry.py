"""The plugin's nodes in OpenMMLab's registry tree: configs name its parts as `type="blastocyst_dnn.Classifier"`."""

from __future__ import annotations

from vidsuite_core.engine.registry import plugin_registry

MODELS = plugin_registry("models", "blastocyst_dnn")
TRANSFORMS = plugin_registry("transforms", "blastocyst_dnn")
