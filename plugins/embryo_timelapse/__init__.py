"""Embryo time-lapse data, shared by name with the plugins of two papers: see README.md here."""

from vidsuite_core import CommandSpec, DatasetSpec, hookimpl

vidsuite_api = 1


@hookimpl
def vidsuite_datasets():
    """Rendered embryos, as clips and in moments."""
    rendered = {"licence": "generated", "synthetic": True, "shareable": True}
    return [
        DatasetSpec(
            name="synthetic",
            summary="rendered embryos: rhythm of divisions, looks and outer focal planes tell what becomes of them",
            task="clip_classification",
            builder=f"{__name__}.synthetic.dataset:Synthetic",
            **rendered,
        ),
        DatasetSpec(
            name="synthetic_moments",
            summary="the same embryos in moments of 6 hours up to day 7, in 7 focal planes",
            task="early_prediction",
            builder=f"{__name__}.synthetic.dataset:SyntheticMoments",
            **rendered,
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
