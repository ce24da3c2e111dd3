"""What the core brings through its own hooks: four tasks with their floor, weights, executors and back ends."""

from pathlib import Path
from typing import Any

from vidsuite_core.hookspecs import hookimpl
from vidsuite_core.specs import BackendSpec, ExecutorSpec, ModelSpec, TaskSpec, WeightsSpec

vidsuite_api = 1

_CONFIGS = Path(__file__).parent / "engine" / "configs"
_TORCHVISION = {
    "ImageNet-1k": {
        "mobilenet_v3_large": "8738ca79",
        "inception_v3_google": "0cc3c7bd",
        "resnet18": "f37072fd",
        "resnet34": "b627a593",
        "resnet50": "0676ba61",
        "resnet101": "63fe2227",
        "resnet152": "394f9c45",
        "resnext50_32x4d": "7cdf4587",
        "resnext101_32x8d": "8ba56ff5",
        "wide_resnet50_2": "95faca4d",
        "wide_resnet101_2": "32ee1156",
        "densenet121": "a639ec97",
        "densenet169": "b2777c0a",
        "vit_b_16": "c867db91",
        "vit_l_16": "852ce7e3",
    },
    "Kinetics-400": {"r3d_18": "b3b3357e", "mc3_18": "a90a0ba3", "r2plus1d_18": "91a641e6"},
}
"""Files of weights; each bears the first digits of its sha256 in its name. ImageNet's are the first published (V1)."""


@hookimpl
def vidsuite_tasks() -> list[TaskSpec]:
    """The four generic tasks."""
    return [
        TaskSpec(
            name="clip_classification",
            summary="one class for a clip; first score: macro F1",
            builder="vidsuite_core.tasks.clip_classification:ClipClassification",
        ),
        TaskSpec(
            name="early_prediction",
            summary="one of two classes, predicted again at each moment; first score: area under the accuracy curve",
            builder="vidsuite_core.tasks.early_prediction:EarlyPrediction",
        ),
        TaskSpec(
            name="action_detection",
            summary="boxes with an action in key frames; first score: frame-mAP at IoU 0.5",
            builder="vidsuite_core.tasks.action_detection:ActionDetection",
        ),
        TaskSpec(
            name="video_segmentation",
            summary="a label for each pixel of a frame; first score: mIoU",
            builder="vidsuite_core.tasks.video_segmentation:VideoSegmentation",
        ),
    ]


@hookimpl
def vidsuite_models() -> list[ModelSpec]:
    """The floor: what the labels of the training side predict without a look at any video. Boxes have none."""
    of_labels, of_pixels = _CONFIGS / "prior_of_labels.py", _CONFIGS / "prior_of_pixels.py"
    return [
        ModelSpec(
            name="prior",
            summary="the floor: shares of the classes, at each pixel where pixels have them; sees no video",
            task="clip_classification",
            config=of_labels,
            also=(("early_prediction", of_labels), ("video_segmentation", of_pixels)),
        )
    ]


@hookimpl
def vidsuite_weights() -> list[WeightsSpec]:
    """torchvision's, named `<network>_imagenet` or `<network>_kinetics400`; networks of several plugins begin so."""
    suffixes = {"ImageNet-1k": "imagenet", "Kinetics-400": "kinetics400"}
    return [
        WeightsSpec(
            name=f"{network}_{suffixes[data]}",
            summary=f"torchvision's {network}",
            trained_on=data,
            licence="BSD-3-Clause",
            url=f"https://download.pytorch.org/models/{network}-{sha256}.pth",
            sha256=sha256,
        )
        for data, files in _TORCHVISION.items()
        for network, sha256 in files.items()
    ]


@hookimpl
def vidsuite_executors() -> list[ExecutorSpec]:
    """Where cells run: this machine's devices, or a cluster."""
    return [
        ExecutorSpec(
            name="local",
            summary="this machine's devices, one warm worker process each",
            builder="vidsuite_core.runner.local:LocalExecutor",
        ),
        ExecutorSpec(
            name="slurm",
            summary="jobs of a Slurm cluster, an array of them at a time (vidsuite[slurm])",
            builder="vidsuite_core.runner.slurm:SlurmExecutor",
        ),
        ExecutorSpec(
            name="ray",
            summary="tasks of a Ray cluster, or of a Ray on this machine (vidsuite[ray])",
            builder="vidsuite_core.runner.ray_cluster:RayExecutor",
        ),
    ]


@hookimpl
def vidsuite_backends() -> list[BackendSpec]:
    """Torch itself in several ways, and OpenVINO."""

    def of_torch(name: str, summary: str, builder: str, **more: Any) -> BackendSpec:
        return BackendSpec(
            name=name, summary=summary, builder=f"vidsuite_core.inference.torch_backends:{builder}", **more
        )

    return [
        of_torch("eager", "the network as it is written, by torch", "Eager"),
        of_torch("channels_last", "the same with channels last in memory", "ChannelsLast"),
        BackendSpec(
            name="openvino",
            summary="folded, fused and planned by OpenVINO",
            builder="vidsuite_core.inference.openvino_backend:OpenVino",
            devices=("cpu",),
        ),
        of_torch("cuda_graphs", "all of a call's kernels launched at once", "CudaGraphs", devices=("cuda",)),
        of_torch("compiled", "torch.compile; needs a compiler, and minutes", "Compiled", automatic=False),
    ]
