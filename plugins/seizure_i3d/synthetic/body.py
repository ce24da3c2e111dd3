"""Bodies as capsules: where the limbs of a patient in bed, or of a member of staff, are in the room.

Room axes in metres: x across the bed, y from its foot end (0) to its head end (about 2), z up from the mattress.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidsuite_plugins.seizure_i3d.synthetic.motion import Array, PoseTrack, StaffTrack

FLOOR = -0.55
HINGE = 0.95
"""Where along the bed the backrest is hinged (y); the pelvis lies here."""

BELOW_BLANKET, ABOVE_BLANKET = 0, 1


@dataclass(frozen=True, kw_only=True)
class Capsules:
    """n tapered capsules over T frames.

    Attributes:
        start, end: (T, n, 3) end points.
        radius: (n, 2) radii at the end points.
        albedo: (n,) share of infrared light reflected.
        opacity: (T, n) 0 hides a capsule.
        layer: (n,) BELOW_BLANKET or ABOVE_BLANKET.
    """

    start: Array
    end: Array
    radius: Array
    albedo: Array
    opacity: Array
    layer: Array


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a patient and the bed around look; drawn alike for both classes.

    Attributes:
        stature: factor on all lengths.
        girth: factor on all radii.
        skin, gown, hair, sheet, blanket: albedos.
        bandage: whether the head is wrapped to hold EEG electrodes.
        trousers: whether the thighs are dressed as the trunk is.
        backrest: tilt of the bed's upper part, in radians.
        side: where across the bed the patient lies, in metres.
        camera: position of the camera; focal: its focal length in image widths.
        aim: the point in the room that the camera looks at.
        furniture: seed of what stands about the room.
    """

    stature: float
    girth: float
    skin: float
    gown: float
    hair: float
    sheet: float
    blanket: float
    bandage: bool
    trousers: bool
    backrest: float
    side: float
    camera: tuple[float, float, float]
    focal: float
    aim: tuple[float, float, float]
    furniture: int


def draw_look(rng: np.random.Generator) -> Look:
    """Draw a patient's appearance, bed and camera."""
    corner = rng.choice((-1.0, 1.0))
    return Look(
        stature=float(rng.uniform(0.88, 1.06)),
        girth=float(rng.uniform(0.88, 1.18)),
        skin=float(rng.uniform(0.50, 0.75)),
        gown=float(rng.uniform(0.35, 0.80)),
        hair=float(rng.uniform(0.12, 0.45)),
        sheet=float(rng.uniform(0.60, 0.80)),
        blanket=float(rng.uniform(0.40, 0.85)),
        bandage=bool(rng.random() < 0.5),
        trousers=bool(rng.random() < 0.5),
        backrest=float(rng.uniform(0.0, 0.55)),
        side=float(rng.uniform(-0.10, 0.10)),
        camera=(float(corner * rng.uniform(0.3, 1.7)), float(rng.uniform(-1.3, -0.5)), float(rng.uniform(1.5, 2.0))),
        focal=float(rng.uniform(0.74, 0.92)),
        aim=(float(rng.uniform(-0.15, 0.15)), float(rng.uniform(0.85, 1.1)), float(rng.uniform(0.0, 0.15))),
        furniture=int(rng.integers(2**31)),
    )


class _Builder:
    """Collects capsules; a point is (T, 3), a radius one number or one for each end."""

    def __init__(self, frames: int, girth: float) -> None:
        self.frames, self.girth = frames, girth
        self.rows: list[tuple[Array, Array, tuple[float, float], float, Array, int]] = []

    def add(
        self,
        start: Array,
        end: Array,
        radius: float | tuple[float, float],
        albedo: float,
        layer: int,
        opacity: Array | None = None,
    ) -> None:
        """Add a capsule that is painted with `layer`."""
        first, second = radius if isinstance(radius, tuple) else (radius, radius)
        shown = np.ones(self.frames) if opacity is None else opacity
        self.rows.append((start, end, (first * self.girth, second * self.girth), albedo, shown, layer))

    def build(self) -> Capsules:
        """All capsules added."""
        start, end, radius, albedo, opacity, layer = zip(*self.rows, strict=True)
        return Capsules(
            start=np.stack(start, axis=1),
            end=np.stack(end, axis=1),
            radius=np.array(radius),
            albedo=np.array(albedo),
            opacity=np.stack(opacity, axis=1),
            layer=np.array(layer),
        )


def bed_height(y: Array, backrest: float) -> Array:
    """Height of the mattress above its flat part at `y` along the bed."""
    return np.maximum(y - HINGE, 0.0) * np.tan(backrest)


