"""What a run leaves behind: a JSON-lines log, TensorBoard, curves (chapter 18)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from ..standard_json import to_json
from ..whole_files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TrainingLog:
    """Append records to `log.jsonl`, show a progress bar, feed TensorBoard.

    TensorBoard is used where it is installed.  Only the main process writes.
    """

    def __init__(self, folder: str | Path, main: bool, step: int, total: int | None):
        """Continue the log after `step`; later lines, of a killed run, are dropped."""
        self.path, self.main = Path(folder) / "log.jsonl", main
        self.bar = self.board = self.file = None
        if not main:
            return
        lines = read_log(self.path) if step and self.path.is_file() else []
        kept = [json.dumps(line) + "\n" for line in lines if line["step"] <= step]
        with whole_file(self.path) as partial:  # a crash here costs no line
            partial.write_text("".join(kept))
        self.file = self.path.open("a", buffering=1)
        self.bar = tqdm(total=total, initial=step, unit="step", dynamic_ncols=True)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self.board = SummaryWriter(folder, purge_step=step)

    def write(self, step: int, event: str, **values: Any) -> None:
        """Record what happened at a step."""
        if not self.main:
            return
        self.file.write(to_json({"step": step, "event": event, **values}) + "\n")
        if self.board:
            for key, value in values.items():
                if isinstance(value, float):
                    self.board.add_scalar(f"{event}/{key}", value, step)

    def progress(self, step: int, total: int, **values: float) -> None:
        """Move the bar; its ETA follows from the steps that are left."""
        if self.bar is not None:
            self.bar.total = total
            self.bar.set_postfix(values, refresh=False)
            self.bar.update(step - self.bar.n)

    def close(self) -> None:
        for part in (self.bar, self.board, self.file):
            if part is not None:
                part.close()


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The records of a JSON-lines log, up to one that a crash damaged."""
    records = []
    for line in Path(path).read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(record, dict) or not {"step", "event"} <= record.keys():
            break
        records.append(record)
    return records


def plot_curves(
    logs: dict[str, str | Path], figsize: tuple[float, float] = (10, 3.2)
) -> "Figure":
    """Plot loss, validation PSNR and learning rate of runs against their minutes.

    Args:
        logs: {label: path of a log.jsonl}.

    Returns:
        A matplotlib figure.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=figsize, layout="constrained")
    panels = [("train", "loss"), ("validation", "psnr"), ("train", "lr")]
    names = ["training loss", "validation PSNR (dB)", "learning rate"]
    for ax, (event, key), name in zip(axes, panels, names):
        for label, path in logs.items():
            points = [
                (record["seconds"] / 60, record[key])
                for record in read_log(path)
                if record["event"] == event
            ]
            if points:
                ax.plot(*zip(*points), label=label)
        ax.set(xlabel="minutes of training", title=name)
    axes[0].set_yscale("log")
    axes[0].legend()
    return figure
