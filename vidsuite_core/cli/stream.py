"""`vidsuite stream`."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidsuite_core.cli.numbers import Finite
from vidsuite_core.errors import UsageError
from vidsuite_core.suite import load

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.datasets import Dataset
    from vidsuite_core.results.record import Record
    from vidsuite_core.suite import DatasetHandle, ModelHandle, Suite

NOT_THE_NETWORK = ("pretrained", "precision")
"""Fields of a model that other weights, or another device, make no matter."""
SMALLEST = 16
"""Side of a frame, in pixels."""
UNSTATED = 25.0
"""Frames a second of images, and of videos that do not say."""
SMOOTHED = 10
"""Frames over which the fps that is shown is averaged."""


@click.command()
@click.argument("model")
@click.option(
    "--input", "source", required=True, type=click.Path(path_type=Path, exists=True), help="Video, or folder of images."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Video to write (.mp4 or .mkv).")
@click.option(
    "--weights",
    type=click.Path(path_type=Path, exists=True),
    help="Trained weights, as 'bench --keep weights' keeps; else random.",
)
@click.option("--dataset", metavar="NAME", help="Names the classes; by default that of the model's benchmark.")
@click.option("--cfg-options", "cfg_options", multiple=True, metavar="K=V", help="Override config fields.")
@click.option("--devices", "device", default="auto", show_default=True, help="auto, cpu, or one GPU.")
@click.option(
    "--fps", type=Finite(1, 1000), help=f"In place of what the video states; {UNSTATED:g} where it states none."
)
@click.option("--frames", "limit", type=click.IntRange(1), metavar="N", help="Stop after N frames.")
@click.option("--opacity", type=Finite(0, 1), default=0.5, show_default=True, help="Of the labels.")
def stream(model: str, source: Path, out: Path, **options: Any) -> int:
    """Segment a video frame by frame with MODEL and write it with its labels over it, fps shown."""
    from rich.console import Console

    from vidsuite_core.cli.progress import watcher_for
    from vidsuite_core.media import count_frames, open_video, write_video
    from vidsuite_core.media.reader import to_uint8
    from vidsuite_core.samples import Recording

    suite = load()
    handle = suite.models[model]
    if handle.spec.task != "video_segmentation":
        raise UsageError(f"{handle.key} is for task {handle.spec.task}; 'stream' takes models of video_segmentation")
    _check_target(out, source)
    if not source.is_file() and not source.is_dir():
        raise UsageError(f"--input {source} is neither a file nor a folder")
    frames = source if source.is_file() else _images(source)
    console = Console()
    with watcher_for(console) as watcher, open_video(frames) as video:
        if min(video.info.width, video.info.height) < SMALLEST:
            raise UsageError(f"{source} has frames of {video.info.width}x{video.info.height}; {SMALLEST} is the least")
        total = min(count_frames(frames), options["limit"] or 10**9)
        fps = float(options["fps"] or video.info.fps or UNSTATED)
        footage = Recording(name=str(source), subject="", planes=(frames,), frames=total, fps=fps, content="")
        viewer = _viewer(suite, handle, options)
        clock: list[float] = []

        def drawn() -> Iterator[np.ndarray]:
            for number, frame in enumerate(video.frames(0, total), 1):
                yield viewer.draw(to_uint8(frame, footage), clock)
                live = f"{handle.key} {_rate(clock)}" if console.is_terminal else handle.key
                watcher.preparing(live, number, total)

        write_video(out, drawn(), fps)
        notes = video.info.notes
    timed = clock[1:] or clock  # the first builds what later ones reuse
    said = options["weights"].name if options["weights"] else "random weights"
    seconds = statistics.median(timed)
    click.echo(
        f"{total} frames with {said}, classes of {viewer.name}: median {1000 * seconds:.1f} ms a frame, "
        f"{1 / seconds:.1f} fps on {viewer.device} (the video has {fps:g}); written to {out}"
    )
    for note in notes:
        click.echo(f"note: the input was {note}")
    return 0


@dataclass
class _Viewer:
    """Draws what a network sees in each frame."""

    segment: Any
    dataset: Dataset
    device: str
    opacity: float
    note: str
    name: str
    legend: Any = field(default=None)

    def draw(self, frame: np.ndarray, clock: list[float]) -> np.ndarray:
        """The 8-bit frame (H, W, C) under its labels, captioned, over the legend; even sizes, as H.264 needs them."""
        import numpy as np

        from vidsuite_core.media.overlay import caption, legend, overlay

        image = np.ascontiguousarray(np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame)
        labels, seconds = self.segment(image)
        clock.append(seconds)
        picture = overlay(image, labels, self.dataset.palette(), self.opacity)
        picture = caption(picture, f"{_rate(clock)}{self.note}")
        height, width = (size - size % 2 for size in picture.shape[:2])
        if self.legend is None:
            self.legend = legend(self.dataset.class_names(), self.dataset.palette(), width)
        return np.concatenate([picture[:height, :width], self.legend])


def _viewer(suite: Suite, handle: ModelHandle, options: dict[str, Any]) -> _Viewer:
    from vidsuite_core.engine.config import cell_config, parse_options
    from vidsuite_core.engine.segmenter import Segmenter
    from vidsuite_core.runner.devices import parse_devices

    slots = parse_devices(options["device"])
    if len(slots) > 1 and options["device"] != "auto":
        raise UsageError(f"--devices {options['device']} names several; a stream runs on one")
    os.environ["CUDA_VISIBLE_DEVICES"] = slots[0].visible
    if handle.spec.config is None:
        raise UsageError(f"model {handle.key} has no config to build it from")
    trained = _trained(handle, options["weights"])
    preset = trained.cell.preset if trained is not None else ""
    config = cell_config(handle.spec.config, preset, [], parse_options(options["cfg_options"]), slots[0].precision)
    name = options["dataset"]
    if trained is not None:
        _same_network(trained, config, options["weights"])
        name = name or trained.cell.dataset
    found = _dataset(suite, handle, name, options["weights"])
    dataset = found.open()
    if trained is not None and tuple(trained.classes) != dataset.class_names():
        raise UsageError(f"{options['weights']} was trained on the classes of {trained.cell.dataset}, not of {name}")
    classes, device = dataset.class_names(), "cuda" if slots[0].on_gpu else "cpu"
    segmenter = Segmenter(config, len(classes), options["weights"], device, handle.key)
    note = "" if options["weights"] else "  RANDOM WEIGHTS"
    return _Viewer(segmenter, dataset, slots[0].kind, options["opacity"], note, found.key)


def _trained(handle: ModelHandle, weights: Path | None) -> Record | None:
    """The record of the attempt that the weights lie in; None for weights from elsewhere."""
    from vidsuite_core.results.record import read_record
    from vidsuite_core.results.store import RESULT

    if weights is None or not weights.with_name(RESULT).is_file():
        return None
    record = read_record(weights.with_name(RESULT))
    if record.cell.model != handle.key:
        raise UsageError(f"{weights} is of {record.cell.model}, not of {handle.key}")
    return record


def _same_network(record: Record, config: Mapping[str, Any], weights: Path) -> None:
    """Refuse weights that were trained in another network than `config` builds, though they might fit it.

    The record only says so, and nothing is built from it: it may be a stranger's, and a config can call any function.
    """
    from vidsuite_core.engine.config import FIELD, replace
    from vidsuite_core.support.ids import differences

    referred = {"size"}

    def note(_: str, value: Any) -> Any:
        if isinstance(value, str) and value.startswith(FIELD):
            referred.add(value.removeprefix(FIELD))
        return value

    replace(config["model"], note)

    def network(one: Mapping[str, Any]) -> dict[str, Any]:
        model = one["model"] if isinstance(one.get("model"), Mapping) else {}
        fields = {name: one.get(name) for name in referred - set(NOT_THE_NETWORK)}
        return {**fields, "model": {name: value for name, value in model.items() if name not in NOT_THE_NETWORK}}

    recorded = record.score_key.get("config")
    different = differences(network(config), network(recorded if isinstance(recorded, Mapping) else {}))
    if different:
        raise UsageError(f"{weights} was trained with another network ({'; '.join(different)}); use --cfg-options")


def _dataset(suite: Suite, handle: ModelHandle, name: str | None, weights: Path | None) -> DatasetHandle:
    if name is None and weights is not None:
        raise UsageError(f"nothing beside {weights} tells its classes; say --dataset NAME ('vidsuite list datasets')")
    if name is None:
        for benchmark in suite.benchmarks.of_plugin(handle.plugin):
            definition = benchmark.definition()
            if benchmark.spec.task == handle.spec.task:
                listed = definition.datasets
                name = definition.full_name(next((key for key, e in listed.items() if e.default), next(iter(listed))))
                break
        else:
            raise UsageError(f"{handle.key} has no benchmark whose classes could be meant; say --dataset NAME")
    found = suite.datasets.of_task(name, handle.spec.task)
    if found.spec.task != handle.spec.task:
        raise UsageError(f"{found.key} is for task {found.spec.task}; {handle.key} is for {handle.spec.task}")
    return found


def _check_target(out: Path, source: Path) -> None:
    """Refuse what could only fail after all frames are done, or would write over the source."""
    if out.suffix.lower() not in (".mp4", ".mkv") or out.is_dir():
        raise UsageError(f"--out {out} must be a file .mp4 or .mkv")
    if out.resolve() == source.resolve():
        raise UsageError(f"--out {out} would write over --input; name another file")


def _images(folder: Path) -> list[Path]:
    from vidsuite_core.media.images import SUFFIXES, image_files

    images = image_files(folder)
    if not images:
        raise UsageError(f"{folder} holds no images ({', '.join(SUFFIXES)})")
    return images


def _rate(clock: list[float]) -> str:
    newest = (clock[1:] or clock)[-SMOOTHED:]  # the first frame builds what later ones reuse
    seconds = sum(newest) / len(newest)
    return f"{1 / seconds:.1f} fps ({1000 * seconds:.1f} ms)"
