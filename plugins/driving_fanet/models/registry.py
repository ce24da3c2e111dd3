"""The plugin's node in OpenMMLab's registry tree.

A config anywhere names its models as `type="driving_fanet.NAME"`: mmengine splits a type at its first
dot into scope and name, so a dotted name in the root registry itself would never be found.
"""

from __future__ import annotations

from mmengine.registry import MODELS as ROOT
from mmengine.registry import Registry

MODELS = Registry("model", parent=ROOT, scope="driving_fanet")
