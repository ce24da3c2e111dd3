"""From a frame sample to what segmentation networks take."""

import cv2
import numpy as np
import pytest

from vidsuite_core import openmmlab
from vidsuite_core.engine.data import Frame, FrameDataset, PackFrame, ReadFrame
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.media.labels import read_labels
from vidsuite_core.samples import FrameSample, ImageFiles, Recording

openmmlab.prepare()


def images(length, height=6, width=8):
    return np.arange(length, dtype=np.uint8)[:, None, None, None] * 7 + np.zeros((1, height, width, 3), np.uint8)


@pytest.fixture
def still(tmp_path):
    """A recording of 20 PNG files, and a function that makes labelled samples of it."""
    names = tuple(f"{number:02}.png" for number in range(20))
    for name, image in zip(names, images(20), strict=True):
        cv2.imwrite(str(tmp_path / name), image)
    recording = Recording(
        name="a", subject="s", planes=(ImageFiles(tmp_path, names),), frames=20, fps=10, content=str(tmp_path)
    )
    return recording, lambda index, **more: sample_of(recording, index, tmp_path, **more)


def sample_of(recording, index, folder, shape=(6, 8), **more):
    labels = folder / f"{recording.name}_{index}_labels.png"
    cv2.imwrite(str(labels), np.full(shape, index % 3, np.uint8))
    return FrameSample(id=f"{recording.name}/{index}", footage=recording, index=index, labels=labels, **more)


def test_items_are_what_mmseg_packs(still):
    _, sample = still
    item = FrameDataset([sample(4)], [ReadFrame(), PackFrame()])[0]
    assert item["inputs"].shape == (3, 6, 8)
    assert item["inputs"].dtype.is_floating_point is False
    assert (item["inputs"] == 28).all()
    assert item["data_samples"].gt_sem_seg.data.shape == (1, 6, 8)
    assert item["data_samples"].metainfo["sample_id"] == "a/4"
    assert item["data_samples"].metainfo["sequence"] == "a"
    assert item["data_samples"].metainfo["position"] == 4
    assert item["data_samples"].metainfo["scored"] is True


def test_the_lead_is_shown_once_and_is_not_scored(still):
    _, sample = still
    dataset = FrameDataset([sample(5), sample(7), sample(15)], [ReadFrame(), PackFrame()], lead=3)
    assert [(f.index, f.sample is not None) for f in dataset.frames] == [
        (2, False), (3, False), (4, False), (5, True), (6, False), (7, True),
        (12, False), (13, False), (14, False), (15, True),
    ]  # fmt: skip
    context = dataset[0]
    assert context["data_samples"].metainfo["scored"] is False
    assert (context["data_samples"].gt_sem_seg.data == 255).all()


def test_the_lead_stops_at_the_sequence_s_beginning(still):
    _, sample = still
    assert [f.index for f in FrameDataset([sample(1)], [], lead=8).frames] == [0, 1]


def test_resizing_keeps_labels_whole(still):
    _, sample = still
    item = FrameDataset([sample(4)], [ReadFrame(size=(4, 3)), PackFrame()])[0]
    assert item["inputs"].shape == (3, 3, 4)
    assert item["data_samples"].gt_sem_seg.data.shape == (1, 3, 4)
    assert (item["data_samples"].gt_sem_seg.data == 1).all()


def test_labels_in_other_numbers_become_classes_and_the_rest_void(still, tmp_path):
    recording, _ = still
    path = tmp_path / "ids.png"
    cv2.imwrite(str(path), np.array([[7, 11, 300], [26, 0, 255]], np.uint16))
    sample = FrameSample(id="i", footage=recording, index=0, labels=path, label_of={7: 0, 26: 13, 300: 2})
    assert read_labels(sample).tolist() == [[0, 255, 2], [13, 255, 255]]


@pytest.mark.parametrize("content", [None, b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_unreadable_labels_are_named(still, tmp_path, content):
    recording, _ = still
    path = tmp_path / "bad.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VidsuiteError, match=r"bad\.png: no readable label map"):
        read_labels(FrameSample(id="i", footage=recording, index=0, labels=path))


def test_colour_images_are_no_label_maps(still):
    recording, _ = still
    with pytest.raises(VidsuiteError, match="no readable label map"):
        read_labels(FrameSample(id="i", footage=recording, index=0, labels=recording.planes[0][0]))


def test_labels_of_another_size_are_refused(still):
    _, sample = still
    with pytest.raises(VidsuiteError, match=r"labels of a frame 3 are \(5, 5\), its frame is \(8, 6\)"):
        FrameDataset([sample(3, shape=(5, 5))], [ReadFrame()])[0]


def test_items_of_one_draw_are_augmented_alike(still):
    _, sample = still
    flip = {"type": "mmcv.RandomFlip", "prob": 0.5}
    dataset = FrameDataset([sample(0), sample(1)], [ReadFrame(), flip, PackFrame()])
    flips = [[dataset[(i, draw)]["data_samples"].metainfo["flip"] for i in (0, 1)] for draw in range(20)]
    assert all(first == second for first, second in flips)
    assert {first for first, _ in flips} == {True, False}


def test_a_draw_leaves_the_process_s_random_state_alone(still):
    _, sample = still
    dataset = FrameDataset([sample(0)], [ReadFrame(), {"type": "mmcv.RandomFlip", "prob": 0.5}, PackFrame()])
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    dataset[(0, 99)]
    assert np.random.rand() == expected


def test_what_a_frame_costs_is_measured_on_one_stream(still):
    recording, sample = still
    dataset = FrameDataset([sample(i) for i in range(6)], [ReadFrame(), PackFrame()])
    items, described = dataset.cost_items(4)
    assert [item["data_samples"].metainfo["position"] for item in items] == [0, 1, 2, 3]
    assert described == "1 frame of 8x6"
    assert dataset.frames[0] == Frame(recording, 0, dataset.samples[0])
