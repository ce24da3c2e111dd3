"""Cells as tasks of Ray: on a cluster that runs already, or on one that is started on this machine for the run.

Ray chooses where a cell runs and tries it again where a node is lost; nothing here schedules.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.results.store import Workspace
from vidsuite_core.runner.cluster import STOPPED, ClusterExecutor
from vidsuite_core.runner.devices import Slot, parse_devices
from vidsuite_core.runner.executor import Job, Listener, Resources
from vidsuite_core.runner.options import settled
from vidsuite_core.runner.ray_task import FILES, look, serve, token_of
from vidsuite_core.runner.remote import Assignment, here, told
from vidsuite_core.support.files import write_synced

if TYPE_CHECKING:
    from vidsuite_core.engine.order import Order

_RELEASE = 20.0
"""Seconds within which a cancelled task must have let go of its cell's folder."""
_GIB = 2**30


@dataclass(frozen=True)
class RayOptions:
    """The executor's own options.

    Attributes:
        address: "auto" for a cluster that this machine belongs to, HOST:PORT of one, or "local" for one that is started
            here and ends with the run.
        gpus: GPUs of a cell; by default one where the cluster has any, and none with `--devices cpu`.
        cpus: processors of a cell, also the threads that it computes with.
        memory: memory of a cell in GiB, as Ray counts it; 0 for no say.
        accelerator: the kind of GPU, as Ray names it ("H200").
        resources: further resources of the cluster that a cell takes ({"rack1" = 1}); a table of the profile.
        retries: further tries of a cell whose node is lost.
        code: "installed" where nodes have the same installation, or "shipped".
        device, precision: the class of device ("cuda: NVIDIA H200") and what "auto" precision stands for there; by
            default a short task looks.
    """

    address: str = "auto"
    gpus: float = -1.0
    cpus: float = 1.0
    memory: float = 0.0
    accelerator: str = ""
    resources: dict[str, str] = field(default_factory=dict)
    retries: int = 3
    code: str = "installed"
    device: str = ""
    precision: str = ""


