"""The page of an entry: what a stranger wrote stays text, every cell can be repeated, files and pictures are sound."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from board_runs import attempt, failed

import vidsuite_core as vs
from vidsuite_core.results.store import read_attempt
from vidsuite_leaderboard import site as site_module
from vidsuite_leaderboard.collect import Source
from vidsuite_leaderboard.pages.entry import MAX_COMMAND, again_text, command_text
from vidsuite_leaderboard.site import build

EVIL = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>{{ 7*7 }}"
UNSEEN = "\u202e\x1b[2J\x07"
JPEG = b"\xff\xd8\xff\xe0\x00\x04JF\xff\xc0\x00\x0b\x08\x00\x50\x00\x78 and so on"  # 120 x 80
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x08 and so on"  # 16 x 8
Build = Callable[..., Path]


class Markup(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, tag: str, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for name, attrs in self.tags if name == tag and attribute in attrs]


def page_of(out: Path, name: str) -> Markup:
    [path] = (out / "entries").glob(f"*{name}*.html")
    return Markup(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def build_site(suite: vs.Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """`build_site(*sources, **options)`: the pages of entries and papers alone, in a new folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site_module, "PAGES", ("entry", "paper", "devices", "compare"))

        def build_(*sources: Source, out: Path | None = None, **options: object) -> Path:
            out = out or tmp_path_factory.mktemp("entries") / "site"
            build(suite, sources, out, progress=lambda *_: None, workers=1, **options)
            return out

        yield build_


