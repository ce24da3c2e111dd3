"""What libraries ask of the machine beside us: a user's name, a home, folders for caches, and shared memory."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

from vidsuite_core.errors import Note
from vidsuite_core.support.paths import cache_home, can_write, spare_home, user_home, usual_cache

LIBRARIES = {"TORCHINDUCTOR_CACHE_DIR": "torchinductor", "TRITON_CACHE_DIR": "triton"}
"""Variables that name the folders of torch's compiled code, and our names for these."""
HOMELESS = {"MPLCONFIGDIR": "matplotlib", "TORCH_HOME": "torch", "MMENGINE_HOME": "mmengine"}
"""Variables of folders that libraries otherwise look for in a home."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
SMALL = 1 << 30
"""Bytes of shared memory below which data are not loaded in processes of their own: Docker gives 64 MiB."""


def settle() -> None:
    """Set, where they are not set, the variables by which libraries find what they need; `Note`s tell what was missing.

    Called before torch or OpenMMLab is imported, and inherited by the processes that this one starts. A user id without
    a name, as containers and clusters have them, is given one (torch's import asks for it); a home that is missing or
    cannot be written is replaced by a folder of this user's, which is named.
    """
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)  # mmengine asks it
    if not _has_name():
        os.environ["USER"] = f"uid{os.getuid()}"
    if not os.environ.get("VIDSUITE_CACHE") and usual_cache() is None:
        os.environ["VIDSUITE_CACHE"] = home = str(spare_home())
        _note(f"no home folder can be written: data and caches are kept in {home} (VIDSUITE_CACHE names another)")
    folder = cache_home() / "libraries"
    if not can_write(folder):
        folder = spare_home() / "libraries"
        if not LIBRARIES.keys() <= os.environ.keys():  # else it was said by the process that started this one
            _note(f"the cache {cache_home()} cannot be written: what it lacks is computed again each time")
    for variable, name in LIBRARIES.items():
        os.environ.setdefault(variable, str(folder / name))
    user = user_home()
    if user is None or not can_write(user):
        if user is None:
            os.environ["HOME"] = str(folder.parent)
        for variable, name in HOMELESS.items():
            os.environ.setdefault(variable, str(folder / name))


def shared_memory() -> int | None:
    """Free bytes of shared memory, in which data loaders hand over batches; None where that is no folder."""
    try:
        return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None
    except OSError:
        return None


def _has_name() -> bool:
    """Whether `getpass.getuser()` finds a name."""
    import getpass

    try:
        return bool(getpass.getuser())
    except (KeyError, OSError, ImportError):  # ImportError: Windows without the variables
        return False


def _note(text: str) -> None:
    warnings.warn(text, Note, stacklevel=3)
