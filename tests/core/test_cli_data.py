"""`vidsuite data`: crops drawn, caches counted and cleared, users' recordings imported by the plugin's name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from vidsuite_core.cli.data import data
from vidsuite_core.media import write_video
from vidsuite_plugins.seizure_i3d.crop.command import crops


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(data, list(map(str, words)), catch_exceptions=False, standalone_mode=False)


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    lines = ["recording,path,subject,class,bed_box,person_box"]
    for number in range(4):
        frames = (np.full((48, 64), 40 + 10 * number + n, np.uint8) for n in range(12))
        write_video(tmp_path / f"{number}.mkv", frames, fps=30, codec="ffv1")
        boxes = "10 10 50 40,20 15 40 30" if number else ","
        lines.append(f"r{number},{number}.mkv,s{number},{'ab'[number % 2]},{boxes}")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def test_recordings_are_imported_by_the_plugins_name_and_drawn(imported: Path, tmp_path: Path) -> None:
    said = call("import", "seizure_i3d", imported)
    assert "4 recordings of 4 subjects" in said.output
    out = tmp_path / "crops.html"
    drawn = CliRunner().invoke(
        crops,
        ["seizure_i3d/recordings", "--out", str(out), "--source", "given"],
        catch_exceptions=False,
        standalone_mode=False,
    )
    assert "3 of 4 cropped (75.00 %)" in drawn.output
    page = out.read_text()
    assert "Content-Security-Policy" in page
    assert "no bed found" in page
    assert call("verify", "seizure_i3d/recordings").return_value == 0
    (tmp_path / "2.mkv").write_bytes((tmp_path / "1.mkv").read_bytes())
    faulty = call("verify", "seizure_i3d/recordings")
    assert faulty.return_value == 1
    assert "2.mkv" in faulty.output


def test_caches_are_counted_and_cleared() -> None:
    from vidsuite_core.support.cache import cache_key, feature_cache

    feature_cache().put(cache_key(a=1), {"x": np.zeros(1000)})
    before = json.loads(call("cache", "--json").output)
    assert before["features"]["entries"] == 1
    assert before["features"]["bytes"] > 0
    assert "features: 1 entries" in call("cache", "--clear").output
    assert json.loads(call("cache", "--json").output)["features"] == {"entries": 0, "bytes": 0}


def test_the_list_says_what_is_ready_and_under_which_licence() -> None:
    rows = {row["name"]: row for row in json.loads(call("list", "--json").output)}
    assert rows["seizure_i3d/synthetic"]["synthetic"]
    assert rows["seizure_i3d/fir16"]["licence"] == "CC BY-NC-SA 4.0"
    assert not any(row["ready"] for row in rows.values())
