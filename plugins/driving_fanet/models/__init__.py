"""The plugin's networks; importing this package registers what configs name (`type="driving_fanet.FanetSegmentor"`)."""

from vidsuite_plugins.driving_fanet.models.augment import RandomView
from vidsuite_plugins.driving_fanet.models.fanet import Fanet
from vidsuite_plugins.driving_fanet.models.losses import VoidCrossEntropy
from vidsuite_plugins.driving_fanet.models.segmentor import FanetSegmentor

__all__ = ["Fanet", "FanetSegmentor", "RandomView", "VoidCrossEntropy"]
