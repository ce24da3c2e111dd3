"""What `vidsuite doctor` has a process try as a cell would: each thing that a cell needs of this machine.

Started as `python -m vidsuite_core.runner.trial PRECISION RUNS CHECK..`; prints a JSON line before each check and one
after it, so that whatever ends the process is told by its name.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vidsuite_core.errors import Note
from vidsuite_core.support import surroundings
from vidsuite_core.support.paths import atomic_folder, atomic_write, cache_home, can_write

LEAST = 1 << 30
"""Free bytes below which a folder is not well."""


def libraries(precision: str, runs: Path) -> str:
    """Import what a cell imports, detectors' operators among it."""
    start = time.perf_counter()
    from vidsuite_core import openmmlab
    from vidsuite_core.support.environment import software

    openmmlab.prepare()
    import mmcv.ops  # noqa: F401

    names = ("torch", "torchvision", "mmengine", "mmcv-lite", "mmcv", "mmdet", "mmsegmentation", "otxmmaction2")
    versions = ", ".join(f"{name} {found}" for name, found in software().items() if name in names)
    return f"{versions}; imported in {time.perf_counter() - start:.0f} s"


def training(precision: str, runs: Path) -> str:
    """One step of a small network on the device, in the precision that `auto` stands for."""
    import torch
    from torch import nn

    device = "cuda" if os.environ.get("CUDA_VISIBLE_DEVICES") else "cpu"
    network = nn.Sequential(nn.Conv3d(3, 8, 3), nn.BatchNorm3d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)).to(device)
    clip = torch.randn(2, 3, 4, 16, 16, device=device)
    start = time.perf_counter()
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        loss = nn.functional.cross_entropy(network(clip), torch.tensor([0, 1], device=device))
    loss.backward()
    if not torch.isfinite(loss):
        raise RuntimeError(f"the loss is {loss.item()}")
    threads = f"{torch.get_num_threads()} threads" if device == "cpu" else torch.cuda.get_device_name()
    return f"a step of a 3-D convolution in {precision} on {threads}, {1000 * (time.perf_counter() - start):.0f} ms"


def loading(precision: str, runs: Path) -> str:
    """A batch from a data loader's process, through shared memory."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    free = surroundings.shared_memory()
    size = "" if free is None else f"{surroundings.SHARED_MEMORY} has {free / 2**30:.1f} GiB free"
    samples = TensorDataset(torch.zeros(4, 3, 64, 64))
    for _ in DataLoader(samples, batch_size=2, num_workers=1, timeout=60):
        pass
    if free is not None and free < surroundings.SMALL:
        return f"{size}: data are loaded without processes of their own (docker run --shm-size=2g gives more)"
    return f"data come from a process of their own; {size}"


def decoding(precision: str, runs: Path) -> str:
    """A video written and read again: lossless to the last bit, and as H.264."""
    import av

    from vidsuite_core.media import open_video, write_video

    frames = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for name, codec in (("a.mkv", "ffv1"), ("a.mp4", "h264")):
            write_video(Path(folder) / name, frames, 10, codec=codec)  # type: ignore[arg-type]
            with open_video(Path(folder) / name) as video:
                read = np.stack(list(video.frames(0, len(frames))))
            if read.shape != frames.shape or (codec == "ffv1" and (read != frames).any()):
                raise RuntimeError(f"{codec} is read back other than it was written")
    return f"PyAV {av.__version__}: FFV1 and H.264 written and read"


def cache(precision: str, runs: Path) -> str:
    """A file written and synced in the cache."""
    return _writes(cache_home())


def run_folder(precision: str, runs: Path) -> str:
    """A folder written, synced and renamed where attempts are to be kept."""
    return _writes(runs)


CHECKS: dict[str, Callable[[str, Path], str]] = {
    "libraries": libraries,
    "training": training,
    "loading": loading,
    "decoding": decoding,
    "cache": cache,
    "run folder": run_folder,
}


def _writes(folder: Path) -> str:
    """Write as cells do below `folder`, or below what there is of it, leaving nothing."""
    if not can_write(folder):
        raise PermissionError(f"{folder} cannot be written")
    place = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.is_dir())
    with tempfile.TemporaryDirectory(prefix=".vidsuite-doctor-", dir=place) as scratch, _notes() as notes:
        atomic_write(Path(scratch) / "file", b"written")
        with atomic_folder(Path(scratch) / "folder") as made:
            (made / "file").write_bytes(b"written")
    free = shutil.disk_usage(place).free
    text = f"{folder}: {free / 2**30:.1f} GiB free"
    if free < LEAST:
        raise RuntimeError(f"{text}; free some")
    return f"{text}, written and synced" if not notes else f"{text}, written; {notes[0]}"


@contextmanager
def _notes() -> Iterator[list[str]]:
    """The `Note`s that the block gives rise to."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield found
    found += [str(one.message) for one in caught if issubclass(one.category, Note)]


def main() -> None:
    """Try the checks that are named, one after the other."""
    precision, runs, *names = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    surroundings.settle()
    for name in names:
        print(json.dumps({"begins": name}), file=out)
        try:
            well, text = True, CHECKS[name](precision, Path(runs))
        except BaseException as error:
            well, text = False, f"{type(error).__name__}: {' '.join(str(error).split())}"
        print(json.dumps({"check": name, "well": well, "text": text}), file=out)


if __name__ == "__main__":
    main()
