"""The plugin's networks; importing this package registers them for configs (`type="seizure_i3d.LstmFc"`)."""

from vidsuite_core.networks.i3d import InceptionI3d
from vidsuite_plugins.seizure_i3d.models.baselines import PooledLogReg, SingleFrameFc
from vidsuite_plugins.seizure_i3d.models.features import FrameFeatures, I3dFeatures
from vidsuite_plugins.seizure_i3d.models.i3d_classifier import I3dClassifier
from vidsuite_plugins.seizure_i3d.models.lstm_fc import LstmFc
from vidsuite_plugins.seizure_i3d.models.measures import MeasureClassifier

__all__ = [
    "FrameFeatures",
    "I3dClassifier",
    "I3dFeatures",
    "InceptionI3d",
    "LstmFc",
    "MeasureClassifier",
    "PooledLogReg",
    "SingleFrameFc",
]
