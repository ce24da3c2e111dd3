"""What a model leaves behind in its process changes no other cell: each leak that was seen to do so, and their kin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vidsuite_core as vs
from vidsuite_core.runner.bench import BenchOptions, Session, Silent
from vidsuite_core.runner.executor import Event
from vidsuite_core.runner.schedule import Planned

MODULE = '''
import builtins, locale, logging, os, resource, signal, sys, warnings
import numpy as np
import torch
from mmengine.registry import MODELS, OPTIMIZERS, DefaultScope
from torch import nn
from vidsuite_toy.model import Tiny


class Adam(torch.optim.SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr=100 * lr)


def blurred(self, inputs):
    return inputs[:, :1].repeat(1, self.out_channels, 1, 1, 1)[..., ::2, ::2]


def adam():
    OPTIMIZERS.register_module(name="Adam", module=Adam, force=True)


def conv3d():
    nn.Conv3d.forward = blurred


def linear():
    nn.Linear.reset_parameters = lambda self: None


def numbers():
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("medium")
    torch.backends.mkldnn.enabled = False
    np.seterr(all="raise")


def process():
    os.chdir("/")
    os.environ.update(OMP_NUM_THREADS="1", VIDSUITE_CACHE="/nowhere", CUBLAS_WORKSPACE_CONFIG="x")
    os.umask(0o777)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def python():
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("error")
    sys.path.clear()
    sys.setrecursionlimit(60)
    sys.stdout = sys.stderr = None
    del sys.modules["json"]
    builtins.max = min
    np.mean = np.median


LEAKS = {
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "grad": lambda: torch.set_grad_enabled(False),
    "threads": lambda: torch.set_num_threads(1),
    "seed": lambda: setattr(torch, "manual_seed", lambda seed: None),
    "adam": adam, "conv3d": conv3d, "linear": linear, "numbers": numbers, "process": process, "python": python,
    "scope": lambda: DefaultScope.get_instance("leak", scope_name="mmseg"),
}


class Leaky(Tiny):
    """A model that leaves its process otherwise than it found it, at its first prediction."""

    def __init__(self, num_classes, leaks=()):
        super().__init__(num_classes)
        self.leaks = list(leaks)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        found = super().forward(inputs, data_samples, mode)
        while mode == "predict" and self.leaks:
            LEAKS[self.leaks.pop()]()
        return found
'''
NAMES = (
    "adam", "conv3d", "device", "dtype", "grad", "linear", "numbers", "process", "python", "scope", "seed", "threads",
)  # fmt: skip


class Listening(Silent):
    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)


class Bench:
    """Cells of the toy with the leaky model's module imported, so that one worker serves them all."""

    def __init__(self, out: Path) -> None:
        self.out, self.suite, self.heard = out, vs.load("toy"), Listening()

    def plan(self, *leaks: str) -> Planned:
        model = f"model.type=leaks.Leaky model.leaks=[{','.join(leaks)}]".split() if leaks else []
        self.options = BenchOptions(
            plugin="toy", out=self.out, devices="cpu",
            cfg_options=["custom_imports.imports=[vidsuite_toy.model,leaks]", *model],
        )  # fmt: skip
        return Session(self.suite, self.options, self.heard).plan([0])[0]

    def run(self, *planned: Planned) -> list[dict[str, np.ndarray]]:
        """The predictions of the cells that came to any."""
        results = Session(self.suite, self.options, self.heard).run(planned)
        kept = [results.outcomes[cell.cell_id].attempt for cell in results.cells]
        assert all(attempt is not None for attempt in kept)
        return [attempt.predictions() for attempt in kept if attempt and attempt.record.status == "ok"]

    @property
    def workers(self) -> int:
        return sum(event.what == "starting worker" for event in self.heard.events)


@pytest.fixture
def leaks(toy_path: Path, toy_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "leaks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}:{toy_env['PYTHONPATH']}")


def check(tmp_path: Path, *leaky: tuple[str, ...]) -> None:
    alone = Bench(tmp_path / "alone")
    (expected,) = alone.run(alone.plan())
    after = Bench(tmp_path / "after")
    found = after.run(*(after.plan(*names) for names in leaky), after.plan())[-1]
    assert after.workers == 1
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_a_cell_after_one_that_leaks_predicts_as_it_does_alone(leaks: None, tmp_path: Path) -> None:
    """All leaks in few cells: the third fails of what it has done itself."""
    check(tmp_path, ("adam", "conv3d", "linear"), ("dtype", "threads", "numbers", "seed", "scope"), NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_leak_alone(leaks: None, tmp_path: Path, name: str) -> None:
    check(tmp_path, (name,))
