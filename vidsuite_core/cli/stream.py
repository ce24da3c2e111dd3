"""`vidsuite stream`."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidsuite_core.errors import UsageError
from vidsuite_core.suite import load

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.datasets import Dataset
    from vidsuite_core.suite import DatasetHandle, ModelHandle, Suite

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
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
@click.option("--devices", "device", default="auto", show_default=True, help="auto, cpu, or one GPU.")
@click.option("--fps", type=click.FloatRange(1), default=25.0, show_default=True, help="Of a folder of images.")
@click.option("--frames", "limit", type=click.IntRange(1), metavar="N", help="Stop after N frames.")
@click.option("--opacity", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Of the labels.")
def stream(model: str, source: Path, out: Path, **options: Any) -> int:
    """Segment a video frame by frame with MODEL and write it with its labels over it, fps shown."""
    from rich.console import Console

    from vidsuite_core.cli.progress import watcher_for
    from vidsuite_core.video import count_frames, open_video, write_video

    suite = load()
    handle = suite.models[model]
    if handle.spec.task != "video_segmentation":
        raise UsageError(f"{handle.key} is for task {handle.spec.task}; 'stream' takes models of video_segmentation")
    frames = source if source.is_file() else _images(source)
    with watcher_for(Console()) as watcher, open_video(frames) as video:
        total = min(count_frames(frames), options["limit"] or 10**9)
        fps = float(video.info.fps or options["fps"])
        viewer = _viewer(suite, handle, options)
        clock: list[float] = []

        def drawn() -> Iterator[np.ndarray]:
            for number, frame in enumerate(video.frames(0, total), 1):
                yield viewer.draw(frame, clock)
                watcher.preparing(f"{handle.key} {_rate(clock)}", number, total)

        write_video(out, drawn(), fps)
    timed = clock[1:] or clock  # the first builds what later ones reuse
    said = options["weights"].name if options["weights"] else "random weights"
    click.echo(
        f"{total} frames with {said}: median {1000 * statistics.median(timed):.1f} ms a frame, "
        f"{1 / statistics.median(timed):.1f} fps on {viewer.device} (the video has {fps:g}); written to {out}"
    )
    return 0


@dataclass
class _Viewer:
    """Draws what a network sees in each frame."""

    segment: Any
    dataset: Dataset
    device: str
    opacity: float
    note: str
    legend: Any = field(default=None)

    def draw(self, frame: np.ndarray, clock: list[float]) -> np.ndarray:
        """The frame (H, W, C) under its labels, captioned, over the legend; even sizes, as H.264 needs them."""
        import numpy as np

        from vidsuite_core.overlay import caption, legend, overlay

        image = np.ascontiguousarray(np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame)
        if image.dtype != np.uint8:
            raise UsageError(f"frames are {image.dtype}; 'stream' takes videos of 8 bit")
        labels, seconds = self.segment(image)
        clock.append(seconds)
        picture = overlay(image, labels, self.dataset.palette(), self.opacity)
        picture = caption(picture, f"{_rate(clock)}{self.note}")
        height, width = (size - size % 2 for size in picture.shape[:2])
        if self.legend is None:
            self.legend = legend(self.dataset.class_names(), self.dataset.palette(), width)
        return np.concatenate([picture[:height, :width], self.legend])


def _viewer(suite: Suite, handle: ModelHandle, options: dict[str, Any]) -> _Viewer:
    from vidsuite_core.engine.stream import Segmenter
    from vidsuite_core.runner.devices import parse_devices

    slots = parse_devices(options["device"])
    if len(slots) > 1 and options["device"] != "auto":
        raise UsageError(f"--devices {options['device']} names several; a stream runs on one")
    os.environ["CUDA_VISIBLE_DEVICES"] = slots[0].visible
    dataset = _dataset(suite, handle, options["dataset"]).open()
    device = "cuda" if slots[0].on_gpu else "cpu"
    classes = len(dataset.class_names())
    segmenter = Segmenter(handle.spec, classes, options["weights"], device, slots[0].precision)
    note = "" if options["weights"] else "  RANDOM WEIGHTS"
    return _Viewer(segmenter, dataset, slots[0].kind, options["opacity"], note)


def _dataset(suite: Suite, handle: ModelHandle, name: str | None) -> DatasetHandle:
    if name is None:
        for benchmark in suite.benchmarks.of_plugin(handle.plugin):
            listed = benchmark.definition()["datasets"]
            if benchmark.spec.task == handle.spec.task:
                own = next((key for key, entry in listed.items() if (entry or {}).get("default")), next(iter(listed)))
                name = f"{benchmark.plugin}/{own}"
                break
        else:
            raise UsageError(f"{handle.key} has no benchmark whose classes could be meant; say --dataset NAME")
    return suite.datasets[name]


def _images(folder: Path) -> list[Path]:
    from vidsuite_core.text import natural

    images = sorted((p for p in folder.iterdir() if p.suffix.lower() in IMAGES), key=lambda path: natural(path.name))
    if not images:
        raise UsageError(f"{folder} holds no images ({', '.join(IMAGES)})")
    return images


def _rate(clock: list[float]) -> str:
    newest = clock[-SMOOTHED:]
    seconds = sum(newest) / len(newest)
    return f"{1 / seconds:.1f} fps ({1000 * seconds:.1f} ms)"
