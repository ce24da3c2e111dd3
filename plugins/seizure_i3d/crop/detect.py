"""Object detection with mmdet: any of its configs, local weights, one frame at a time.

Importing this module is cheap; building a `Detector` imports torch and mmdet.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsuite_core import openmmlab
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.weights import load
from vidsuite_plugins.seizure_i3d.crop.rule import Detection, area, as_rgb

if TYPE_CHECKING:
    from torch import Tensor, nn

_NOT_PARAMETERS = ("ema_", "data_preprocessor.")
"""State that mmdet saved beside the network's own: mmdet 2's copy for averaging, and input statistics,
which the config states."""


class Detector:
    """A detector of mmdet with its config's own input pipeline and normalisation.

    Args:
        config: a config file, or the name of one of mmdet's own below its `configs` folder, such as
            "mask_rcnn/mask-rcnn_r101_fpn_2x_coco". A config is Python code: name none that you do not trust.
        weights: a local checkpoint that fits the config tensor by tensor; nothing is ever downloaded.
        device: where torch runs it, as "cpu" or "cuda:0".

    Raises:
        VidsuiteError: the config or the weights are missing, unreadable or do not fit each other.
    """

    def __init__(self, config: Path | str, weights: Path, device: str = "cpu") -> None:
        path, weights = find_config(config), Path(weights)
        if not weights.is_file():
            raise VidsuiteError(f"no weights at {weights}; fetch them first, nothing is downloaded here")
        openmmlab.prepare()
        from mmdet.utils import get_test_pipeline_cfg
        from mmengine.dataset import Compose
        from mmengine.registry import DefaultScope

        settings = _read_config(path)
        with DefaultScope.overwrite_default_scope("mmdet"):
            model = _build(settings)
            self._pipeline = Compose(_without_files(get_test_pipeline_cfg(settings), path))
        self.classes = _class_names(settings)
        _load(model, _read_weights(weights), f"weights {weights} do not fit {path.name}")
        self._model: Any = model.to(device).eval()

    def detect(self, frame: np.ndarray) -> list[Detection]:
        """Everything found in `frame`, uint8 (H, W, 3) RGB or (H, W) grey, most confident first.

        Boxes are in pixels of `frame` and end at its edges; scores are as the config's own threshold
        leaves them, so mostly low ones.
        """
        import torch

        bgr = np.ascontiguousarray(as_rgb(frame)[..., ::-1])  # mmdet's pipelines begin with BGR, as cv2 reads
        packed = self._pipeline({"img": bgr, "img_id": 0})
        with torch.no_grad():
            batch = {"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]}
            found = self._model.test_step(batch)[0].pred_instances
        height, width = frame.shape[:2]
        limits = found.bboxes.new_tensor((width, height, width, height))
        boxes = found.bboxes.clamp(min=torch.zeros_like(limits), max=limits).tolist()
        detections = [
            Detection(self.classes[label], min(score, 1.0), tuple(box))
            for label, score, box in zip(found.labels.tolist(), found.scores.tolist(), boxes, strict=True)
            if area(box) > 0
        ]
        return sorted(detections, key=lambda detection: -detection.score)


def find_config(config: Path | str) -> Path:
    """The file that `config` is, or names among mmdet's own configs (with or without ".py").

    Raises:
        VidsuiteError: neither exists.
    """
    if Path(config).is_file():
        return Path(config)
    spec = importlib.util.find_spec("mmdet")
    if spec is None or spec.origin is None:
        raise VidsuiteError("mmdet is not installed; run 'pip install mmdet==3.3.0'")
    configs = (Path(spec.origin).parent / ".mim" / "configs").resolve()
    own = (configs / f"{str(config).removesuffix('.py')}.py").resolve()
    if not (own.is_relative_to(configs) and own.is_file()):
        raise VidsuiteError(
            f"no config {str(config)!r}: neither a file nor one of mmdet's own, "
            "which are named like 'mask_rcnn/mask-rcnn_r101_fpn_2x_coco'"
        )
    return own


def _read_config(path: Path) -> Any:
    from mmengine.config import Config

    settings = Config.fromfile(path)
    if "model" not in settings or "test_dataloader" not in settings:
        raise VidsuiteError(f"{path}: a detector's config has 'model' and 'test_dataloader'; use a whole mmdet config")
    return settings


def _build(settings: Any) -> nn.Module:
    """The config's network with random weights; its `backbone.init_cfg` would download some."""
    import mmdet.datasets
    import mmdet.models  # noqa: F401 - with the line above, registers what configs name
    from mmdet.registry import MODELS
    from mmengine.model import revert_sync_batchnorm

    if "backbone" in settings.model:
        settings.model.backbone.init_cfg = None
    return revert_sync_batchnorm(MODELS.build(settings.model))


def _without_files(pipeline: list[dict[str, Any]], config: Path) -> list[dict[str, Any]]:
    """The test pipeline with the frame handed in instead of read, and no annotations."""
    if not pipeline or pipeline[0]["type"] != "LoadImageFromFile":
        raise VidsuiteError(f"{config}: the test pipeline does not begin with LoadImageFromFile; use another config")
    steps = [step for step in pipeline[1:] if not step["type"].startswith(("LoadAnnotations", "LoadPanoptic"))]
    return [{**pipeline[0], "type": "LoadImageFromNDArray"}, *steps]


def _class_names(settings: Any) -> tuple[str, ...]:
    """The classes in the order of the config's test dataset."""
    from mmdet.registry import DATASETS

    dataset = settings.test_dataloader.dataset
    return tuple((dataset.get("metainfo") or DATASETS.get(dataset.type).METAINFO)["classes"])


def _load(model: nn.Module, state: dict[str, Tensor], misfit: str) -> None:
    """Give `model` its weights; every tensor has to find its place, or the error begins with `misfit`."""
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:  # shapes differ, which strict=False does not forgive
        raise VidsuiteError(f"{misfit}: {str(error).strip().splitlines()[-1].strip()}") from error
    if missing or unexpected:
        faults = [
            f"{len(n)} {what} (first {n[0]!r})" for what, n in (("missing", missing), ("unknown", unexpected)) if n
        ]
        raise VidsuiteError(f"{misfit}: {' and '.join(faults)} tensors")


def _read_weights(weights: Path) -> dict[str, Tensor]:
    """The network's tensors by name from a checkpoint of mmengine or mmcv, or a bare state dict."""
    return {name: value for name, value in load(weights).items() if not name.startswith(_NOT_PARAMETERS)}
