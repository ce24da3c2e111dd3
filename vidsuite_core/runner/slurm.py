"""Cells as jobs of Slurm, through submitit: a bundle of cells is one array job.

The run folder must lie on a disk that the nodes see, and the environment in which `vidsuite` is installed as well. Each
job claims its cell's folder and runs the cell with a worker of its own; what it comes to it leaves there, too, so that
the same command finds it where the run that waited is gone.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.runner.cluster import ClusterExecutor
from vidsuite_core.runner.devices import Slot
from vidsuite_core.runner.executor import Job, Listener, Resources
from vidsuite_core.runner.options import minutes, settled
from vidsuite_core.runner.remote import Assignment, Progress, here, leave, perform, slot_here, told
from vidsuite_core.runner.stop import Stop
from vidsuite_core.support.paths import cache_home

FOLDER = ".slurm"
"""Folder of the run folder with the scripts and logs of its jobs."""
_SHORT = 10
"""Minutes that a job may take that only looks at its node."""
_STATES = {
    "TIMEOUT": ("interrupted", "its job was ended at Slurm's time limit; the same command goes on (time=… gives more)"),
    "PREEMPTED": ("interrupted", "its job was preempted; the same command goes on"),
    "NODE_FAIL": ("interrupted", "its node failed; the same command goes on"),
    "BOOT_FAIL": ("interrupted", "its node failed to start; the same command goes on"),
    "CANCELLED": ("interrupted", "its job was cancelled; the same command goes on"),
    "OUT_OF_MEMORY": ("out_of_memory", "its job was killed for want of memory (mem=… gives more)"),
}
"""What the states of jobs mean that ended without a word."""


@dataclass(frozen=True)
class SlurmOptions:
    """The executor's own options; those without a word here are sbatch's of the same name.

    Attributes:
        time: longest time of a job: minutes, H:MM:SS or D-HH:MM:SS.
        gpus: GPUs of a cell; by default one, and none with `--devices cpu`.
        cpus: processors of a cell.
        mem: memory of a cell in GB.
        throttle: jobs of an array that run at a time; 0 for no limit.
        array: cells of an array at most.
        device, precision: the nodes' class of device ("cuda: NVIDIA H200") and what "auto" precision stands for there
            ("bf16"); by default a short job looks.
        notice: seconds before the time limit at which a job is told to stop.
        setup: shell lines before each job, as "module load …".
        python: the nodes' Python; by default this one.
        sbatch: any other option of sbatch.
        cluster: "slurm", or "local" for submitit's own stand-in on this machine.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    gres: str = ""
    exclude: str = ""
    nodelist: str = ""
    comment: str = ""
    time: str = "4:00:00"
    gpus: int = -1
    cpus: int = 0
    mem: float = 0.0
    throttle: int = 0
    array: int = 1000
    device: str = ""
    precision: str = ""
    notice: int = 90
    setup: list[str] = field(default_factory=list)
    python: str = ""
    sbatch: dict[str, str] = field(default_factory=dict)
    cluster: str = "slurm"


