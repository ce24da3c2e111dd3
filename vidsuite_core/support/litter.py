"""What other systems leave in folders, which is never data, and what stands in a file's place without being it."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

_NAMES = frozenset(
    (
        # macOS beside the hidden ones, and in its archives
        "__macosx", "icon\r", "network trash folder", "temporary items",
        # Windows
        "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "system volume information",
        "recycler", "found.000",
        # network disks: Synology, QNAP, NetApp
        "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "~snapshot",
        # ext file systems
        "lost+found",
    )
)  # fmt: skip
_BEGINNINGS = (".", "~$")
"""Hidden files (macOS's `._name`, `.DS_Store`, `.Trashes` are), and what Office writes beside an open file."""
_ENDINGS = (":zone.identifier", "@synoeastream", "@synoresource", ".part", ".crdownload")
"""What marks a file as downloaded, Synology's copies of that, and downloads that are under way."""

_POINTERS = {
    b"version https://git-lfs.github.com/spec/": "a git-lfs pointer, not the file itself; run 'git lfs pull' there",
    b"/annex/objects/": "a git-annex pointer, not the file itself; run 'git annex get' there",
    b"../.git/annex/objects/": "a git-annex pointer, not the file itself; run 'git annex get' there",
}


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is what an operating system, a network disk or a browser left.

    Upper and lower case do not matter, as the systems that write them do not tell these apart.
    """
    lower = name.lower()
    return lower in _NAMES or lower.startswith(_BEGINNINGS) or lower.endswith(_ENDINGS)


def entries(folder: Path) -> list[Path]:
    """What lies in `folder` without the litter, in order of the names.

    Raises:
        OSError: it cannot be read.
    """
    return sorted(path for path in folder.iterdir() if not is_litter(path.name))


def files_below(folder: Path, pattern: str) -> Iterator[Path]:
    """The files whose path below `folder` fits `pattern` ("*/*.png"), without litter and what lies in litter.

    In order of the names, which may be in upper or lower case; a folder that is missing has none.
    """
    first, _, rest = pattern.lower().partition("/")
    for path in entries(folder) if folder.is_dir() else ():
        if fnmatchcase(path.name.lower(), first):
            if rest:
                yield from files_below(path, rest)
            elif path.is_file():
                yield path


def pointer(head: bytes) -> str | None:
    """What a file that begins so stands for, and the remedy, where it is a pointer to the real file; else None."""
    return next((told for beginning, told in _POINTERS.items() if head.startswith(beginning)), None)
