"""Annotation files as people have them: our CSV and JSON, COCO (also for video), CVAT for video, and AVA's CSV.

Each reader returns rows and touches no video. Frames in the files count from 0, but for AVA, which counts seconds.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import Box
from vidsuite_plugins.restaurant_yowo.annotations.table import Row

if TYPE_CHECKING:
    from vidsuite_core.media import Times

MAX_BYTES = 512 * 2**20
COLUMNS = ("video", "start", "end", "x1", "y1", "x2", "y2", "class")
"""Of the CSV: frames `start` to `end`, both counted in, and the box in pixels."""


def read_annotation(path: Path, fps: Mapping[str, float | Times] | None = None) -> list[Row]:
    """The rows of a file, whose form is told by its ending and its fields.

    Args:
        path: .csv (ours or AVA's), .json (ours or COCO's) or .xml (CVAT).
        fps: frames per second by video, or when its frames are shown, which AVA's seconds need.

    Raises:
        VidsuiteError: the file is missing, too large, of none of these forms, or has an entry that cannot be read.
    """
    readers: dict[str, Callable[[Path], list[Row]]] = {".json": _read_json, ".xml": read_cvat}
    try:
        if path.stat().st_size > MAX_BYTES:
            raise VidsuiteError(f"{path} is larger than {MAX_BYTES >> 20} MiB; split it")
        if path.suffix.lower() == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as file:
                head = file.readline()
            return read_csv(path) if "start" in head.lower() else read_ava(path, fps or {})
        if path.suffix.lower() in readers:
            return readers[path.suffix.lower()](path)
    except (OSError, UnicodeDecodeError) as error:
        raise VidsuiteError(f"{path} cannot be read: {error}") from error
    raise VidsuiteError(
        f"{path} is no annotation that is known: .csv (ours or AVA's), .json (ours or COCO's), .xml (CVAT)"
    )


def read_csv(path: Path) -> list[Row]:
    """Our CSV, with `COLUMNS` and, if there is one, `action`."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise VidsuiteError(f"{path} lacks the column {missing[0]!r}; it needs {', '.join(COLUMNS)}")
        return [_row(entry, f"{path.name} line {reader.line_num}") for entry in reader]


def _read_json(path: Path) -> list[Row]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise VidsuiteError(f"{path} is no JSON: {error}") from error
    if isinstance(data, dict) and "annotations" in data and "categories" in data:
        return read_coco(data, path.name)
    if isinstance(data, list) and all(isinstance(entry, dict) for entry in data):
        return [_row(entry, f"{path.name} entry {number}") for number, entry in enumerate(data)]
    raise VidsuiteError(
        f"{path} is neither a list of boxes ({', '.join(COLUMNS)}) nor COCO (images, annotations, categories)"
    )


def _row(entry: Mapping[str, Any], where: str) -> Row:
    try:
        box = tuple(float(entry[name]) for name in ("x1", "y1", "x2", "y2"))
        start, end = int(entry["start"]), int(entry["end"])
        video, name = str(entry["video"]), str(entry["class"]).strip()
    except (KeyError, TypeError, ValueError) as error:
        raise VidsuiteError(f"{where}: {type(error).__name__}: {error}; a box needs {', '.join(COLUMNS)}") from error
    if not name:
        raise VidsuiteError(f"{where}: the class is empty")
    return Row(video, start, end + 1, box, name, where, str(entry.get("action") or ""))  # type: ignore[arg-type]


def read_coco(data: Mapping[str, Any], source: str) -> list[Row]:
    """COCO's boxes on frames, or COCO-video: images name their video and frame.

    An image says where it belongs by `video_id` (with `videos`) or `video`, and by `frame_id`, `frame_index` or
    `frame`; else by a file name `<video>/<number>.<ending>`.
    """
    try:
        videos = {one["id"]: str(one.get("name") or one["file_name"]) for one in data.get("videos", [])}
        names = {one["id"]: str(one["name"]) for one in data["categories"]}
        frames = {one["id"]: _coco_frame(one, videos) for one in data["images"]}
        rows = []
        for one in data["annotations"]:
            video, frame = frames[one["image_id"]]
            x, y, w, h = map(float, one["bbox"])
            track = one.get("instance_id", one.get("track_id", ""))
            where = f"{source} annotation {one.get('id', len(rows))}"
            rows.append(
                Row(video, frame, frame + 1, (x, y, x + w, y + h), names[one["category_id"]], where, str(track))
            )
    except (KeyError, TypeError, ValueError) as error:
        raise VidsuiteError(f"{source}: {type(error).__name__}: {error}; this is no whole COCO file") from error
    return rows


def _coco_frame(image: Mapping[str, Any], videos: Mapping[Any, str]) -> tuple[str, int]:
    place = Path(str(image.get("file_name", "")))
    video = videos[image["video_id"]] if "video_id" in image else str(image.get("video") or place.parent)
    for field in ("frame_id", "frame_index", "frame"):
        if field in image:
            return video, int(image[field])
    return video, int("".join(c for c in place.stem if c.isdigit()))


def read_cvat(path: Path) -> list[Row]:
    """CVAT for video 1.1: one task, whose name or source is the video; tracks of boxes, those outside left out."""
    content = path.read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise VidsuiteError(f"{path} declares entities, which no export of CVAT does; it is not read")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 (entities are refused above)
    except ElementTree.ParseError as error:
        raise VidsuiteError(f"{path} is no XML: {error}") from error
    source = root.findtext(".//source") or root.findtext(".//task/name") or path.stem
    rows = []
    for track in root.iter("track"):
        name, number = track.get("label", ""), track.get("id", "")
        for box in track.iter("box"):
            if box.get("outside") == "1":
                continue
            where = f"{path.name} track {number} frame {box.get('frame')}"
            try:
                frame = int(box.attrib["frame"])
                corners = tuple(float(box.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
            except (KeyError, ValueError) as error:
                raise VidsuiteError(f"{where}: {type(error).__name__}: {error}") from error
            rows.append(Row(source, frame, frame + 1, corners, name, where, number))  # type: ignore[arg-type]
    return rows


def read_ava(path: Path, fps: Mapping[str, float | Times]) -> list[Row]:
    """AVA's CSV: video, second, x1, y1, x2, y2 as shares of the frame, class, and the person's number.

    Boxes come out as shares, which `scaled` turns into pixels; the key frame is the one shown at that second.
    """
    rows = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, entry in enumerate(csv.reader(file), 1):
            where = f"{path.name} line {number}"
            if not entry:
                continue
            try:
                video, second, *box, name = entry[:7]
                if len(box) != 4 or video not in fps:
                    raise ValueError(
                        f"no rate is known of video {video!r}" if len(box) == 4 else "7 columns are needed"
                    )
                frame = _shown_at(float(second), fps[video])
                corners = tuple(map(float, box))
            except ValueError as error:
                raise VidsuiteError(f"{where}: {error}") from error
            person = entry[7] if len(entry) > 7 else ""
            rows.append(Row(video, frame, frame + 1, corners, name, where, person))  # type: ignore[arg-type]
    return rows


def _shown_at(second: float, rate: float | Times) -> int:
    return round(second * rate) if isinstance(rate, int | float) else rate.between(second, None)[0]


def scaled(box: Box, width: int, height: int) -> Box:
    """A box given as shares of the frame, in pixels."""
    x1, y1, x2, y2 = box
    return x1 * width, y1 * height, x2 * width, y2 * height
