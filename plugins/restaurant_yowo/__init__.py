"""YOLOv3, Recurrent YOLO and YOWO on restaurant videos (Gupta, Desai, Liang & Kannan): see README.md here."""

from pathlib import Path

from vidsuite_core import BenchmarkSpec, DatasetSpec, ModelSpec, hookimpl

vidsuite_api = 1

_HERE = Path(__file__).parent
_TASK = "action_detection"
_PAPER = "Gupta, Desai, Liang & Kannan 2020"


@hookimpl
def vidsuite_datasets():
    """The rendered restaurant, J-HMDB, and the user's own videos."""

    def dataset(name, summary, builder, licence, **more):
        return DatasetSpec(
            name=name, summary=summary, task=_TASK, builder=f"{__name__}.datasets.{builder}", licence=licence, **more
        )

    return [
        dataset(
            "synthetic",
            "rendered counter seen from above by two cameras; 28 actions, six pairs of which differ in direction alone",
            "synthetic:Synthetic",
            "generated",
            synthetic=True,
            shareable=True,
        ),
        dataset(
            "jhmdb",
            "J-HMDB-21, whole or in part: one actor's box in each frame of short clips",
            "jhmdb:Jhmdb",
            "CC BY 4.0 (HMDB51's; the clips come from films)",
            source="jhmdb.is.tue.mpg.de (Jhuang et al., ICCV 2013)",
        ),
        dataset(
            "videos",
            "your own videos with boxes in CSV, JSON, COCO, CVAT or AVA (vidsuite data import restaurant_yowo FILE)",
            "videos:Videos",
            "yours",
            users_own=True,
        ),
    ]


@hookimpl
def vidsuite_models():
    """The paper's three families, and a YOWO with real weights."""

    def model(name, summary, **more):
        return ModelSpec(name=name, summary=summary, task=_TASK, config=_HERE / "configs" / f"{name}.py", **more)

    def yowo(branch):
        network = f"{__name__}.models.yowo:{branch}"
        return model(f"yowo_{branch}", f"YOWO: Darknet-19 and 3-D {branch}", network=network, paper=_PAPER)

    return [
        model("yolov3", "YOLOv3 on key frames alone", paper=_PAPER),
        model("recurrent_yolo", "YOLOv3 with a gated ConvLSTM before each scale's last convolution", paper=_PAPER),
        *(yowo(branch) for branch in ("resnext101", "resnet50", "resnet18", "mobilenet_2x", "shufflenet_2x")),
        model(
            "yowo_i3d",
            "YOWO with branches that have real weights: YOLOX-Nano (COCO) and I3D (Kinetics-400)",
            weights=("yolox_nano_coco", "i3d_rgb_kinetics400"),
        ),
    ]


@hookimpl
def vidsuite_benchmarks():
    """Spatio-temporal action detection."""
    from vidsuite_benchmarks import FOLDER

    return [
        BenchmarkSpec(
            name="restaurant_yowo",
            summary="boxes and actions in key frames: single frames, a recurrence, and clips",
            task=_TASK,
            definition=FOLDER / "restaurant_yowo.yaml",
            reported=_HERE / "paper.yaml",
        )
    ]
