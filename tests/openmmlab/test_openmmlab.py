"""The bridge to OpenMMLab: operators against references, checkpoints, errors."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import nms as reference_nms
from torchvision.ops import roi_align as reference_roi_align

from vidsuite_core import openmmlab

BRIDGED = openmmlab.install()
needs_bridge = pytest.mark.skipif(not BRIDGED, reason="a compiled mmcv is installed, so the bridge stands aside")


@pytest.fixture(autouse=True)
def prepared() -> None:
    openmmlab.prepare()  # once more within the test: pytest resets the warning filters
    torch.set_num_threads(2)


def run_python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=False)


def random_boxes(count: int, size: float = 100.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * size * 0.7
    return torch.cat([corner, corner + 1 + torch.rand(count, 2, generator=generator) * size * 0.3], dim=1)


def greedy_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float, offset: int) -> list[int]:
    """The textbook algorithm, one box at a time."""
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        for j in kept:
            wh = np.minimum(boxes[i, 2:], boxes[j, 2:]) - np.maximum(boxes[i, :2], boxes[j, :2]) + offset
            overlap = wh.clip(min=0).prod()
            area = sum((boxes[k, 2:] - boxes[k, :2] + offset).prod() for k in (i, j))
            if overlap > threshold * (area - overlap):
                break
        else:
            kept.append(int(i))
    return kept


class TestNms:
    def test_keeps_what_torchvision_keeps(self) -> None:
        from mmcv.ops import nms

        boxes, scores = random_boxes(200), torch.rand(200, generator=torch.Generator().manual_seed(1))
        dets, kept = nms(boxes, scores, iou_threshold=0.4)
        expected = reference_nms(boxes, scores, 0.4)
        assert kept.tolist() == expected.tolist()
        assert torch.equal(dets, torch.cat([boxes[expected], scores[expected, None]], dim=1))
        assert 0 < len(kept) < 200

    @pytest.mark.parametrize("offset", [0, 1])
    def test_agrees_with_the_textbook_for_both_box_conventions(self, offset: int) -> None:
        from mmcv.ops import nms

        boxes, scores = random_boxes(80, size=20), torch.rand(80, generator=torch.Generator().manual_seed(2))
        _, kept = nms(boxes, scores, iou_threshold=0.3, offset=offset)
        assert kept.tolist() == greedy_nms(boxes.numpy(), scores.numpy(), 0.3, offset)

    def test_offset_changes_the_outcome(self) -> None:
        from mmcv.ops import nms

        boxes = torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2]])  # IoU 1/3, or 6/12 with both edges inside
        scores = torch.tensor([0.9, 0.8])
        assert len(nms(boxes, scores, iou_threshold=0.4, offset=0)[1]) == 2
        assert len(nms(boxes, scores, iou_threshold=0.4, offset=1)[1]) == 1

    def test_batched_nms_keeps_classes_apart(self) -> None:
        from mmcv.ops import batched_nms
        from torchvision.ops import batched_nms as reference

        boxes, scores = random_boxes(150), torch.rand(150, generator=torch.Generator().manual_seed(3))
        classes = torch.arange(150) % 3
        _, kept = batched_nms(boxes, scores, classes, {"type": "nms", "iou_threshold": 0.5})
        assert kept.tolist() == reference(boxes, scores, classes, 0.5).tolist()


ROIS = torch.tensor([[0, 1.0, 2.0, 13.0, 9.0], [1, 0.0, 0.0, 15.9, 15.9], [1, 4.2, 3.1, 6.0, 14.5]])


class TestRoIAlign:
    @pytest.mark.parametrize("aligned", [True, False])
    @pytest.mark.parametrize("sampling_ratio", [0, 2])
    def test_forward_and_backward_agree_with_torchvision(self, aligned: bool, sampling_ratio: int) -> None:
        from mmcv.ops import RoIAlign

        ours = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(4)).requires_grad_()
        theirs = ours.detach().clone().requires_grad_()
        pooled = RoIAlign((5, 4), spatial_scale=0.5, sampling_ratio=sampling_ratio, aligned=aligned)(ours, ROIS)
        expected = reference_roi_align(theirs, ROIS, (5, 4), 0.5, sampling_ratio, aligned)
        torch.testing.assert_close(pooled, expected)
        weight = torch.randn_like(expected)
        (pooled * weight).sum().backward()
        (expected * weight).sum().backward()
        assert ours.grad is not None and theirs.grad is not None and theirs.grad.abs().sum() > 0
        torch.testing.assert_close(ours.grad, theirs.grad)

    def test_gradient_agrees_with_finite_differences(self) -> None:
        from mmcv.ops import roi_align

        features = torch.randn(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
        rois = ROIS.double()
        assert torch.autograd.gradcheck(lambda x: roi_align(x, rois, 3, 0.5, 2, "avg", True), features.requires_grad_())

    @needs_bridge
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_sixteen_bit_features(self, dtype: torch.dtype) -> None:
        from mmcv.ops import roi_align

        features = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(6)).to(dtype).requires_grad_()
        pooled = roi_align(features, ROIS.to(dtype), 3, 0.5, 2, "avg", True)
        pooled.sum().backward()
        expected = reference_roi_align(features.detach().float(), ROIS.to(dtype).float(), 3, 0.5, 2, True)
        assert pooled.dtype == dtype and features.grad is not None and features.grad.dtype == dtype
        torch.testing.assert_close(pooled.float(), expected, atol=0.02, rtol=0.02)

    @needs_bridge
    def test_max_pooling_says_what_to_use(self) -> None:
        from mmcv.ops import roi_align

        with pytest.raises(NotImplementedError, match="pool_mode 'avg'"):
            roi_align(torch.zeros(2, 1, 8, 8), ROIS, 3, 1.0, 2, "max", True)


@pytest.mark.skipif(BRIDGED, reason="no compiled mmcv is installed to compare the bridge's operators with")
def test_operators_agree_with_a_compiled_mmcv() -> None:
    import mmcv._ext as compiled

    from vidsuite_core.openmmlab import boxes as bridged
    from vidsuite_core.openmmlab import regions

    boxes, scores = random_boxes(300), torch.rand(300, generator=torch.Generator().manual_seed(7))
    for offset in (0, 1):
        args = {"iou_threshold": 0.5, "offset": offset}
        assert bridged.nms(boxes, scores, **args).tolist() == compiled.nms(boxes, scores, **args).tolist()
    features, empty = torch.randn(2, 3, 16, 16), torch.zeros(0)
    shape = {"aligned_height": 5, "aligned_width": 4, "spatial_scale": 0.5, "sampling_ratio": 0}
    shape |= {"pool_mode": 1, "aligned": True}
    pooled, expected = torch.zeros(3, 3, 5, 4), torch.zeros(3, 3, 5, 4)
    regions.roi_align_forward(features, ROIS, pooled, empty, empty, **shape)
    compiled.roi_align_forward(features, ROIS, expected, empty, empty, **shape)
    torch.testing.assert_close(pooled, expected)
    grad, expected_grad = torch.zeros_like(features), torch.zeros_like(features)
    regions.roi_align_backward(pooled, ROIS, empty, empty, grad, **shape)
    compiled.roi_align_backward(pooled, ROIS, empty, empty, expected_grad, **shape)
    torch.testing.assert_close(grad, expected_grad)


class TestInstall:
    @needs_bridge
    def test_another_operator_names_itself_and_the_remedy(self) -> None:
        from mmcv.ops import nms_rotated

        with pytest.raises(NotImplementedError, match=r"'nms_rotated'.*pip install --no-build-isolation"):
            nms_rotated(torch.rand(3, 5), torch.rand(3), 0.5)

    @needs_bridge
    def test_is_idempotent_and_owns_up_to_mmengine(self) -> None:
        from mmengine.utils.dl_utils import mmcv_full_available

        before = sys.modules["mmcv._ext"]
        assert openmmlab.install() and sys.modules["mmcv._ext"] is before
        assert not mmcv_full_available()
        assert not hasattr(before, "__path__")

    @needs_bridge
    def test_environment_report_works(self) -> None:
        from mmcv.ops import get_compiler_version, get_compiling_cuda_version

        assert get_compiler_version() == get_compiling_cuda_version() == "n/a (mmcv-lite)"

    def test_stands_aside_where_the_extension_exists(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        import mmcv

        (tmp_path / "_ext.py").write_text("compiled = True\n")
        monkeypatch.delitem(sys.modules, "mmcv._ext")
        monkeypatch.setattr(mmcv, "__path__", [str(tmp_path)])
        assert openmmlab.install() is False
        assert "mmcv._ext" not in sys.modules

    def test_module_is_light(self) -> None:
        heavy = "{'torch', 'cv2', 'av', 'mmcv', 'mmengine', 'mmdet'}"
        done = run_python(f"import sys, vidsuite_core.openmmlab; print(sorted({heavy} & set(sys.modules)))")
        assert done.stdout.strip() == "[]", done.stderr

    def test_silences_the_known_warnings_and_no_other(self) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            openmmlab.prepare()
            known = "`torch.jit.script` is deprecated. Please switch"
            warnings.warn_explicit(known, DeprecationWarning, "_script.py", 1, module="torch.jit._script")
            warnings.warn_explicit(known, DeprecationWarning, "ours.py", 1, module="vidsuite_plugins.ours")
            warnings.warn_explicit("another", DeprecationWarning, "_script.py", 2, module="torch.jit._script")
        assert [str(w.message) for w in caught] == [known, "another"]

    @pytest.mark.slow
    def test_importing_the_libraries_warns_of_nothing(self) -> None:
        imports = "import mmdet.models, mmdet.datasets, mmaction.models, mmseg.models, mmengine.runner"
        done = run_python(f"from vidsuite_core.openmmlab import prepare; prepare(); {imports}", "-W", "default")
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr


class TestCheckpoints:
    def runner(self, folder: Path, epochs: int, resume: bool):
        from mmengine.model import BaseModel
        from mmengine.runner import Runner
        from torch.utils.data import DataLoader

        class Line(BaseModel):
            def __init__(self) -> None:
                super().__init__()
                self.layer = torch.nn.Linear(2, 1)

            def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = "tensor"):
                return {"loss": ((self.layer(x) - y) ** 2).mean()}

        points = [(torch.ones(2) * i, torch.ones(1) * i) for i in range(4)]
        return Runner(
            model=Line(),
            work_dir=str(folder),
            train_dataloader=DataLoader(points, batch_size=2),
            optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}},
            param_scheduler={"type": "LinearLR", "end": 10},
            train_cfg={"by_epoch": True, "max_epochs": epochs},
            resume=resume,
            experiment_name=f"{folder.name}_{epochs}",
            log_level="ERROR",
        )

    def test_mmengine_resumes_what_it_saved(self, tmp_path: Path) -> None:
        first = self.runner(tmp_path, epochs=1, resume=False)
        first.train()
        second = self.runner(tmp_path, epochs=2, resume=True)
        second.load_or_resume()
        assert (second.epoch, second.iter) == (1, 2)
        saved, loaded = first.model.state_dict(), second.model.state_dict()
        assert all(torch.equal(saved[key], loaded[key]) for key in saved)
        assert second.message_hub.get_scalar("train/loss").data[0].shape == (2,)
        second.train()
        assert second.epoch == 2

    def test_only_the_buffers_own_statistics_are_found(self, tmp_path: Path) -> None:
        class Reads:
            def __init__(self, *args: object) -> None:
                self.args = args

            def __reduce__(self):
                return getattr, self.args

        from mmengine.logging import HistoryBuffer

        for owner, name in ((HistoryBuffer, "__init__"), (np.ndarray, "tofile"), (HistoryBuffer, "__subclasses__")):
            torch.save({"x": Reads(owner, name)}, tmp_path / "hostile.pth")
            with pytest.raises(Exception, match=f"asks for attribute '{name}'"):
                torch.load(tmp_path / "hostile.pth", weights_only=True)

    def test_other_globals_stay_refused(self, tmp_path: Path) -> None:
        torch.save({"x": Path("a")}, tmp_path / "other.pth")
        with pytest.raises(Exception, match="Weights only load failed"):
            torch.load(tmp_path / "other.pth", weights_only=True)

    def test_names_of_numpy_1_are_understood(self, tmp_path: Path) -> None:
        torch.save(
            {"x": np.float64(2.5), "y": np.arange(3)}, tmp_path / "new.pth", _use_new_zipfile_serialization=False
        )
        data = (tmp_path / "new.pth").read_bytes()
        assert b"numpy._core.multiarray" in data
        (tmp_path / "old.pth").write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
        loaded = torch.load(tmp_path / "old.pth", weights_only=True)
        assert loaded["x"] == 2.5 and loaded["y"].tolist() == [0, 1, 2]


@pytest.mark.slow
def test_mask_rcnn_of_mmdets_own_config_runs() -> None:
    """Seizure paper, section 3.3.1: the detector's own config, random weights, one small image."""
    import mmdet
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmdet.utils import register_all_modules
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    register_all_modules(init_default_scope=False)
    configs = Path(mmdet.__file__).parent / ".mim" / "configs"
    config = Config.fromfile(configs / "mask_rcnn" / "mask-rcnn_r101_fpn_2x_coco.py")
    config.model.backbone.init_cfg = None
    config.model.test_cfg.rcnn.score_thr = 0.0
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(config.model).eval()
    sample = DetDataSample(metainfo={"img_shape": (96, 128), "ori_shape": (96, 128), "scale_factor": (1.0, 1.0)})
    with torch.no_grad():
        found = model.test_step({"inputs": [torch.zeros(3, 96, 128, dtype=torch.uint8)], "data_samples": [sample]})
    instances = found[0].pred_instances
    assert instances.bboxes.shape[1] == 4 and len(instances) == len(instances.masks) > 0
    assert instances.masks.shape[1:] == (96, 128)