@pytest.fixture(scope="module")
def hostile(build_site: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of one model whose every text is an attack, submitted under a name that is one."""
    runs = tmp_path_factory.mktemp("hostile") / "runs"
    texts = {
        "config": {"selection": "best_on_test", EVIL: EVIL + UNSEEN},
        "command": [f"/opt/bin/vidsuite bench; rm -rf ~ {EVIL.replace(chr(39), '')}{UNSEEN}"],
        "warnings": [EVIL, f"red{UNSEEN}"],
        "weights": [{"name": EVIL, "sha256": "random"}, {"name": "sound", "sha256": EVIL}],
        "phases": {EVIL: 1.0},
        "classes": [EVIL, "__proto__"],
        "software": {"python": EVIL},
    }
    attempt(runs, f"seizure_i3d/{EVIL}", **texts)
    failed(runs, f"seizure_i3d/{EVIL}", f"a\nb {EVIL} {UNSEEN}", fold="1", config=texts["config"])
    return build_site(Source(runs, by=EVIL))


@pytest.fixture(scope="module")
def small(build_site: Build, runs: Path) -> Path:
    """The site of `runs`."""
    return build_site(Source(runs))


def test_what_strangers_wrote_stays_text(hostile: Path) -> None:
    pages = [path for path in hostile.rglob("*.html") if path.name != "compare.html"]
    assert {path.parent.name for path in pages} >= {"entries", "papers", hostile.name}
    for path in pages:
        page = Markup(path.read_text(encoding="utf-8"))
        assert "img" not in dict(page.tags), path
        assert [attrs for _, attrs in page.tags if "style" in attrs or any(a.startswith("on") for a in attrs)] == []
        scripts = ["theme.js", "plots.js"] if path.parent.name == "entries" else ["theme.js"]
        up = "" if path.parent == hostile else "../"
        assert page.values("script", "src") == [f"{up}assets/{script}" for script in scripts]
        assert not [href for href in page.values("a", "href") if ":" in href and not href.startswith("https://")], path
        assert "alert(2)" not in "".join(page.values("a", "href"))
    entry = page_of(hostile, "quick")
    assert entry.text.count("<img src=x onerror=alert(1)>") > 8
    assert "49" not in re.findall(r"\{\{ 7\*7 \}\}|\b49\b", entry.text)
    assert not set(UNSEEN[:2] + UNSEEN[-1]) & set(entry.text)


def test_scripts_of_data_end_nowhere_before_their_end(hostile: Path) -> None:
    [path] = (hostile / "data" / "compare").glob("*.js")
    for script in (path, hostile / "data" / "compare.js"):
        text = script.read_text(encoding="utf-8")
        assert not set("<>&\u2028\u2029") & set(text)
        data = json.loads(re.fullmatch(r"vidsuite\.\w+\((.*)\);\n", text, re.DOTALL)[1])
    assert "__proto__" in text or any(name == "__proto__" for name, _ in json.loads(path.read_text()[18:-3])["classes"])
    assert data["tables"][0]["entries"][0][1].startswith("img src=x") is False


def test_caveats_are_said(hostile: Path) -> None:
    text = " ".join(page_of(hostile, "quick").text.split())
    assert "Incomplete: 1 of 2 cells have scores" in text
    assert "No rank: its epoch was chosen on the samples that are scored" in text
    assert "Submitted by <img" in text
    assert "Random initial weights: in place of <img" in text
    assert "Preset quick" in text


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["vidsuite", "bench", "--out", "my runs"], "vidsuite bench --out 'my runs'"),
        (["/opt/venv/bin/vidsuite bench --model 'i3d*'"], "vidsuite bench --model 'i3d*'"),
        (["vidsuite bench; rm -rf ~ $(id)"], "vidsuite 'bench;' rm -rf '~' '$(id)'"),
        (["vidsuite 'bench"], "'vidsuite '\"'\"'bench'"),
        (["vidsuite", "a\nb\x1b[2J"], "vidsuite 'a b[2J'"),
    ],
)
def test_commands_are_quoted_anew(command: list[str], shown: str) -> None:
    assert command_text(command) == shown


@pytest.mark.parametrize("command", [["a b " * 25_000], ["vidsuite", *["-x"] * 50_000]])
def test_a_command_without_end_is_shown_by_its_beginning(command: list[str]) -> None:
    begin = time.perf_counter()
    assert len(command_text(command)) < MAX_COMMAND + 10
    assert time.perf_counter() - begin < 0.5  # quoted by shlex as one text it takes minutes


def test_the_command_that_runs_a_cell_again() -> None:
    assert again_text("lstm-f0-s0-1a2b") == "vidsuite reproduce lstm-f0-s0-1a2b"
    assert again_text("--out=x; id") == "vidsuite reproduce -- '--out=x; id'"


def test_each_cell_stands_on_the_page(small: Path) -> None:
    page = page_of(small, "single_frame")
    assert page.text.count("vidsuite reproduce single_frame-synthetic-quick") == 6
    assert "ValueError: 'bad' <b>video</b>" in page.text
    assert "Where logs of failed cells end" in page.text
    assert "1 superseded" in page_of(small, "i3d_lstm_fc").text
    assert "▲▼ speed" in page_of(small, "i3d_lstm_fc").text
    devices = Markup((small / "devices.html").read_text(encoding="utf-8"))
    assert "1.25 ms" in devices.text.partition("Across devices")[2].partition("cpu: test")[2]


def test_an_archive_is_a_run_folder_that_holds(small: Path, tmp_path: Path) -> None:
    [path] = (small / "attempts").glob("*i3d_lstm_fc*.zip")
    with zipfile.ZipFile(path) as packed:
        packed.extractall(tmp_path / "unpacked")
    found = [read_attempt(record.parent) for record in (tmp_path / "unpacked").glob("*/*/*/result.json")]
    assert len(found) == 12
    assert [attempt.faulty_files() for attempt in found] == [[]] * 12


def test_an_archive_follows_no_link(build_site: Build, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    one = attempt(tmp_path / "runs", "seizure_i3d/linked", folds=1)
    log = one.path / "log.txt"
    record = json.loads((one.path / "result.json").read_text())
    del record["files"]["log.txt"]
    (one.path / "result.json").write_text(json.dumps(record))
    log.unlink()
    log.symlink_to(secret)
    out = build_site(Source(tmp_path / "runs"))
    [path] = (out / "attempts").glob("*.zip")
    names = zipfile.ZipFile(io.BytesIO(path.read_bytes())).namelist()
    assert sorted(name.rpartition("/")[2] for name in names) == ["config.py", "predictions.npz", "result.json"]
    assert not (build_site(Source(tmp_path / "runs"), attempts=False) / "attempts").exists()


@pytest.fixture
def pictured(tmp_path: Path) -> tuple[Source, Path, Path]:
    """Runs of one attempt, a folder of pictures, and the attempt's part of it."""
    one = attempt(tmp_path / "runs", "seizure_i3d/shown", folds=1)
    folder = tmp_path / "pictures" / one.path.name
    folder.mkdir(parents=True)
    return Source(tmp_path / "runs"), tmp_path / "pictures", folder


def write_list(folder: Path, *lines: tuple[str, bool | None]) -> None:
    found = [{"file": name, "caption": EVIL + "\u202e", "right": right} for name, right in lines]
    (folder / "pictures.json").write_text(json.dumps(found))


def test_pictures_are_shown_and_bad_ones_left_out(build_site: Build, pictured: tuple[Source, Path, Path]) -> None:
    source, pictures, folder = pictured
    good = {"right.jpg": JPEG, "wrong.png": PNG}
    bomb = PNG.replace(b"\x00\x00\x00\x10", b"\x00\x01\x00\x00")
    bad = {"page.jpg": b"<html><script>", "png.jpg": PNG, "large.png": PNG + bytes(2**20), "script.svg": b"<svg>"}
    bad |= {"bomb.png": bomb, "cut.jpg": JPEG[:12], "loop.jpg": JPEG[:4] + bytes(9)}
    for name, data in {**good, **bad}.items():
        (folder / name).write_bytes(data)
    (folder / "link.jpg").symlink_to(folder / "right.jpg")
    (pictures.parent / "outside.jpg").write_bytes(JPEG)
    listed = [("right.jpg", True), ("wrong.png", False), ("right.jpg", True), *((name, None) for name in bad)]
    write_list(folder, *listed, ("link.jpg", None), ("../../outside.jpg", None), ("gone.jpg", None))
    out = build_site(source, pictures=pictures)
    copied = {path.name: path.read_bytes() for path in (out / "pictures").rglob("*") if path.is_file()}
    assert copied == good
    page = page_of(out, "shown")
    assert page.values("img", "src") == [f"../pictures/{folder.name}/{name}" for name in ("wrong.png", "right.jpg")]
    assert "11 left out" in page.text
    assert str(pictures.parent) not in page.text
    assert set(page.values("img", "alt")) == {EVIL}
    assert page.values("img", "width") == ["16", "120"]


@pytest.mark.parametrize("text", ["{", '{"file": "a.jpg"}', '[{"file": 1}]', "[" * 9999])
def test_a_bad_list_of_pictures_is_left_out(build_site: Build, pictured: tuple[Source, Path, Path], text: str) -> None:
    source, pictures, folder = pictured
    (folder / "pictures.json").write_text(text)
    out = build_site(source, pictures=pictures)
    assert "pictures.json cannot be read" in page_of(out, "shown").text
    assert not (out / "pictures").exists()


def test_a_page_is_written_anew_where_its_pictures_change(
    build_site: Build, pictured: tuple[Source, Path, Path], tmp_path: Path
) -> None:
    source, pictures, folder = pictured
    (folder / "a.jpg").write_bytes(JPEG)
    write_list(folder, ("a.jpg", True))
    out = build_site(source, pictures=pictures, out=tmp_path / "site")
    [page] = (out / "entries").iterdir()
    before = page.stat().st_mtime_ns
    build_site(source, pictures=pictures, out=out)
    assert page.stat().st_mtime_ns == before
    write_list(folder)
    build_site(source, pictures=pictures, out=out)
    assert "a.jpg" not in page.read_text()
    assert not (out / "pictures").exists()


def test_a_copied_attempt_takes_no_pictures(
    build_site: Build, pictured: tuple[Source, Path, Path], tmp_path: Path
) -> None:
    source, pictures, folder = pictured
    (folder / "a.jpg").write_bytes(JPEG)
    write_list(folder, ("a.jpg", True))
    out = build_site(Source(source.root, by="copy"), source, pictures=pictures)
    pages = {path: path.read_text() for path in (out / "entries").iterdir()}
    assert [("Submitted by" in text, "a.jpg" in text) for text in pages.values()].count((True, False)) == 1
    assert [("Submitted by" in text, "a.jpg" in text) for text in pages.values()].count((False, True)) == 1
