"""Field-coded H.264 (PAFF), which no encoder at hand writes: uncompressed macroblocks (I_PCM) and skipped ones.

Written after ITU-T H.264, sections 7.3 and 9.1; each field is an access unit, and so a packet, of its own.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH = HEIGHT = 256
"""Large enough for several decoder threads."""

START = b"\0\0\0\1"


class _Bits:
    def __init__(self) -> None:
        self.bits: list[int] = []

    def u(self, width: int, value: int) -> None:
        self.bits += [value >> place & 1 for place in range(width - 1, -1, -1)]

    def ue(self, *values: int) -> None:
        for value in values:
            width = (value + 1).bit_length()
            self.u(2 * width - 1, value + 1)

    def raw(self, data: bytes) -> None:
        self.bits += [0] * (-len(self.bits) % 8)
        self.bits += np.unpackbits(np.frombuffer(data, np.uint8)).tolist()

    def unit(self, kind: int, reference: int = 3) -> bytes:
        """A NAL unit of what was written."""
        bits = [*self.bits, 1]
        packed = np.packbits(np.array(bits + [0] * (-len(bits) % 8), np.uint8)).tobytes()
        body, zeros = bytearray(), 0
        for byte in packed:  # no start code may occur within
            if zeros >= 2 and byte <= 3:
                body.append(3)
                zeros = 0
            body.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return START + bytes([reference << 5 | kind]) + bytes(body)


def _parameters() -> bytes:
    sequence = _Bits()
    sequence.u(24, 77 << 16 | 40)  # main profile, level 4
    sequence.ue(0, 0, 2, 2)  # id, frame numbers of 4 bits, order of output is that of decoding, 2 reference frames
    sequence.u(1, 0)
    sequence.ue(WIDTH // 16 - 1, HEIGHT // 32 - 1)
    sequence.u(5, 0b00100)  # fields or frames, no MBAFF, 8 x 8 inference, no cropping, no VUI
    picture = _Bits()
    picture.ue(0, 0)
    picture.u(2, 0)
    picture.ue(0, 0, 0)
    picture.u(3, 0)
    picture.ue(0, 0, 0)
    picture.u(3, 0b100)  # slices say how they are deblocked
    return sequence.unit(7) + picture.unit(8)


def _recovery_point() -> bytes:
    message = _Bits()
    message.raw(bytes([6, 1, 0b11000100]))  # 0 frames until the picture is right, exactly
    return message.unit(6, 0)


def _slice(number: int, *, bottom: bool, first: bool, predicted: bool) -> _Bits:
    header = _Bits()
    header.ue(0, 5 if predicted else 7, 0)
    header.u(4, number % 16)
    header.u(2, 0b10 | bottom)
    if first:
        header.ue(0)
    if predicted:
        header.u(2, 0)
    header.u(2 if first else 1, 0)
    header.ue(0, 1)  # no change of the quantiser, no deblocking
    return header


def _stored(luma: np.ndarray, number: int, *, bottom: bool, first: bool) -> bytes:
    field = _slice(number, bottom=bottom, first=first, predicted=False)
    for y in range(0, HEIGHT // 2, 16):
        for x in range(0, WIDTH, 16):
            field.ue(25)
            field.raw(luma[y : y + 16, x : x + 16].tobytes() + bytes([128]) * 128)
    return field.unit(5 if first else 1, 1)


def _skipped(number: int, *, bottom: bool) -> bytes:
    field = _slice(number, bottom=bottom, first=False, predicted=True)
    field.ue(WIDTH // 16 * HEIGHT // 32)
    return field.unit(1, 1)


def write_fields(path: Path, count: int = 40, keys: int = 10, *, lying: bool = False) -> Path:
    """`count` frames of two fields each: every `keys`-th can be begun at, others are stored or skipped in turn.

    A lying stream says so of frames whose second field is that of the frame before.
    """
    dice, stream = np.random.default_rng(0), b""
    for number in range(count):
        key = number % keys == 0
        luma = dice.integers(16, 235, (HEIGHT // 2, WIDTH), np.uint8)
        if key:
            stream += _parameters() + (b"" if number == 0 else _recovery_point())
            stream += _stored(luma, number, bottom=False, first=number == 0)
            if lying and number:
                stream += _skipped(number, bottom=True)
            else:
                stream += _stored(luma[::-1], number, bottom=True, first=False)
        else:
            stored = number % 3 > 0
            stream += (
                _stored(luma, number, bottom=False, first=False) if stored else _skipped(number, bottom=False)
            ) + _skipped(number, bottom=True)
    raw = path.with_suffix(".h264")
    raw.write_bytes(stream)
    if path.suffix != ".h264":
        _wrap(raw, path)
    return path


def _wrap(raw: Path, path: Path) -> None:
    with av.open(str(raw)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.stream, packet.time_base = stream, Fraction(1, 50)
            packet.pts = packet.dts = number
            packet.duration = 1
            target.mux(packet)
