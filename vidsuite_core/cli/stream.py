"""`vidsuite stream`."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidsuite_core.cli.numbers import Finite
from vidsuite_core.errors import UsageError
from vidsuite_core.inference import PRECISIONS, Inference
from vidsuite_core.specs import resolve
from vidsuite_core.suite import load
from vidsuite_core.support.litter import entries

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.cli.progress import Watcher
    from vidsuite_core.datasets import Dataset
    from vidsuite_core.engine.streaming import Streamer
    from vidsuite_core.media import Video
    from vidsuite_core.results.record import Record
    from vidsuite_core.samples import Recording
    from vidsuite_core.suite import DatasetHandle, ModelHandle, Suite
    from vidsuite_core.tasks.base import Task

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
@click.option("--backend", default="auto", show_default=True, metavar="NAME", help="Run the network by this back end.")
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    type=click.Choice(PRECISIONS),
    help="auto is bf16 where it is fast.",
)
@click.option(
    "--fps", type=Finite(1, 1000), help=f"In place of what the video states; {UNSTATED:g} where it states none."
)
@click.option("--frames", "limit", type=click.IntRange(1), metavar="N", help="Stop after N frames.")
@click.option("--window", type=click.IntRange(1), metavar="N", help="Frames that a clip holds, for models of clips.")
@click.option("--opacity", type=Finite(0, 1), default=0.5, show_default=True, help="Of the labels.")
def stream(model: str, source: Path, out: Path, **options: Any) -> int:
    """Run MODEL on a video frame by frame and write it with what is predicted drawn on it, fps shown.

    What it takes and shows is its task's: label maps, boxes, or a bar of the classes' chances. Models of moments take
    each frame for a moment; a folder of folders of images is one with several focal planes.
    """
    from rich.console import Console

    from vidsuite_core.cli.progress import watcher_for
    from vidsuite_core.media import write_video

    suite = load()
    handle = suite.models[model]
    if not resolve(suite.tasks[handle.spec.task].spec.builder).streamer:
        raise UsageError(f"{handle.key} is for task {handle.spec.task}, which runs on no stream")
    _check_target(out, source)
    console = Console()
    with watcher_for(console) as watcher, _opened(source, options["limit"]) as film:
        fps = float(options["fps"] or film.fps or UNSTATED)
        viewer = _viewer(suite, handle, {**options, "fps": fps}, watcher)
        if len(film.planes) > 1 and viewer.streamer.takes != "moment":
            raise UsageError(
                f"{handle.key} takes frames; --input {source} holds {len(film.planes)} folders, so name one"
            )
        clock: list[float] = []

        def drawn() -> Iterator[np.ndarray]:
            for number, planes in enumerate(film.frames(), 1):
                yield viewer.draw(planes, clock)
                live = f"{handle.key} {_rate(clock)}" if console.is_terminal else handle.key
                watcher.preparing(live, number, film.count)

        write_video(out, drawn(), fps)
        notes = dict.fromkeys(note for plane in film.planes for note in plane.info.notes)
    timed = clock[1:] or clock  # the first builds what later ones reuse
    said = options["weights"].name if options["weights"] else "random weights"
    seconds = statistics.median(timed)
    click.echo(
        f"{film.count} frames with {said}, classes of {viewer.name}: median {1000 * seconds:.1f} ms a "
        f"{viewer.streamer.takes}, {1 / seconds:.1f} fps on {viewer.device} by {viewer.streamer.path} "
        f"(the video has {fps:g}); written to {out}"
    )
    for note in notes:
        click.echo(f"note: the input was {note}")
    return 0


@dataclass
class _Film:
    """What comes in: one video, or one a focal plane."""

    planes: list[Video]
    footage: Recording

    @property
    def fps(self) -> float:
        """As the file states it; 0.0 where it does not."""
        return self.planes[0].info.fps

    @property
    def count(self) -> int:
        """Of the frames that are to be shown."""
        return self.footage.frames

    def frames(self) -> Iterator[list[np.ndarray]]:
        """Each frame, uint8 (H, W, C), of all planes."""
        from vidsuite_core.media.reader import to_uint8

        for planes in zip(*(plane.frames(0, self.count) for plane in self.planes), strict=True):
            yield [to_uint8(frame, self.footage) for frame in planes]


@contextmanager
def _opened(source: Path, limit: int | None) -> Iterator[_Film]:
    from vidsuite_core.media import open_video
    from vidsuite_core.samples import Recording

    if not source.is_file() and not source.is_dir():
        raise UsageError(f"--input {source} is neither a file nor a folder")
    folders = [path for path in entries(source) if path.is_dir()] if source.is_dir() else []
    with ExitStack() as stack:
        sources = [source] if source.is_file() else [_images(folder) for folder in folders or [source]]
        planes = [stack.enter_context(open_video(one)) for one in sources]
        counts = {plane.count() for plane in planes}
        if len(counts) > 1:
            raise UsageError(f"{source} has planes of {min(counts)} to {max(counts)} images; give each as many")
        info = planes[0].info
        if min(info.width, info.height) < SMALLEST:
            raise UsageError(f"{source} has frames of {info.width}x{info.height}; {SMALLEST} is the least")
        (count,) = counts
        yield _Film(
            planes,
            Recording(
                name=str(source),
                subject="",
                planes=tuple(sources),
                frames=min(count, limit or count),
                fps=info.fps or UNSTATED,
                content="",
            ),
        )


@dataclass
class _Viewer:
    """Draws what a model predicts of each frame."""

    streamer: Streamer
    task: Task
    dataset: Dataset
    device: str
    opacity: float
    note: str
    name: str
    legend: Any = field(default=None)

    def draw(self, planes: list[np.ndarray], clock: list[float]) -> np.ndarray:
        """The frame with what is predicted, captioned, over the legend; even sizes, as H.264 needs them."""
        import numpy as np

        from vidsuite_core.media.overlay import caption, legend

        middle = planes[len(planes) // 2]
        image = np.ascontiguousarray(np.repeat(middle, 3, axis=2) if middle.shape[2] == 1 else middle)
        seen = np.stack(planes) if self.streamer.takes == "moment" else image
        start = time.perf_counter()
        prediction = self.streamer.step(seen)
        clock.append(time.perf_counter() - start)
        picture = self.task.draw_on(image, prediction, self.dataset.palette(), self.opacity)
        picture = caption(picture, f"{_rate(clock)}{self.note}")
        height, width = (size - size % 2 for size in picture.shape[:2])
        if self.legend is None:
            self.legend = legend(self.dataset.class_names(), self.dataset.palette(), width)
        return np.concatenate([picture[:height, :width], self.legend])


def _viewer(suite: Suite, handle: ModelHandle, options: dict[str, Any], watcher: Watcher) -> _Viewer:
    from vidsuite_core.engine.config import cell_config, parse_options
    from vidsuite_core.engine.streaming import StreamOptions
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
    task = suite.tasks[handle.spec.task].open(dataset.class_names())
    streamer = resolve(task.streamer)(
        StreamOptions(
            config=config,
            classes=len(dataset.class_names()),
            weights=options["weights"],
            device="cuda" if slots[0].on_gpu else "cpu",
            name=handle.key,
            files=_files(suite, handle, config, watcher),
            fps=options["fps"],
            window=options["window"],
            inference=Inference(options["precision"], options["backend"]),
        )
    )
    note = "" if options["weights"] else "  RANDOM WEIGHTS"
    return _Viewer(streamer, task, dataset, slots[0].kind, options["opacity"], note, found.key)


def _files(suite: Suite, handle: ModelHandle, config: Mapping[str, Any], watcher: Watcher) -> dict[str, str | None]:
    """The files of weights that the input pipeline names, as a feature extractor's; a stream needs them."""
    from vidsuite_core.engine.config import FIELD, named_weights
    from vidsuite_core.engine.training import loader_of
    from vidsuite_core.runner.initial_weights import InitialWeights

    pipeline = loader_of(config, "test")["dataset"]
    while isinstance(pipeline, str) and pipeline.startswith(FIELD):
        pipeline = config[pipeline.removeprefix(FIELD)]
    if not named_weights(pipeline):
        return {}
    weights = InitialWeights(suite, [], False, watcher.say, watcher.preparing)
    return weights.find(handle.key, pipeline).files


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
