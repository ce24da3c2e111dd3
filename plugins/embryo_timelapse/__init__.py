"""Embryo time-lapse data, shared by name with the plugins of two papers, and phases by frame: see README.md here."""

from pathlib import Path

from vidsuite_core import BenchmarkSpec, CommandSpec, DatasetSpec, ModelSpec, TaskSpec, hookimpl

vidsuite_api = 1

_HERE = Path(__file__).parent
_PHASES = "embryo_phases"


@hookimpl
def vidsuite_tasks():
    """Phases of development, frame by frame."""
    return [
        TaskSpec(
            name=_PHASES,
            summary="the phase of an embryo's development in each frame, and when phases begin",
            builder=f"{__name__}.phases.task:EmbryoPhases",
        )
    ]


@hookimpl
def vidsuite_datasets():
    """Rendered embryos, a user's own, and two public sets; as clips, in moments or with phases by frame."""
    seen = {
        "clip_classification": ("", ""),
        "early_prediction": ("_moments", "Moments"),
        _PHASES: ("_phases", "Phases"),
    }

    def offered(name, builder, tasks, users_own=False, **about):
        return [
            DatasetSpec(
                name=f"{name}{seen[task][0]}",
                summary=what,
                task=task,
                builder=f"{__name__}.{builder}{seen[task][1]}",
                users_own=users_own and task == "clip_classification",
                **about,
            )
            for task, what in tasks.items()
        ]

    return [
        *offered(
            "synthetic",
            "synthetic.dataset:Synthetic",
            {
                "clip_classification": "rendered embryos: rhythm of divisions, looks and outer planes tell the outcome",
                "early_prediction": "the same embryos in moments of 6 hours up to day 7, in 7 focal planes",
                _PHASES: "the same embryos with the phase of each frame",
            },
            licence="generated",
            synthetic=True,
            shareable=True,
        ),
        *offered(
            "folder",
            "folder:Folder",
            {
                "clip_classification": "your own embryos, by a manifest: blastocyst or arrested",
                "early_prediction": "your own embryos in moments",
                _PHASES: "your own embryos with phases, by the manifest's hours of events",
            },
            licence="your own",
            users_own=True,
        ),
        DatasetSpec(
            name="nantes",
            summary="human embryos with phases by frame (Gomez et al. 2022); no outcome of most was observed",
            task=_PHASES,
            builder=f"{__name__}.nantes:Nantes",
            licence="CC BY-NC-SA 4.0",
            source="https://zenodo.org/records/7912264",
        ),
        *offered(
            "zebrafish",
            "zebrafish:Zebrafish",
            {
                "clip_classification": "ten zebrafish embryos, two of which die: too few for a claim about outcomes",
                _PHASES: "the same ten by frame: unknown, develops, dead",
            },
            licence="GPL-3.0",
            source="https://github.com/mueller-lab/EmbryoNet",
        ),
    ]


@hookimpl
def vidsuite_models():
    """Models of phases by frame; two of them see no picture."""
    models = {
        "phase_prior": ("the share of each phase among the training frames: no picture", ()),
        "phase_clock": ("the share of each phase at that hour among the training recordings: no picture", ()),
        "phase_resnet": ("ResNet-18, each frame by itself", ("resnet18_imagenet",)),
        "phase_resnet_lstm": ("ResNet-18, an LSTM over the frames from the first", ("resnet18_imagenet",)),
    }
    return [
        ModelSpec(name=name, summary=what, task=_PHASES, config=_HERE / "configs" / f"{name}.py", weights=weights)
        for name, (what, weights) in models.items()
    ]


@hookimpl
def vidsuite_benchmarks():
    """Phases by frame; and once more with a split that leaks, to show by how much."""
    from vidsuite_benchmarks import FOLDER

    return [
        BenchmarkSpec(
            name="embryo_phases",
            summary="phases by frame, divided by patient",
            task=_PHASES,
            definition=FOLDER / "embryo_phases.yaml",
        ),
        BenchmarkSpec(
            name="embryo_phases_leaky",
            summary="LEAKS: the same with frames dealt at random, neighbours on both sides, to show what that hides",
            task=_PHASES,
            definition=FOLDER / "embryo_phases_leaky.yaml",
        ),
    ]


@hookimpl
def vidsuite_commands():
    """A contact sheet of embryos."""
    return [
        CommandSpec(
            name="embryo_sheet",
            summary="Draw embryos of a dataset over time, or in all focal planes.",
            builder=f"{__name__}.sheet:sheet",
        )
    ]
