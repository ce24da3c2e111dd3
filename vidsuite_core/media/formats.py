"""What a file is by its first bytes, for messages that say what was seen where a video or an image was expected."""

from __future__ import annotations

import re
from pathlib import Path

from vidsuite_core.support.litter import pointer

HEAD = 512
"""So many bytes are looked at."""

_PART = 2**20
"""So many bytes at both ends are searched for the name of a coding."""

_SEEN = {
    rb"\x89PNG\r\n\x1a\n": "a PNG image",
    rb"\xff\xd8\xff": "a JPEG image",
    rb"II\*\0|MM\0\*": "a TIFF image",
    rb"II\x2b\0|MM\0\x2b": "a BigTIFF image",
    rb"GIF8[79]a": "a GIF",
    rb"BM.{4}\0{4}": "a BMP image",
    rb"RIFF.{4}WEBP": "a WebP image",
    rb"RIFF.{4}WAVE": "sound (WAV)",
    rb"RIFF.{4}AVI ": "an AVI",
    rb".{4}ftyp(heic|heix|mif1|msf1|hevc)": "a HEIC image",
    rb".{4}ftyp(avif|avis)": "an AVIF image",
    rb".{4}ftypcrx ": "a Canon raw image",
    rb".{4}(ftyp|moov|mdat|wide|skip|free|pnot)": "an MP4 or MOV",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": "a JPEG 2000 image",
    rb"\x1a\x45\xdf\xa3": "a Matroska or WebM file",
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "an ASF or WMV file",
    rb"FLV\x01": "a Flash video",
    rb"OggS": "an Ogg file",
    rb"\.RMF": "a RealMedia file",
    rb"\x06\x0e\x2b\x34": "an MXF file",
    rb"\0\0\x01\xba": "an MPEG program stream",
    rb"\0\0\x01\xb3": "an MPEG video stream",
    rb"G.{187}G": "an MPEG transport stream",
    rb"\0\0\0?\x01[\x67\x27\x47\x09]": "a raw H.264 stream",
    rb"\0\0\0?\x01[\x40\x42\x46]\x01": "a raw HEVC stream",
    rb"YUV4MPEG2": "a YUV4MPEG2 file",
    rb"DKIF": "an IVF file",
    rb"IMKH|HKVI": "a Hikvision recording; convert it with the maker's player or with FFmpeg",
    rb"DHAV": "a Dahua recording; convert it with the maker's player or with FFmpeg",
    rb"Norpix|\xed\xfe\0\0N\0o\0r\0p\0i\0x": "a Norpix sequence; export it as AVI",
    rb"ID3|\xff[\xfb\xf3\xf2]": "sound (MP3)",
    rb"fLaC": "sound (FLAC)",
    rb"#EXTM3U|ffconcat|\[playlist\]": "a play list, which names other files; give the video itself",
    rb"PK(\x03\x04|\x05\x06)": "a zip archive (or an Office file); unpack it",
    rb"\x1f\x8b": "a gzip archive; unpack it",
    rb"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; unpack it",
    rb"Rar!\x1a\x07": "a RAR archive; unpack it",
    rb"BZh[1-9]|\xfd7zXZ\0|\x28\xb5\x2f\xfd": "a compressed file; unpack it",
    rb".{257}ustar": "a tar archive; unpack it",
    rb"%PDF": "a PDF",
    rb"\x89HDF\r\n\x1a\n": "an HDF5 (or MATLAB) file",
    rb"MATLAB 5\.0 MAT-file": "a MATLAB file",
    rb"\x93NUMPY": "a NumPy array",
    rb".{128}DICM": "a DICOM file; export it as AVI or MP4",
    rb"0       ": "an EDF recording, which holds signals",
    rb"\xfd\xfd\xfd\xfd|\0\0\0\0IGLNIKON": "a Nikon raw image",
    rb"SQLite format 3\0": "a database",
    rb"\x7fELF|MZ": "a program",
    rb"\s*(<!DOCTYPE html|<html|<HTML)": "a web page, as sites send in place of a file; download it again",
    rb"\s*<\?xml|\s*<svg": "an XML file",
    rb"\s*[\[{]\s*[\"{\[]": "a JSON file",
}
"""What files begin with, the special before the general. Remedies follow a semicolon."""

CONTAINERS = frozenset(
    (
        "a Flash video", "a GIF", "a Matroska or WebM file", "a RealMedia file", "a YUV4MPEG2 file",
        "an ASF or WMV file", "an AVI", "an IVF file", "an MP4 or MOV", "an MPEG program stream",
        "an MPEG transport stream", "an MXF file", "an Ogg file",
    )
)  # fmt: skip
"""Of these, formats in which there are videos that can be read."""

_TEXT = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]+\Z")


def seen(head: bytes) -> str:
    """What a file that begins with `head` is, as "a PNG image" or "text", or what its first bytes are."""
    if not head:
        return "empty"
    if pointed := pointer(head):
        return pointed
    for beginning, name in _SEEN.items():
        if re.match(beginning, head, re.DOTALL):
            return name
    if not any(head):
        return "nothing but zeros, as a failed copy or download leaves; copy it again"
    if _TEXT.match(head):
        begin = head.split(b"\n")[0][:40].decode("utf-8", "replace").strip()
        return f"text that begins with {begin!r}"
    return f"of no format known here (it begins with {head[:8].hex(' ')})"


def seen_in(path: Path) -> str:
    """`seen` of a file; one that cannot be read "cannot be read"."""
    try:
        with path.open("rb") as file:
            return seen(file.read(HEAD))
    except OSError as error:
        return f"unreadable ({error.strerror})"


_CODED = re.compile(rb"vids(?P<avi>[ -~]{4})|stsd.{12}(?P<mov>[ -~]{4})|(?P<mkv>V_[A-Z0-9/._-]+)", re.DOTALL)
"""Where AVI, MP4 and Matroska name a stream's coding."""

_SOUND = ("mp4a", "ac-3", "ec-3", "sowt", "twos", "lpcm", "alac", "Opus", "samr", "tmcd", "text", "gpmd", "mebx")


def coded_as(path: Path) -> str:
    """What AVI, MP4 and Matroska files call the coding of their video, as "'XYZ0'"; "" for others."""
    size = path.stat().st_size
    with path.open("rb") as file:
        parts = [file.read(_PART)]
        file.seek(max(0, size - _PART))
        parts.append(file.read(_PART))
    for part in parts:
        for match in _CODED.finditer(part):
            name = (match["avi"] or match["mov"] or match["mkv"]).decode("ascii").strip()
            if name and name not in _SOUND:
                return repr(name)
    return ""
