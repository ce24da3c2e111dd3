"""A long recording of many focal planes is read without holding it: 1,000 frames of 500x500 in 7 planes are 1.75 GB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from vidsuite_core.media import write_video

FRAMES, PLANES, SIDE = 1000, 7, 500
ALLOWED = 200.0
"""MB that reading may add to what the process holds before."""
READ = """
import resource, sys
import numpy as np
from vidsuite_core.engine.data.moments import PackMoments, ReadMoments
from vidsuite_core.samples import MomentsSample, Recording, split_by_time
from vidsuite_plugins.blastocyst_dnn.data import ReadTimelapse
from vidsuite_plugins.embryo_timelapse.embryos import EmbryoClip
from pathlib import Path

frames, planes = 1000, 7
files = tuple(Path(sys.argv[1]) for _ in range(planes))
times = tuple(600.0 * index for index in range(frames))
footage = Recording(name="e", subject="p", planes=files, frames=frames, fps=1 / 600, content="c", times=times)
moments = split_by_time(footage, [21600.0 * edge for edge in range(29)])
clip = EmbryoClip(id="e", footage=footage, label=1, start=0, stop=frames)
early = MomentsSample(id="e", footage=footage, label=1, moments=moments)
reads = (ReadTimelapse(size=224, frames=32), ReadMoments(size=112))
small = EmbryoClip(id="s", footage=footage, label=1, start=0, stop=2)
ReadTimelapse(size=224, frames=2)({"sample": small})  # what decoders and libraries take once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seen = reads[0]({"sample": clip})["clip"]
assert seen.shape == (32, 224, 224, 1), seen.shape
assert len({int(frame[0, 0, 0]) for frame in seen}) > 20, "the frames are not spread over the recording"
assert reads[1]({"sample": early})["moments"].shape == (28, 7, 112, 112, 1)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_does_not_grow_with_a_recording(tmp_path: Path) -> None:
    video = tmp_path / "plane.mkv"
    write_video(video, (np.full((SIDE, SIDE), index // 4, np.uint8) for index in range(FRAMES)), 10, codec="ffv1")
    env = {**os.environ, "VIDSUITE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", READ, str(video)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < ALLOWED
    assert PLANES * FRAMES * SIDE**2 / 2**20 > 8 * ALLOWED