def _rotation(pitch: Array, bend: Array, roll: Array) -> Array:
    """(T, 3, 3) matrices whose columns are the trunk's lateral, upward-along-the-spine and front directions."""
    cp, sp, cb, sb, cr, sr = np.cos(pitch), np.sin(pitch), np.cos(bend), np.sin(bend), np.cos(roll), np.sin(roll)
    zero, one = np.zeros_like(cp), np.ones_like(cp)

    def matrix(*rows: tuple[Array, Array, Array]) -> Array:
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    about_x = matrix((one, zero, zero), (zero, cp, -sp), (zero, sp, cp))
    about_z = matrix((cb, -sb, zero), (sb, cb, zero), (zero, zero, one))
    about_y = matrix((cr, zero, sr), (zero, one, zero), (-sr, zero, cr))
    return np.einsum("tij,tjk,tkl->til", about_x, about_z, about_y)


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def _elbow(shoulder: Array, hand: Array, upper: float, lower: float, pole: Array) -> tuple[Array, Array]:
    """Two-bone inverse kinematics: the elbow, bent towards `pole`, and the hand brought within reach."""
    reach = hand - shoulder
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    direction = reach / np.maximum(distance, 1e-6)
    distance = np.clip(distance, abs(upper - lower) + 0.02, 0.99 * (upper + lower))
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    away = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    pole = pole - (pole * direction).sum(-1, keepdims=True) * direction
    return shoulder + along * direction + away * _unit(pole), shoulder + distance * direction


def patient_capsules(track: PoseTrack, look: Look, rest: Array) -> Capsules:
    """Lay the patient into bed; `rest` (2, 3) is where the hands rest: across, headwards and up from mid-shoulders."""
    frames, s = len(track.jaw), look.stature
    builder = _Builder(frames, look.girth)
    pelvis = np.zeros((frames, 3))
    pelvis[:, :2] = np.array([look.side, HINGE - 0.02]) + track.pelvis
    pelvis[:, 2] = 0.11 * look.girth
    trunk = _rotation(look.backrest + track.trunk[:, 0], track.trunk[:, 1], track.trunk[:, 2])
    lateral, spine, front = trunk[..., 0], trunk[..., 1], trunk[..., 2]
    chest = pelvis + 0.46 * s * spine + (0.008 * track.breath[:, None]) * front
    for sign in (-1.0, 1.0):
        inner = pelvis + sign * 0.060 * s * lateral
        outer = chest + sign * 0.075 * s * lateral - 0.02 * s * spine
        builder.add(inner, outer, (0.115, 0.105), look.gown, BELOW_BLANKET)
        _add_leg(builder, track, look, pelvis, lateral, sign)
    builder.add(pelvis + 0.02 * front, chest + 0.015 * front, (0.125, 0.120), look.gown, BELOW_BLANKET)
    yoke = 0.15 * s * lateral
    builder.add(chest - yoke, chest + yoke, 0.068, look.gown, BELOW_BLANKET)
    for sign in (-1.0, 1.0):
        _add_arm(builder, track, look, chest, trunk, rest, sign)
    _add_head(builder, track, look, chest + 0.06 * s * spine, trunk)
    return builder.build()


def _add_leg(builder: _Builder, track: PoseTrack, look: Look, pelvis: Array, lateral: Array, sign: float) -> None:
    side, s = int(sign > 0), look.stature
    hip_angle, lift = track.hip[:, side], track.lift[:, side]
    knee_angle = np.minimum(lift - hip_angle, hip_angle)
    out = sign * track.spread[:, side]
    hip = pelvis + sign * 0.09 * s * lateral

    def direction(angle: Array) -> Array:
        return np.stack([np.sin(out) * np.cos(angle), -np.cos(out) * np.cos(angle), np.sin(angle)], axis=1)

    knee = hip + 0.43 * s * direction(hip_angle)
    ankle = knee + 0.42 * s * direction(knee_angle)
    ankle[:, 2] = np.maximum(ankle[:, 2], 0.05)
    toes = ankle + s * (
        0.05 * direction(knee_angle) + np.stack([0.04 * sign + 0 * out, 0 * out, 0.16 + 0 * out], axis=1)
    )
    builder.add(hip, knee, (0.088, 0.062), look.gown if look.trousers else look.skin, BELOW_BLANKET)
    builder.add(knee, ankle, (0.058, 0.040), look.skin, BELOW_BLANKET)
    builder.add(ankle, toes, (0.042, 0.032), look.skin, BELOW_BLANKET)


def _add_arm(
    builder: _Builder, track: PoseTrack, look: Look, chest: Array, trunk: Array, rest: Array, sign: float
) -> None:
    side, s = int(sign > 0), look.stature
    lateral, spine, front = trunk[..., 0], trunk[..., 1], trunk[..., 2]
    shoulder = chest + sign * 0.18 * s * lateral
    offset = rest[side] + track.hands[:, side] * np.array([sign, 1.0, 1.0])
    hand = chest + s * np.einsum("tij,tj->ti", trunk, offset)
    pole = sign * 0.9 * lateral - 0.4 * spine - 0.3 * front
    for _ in range(2):  # the second pass bends the elbow to where the mattress has pushed the hand
        hand[:, 2] = np.maximum(hand[:, 2], bed_height(hand[:, 1], look.backrest) + 0.05)
        elbow, hand = _elbow(shoulder, hand, 0.29 * s, 0.25 * s, pole)
    elbow[:, 2] = np.maximum(elbow[:, 2], bed_height(elbow[:, 1], look.backrest) + 0.05)
    fingers = hand + 0.09 * s * _unit(hand - elbow)
    builder.add(shoulder, elbow, (0.056, 0.044), look.gown, ABOVE_BLANKET)
    builder.add(elbow, hand, (0.043, 0.030), look.skin, ABOVE_BLANKET)
    builder.add(hand, fingers, (0.040, 0.028), look.skin, ABOVE_BLANKET)


