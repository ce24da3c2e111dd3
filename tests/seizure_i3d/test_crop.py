"""The crop rule, the detector behind it and the contact sheets that show it."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as every
from hypothesis import strategies as st

from vidsuite_core.errors import VidsuiteError
from vidsuite_plugins.seizure_i3d.crop import rule as crop
from vidsuite_plugins.seizure_i3d.crop.detect import Detector, find_config
from vidsuite_plugins.seizure_i3d.crop.rule import CropResult, CropRule, Detection, choose_crop, whole_frame
from vidsuite_plugins.seizure_i3d.crop.sheet import contact_sheet, success_rate

BED = Detection("bed", 0.9, (100.0, 100.0, 300.0, 200.0))
PERSON = Detection("person", 0.8, (150.0, 50.0, 200.0, 150.0))
YOLOX = "yolox/yolox_nano_8xb8-300e_coco"

WIDTH, HEIGHT = 512, 424  # Kinect v2's infrared frames
sides = st.tuples(st.floats(0, WIDTH - 1), st.floats(0, HEIGHT - 1), st.floats(0.25, WIDTH), st.floats(0.25, HEIGHT))
boxes = sides.map(lambda s: (s[0], s[1], s[0] + s[2], s[1] + s[3]))


class TestBoxes:
    def test_merge_is_the_smallest_box_around_all(self) -> None:
        assert crop.merge([BED.box, PERSON.box]) == (100, 50, 300, 200)

    def test_merge_of_nothing_is_an_error(self) -> None:
        with pytest.raises(VidsuiteError, match="at least one"):
            crop.merge([])

    def test_expand_grows_every_side_by_a_fifth(self) -> None:
        assert crop.expand((100, 50, 300, 200)) == (60, 20, 340, 230)

    def test_clip_moves_edges_outward_and_stays_inside(self) -> None:
        assert crop.clip((10.7, -3.0, 20.2, 500.0), 100, 80) == (10, 0, 21, 80)

    @pytest.mark.parametrize("box", [(100.0, 0.0, 120.0, 10.0), (5.0, 5.0, 5.0, 9.0), (9.0, 5.0, 5.0, 9.0)])
    def test_clip_refuses_a_box_without_area_in_the_frame(self, box: crop.Box) -> None:
        with pytest.raises(VidsuiteError, match="no area inside the 100x80 frame"):
            crop.clip(box, 100, 80)

    def test_area_of_swapped_corners_is_zero(self) -> None:
        assert crop.area((0, 0, 3, 4)) == 12
        assert crop.area((3, 4, 0, 0)) == 0

    @every(st.lists(boxes, min_size=1, max_size=4), st.floats(0, 2))
    def test_the_crop_contains_all_boxes_and_lies_in_the_frame(self, several: list[crop.Box], fraction: float) -> None:
        x1, y1, x2, y2 = crop.clip(crop.expand(crop.merge(several), fraction), WIDTH, HEIGHT)
        assert 0 <= x1 < x2 <= WIDTH and 0 <= y1 < y2 <= HEIGHT
        assert all(isinstance(v, int) for v in (x1, y1, x2, y2))
        for box in several:
            assert x1 <= box[0] and y1 <= box[1] and x2 >= min(box[2], WIDTH) and y2 >= min(box[3], HEIGHT)


class TestRule:
    def test_merges_expands_and_clips_the_two(self) -> None:
        result = choose_crop([PERSON, BED], WIDTH, HEIGHT, CropRule(), "detector")
        assert (result.status, result.box, result.source) == ("cropped", (60, 20, 340, 230), "detector")
        assert result.reason == "bed and person found, expanded by 20 % on each side"

    def test_only_the_most_confident_of_each_label_counts(self) -> None:
        physician = Detection("person", 0.79, (400.0, 0.0, 500.0, 400.0))
        with_others = choose_crop([physician, BED, PERSON], WIDTH, HEIGHT, CropRule(), "detector")
        assert with_others.box == choose_crop([BED, PERSON], WIDTH, HEIGHT, CropRule(), "detector").box
        assert with_others.detections == (BED, PERSON, physician)

    @pytest.mark.parametrize(
        ("detections", "reason"),
        [
            ([PERSON], "no bed found"),
            ([BED], "no person found"),
            ([], "no bed found and no person found"),
            ([Detection("bed", 0.69, BED.box), PERSON], "no bed found (best 0.69, needs 0.70)"),
            ([Detection("couch", 0.99, BED.box), PERSON], "no bed found"),
        ],
    )
    def test_a_missing_label_keeps_the_whole_frame(self, detections: list[Detection], reason: str) -> None:
        result = choose_crop(detections, WIDTH, HEIGHT, CropRule(), "detector")
        assert (result.status, result.box, result.reason) == ("whole_frame", (0, 0, WIDTH, HEIGHT), reason)

    def test_the_threshold_itself_is_enough(self) -> None:
        found = [Detection("bed", 0.7, BED.box), Detection("person", 0.7, PERSON.box)]
        assert choose_crop(found, WIDTH, HEIGHT, CropRule(), "detector").status == "cropped"

    def test_records_near_misses_but_neither_crowds_nor_other_labels(self) -> None:
        crowd = [Detection("person", score / 100, PERSON.box) for score in range(1, 60)]
        result = choose_crop([*crowd, Detection("dog", 0.9, BED.box)], WIDTH, HEIGHT, CropRule(), "detector")
        assert [found.score for found in result.detections] == [0.59, 0.58, 0.57, 0.56, 0.55]
        hopeless = choose_crop(crowd[:3], WIDTH, HEIGHT, CropRule(), "detector")
        assert hopeless.detections == () and "best 0.03" in hopeless.reason

    def test_given_boxes_need_no_confidence(self) -> None:
        known = crop.given({"person": PERSON.box, "bed": BED.box})
        result = choose_crop(known, WIDTH, HEIGHT, CropRule(min_score=1.0), "given")
        assert (result.status, result.source) == ("cropped", "given")

    def test_boxes_of_another_picture_are_an_error(self) -> None:
        with pytest.raises(VidsuiteError, match="no area inside the 90x90 frame"):
            choose_crop([BED], 90, 90, CropRule(labels=("bed",)), "given")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"labels": ()}, "empty"),
            ({"labels": ("bed", "bed")}, "repeat"),
            ({"expand": -0.1}, "negative"),
            ({"expand": math.nan}, "not finite"),
            ({"min_score": 70}, "between 0 and 1"),
        ],
    )
    def test_impossible_rules_are_refused(self, options: dict[str, object], message: str) -> None:
        with pytest.raises(VidsuiteError, match=message):
            CropRule(**options)

    @pytest.mark.parametrize("score", [-0.1, 1.1, math.nan])
    def test_impossible_scores_are_refused(self, score: float) -> None:
        with pytest.raises(VidsuiteError, match="'bed' is not between 0 and 1"):
            Detection("bed", score, BED.box)

    @pytest.mark.parametrize("box", [(0.0, 0.0, 0.0, 5.0), (5.0, 0.0, 1.0, 5.0), (0.0, 0.0, math.inf, 5.0)])
    def test_impossible_boxes_are_refused(self, box: crop.Box) -> None:
        with pytest.raises(VidsuiteError, match="x1 < x2"):
            Detection("bed", 0.5, box)


class TestRecord:
    def test_round_trip_through_json(self) -> None:
        for found in ([BED, PERSON], [BED], []):
            result = choose_crop(found, WIDTH, HEIGHT, CropRule(), "detector")
            assert CropResult.from_json(json.loads(json.dumps(result.to_json()))) == result

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"status": "croped"}, "status: "),
            ({"source": None}, "source: "),
            ({"box": [1, 2, 3]}, "box"),
            ({"box": [5, 5, 5, 9]}, "crop box .* is empty"),
            ({"box": [-1, 0, 5, 9]}, "begins outside"),
            ({"detections": [{"label": "bed", "score": 2, "box": [0, 0, 1, 1]}]}, "score 2.0 of 'bed'"),
            ({"detections": [{"label": "bed", "score": 1}]}, r"detections\.0\.box: field required"),
        ],
    )
    def test_a_damaged_record_names_its_field(self, change: dict[str, object], message: str) -> None:
        record = whole_frame(10, 10, "not looked for", "none").to_json() | change
        with pytest.raises(VidsuiteError, match=message):
            CropResult.from_json(record)

    def test_another_kind_of_record_is_refused(self) -> None:
        with pytest.raises(VidsuiteError, match="crop result: the record"):
            CropResult.from_json([])  # type: ignore[arg-type]


class TestFrames:
    def test_grey_becomes_three_equal_planes(self) -> None:
        grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
        assert (crop.as_rgb(grey) == grey[..., None]).all() and crop.as_rgb(grey).shape == (2, 3, 3)

    @pytest.mark.parametrize(
        "frame",
        [np.zeros((4, 4), np.uint16), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
    )
    def test_other_frames_are_refused(self, frame: np.ndarray) -> None:
        with pytest.raises(VidsuiteError, match="uint8"):
            crop.as_rgb(frame)


def entry(title: str, *detections: Detection) -> tuple[str, np.ndarray, CropResult]:
    frame = np.full((HEIGHT, WIDTH), 90, np.uint8)
    return title, frame, choose_crop(detections, WIDTH, HEIGHT, CropRule(), "detector")


class TestContactSheet:
    def test_the_papers_success_rate(self) -> None:
        """Section 4.1: 122 of 126 recordings cropped, 96.83 %."""
        cropped, kept = entry("a", BED, PERSON)[2], entry("b", PERSON)[2]
        assert success_rate([cropped] * 122 + [kept] * 4) == "122 of 126 cropped (96.83 %)"
        with pytest.raises(VidsuiteError, match="no recordings"):
            success_rate([])

    def test_png_shows_crop_and_whole_frame_in_their_colours(self, tmp_path: Path) -> None:
        import cv2

        before = entry("one", BED, PERSON)
        entries = [before, entry("two", PERSON), entry("three é")]
        contact_sheet(entries, tmp_path / "new" / "sheet.png", columns=2)
        sheet = cv2.imread(str(tmp_path / "new" / "sheet.png"))[..., ::-1]
        tiles = [sheet[40:280, 8:328], sheet[40:280, 336:656], sheet[348:588, 8:328]]
        assert sheet.shape == (2 * 20 + 2 * 308, 8 + 2 * 328, 3)
        assert [((tile == (240, 228, 66)).all(-1).any(), (tile == (213, 94, 0)).all(-1).any()) for tile in tiles] == [
            (True, False),
            (False, True),
            (False, True),
        ]
        assert (before[1] == 90).all(), "the caller's frame was drawn on"

    def test_hostile_names_stay_text(self, tmp_path: Path) -> None:
        from html.parser import HTMLParser

        hostile = '"><script>alert(1)</script><img src=x onerror=alert(2)>&lt;'
        result = whole_frame(WIDTH, HEIGHT, hostile, "detector", (Detection(hostile, 0.5, BED.box),))
        contact_sheet([(hostile, entry("")[1], result)], tmp_path / "sheet.html")
        page = (tmp_path / "sheet.html").read_text(encoding="utf-8")

        class Tags(HTMLParser):
            seen: list[tuple[str, dict[str, str | None]]] = []  # noqa: RUF012
            text = ""

            def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
                self.seen.append((tag, dict(attrs)))

            def handle_data(self, data: str) -> None:
                self.text += data

        tags = Tags()
        tags.feed(page)
        names = [tag for tag, _ in tags.seen]
        assert "script" not in names and names.count("img") == 1
        assert not any(key.startswith("on") for _, attributes in tags.seen for key in attributes)
        image = next(attributes for tag, attributes in tags.seen if tag == "img")
        assert set(image) == {"alt", "src"} and hostile in (image["alt"] or "")
        assert tags.text.count(hostile) == 3  # title, reason, detection

    def test_html_stands_alone_under_a_strict_policy(self, tmp_path: Path) -> None:
        import base64
        import hashlib

        contact_sheet([entry("one", BED, PERSON), entry("two", BED)], tmp_path / "sheet.html", columns=3)
        page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
        assert page.count("1 of 2 cropped (50.00 %)") == 2
        style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
        assert style and "repeat(3," in style[1]
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        assert f'content="{policy}"' in page
        loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert len(loaded) == 2 and all(source.startswith("data:image/jpeg;base64,") for source in loaded)

    @pytest.mark.parametrize("name", ["sheet.jpg", "sheet"])
    def test_other_files_are_refused(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(VidsuiteError, match=r"\.html"):
            contact_sheet([entry("one")], tmp_path / name)
        assert not list(tmp_path.iterdir())

    def test_an_empty_or_a_giant_sheet_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(VidsuiteError, match="empty"):
            contact_sheet([], tmp_path / "sheet.png")
        with pytest.raises(VidsuiteError, match="601 entries"):
            contact_sheet([entry("one")] * 601, tmp_path / "sheet.png")


class TestDetectorErrors:
    def test_configs_of_mmdet_are_found_by_name(self) -> None:
        assert find_config(YOLOX).name == "yolox_nano_8xb8-300e_coco.py"
        assert find_config("mask_rcnn/mask-rcnn_r101_fpn_2x_coco.py").is_file()

    @pytest.mark.parametrize("name", ["yolox/none", "../../__init__", "/etc/hostname.py"])
    def test_an_unknown_config_names_itself(self, name: str) -> None:
        with pytest.raises(VidsuiteError, match=re.escape(f"no config {name!r}")):
            find_config(name)

    def test_absent_weights_are_not_downloaded(self, tmp_path: Path) -> None:
        with pytest.raises(VidsuiteError, match=r"no weights at .*none\.pth"):
            Detector(YOLOX, tmp_path / "none.pth")

    def test_unfitting_weights_say_what_does_not_fit(self, tmp_path: Path) -> None:
        import torch

        path = tmp_path / "other.pth"
        torch.save({"state_dict": {"some.weight": torch.zeros(1), "ema_x": torch.zeros(1)}}, path)
        with pytest.raises(VidsuiteError, match=r"other\.pth do not fit .*missing .* and 1 unknown \(first 'some\.w"):
            Detector(YOLOX, path)
        torch.save({"backbone.stem.conv.conv.weight": torch.zeros(1)}, path)
        with pytest.raises(VidsuiteError, match=r"do not fit .*size mismatch for backbone\.stem\.conv\.conv\.weight"):
            Detector(YOLOX, path)

    @pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"cposix\nsystem\n(S'true'\ntR."])
    def test_unreadable_weights_name_the_file(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "bad.pth").write_bytes(content)
        with pytest.raises(VidsuiteError, match=r"bad\.pth is damaged or no file of torch weights"):
            Detector(YOLOX, tmp_path / "bad.pth")

    def test_weights_that_are_no_state_dict(self, tmp_path: Path) -> None:
        import torch

        torch.save({"state_dict": {"a": 1}}, tmp_path / "odd.pth")
        with pytest.raises(VidsuiteError, match=r"odd\.pth holds more than named tensors \(a\)"):
            Detector(YOLOX, tmp_path / "odd.pth")

    def test_half_a_config_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "half.py").write_text("model = dict(type='YOLOX')\n")
        (tmp_path / "any.pth").touch()
        with pytest.raises(VidsuiteError, match=r"half\.py: a detector's config has"):
            Detector(tmp_path / "half.py", tmp_path / "any.pth")


def first_frame(video: Path) -> np.ndarray:
    import av

    with av.open(str(video)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.fixture(scope="module")
def detector(shared: Path) -> Detector:
    import torch

    torch.set_num_threads(2)
    return Detector(YOLOX, shared / "weights" / "yolox_nano_coco" / "yolox_nano_mmdet.pth")


class TestDetectorOnPictures:
    """YOLOX-Nano with its real weights on first frames of real recordings."""

    def test_finds_the_person(self, detector: Detector, shared: Path) -> None:
        frame = first_frame(shared / "data" / "videos_decode" / "carphone_pristine.mp4")
        best = detector.detect(frame)[0]
        assert best.label == "person" and best.score == pytest.approx(0.918, abs=0.01)
        assert best.box == pytest.approx((28, 14, 174, 142), abs=3)

    def test_finds_bed_and_person_in_colour_and_grey(self, detector: Detector, shared: Path) -> None:
        videos = shared / "data" / "jhmdb6_mini" / "videos" / "brush_hair"
        frame = first_frame(videos / "brush_my_hair_without_wearing_the_glasses_brush_hair_u_nm_np1_fr_goo_0.avi")
        rule = CropRule(min_score=0.3)
        for picture in (frame, frame.mean(axis=2).astype(np.uint8)):
            found = detector.detect(picture)
            assert all(f.box[0] >= 0 and f.box[2] <= 320 and f.box[3] <= 240 for f in found)
            assert [f.score for f in found] == sorted((f.score for f in found), reverse=True)
            result = choose_crop(found, 320, 240, rule, "detector")
            assert result.status == "cropped"
            assert result.box == pytest.approx((0, 42, 320, 240), abs=12)

    def test_black_has_nothing_in_it(self, detector: Detector) -> None:
        result = choose_crop(detector.detect(np.zeros((60, 80), np.uint8)), 80, 60, CropRule(), "detector")
        assert result.status == "whole_frame"


@pytest.mark.slow
def test_the_papers_detector_runs_from_its_config(tmp_path: Path) -> None:
    """Mask R-CNN R-101-FPN, the drop-in for section 3.3.1, with random weights."""
    import torch
    from mmengine.registry import DefaultScope

    from vidsuite_core import openmmlab
    from vidsuite_plugins.seizure_i3d.crop import detect

    openmmlab.prepare()
    name = "mask_rcnn/mask-rcnn_r101_fpn_2x_coco"
    with DefaultScope.overwrite_default_scope("mmdet"):
        network = detect._build(detect._read_config(find_config(name)))
    torch.save(network.state_dict(), tmp_path / "random.pth")
    del network
    detector = Detector(name, tmp_path / "random.pth")
    assert detector.classes.index("bed") == 59 and detector.classes.index("person") == 0
    assert all(found.label in detector.classes for found in detector.detect(np.zeros((60, 80), np.uint8)))


@pytest.mark.parametrize("module", ["rule", "detect", "sheet"])
def test_modules_are_light(module: str) -> None:
    heavy = "{'torch', 'cv2', 'av', 'mmcv', 'mmengine', 'mmdet'}"
    code = f"import sys, vidsuite_plugins.seizure_i3d.crop.{module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
