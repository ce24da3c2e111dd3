"""Cleavage-stage blastocyst prediction from time-lapse images (Wang, Fan, Li et al.): see README.md here."""

from pathlib import Path

from vidsuite_core import BenchmarkSpec, ModelSpec, hookimpl

vidsuite_api = 1

_HERE = Path(__file__).parent
_TASK = "clip_classification"
_PAPER = "Wang, Fan, Li et al."

_SINGLE = {
    "mobilenet_v3": ("MobileNetV3-Large", "mobilenet_v3_large_imagenet"),
    "inception_v3": ("Inception-v3", "inception_v3_google_imagenet"),
    "resnet18": ("ResNet-18", "resnet18_imagenet"),
    "resnet50": ("ResNet-50", "resnet50_imagenet"),
    "resnet101": ("ResNet-101", "resnet101_imagenet"),
    "resnet152": ("ResNet-152", "resnet152_imagenet"),
    "resnext50": ("ResNeXt-50 32x4d", "resnext50_32x4d_imagenet"),
    "resnext101": ("ResNeXt-101 32x8d", "resnext101_32x8d_imagenet"),
    "wide_resnet50": ("Wide ResNet-50-2", "wide_resnet50_2_imagenet"),
    "wide_resnet101": ("Wide ResNet-101-2", "wide_resnet101_2_imagenet"),
    "densenet121": ("DenseNet-121", "densenet121_imagenet"),
    "densenet169": ("DenseNet-169", "densenet169_imagenet"),
    "vit_base": ("ViT-B/16 at 224 pixels", "vit_b_16_imagenet"),
    "vit_large": ("ViT-L/16 at 224 pixels", "vit_l_16_imagenet"),
}
_MULTI = {
    "resnet_lstm": ("ResNet-18, two bidirectional LSTM layers", "resnet18_imagenet"),
    "resnet_gru": ("ResNet-18, two bidirectional GRU layers", "resnet18_imagenet"),
    "i3d": ("Inception-v1 I3D", "i3d_rgb_kinetics400"),
    "resnet3d": ("R3D-18", "r3d_18_kinetics400"),
    "resnet_mc": ("MC3-18", "mc3_18_kinetics400"),
    "r2plus1d": ("R(2+1)D-18", "r2plus1d_18_kinetics400"),
    "mfnet": ("MFNet-3D", ""),
}
_TEXT = {
    "resnet50_convlstm": ("ResNet-50, bidirectional ConvLSTM, as the text has it", "resnet50_imagenet"),
    "resnet50_convgru": ("ResNet-50, bidirectional ConvGRU, as the text has it", "resnet50_imagenet"),
}
_KINETICS = {
    "logistic": "division times and intervals, logistic regression: no picture",
    "boosting": "division times and intervals, gradient boosting: no picture",
}


@hookimpl
def vidsuite_models():
    """The 14 single-frame and 7 multi-frame networks, two that the text describes, and morphokinetics."""

    def networks(found, what, paper):
        return [
            ModelSpec(
                name=name,
                summary=f"{title}; {what}",
                task=_TASK,
                config=_HERE / "configs" / f"{name}.py",
                network=f"{__name__}.models.networks:{name}",
                weights=(weights,) if weights else (),
                paper=paper,
            )
            for name, (title, weights) in found.items()
        ]

    return [
        *networks(_SINGLE, "the last frame", _PAPER),
        *networks(_MULTI, "32 frames", _PAPER),
        *networks(_TEXT, "32 frames", ""),
        *(
            ModelSpec(
                name=f"morphokinetic_{kind}",
                summary=summary,
                task=_TASK,
                config=_HERE / "configs" / f"morphokinetic_{kind}.py",
            )
            for kind, summary in _KINETICS.items()
        ),
    ]


@hookimpl
def vidsuite_benchmarks():
    """Blastocyst or not by 80 hours, divided by patient, and by embryo as the paper does."""
    from vidsuite_benchmarks import FOLDER

    return [
        BenchmarkSpec(
            name="blastocyst_dnn",
            summary="blastocyst or not, from what is seen until 80 h; halves by patient",
            task=_TASK,
            definition=FOLDER / "blastocyst_dnn.yaml",
            reported=_HERE / "paper.yaml",
        ),
        BenchmarkSpec(
            name="blastocyst_dnn_by_embryo",
            summary="the same with the paper's halves by embryo, which leak between siblings",
            task=_TASK,
            definition=FOLDER / "blastocyst_dnn_by_embryo.yaml",
        ),
    ]
