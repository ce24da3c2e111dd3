"""The plugin's networks; importing this package registers them for configs (`type="restaurant_yowo.YowoDetector"`)."""

from vidsuite_core import openmmlab

openmmlab.prepare()

from vidsuite_plugins.restaurant_yowo.models.detector import YowoDetector  # noqa: E402
from vidsuite_plugins.restaurant_yowo.models.recurrent_yolo import RecurrentYolo, RecurrentYoloHead  # noqa: E402

__all__ = ["RecurrentYolo", "RecurrentYoloHead", "YowoDetector"]
