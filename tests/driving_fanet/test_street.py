"""The synthetic street world: labels fit the pictures, frames inform one another, and it is reproducible."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from vidsuite_plugins.driving_fanet.classes import AIRSIM
from vidsuite_plugins.driving_fanet.synthetic import dataset, weather
from vidsuite_plugins.driving_fanet.synthetic.mesh import POOL, SKY, Builder, Skin
from vidsuite_plugins.driving_fanet.synthetic.order import painters_order
from vidsuite_plugins.driving_fanet.synthetic.raster import look
from vidsuite_plugins.driving_fanet.synthetic.render import Shader, describe
from vidsuite_plugins.driving_fanet.synthetic.sequence import FPS, Footage, Options, plan

DEFAULT = Options(frames=100, size=(160, 120), seed=0, sequences=18)
LARGE = replace(DEFAULT, size=(640, 480))
DRIVEN, FLOWN = plan(DEFAULT)[0], plan(DEFAULT)[11]


@pytest.fixture(scope="module")
def driven():
    return Footage(DEFAULT, DRIVEN)


@pytest.fixture(scope="module")
def flown():
    return Footage(DEFAULT, FLOWN)


@pytest.fixture(scope="module", params=[DRIVEN, FLOWN], ids=lambda planned: planned.mode)
def large(request):
    return Footage(LARGE, request.param)


@pytest.fixture(scope="module")
def survey():
    """Of each sequence three frames: pictures and labels by split, and how well labels agree with the frame before."""
    pictures, labels, agreement = defaultdict(list), defaultdict(list), []
    for planned in plan(DEFAULT):
        footage = Footage(DEFAULT, planned)
        for number in (5, 50, 95):
            picture, label = footage.frame(number)
            pictures[planned.split].append(picture)
            labels[planned.split].append(label)
            agreement.append((footage.shoot(number - 1).labels == label).mean())
    stacked = ({split: np.stack(each) for split, each in frames.items()} for frames in (pictures, labels))
    return *stacked, np.array(agreement)


def shares(labels):
    return np.bincount(labels.ravel(), minlength=len(AIRSIM)) / labels.size


def miou(predicted, labels):
    """Over the classes that occur."""
    counts = np.bincount(labels.ravel().astype(int) * 11 + predicted.ravel(), minlength=121).reshape(11, 11)
    union = counts.sum(0) + counts.sum(1) - np.diag(counts)
    return float(np.mean(np.diag(counts)[union > 0] / union[union > 0]))


class TestPlan:
    def test_eighteen_sequences_are_split_12_2_4_with_both_modes_in_each(self):
        planned = plan(DEFAULT)
        for mode in ("driven", "flown"):
            splits = [p.split for p in planned if p.mode == mode]
            assert [splits.count(split) for split in ("train", "val", "test")] == [6, 1, 2]
            weathers = {p.weather for p in planned if p.mode == mode and p.split == "train"}
            assert weathers == set(range(len(weather.WEATHERS)))
        assert len({p.name for p in planned}) == len({p.index for p in planned}) == 18

    @pytest.mark.parametrize("sequences", [6, 8, 18, 40])
    def test_every_split_has_both_modes(self, sequences):
        planned = plan(replace(DEFAULT, sequences=sequences))
        assert len(planned) == sequences
        assert len({(p.mode, p.split) for p in planned}) == 6


class TestWorld:
    def test_what_stands_nowhere_overlaps(self, driven):
        low, high = driven.world.mesh.low, driven.world.mesh.high
        meet = ((low[:, None] < high[None] - 1e-5) & (high[:, None] > low[None] + 1e-5)).all(-1)
        np.fill_diagonal(meet, False)
        assert len(low) > 1000
        assert not meet.any()

    def test_a_builder_refuses_what_overlaps_and_forgets_it(self):
        builder, skin, rng = Builder(), Skin(0, 0, (1, 1, 1)), np.random.default_rng(0)
        for x, kept in ((0.0, True), (1.5, False), (2.0, True), (3.9, False)):
            builder.disc((x, 0.0, 0.0), (1.0, 1.0), skin, rng)
            builder.face([(x, 0, 0), (x + 0.5, 0, 0), (x, 0, 0.5)], skin)
            assert builder.end() is kept
        mesh = builder.build()
        assert len(mesh.low) == len(mesh.discs) == len(mesh.faces) == 2
        assert mesh.faces.owner.tolist() == [0, 1]

    def test_two_worlds_differ(self, driven, flown):
        assert driven.world.xs.tolist() != flown.world.xs.tolist()

    def test_no_vehicle_drives_through_the_camera_or_another(self):
        footage = Footage(replace(DEFAULT, frames=1000, size=(32, 32)), DRIVEN)
        traffic = footage.world.traffic
        assert traffic.present.sum() > 10
        for moment in np.arange(0, 40, 0.5):
            places = traffic.at(moment)[0][traffic.present, :2]
            away = np.linalg.norm(places[:, None] - places, axis=-1) + 100 * np.eye(len(places))
            assert away.min() > 1.9
            assert np.linalg.norm(places - footage.camera(moment).position[:2], axis=-1).min() > 1.9


class TestCamera:
    def test_the_car_keeps_to_its_lane_and_turns_at_crossings(self):
        footage = Footage(replace(DEFAULT, frames=1500, size=(32, 32)), DRIVEN)
        world, position = footage.world, footage.track.position
        aside = np.minimum(
            *(np.abs(position[:, axis, None] - lines).min(1) for axis, lines in enumerate((world.xs, world.ys)))
        )
        assert aside.max() < 5
        assert 1.0 < np.median(aside) < 2.5
        assert position[:, 2].min() > 1.2 and position[:, 2].max() < 1.8
        speed = np.linalg.norm(np.diff(position, axis=0), axis=-1) / 0.02
        assert speed.min() > 2 and speed.max() < 10
        assert np.ptp(footage.track.angles[:, 0]) > np.pi / 3

    @pytest.mark.parametrize("number", [9, 11, 13])
    def test_the_drone_flies_6_to_25_m_high_above_all_and_looks_down(self, number):
        footage = Footage(replace(DEFAULT, frames=1500, size=(32, 32)), plan(DEFAULT)[number])
        world, track = footage.world, footage.track
        assert track.position[:, 2].min() > 5.5 and track.position[:, 2].max() < 25.5
        assert np.degrees(track.angles[:, 1]).min() >= 15 and np.degrees(track.angles[:, 1]).max() <= 50
        inside = (track.position[::5, None] > world.mesh.low) & (track.position[::5, None] < world.mesh.high)
        assert not inside.all(-1).any()

    def test_rays_lead_back_to_the_pixel(self, flown):
        camera = flown.camera(1.0)
        pixels = np.array([[0, 0, 1], [159, 119, 1], [40.5, 100, 1]])
        points = camera.position + 7.0 * (pixels @ camera.rays().T)
        assert np.allclose(camera.project(points), pixels[:, :2], atol=1e-6)
        assert np.allclose(camera.seen(points)[:, 2], 7.0)


class TestOcclusion:
    def test_boxes_are_drawn_back_to_front(self):
        """Along any ray from the eye, the box that is met first comes last."""
        rng = np.random.default_rng(4)
        for _ in range(10):
            cells = rng.permutation(np.stack(np.meshgrid(*[np.arange(6)] * 2, np.arange(2)), -1).reshape(-1, 3))[:40]
            low = cells * [3.0, 3.0, 2.0] + rng.uniform(0, 1, (40, 3)) * [1.5, 1.5, 1]
            high = low + rng.uniform(0.05, 1.5, (40, 3)) * [1, 1, 0.6]
            eye, screen = rng.uniform(-3, 20, 3) * [1, 1, 0.2], np.tile([-1.0, -1, 1, 1], (40, 1))
            rank = painters_order(low, high, eye, screen)
            assert sorted(rank) == list(range(40))
            rays = rng.normal(size=(3000, 3))
            first, second = ((edge - eye) / rays[:, None] for edge in (low, high))
            enter, leave = np.minimum(first, second).max(-1), np.maximum(first, second).min(-1)
            hit = (enter < leave) & (leave > 0)
            nearest = np.where(hit, enter, np.inf).argmin(1)
            wrong = (hit & (rank > rank[nearest][:, None])).sum()
            assert wrong <= 0.002 * hit.sum()  # none but for boxes that hide one another in a circle

    def test_nothing_is_seen_through_what_stands_before_it(self, large):
        """At the middles of faces: the pixel shows that face, or one that is not wholly behind it."""
        checked = behind = 0
        for number in (0, 40, 80):
            moment = number / FPS
            camera = large.camera(moment)
            view = look(large.world, camera, moment, large.reach)
            faces = view.faces
            first, every = faces.first[:-1], camera.seen(faces.corners)[:, 2]
            middle = np.add.reduceat(faces.corners, first) / np.diff(faces.first)[:, None]
            depth, nearest = camera.seen(middle)[:, 2], np.minimum.reduceat(every, first)
            pixels = camera.project(middle)
            inside = (depth > 0.5) & (depth < 60) & (pixels > 1).all(-1) & (pixels < np.array([638, 478])).all(-1)
            for face in np.flatnonzero(inside & (faces.pickets == 0) & (np.arange(len(faces)) >= view.ground)):
                x, y = np.rint(pixels[face]).astype(int)
                seen = view.ids[y, x] - 1
                checked += 1
                if seen == face or seen >= len(faces) or (view.ids[y - 1 : y + 2, x - 1 : x + 2] == face + 1).any():
                    continue
                behind += seen < 0 or seen < view.ground or nearest[seen] > depth[face] + 0.3
        assert checked > 300
        assert behind <= 0.005 * checked

    def test_a_pool_that_nothing_hides_is_where_it_projects_to(self):
        found = 0
        for number in (9, 10, 11):
            footage = Footage(DEFAULT, plan(DEFAULT)[number])
            for frame in range(0, 100, 12):
                camera, shot = footage.camera(frame / FPS), footage.shoot(frame)
                pools = np.array([(x, y, 0.0) for x, y in footage.world.pools])
                near = (camera.seen(pools)[:, 2] > 3) & (camera.seen(pools)[:, 2] < 25)
                for x, y in camera.project(pools[near]):
                    if 8 < x < 152 and 8 < y < 112:
                        found += 1
                        part = shot.labels[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]
                        assert (part == POOL).any() or not hits_ground(footage, frame, (x, y))
        assert found > 10


def hits_ground(footage, frame, pixel):
    """Whether the surface at a pixel is of the ground."""
    view = look(footage.world, footage.camera(frame / FPS), frame / FPS, footage.reach)
    return 0 < view.ids[int(pixel[1]), int(pixel[0])] <= view.ground


class TestPicture:
    def test_edges_of_labels_are_edges_of_the_picture(self, large, driven, flown):
        """The picture's gradient across the labels' edges is greatest where the labels lie, not beside it."""
        for footage in (large, driven, flown):
            shot = footage.shoot(30)
            grey = cv2.cvtColor(shot.picture, cv2.COLOR_RGB2GRAY).astype(float)
            strength = {}
            for shift in range(-3, 4):
                moved = np.roll(shot.labels, (shift, shift), (0, 1))[4:-4, 4:-4]
                here = grey[4:-4, 4:-4]
                across = np.abs(np.diff(here, axis=1))[:, :][np.diff(moved.astype(int), axis=1) != 0]
                down = np.abs(np.diff(here, axis=0))[np.diff(moved.astype(int), axis=0) != 0]
                strength[shift] = np.concatenate([across, down]).mean()
            assert max(strength, key=strength.get) == 0
            assert strength[0] > 1.5 * np.abs(np.diff(grey, axis=1)).mean()

    def test_labels_are_classes_only(self, large):
        assert set(np.unique(large.shoot(10).labels)) <= set(range(len(AIRSIM)))

    def test_what_fog_hides_counts_as_sky(self):
        footage = Footage(DEFAULT, plan(DEFAULT)[2])
        shot, view = footage.shoot(0), look(footage.world, footage.camera(0), 0, footage.reach)
        far = Shader(footage.world, footage.weather, DEFAULT.size).inverse_depth(
            view, describe(view, footage.weather, footage.world.sun)
        )
        hidden = (far < 0.9 / footage.reach) & (view.labels != SKY)
        assert footage.weather.name == "fog" and footage.reach < 220
        assert hidden.sum() > 20
        assert (shot.labels[hidden] == SKY).mean() > 0.8
        assert (shot.labels[far > 1.1 / footage.reach] != SKY).mean() > 0.95

    @pytest.mark.parametrize("planned", plan(DEFAULT)[:5], ids=lambda p: weather.WEATHERS[p.weather].name)
    def test_weathers_look_different_and_use_the_whole_range(self, planned):
        picture, labels = Footage(DEFAULT, planned).frame(20)
        assert picture.shape == (120, 160, 3) and labels.shape == (120, 160)
        assert picture.dtype == labels.dtype == np.uint8
        assert 45 < picture.mean() < 200
        assert picture.std() > 30
        assert ((picture > 3) & (picture < 252)).mean() > 0.75

    def test_any_frame_can_be_rendered_by_itself(self, driven):
        picture, labels = Footage(DEFAULT, DRIVEN).frame(37)
        again = driven.frame(37)
        assert np.array_equal(picture, again[0]) and np.array_equal(labels, again[1])


class TestSensor:
    def test_blur_spreads_an_edge_over_its_path_to_both_sides(self):
        step = np.zeros((20, 60, 3), np.uint8)
        step[:, 30:] = 240
        still, along = np.zeros((20, 60), np.float32), np.full((20, 60), 9.0, np.float32)
        assert np.array_equal(weather.blur_along(step, (still, still)), step)
        assert np.array_equal(weather.blur_along(step, (still, along)), step)
        row = weather.blur_along(step, (along, still))[10, :, 0].astype(float)
        assert 6 <= ((row > 5) & (row < 235)).sum() <= 10
        assert row.sum() / 240 == pytest.approx(30, abs=0.5)

    def test_the_blur_follows_the_cameras_own_motion(self, driven, flown):
        """Points of the ground, projected as the shutter opens and as it closes."""
        for footage in (driven, flown):
            moment = 20 / FPS
            camera, shot = footage.camera(moment), footage.shoot(20)
            view = look(footage.world, camera, moment, footage.reach)
            table = describe(view, footage.weather, footage.world.sun)
            inverse = Shader(footage.world, footage.weather, DEFAULT.size).inverse_depth(view, table)
            open_for = footage.weather.shutter / FPS / 2
            before, after = footage.camera(moment - open_for), footage.camera(moment + open_for)
            for x, y in ((30, 100), (80, 110), (130, 90)):
                if not 0 < view.ids[y, x] <= view.ground:
                    continue
                point = camera.position + camera.rays() @ [x, y, 1] / inverse[y, x]
                moved = after.project(point) - before.project(point)
                assert [part[y, x] for part in shot.flow] == pytest.approx(moved, abs=0.1 + 0.05 * np.abs(moved).max())

    def test_noise_is_independent_from_frame_to_frame_and_strong(self, driven):
        rests = []
        for number in (10, 11, 12):
            shot = driven.shoot(number)
            clean = weather.blur_along(shot.picture, shot.flow) * driven.exposure.at(number / FPS)
            recorded = driven.frame(number)[0].astype(float)
            rests.append((recorded - clean)[(clean > 50).all(-1) & (clean < 200).all(-1)][:4000])
        deviations = [rest.std() for rest in rests]
        assert min(deviations) > 6
        assert max(abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in pairwise(rests)) < 0.03
        assert max(abs(rest.mean()) for rest in rests) < 1

    @pytest.mark.parametrize("mode", ["driven", "flown"])
    def test_the_frame_before_brings_the_clean_picture_nearer(self, mode, request):
        """The mean with the frame before, moved along the known flow, is nearer to the clean picture than the frame."""
        footage = request.getfixturevalue(mode)
        y, x = np.mgrid[:120, :160].astype(np.float32)
        errors = []
        for number in (10, 40, 70):
            shot, gain = footage.shoot(number), footage.exposure.at(number / FPS)
            before, here = (footage.frame(k)[0].astype(np.float32) for k in (number - 1, number))
            across, down = (part / np.float32(footage.weather.shutter) for part in shot.flow)
            moved = cv2.remap(before, x - across, y - down, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            clean = np.clip(weather.blur_along(shot.picture, shot.flow) * gain, 0, 255)
            errors.append([np.median(np.abs(each - clean)) for each in (here, (here + moved) / 2)])
        one, two = np.mean(errors, axis=0)
        assert one > 4
        assert two < 0.9 * one

    def test_exposure_wanders(self, driven):
        gains = [driven.exposure.at(number / FPS) for number in range(500)]
        assert 0.1 < np.ptp(gains) < 1 and np.mean(gains) == pytest.approx(1, abs=0.1)
        assert max(abs(np.diff(gains))) < 0.04


class TestShares:
    def test_every_class_is_in_every_split_in_sensible_shares(self, survey):
        _, labels, _ = survey
        assert shares(labels["train"]).min() >= 0.002
        assert shares(labels["test"]).min() >= 0.001
        assert shares(labels["val"]).min() > 0
        assert shares(labels["train"]).max() < 0.4

    def test_neighbouring_labels_agree_in_nine_pixels_of_ten(self, survey):
        agreement = survey[2]
        assert 0.90 < agreement.mean() < 0.97
        assert agreement.min() > 0.75

    def test_neither_place_nor_colour_gives_the_class_away(self, survey):
        """mIoU on the test split of the commonest class at each place, and of each (denoised) colour."""
        pictures, labels, _ = survey
        place = np.stack([(labels["train"] == c).mean(0) for c in range(11)]).argmax(0)
        assert miou(np.broadcast_to(place, labels["test"].shape), labels["test"]) < 0.25
        bins = {
            k: np.stack([cv2.GaussianBlur(f, (0, 0), 1.5) for f in pictures[k]]).astype(int) // 16 for k in pictures
        }
        colour = {k: (each[..., 0] * 16 + each[..., 1]) * 16 + each[..., 2] for k, each in bins.items()}
        counts = np.full((4096, 11), 1e-3)
        np.add.at(counts, (colour["train"].ravel(), labels["train"].ravel()), 1.0)
        assert 0.15 < miou(counts.argmax(1)[colour["test"]], labels["test"]) < 0.45


def test_a_change_of_the_pictures_needs_a_new_generator_number(driven, flown):
    """Means of 4 x 4 blocks and shares of classes: they move with the drawing, not with a processor's rounding."""
    assert dataset.GENERATOR == 1
    for footage, blocks, classes in ((driven, *KNOWN["driven"]), (flown, *KNOWN["flown"])):
        picture, labels = footage.frame(25)
        found = cv2.resize(picture, (4, 4), interpolation=cv2.INTER_AREA).mean(-1)
        assert np.abs(found - blocks).max() <= 1, f"raise GENERATOR, and note the new means here: {found.round()}"
        assert np.abs(100 * shares(labels) - classes).max() <= 0.5, f"likewise: {(100 * shares(labels)).round(1)}"


KNOWN = {
    "driven": (
        [[207, 210, 195, 176], [147, 176, 115, 143], [104, 109, 107, 109], [102, 92, 93, 98]],
        [44.2, 0.7, 2.2, 4.2, 2.2, 38.7, 1.8, 2.0, 2.7, 0.2, 1.2],
    ),
    "flown": (
        [[100, 100, 106, 99], [84, 79, 86, 110], [82, 79, 101, 113], [97, 81, 84, 110]],
        [14.7, 2.7, 20.8, 6.6, 1.2, 0.0, 3.5, 8.3, 12.7, 1.9, 27.8],
    ),
}
