"""What operating systems and network disks leave in folders, for tests of whatever reads folders."""

from __future__ import annotations

import shutil
from pathlib import Path

FILES = (".DS_Store", "Thumbs.db", "desktop.ini", "ehthumbs.db", "Icon\r", "~$notes.docx", ".nfs0001")


def strew(folder: Path) -> None:
    """Leave litter in `folder` and all that are below it, beside and in the shape of each file that is there."""
    for place in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        here = [path for path in place.iterdir() if path.is_file()]
        for name in FILES:
            (place / name).write_bytes(b"\0\x05\x16\x07 litter")
        thumbnails, archived = place / "@eaDir", place / "__MACOSX"
        for path in here:
            (place / f"._{path.name}").write_bytes(b"\0\x05\x16\x07\0\x02\0\0Mac OS X")
            (thumbnails / path.name).mkdir(parents=True)
            (thumbnails / path.name / "SYNOPHOTO_THUMB_M.jpg").write_bytes(b"\xff\xd8\xff thumbnail")
            archived.mkdir(exist_ok=True)
            shutil.copy(path, archived / f"._{path.name}")
        for other in (thumbnails, archived, place / "$RECYCLE.BIN", place / "#recycle"):
            other.mkdir(exist_ok=True)
            for path in here:
                shutil.copy(path, other / path.name)