class RayExecutor(ClusterExecutor):
    """Runs cells as tasks of Ray."""

    settle = 0.2
    poll = 0.2

    def __init__(self, resources: Resources, listener: Listener) -> None:
        super().__init__(resources, listener)
        self.options = settled(RayOptions, "ray", resources.options)
        if resources.devices not in ("auto", "cpu"):
            raise UsageError(f"--devices {resources.devices}: Ray chooses its own; say cpu, or accelerator=… for some")
        if self.options.code not in ("installed", "shipped"):
            raise UsageError(f"executor ray: code is installed or shipped, not {self.options.code!r}")
        self._ray = _ray()
        self._tasks: dict[Any, tuple[Job, str]] = {}
        self._weights: dict[str, Any] = {}
        self._connected = False
        self._slot: Slot | None = None
        self._cancelled = False

    def slots(self) -> list[Slot]:
        """See `Executor.slots`: one that stands for the nodes, as the options say or a short task finds."""
        if self._slot is None:
            self._slot = self._find_slot()
        return [self._slot]

    def _find_slot(self) -> Slot:
        given = self.options
        if given.device:
            device = "cuda:0" if given.device.startswith("cuda") else "cpu"
            return Slot(device, given.device, "", given.precision or "fp32")
        if self.resources.looking:
            if given.address != "local":
                raise UsageError("which class of device the nodes have a task would find; say it for a dry run: "
                                 "--executor-options device='cuda: NVIDIA H200' precision=bf16")  # fmt: skip
            return parse_devices(self.resources.devices)[0]
        self._connect()
        try:
            task = self._remote(look).remote("cuda" if self._gpus() else "cpu")
            found = self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            raise VidsuiteError(f"which device the nodes have could not be found: {_told(error)}") from error
        return Slot(found["device"], found["kind"], "", found["precision"])

    def submit(self, jobs: Sequence[Job]) -> None:
        """See `ClusterExecutor.submit`."""
        self._connect()
        try:
            for job in jobs:
                token = token_of(job.workspace.path)
                sent = Assignment.of(job, self.worker_module).sent()
                task = self._remote(serve, job.cell.title).remote(sent, token, self._sent(job.order))
                self._tasks[task] = (job, token)
        except (self._ray.exceptions.RayError, OSError, ValueError) as error:
            raise VidsuiteError(f"Ray takes no task: {_told(error)}") from error

    def ended(self) -> Iterator[tuple[Job, dict[str, Any]]]:
        """See `ClusterExecutor.ended`."""
        if not self._tasks:
            return
        done, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0, fetch_local=False)
        for task in done:
            job, token = self._tasks.pop(task)
            yield job, self._outcome(task, job.workspace, token)
        for job, _ in self._tasks.values():
            if step := told(job.workspace.path):
                self.step(job, *step)

    def cancel(self) -> None:
        """See `ClusterExecutor.cancel`."""
        self._cancelled = True
        for task in self._tasks:
            self._ray.cancel(task, recursive=False)

    def close(self) -> None:
        """Leave the cluster; one that was started for the run ends."""
        if self._connected:
            self._connected = False
            self._ray.shutdown()

    def _outcome(self, task: Any, workspace: Workspace, token: str) -> dict[str, Any]:
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(task)
        except errors.TaskCancelledError:
            _await_release(workspace.path, token)
            return here(STOPPED)
        except errors.OutOfMemoryError as error:
            return here({"status": "out_of_memory", "reason": f"Ray ended it for want of memory: {_told(error)}"})
        except (errors.NodeDiedError, errors.WorkerCrashedError, errors.ObjectLostError) as error:
            tries = self.options.retries + 1
            reason = f"its node or Ray's process there was lost, {tries} times over: {_told(error)}"
            return here({"status": "interrupted" if self._cancelled else "failed", "reason": reason})
        except errors.RayError as error:
            return here({"status": "failed", "reason": f"its task failed: {_told(error)}"})
        for name, content in answer["files"].items():
            if name in FILES:
                write_synced(workspace.path / name, content)
        outcome: dict[str, Any] = answer["outcome"]
        return outcome

    def _sent(self, order: Order) -> dict[str, Any]:
        """References of the order's files of weights, each in Ray's store once, for nodes that do not have it."""
        found = {}
        for path in filter(None, order.weights.values()):
            if path not in self._weights:
                self._weights[path] = self._ray.put(Path(path).read_bytes())
            found[path] = self._weights[path]
        return found

    def _remote(self, function: Any, name: str = "vidsuite") -> Any:
        given = self.options
        wanted: dict[str, Any] = {
            "name": name,
            "num_cpus": given.cpus,
            "num_gpus": self._gpus(),
            "max_retries": given.retries,
            "retry_exceptions": False,
        }
        if given.memory:
            wanted["memory"] = given.memory * _GIB
        if given.accelerator:
            wanted["accelerator_type"] = given.accelerator
        if given.resources:
            wanted["resources"] = {name: float(amount) for name, amount in given.resources.items()}
        return self._ray.remote(function).options(**wanted)

    def _gpus(self) -> float:
        if self.resources.devices == "cpu":
            return 0.0
        there = self._ray.cluster_resources()
        return self.options.gpus if self.options.gpus >= 0 else float(there.get("GPU", 0) > 0)

    def _connect(self) -> None:
        if self._connected:
            return
        given = self.options
        settings: dict[str, Any] = {"address": given.address, "log_to_driver": False, "logging_level": "ERROR"}
        if given.address == "local":
            os.environ.setdefault("RAY_worker_niceness", "0")  # by its own choice Ray's tasks give way to all others
            settings |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        settings["runtime_env"] = self._runtime()
        try:
            self._ray.init(namespace="vidsuite", **settings)
        except ConnectionError as error:
            remedy = "--ray-address local starts one here"
            raise UsageError(f"no Ray cluster answers at address {given.address!r}; {remedy}") from error
        except (RuntimeError, ValueError, OSError) as error:
            raise VidsuiteError(f"Ray cannot be used at address {given.address!r}: {_told(error)}") from error
        self._connected = True
        self._check()

    def _check(self) -> None:
        """Refuse what the cluster could never run, which Ray would wait for."""
        there, given = self._ray.cluster_resources(), self.options
        kinds = sorted(name.partition(":")[2] for name in there if name.startswith("accelerator_type:"))
        gpus = self._gpus()
        if gpus and len(kinds) > 1 and not given.accelerator:
            raise UsageError(f"the cluster has several kinds of GPU ({', '.join(kinds)}), whose speeds do not compare; "
                             f"choose: --executor-options accelerator={kinds[0]}")  # fmt: skip
        wanted = {"CPU": given.cpus, "GPU": gpus, **{name: float(n) for name, n in given.resources.items()}}
        for name, amount in wanted.items():
            if amount > there.get(name, 0.0):
                raise UsageError(f"a cell takes {amount:g} {name}, and the whole cluster has {there.get(name, 0):g}")

    def _runtime(self) -> dict[str, Any]:
        """Ray's runtime environment: the code where it is to be shipped, and what this run was told."""
        passed = {name: os.environ[name] for name in ("VIDSUITE_OFFLINE",) if name in os.environ}
        found: dict[str, Any] = {"env_vars": passed} if passed else {}
        if self.options.code == "shipped":
            from vidsuite_core.runner.shipping import staged

            found["working_dir"] = str(staged())
        return found


def _await_release(folder: Path, token: str) -> None:
    """Wait until the task that was cancelled has ended its cell, and given back the claim."""
    end = time.monotonic() + _RELEASE
    while token_of(folder) != token and time.monotonic() < end:
        time.sleep(0.05)


def _ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray reports home unless it is told not to
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise UsageError("--executor ray needs Ray: pip install 'vidsuite[ray]'") from error
    return ray


def _told(error: BaseException) -> str:
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if type(error).__name__.startswith("RayTaskError") else " ".join(lines))[:300]
