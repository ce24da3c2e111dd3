"""The plugin's nodes in OpenMMLab's registry tree: configs name its parts as `type="blastocyst_dnn.Classifier"`."""

from __future__ import annotations

from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import Registry

MODELS = Registry("model", parent=ROOT_MODELS, scope="blastocyst_dnn")
TRANSFORMS = Registry("transform", parent=ROOT_TRANSFORMS, scope="blastocyst_dnn")