def _add_head(builder: _Builder, track: PoseTrack, look: Look, neck: Array, trunk: Array) -> None:
    s, turn, nod = look.stature, track.head[:, :1], track.head[:, 1:]
    lateral, spine, front = trunk[..., 0], trunk[..., 1], trunk[..., 2]
    face = _unit(np.cos(turn) * front + np.sin(turn) * lateral)
    cheek = np.cos(turn) * lateral - np.sin(turn) * front
    crown = _unit(np.cos(nod) * spine + np.sin(nod) * face)
    face = _unit(face - (face * crown).sum(-1, keepdims=True) * crown)
    middle = neck + 0.15 * s * crown
    builder.add(neck - 0.03 * spine, neck + 0.08 * s * crown, 0.055, look.skin, ABOVE_BLANKET)
    cap = 0.90 if look.bandage else look.hair
    builder.add(middle - 0.02 * face, middle + s * (0.055 * crown - 0.015 * face), 0.094, cap, ABOVE_BLANKET)
    jaw = 0.020 * track.jaw[:, None]
    chin = middle - (0.065 + jaw) * s * crown + 0.035 * face
    builder.add(middle + s * (0.015 * crown + 0.028 * face), chin, (0.080, 0.056), look.skin, ABOVE_BLANKET)
    camera = _unit(np.array(look.camera) - middle)
    for across in (-0.034, 0.034):
        eye = middle + s * (0.104 * face + across * cheek + 0.018 * crown)
        builder.add(eye, eye + 0.012 * cheek, 0.013, 0.10, ABOVE_BLANKET, _facing(face + 6 * across * cheek, camera))
    mouth = middle + s * (0.098 * face - (0.055 + jaw / 2) * crown)
    opening = (0.011, 0.011)
    builder.add(
        mouth - 0.020 * cheek, mouth + 0.020 * cheek - jaw * crown, opening, 0.15, ABOVE_BLANKET, _facing(face, camera)
    )


def _facing(direction: Array, camera: Array) -> Array:
    """Opacity of what lies flat on a surface that looks along `direction`: 0 once it is turned away."""
    return np.clip(3 * (_unit(direction) * camera).sum(-1) - 0.3, 0, 1)


def staff_capsules(track: StaffTrack, rng: np.random.Generator) -> Capsules:
    """A member of staff who stands, walks and reaches over the bed."""
    frames = len(track.stride)
    s, coat, skin, hair = (
        rng.uniform(0.95, 1.08),
        rng.uniform(0.45, 0.85),
        rng.uniform(0.5, 0.75),
        rng.uniform(0.15, 0.5),
    )
    builder = _Builder(frames, 1.0)
    opacity = track.present.astype(float)
    ground = np.concatenate([track.place, np.full((frames, 1), FLOOR)], axis=1)
    up = np.array([0.0, 0.0, 1.0])
    inward = np.zeros((frames, 3))
    inward[:, 0] = -np.sign(track.place[:, 0])
    swing = 0.22 * np.sin(np.pi * track.stride)[:, None] * (1 - track.reach[:, None])
    along = np.array([0.0, 1.0, 0.0])
    hips, chest = ground + 0.92 * s * up, ground + 1.38 * s * up + 0.12 * track.reach[:, None] * inward

    def add(start: Array, end: Array, radius: tuple[float, float], albedo: float) -> None:
        builder.add(start, end, radius, albedo, ABOVE_BLANKET, opacity)

    for sign in (-1.0, 1.0):
        hip = hips + sign * 0.09 * along
        foot = ground + sign * 0.10 * along + sign * swing * inward + 0.06 * up
        knee = (hip + foot) / 2 + 0.05 * inward
        add(hip, knee, (0.095, 0.068), coat * 0.8)
        add(knee, foot, (0.066, 0.045), coat * 0.8)
        add(hip + 0.02 * along * sign, chest + sign * 0.09 * along, (0.13, 0.12), coat)
        shoulder = chest + sign * 0.19 * along + 0.03 * up
        hand = hips + sign * 0.24 * along - sign * swing * inward - 0.05 * up
        hand = hand + track.reach[:, None] * (0.55 * inward - 0.12 * sign * along + 0.10 * up)
        elbow, hand = _elbow(shoulder, hand, 0.30, 0.27, -inward - 0.5 * up + 0.3 * sign * along)
        add(shoulder, elbow, (0.060, 0.048), coat)
        add(elbow, hand, (0.046, 0.034), skin)
    head = chest + 0.30 * s * up + 0.04 * inward
    add(chest + 0.1 * up, head, (0.055, 0.055), skin)
    add(head - 0.03 * inward, head + 0.05 * up - 0.02 * inward, (0.095, 0.095), hair)
    add(head + 0.03 * inward, head + 0.03 * inward - 0.06 * up, (0.08, 0.06), skin)
    return builder.build()