class SlurmExecutor(ClusterExecutor):
    """Runs cells as jobs of Slurm."""

    def __init__(self, resources: Resources, listener: Listener) -> None:
        super().__init__(resources, listener)
        self.options = settled(SlurmOptions, "slurm", resources.options)
        if resources.devices not in ("auto", "cpu"):
            raise UsageError(f"--devices {resources.devices}: Slurm chooses its devices; say cpu, or gres=… for some")
        if self.options.cluster not in ("slurm", "local"):
            raise UsageError(f"executor slurm: cluster is slurm or local, not {self.options.cluster!r}")
        wanted = 0 if resources.devices == "cpu" else 1
        self._gpus = wanted if self.options.gpus < 0 else self.options.gpus
        self._minutes = minutes(self.options.time, "time")
        self.window = max(1, self.options.array)
        self._submitit = _submitit(self.options.cluster)
        self._jobs: list[tuple[Job, Any]] = []
        self._folders: set[Path] = set()
        self._slot: Slot | None = None
        if self.options.cluster == "slurm" and shutil.which("sacct") is None:
            listener.say("there is no sacct here: a job that dies without a word will not be noticed")

    def slots(self) -> list[Slot]:
        """See `Executor.slots`: one that stands for the nodes, as the options say or a short job finds."""
        if self._slot is None:
            self._slot = self._find_slot()
        return [self._slot]

    def _find_slot(self) -> Slot:
        given = self.options
        if given.device:
            device, precision = ("cuda:0" if given.device.startswith("cuda") else "cpu"), given.precision or "fp32"
            if (device == "cpu") != (self._gpus == 0):
                raise UsageError(f"executor slurm: device={given.device} and gpus={self._gpus} do not go together")
            return Slot(device, given.device, "", precision)
        if self.resources.looking:
            raise UsageError("which class of device the nodes have a short job would find; say it for a dry run: "
                             "--executor-options device='cuda: NVIDIA H200' precision=bf16")  # fmt: skip
        with _scratch() as folder:
            executor = self._executor(folder, min(_SHORT, self._minutes))
            found = self._look(executor)
        self.listener.say(f"the nodes are {found['kind']!r} (precision {found['precision']}): said by "
                          "device= and precision=, no job has to look")  # fmt: skip
        return Slot(found["device"], found["kind"], "", found["precision"])

    def _look(self, executor: Any) -> dict[str, str]:
        try:
            job = executor.submit(look, "cuda" if self._gpus else "cpu")
            self.listener.say(f"a short job ({job.job_id}) looks which class of device the nodes have")
            found: dict[str, str] = job.result()
        except KeyboardInterrupt:
            raise
        except Exception as error:
            raise VidsuiteError(f"which device the nodes have could not be found: {_last_line(error)}") from error
        return found

    def submit(self, jobs: Sequence[Job]) -> None:
        """See `ClusterExecutor.submit`: one array job, or a plain one for a single cell."""
        folder = jobs[0].workspace.path.parents[2] / FOLDER / jobs[0].workspace.attempt
        self._folders.add(folder)
        try:
            executor = self._executor(folder, self._minutes)
            with executor.batch():
                found = [executor.submit(serve, Assignment.of(job, self.worker_module).sent()) for job in jobs]
            self._jobs += zip(jobs, found, strict=True)
        except Exception as error:  # submitit raises what its tools do, and a dozen types of its own
            raise VidsuiteError(f"Slurm takes no job: {_last_line(error)}") from error
        names = sorted({job.job_id.partition("_")[0] for job in found})
        self.listener.say(f"{len(jobs)} cells are with {self.options.cluster} as job {', '.join(names)}")

    def ended(self) -> Iterator[tuple[Job, dict[str, Any]]]:
        """See `ClusterExecutor.ended`."""
        left = []
        for job, submitted in self._jobs:
            if submitted.done():
                yield job, self._outcome(submitted)
            else:
                left.append((job, submitted))
                if step := told(job.workspace.path):
                    self.step(job, *step)
        self._jobs = left
        if not left:
            for folder in self._folders:
                shutil.rmtree(folder, ignore_errors=True)
            self._folders.clear()

    def cancel(self) -> None:
        """See `ClusterExecutor.cancel`: SIGTERM to those that run, and the others are removed."""
        for _, submitted in self._jobs:
            if self.options.cluster == "local":
                submitted._process.send_signal(signal.SIGTERM)
                continue
            for command in (["--signal=TERM"], ["--state=PENDING"]):
                subprocess.run(["scancel", *command, submitted.job_id], check=False, capture_output=True, timeout=60)

    def _outcome(self, submitted: Any) -> dict[str, Any]:
        try:
            outcome: dict[str, Any] = submitted.result()
        except Exception as error:
            state = str(submitted.state).split(" ")[0].rstrip("+")
            status, reason = _STATES.get(state, ("failed", f"its job ended as {state}: {_last_line(error)}"))
            return here({"status": status, "reason": reason})
        return outcome

    def _executor(self, folder: Path, limit: int) -> Any:
        given = self.options
        executor = self._submitit.AutoExecutor(
            folder, cluster=given.cluster, **({f"{given.cluster}_python": given.python} if given.python else {})
        )
        names = ("partition", "account", "qos", "constraint", "gres", "exclude", "nodelist", "comment")
        asked = {f"slurm_{name}": getattr(given, name) for name in names if getattr(given, name)}
        if self._gpus and not given.gres:
            asked["gpus_per_node"] = self._gpus
        if given.cpus:
            asked["cpus_per_task"] = given.cpus
        if given.mem:
            asked["mem_gb"] = given.mem
        if given.setup:
            asked["slurm_setup"] = given.setup
        if given.sbatch:
            asked["slurm_additional_parameters"] = dict(given.sbatch)
        executor.update_parameters(
            name="vidsuite", timeout_min=limit, slurm_array_parallelism=given.throttle or given.array,
            slurm_signal_delay_s=given.notice, **asked,
        )  # fmt: skip
        return executor


def serve(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Run a cell in a job: called on the node, in the main thread, with what was `Assignment.sent`."""
    assignment = Assignment.received(fields)
    folder, stop, signals = Path(assignment.order.folder), Stop(), []

    def told_to_stop(number: int, frame: object) -> None:
        signals.append(signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):  # the last: submitit's own notice
        signal.signal(number, told_to_stop)
    if not folder.is_dir():
        return here({"status": "interrupted", "reason": "another run has taken its cell over"})
    outcome = perform(assignment, Progress(folder), stop)
    if signals and outcome["status"] == "interrupted":
        return {**outcome, "reason": f"its job was told to stop by {signals[0]}; the same command goes on"}
    leave(folder, outcome)
    return outcome


def look(device: str) -> dict[str, str]:
    """The device, its class and precision where a job runs; called on the node."""
    slot = slot_here(device)
    return {"device": slot.device, "kind": slot.kind, "precision": slot.precision}


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder below the cache, which usually lies on a disk that nodes see."""
    folder = cache_home() / "slurm" / secrets.token_hex(8)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _submitit(cluster: str) -> Any:
    try:
        import submitit
    except ImportError as error:
        raise UsageError("--executor slurm needs submitit: pip install 'vidsuite[slurm]'") from error
    if cluster == "slurm" and (lacking := [tool for tool in ("sbatch", "srun") if shutil.which(tool) is None]):
        raise UsageError(f"--executor slurm: there is no {lacking[0]} here; run it where Slurm's jobs are submitted")
    return submitit


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" -")]
    return (lines[-1] if lines else type(error).__name__)[:300]
