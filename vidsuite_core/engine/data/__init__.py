"""The torch datasets of a cell, and the transforms that turn samples into what OpenMMLab's networks take.

| task | dataset | reads | packs | items |
|---|---|---|---|---|
| `clip_classification` | `ClipDataset` | `ReadClip` | `PackClip` | a clip (C, T, H, W) |
| | `FeatureDataset` | `ReadClip` | an extractor | features, computed once |
| `video_segmentation` | `FrameDataset` | `ReadFrame` | `PackFrame` | a frame (3, H, W) in its sequence, mmseg's |
| `early_prediction` | `MomentsDataset` | `ReadMoments` | `PackMoments` | moments of focal planes (T, m, C, H, W) |
| `action_detection` | `KeyFrameDataset` | `ReadKeyFrame` | `PackKeyFrame` | a clip (C, T, H, W), mmdet's boxes |

`SequenceBatches` makes batches of runs of consecutive frames.
Configs name all of them `vidsuite.ClipDataset` and so on. Pixels come from `vidsuite_core.media.reader` alone.
"""

from vidsuite_core.engine.data.clips import ClipDataset, PackClip, ReadClip
from vidsuite_core.engine.data.features import Extractor, FeatureDataset
from vidsuite_core.engine.data.frames import Frame, FrameDataset, PackFrame, ReadFrame
from vidsuite_core.engine.data.key_frames import KeyFrameDataset, PackKeyFrame, ReadKeyFrame
from vidsuite_core.engine.data.moments import MomentsDataset, PackMoments, ReadMoments
from vidsuite_core.engine.data.packing import SampleDataset, data_sample, to_tensor
from vidsuite_core.engine.data.runs import SequenceBatches

__all__ = [
    "ClipDataset",
    "Extractor",
    "FeatureDataset",
    "Frame",
    "FrameDataset",
    "KeyFrameDataset",
    "MomentsDataset",
    "PackClip",
    "PackFrame",
    "PackKeyFrame",
    "PackMoments",
    "ReadClip",
    "ReadFrame",
    "ReadKeyFrame",
    "ReadMoments",
    "SampleDataset",
    "SequenceBatches",
    "data_sample",
    "to_tensor",
]
