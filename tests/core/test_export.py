"""`vidsuite export`: boxes in COCO's and AVA's forms as those who read them see them, and tubes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from detection_frames import Arrays, in_recordings, of_frame, random_detections
from helpers import clip_arrays, keep, make_cell
from summed import change

from vidsuite_core.cli.export import export
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.results.store import Store
from vidsuite_core.tasks.action_detection import ActionDetection
from vidsuite_core.tasks.detection_export import ava_results, ava_truth, coco_results, coco_truth

CLASSES = ("run", "sit", "fall")
TASK = ActionDetection(CLASSES)


@pytest.fixture
def arrays() -> Arrays:
    return in_recordings(random_detections(2, frames=12), 4)


def test_coco_has_every_box_where_it_was(arrays: Arrays) -> None:
    truth, results = coco_truth(TASK, arrays), coco_results(arrays)
    assert [image["id"] for image in truth["images"]] == list(range(1, 13))
    assert truth["images"][5] == {
        "id": 6, "file_name": "sample 5", "video": "video 1", "frame_id": 1, "width": 640, "height": 640,
    }  # fmt: skip
    assert truth["categories"] == [{"id": n, "name": name} for n, name in enumerate(CLASSES, 1)]
    for frame in range(12):
        for prefix, found in (("true_", truth["annotations"]), ("", results)):
            rows = of_frame(arrays, frame, prefix)
            own = [one for one in found if one["image_id"] == frame + 1]
            boxes = np.array([one["bbox"] for one in own]).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            assert boxes == pytest.approx(arrays[f"{prefix}box"][rows])
            assert [one["category_id"] - 1 for one in own] == arrays[f"{prefix}class"][rows].tolist()
    assert [one["score"] for one in results] == arrays["score"].tolist()


def test_ava_is_read_by_mmaction2(arrays: Arrays) -> None:
    from vidsuite_core import openmmlab

    openmmlab.prepare()
    from mmaction.evaluation.functional.ava_utils import read_csv

    for text, prefix in ((ava_results(arrays), ""), (ava_truth(arrays), "true_")):
        boxes, labels, scores = read_csv(io.StringIO(text))
        for frame in range(12):
            rows = of_frame(arrays, frame, prefix)
            key = f"{arrays['recording'][frame]},{arrays['position'][frame]:04d}"
            order = (
                np.argsort(-arrays["score"][rows], kind="stable") if not prefix else np.arange(rows.stop - rows.start)
            )
            expected = arrays[f"{prefix}box"][rows][order][:, [1, 0, 3, 2]] / 640
            assert np.array(boxes.get(key, [])).reshape(-1, 4) == pytest.approx(expected, abs=1e-5)
            assert [label - 1 for label in labels.get(key, [])] == arrays[f"{prefix}class"][rows][order].tolist()
            if not prefix:
                assert scores.get(key, []) == pytest.approx(arrays["score"][rows][order], abs=1e-5)
    assert {len(row) for row in csv.reader(io.StringIO(ava_truth(arrays)))} == {7}


def test_ava_needs_the_size_of_frames(arrays: Arrays) -> None:
    with pytest.raises(VidsuiteError, match="sizes of frames are not recorded"):
        ava_results({**arrays, "size": np.zeros((12, 2), int)})


def runs_of_boxes(tmp_path: Path, arrays: Arrays) -> Store:
    store = Store(tmp_path / "runs")
    cell = make_cell("paper/yowo", folds=1, task="action_detection", version=ActionDetection.version)
    keep(store, cell, arrays, classes=list(CLASSES))
    return store


def invoked(*words: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(export, [str(word) for word in words], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.return_value, done.output


@pytest.mark.parametrize(
    ("form", "files"),
    [
        ("coco", {"truth.json", "results.json"}),
        ("ava", {"truth.csv", "results.csv", "labels.pbtxt"}),
        ("tubes", {"truth.json", "results.json"}),
    ],
)
def test_the_command_writes_a_folder_a_cell(tmp_path: Path, arrays: Arrays, form: str, files: set[str]) -> None:
    store = runs_of_boxes(tmp_path, arrays)
    code, printed = invoked(store.root, "--form", form, "--out", tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    assert (code, {path.name for path in folder.iterdir()}) == (0, files)
    assert f"written: {folder}/" in printed
    if form == "tubes":
        found = json.loads((folder / "results.json").read_text())
        assert {tube["video"] for tube in found} == {"video 0", "video 1", "video 2"}
        assert all(tube["frames"] == [0, 1, 2, 3] and np.shape(tube["boxes"]) == (4, 4) for tube in found)
        assert {tube["class"] for tube in found} <= set(CLASSES)


def test_what_has_no_such_form_is_wrong_use(tmp_path: Path, arrays: Arrays) -> None:
    store = runs_of_boxes(tmp_path, arrays)
    with pytest.raises(UsageError, match="as 'kitti'; forms of the tasks in these folders: ava, coco, tubes"):
        invoked(store.root, "--form", "kitti", "--out", tmp_path / "out")
    other = Store(tmp_path / "clips")
    keep(other, make_cell(folds=1), clip_arrays())
    with pytest.raises(UsageError, match="forms of the tasks in these folders: none"):
        invoked(other.root, "--form", "coco", "--out", tmp_path / "out")
    with pytest.raises(VidsuiteError, match="has no form 'kitti' to export; there are coco, ava, tubes"):
        TASK.export(arrays, "kitti")


def test_what_does_not_hold_is_left_out_and_named(tmp_path: Path, arrays: Arrays) -> None:
    store = runs_of_boxes(tmp_path, arrays)
    (attempt,) = store.everything()
    change(attempt, scores={})  # type: ignore[arg-type]
    code, printed = invoked(store.root, "--form", "coco", "--out", tmp_path / "out")
    assert code == 1
    assert "left out: yowo-ward-quick-f0-s0" in printed
