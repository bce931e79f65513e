"""Execute chapters in place and say how long each takes.

    python chapters/execute.py chapters/03_window_partition.ipynb ...

Cells get no time stamps, so that executing a chapter again changes nothing but what its
outputs say. Numbers of figures that move are written to data/.
"""

import os
import resource
import sys
import time
from pathlib import Path

import figure_data
import nbformat
from nbclient import NotebookClient

from swinir_lite.whole_files import whole_file


def cpu_seconds() -> float:
    """Processor time of all kernels that have ended, over all cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def execute(path: Path) -> tuple[float, float]:
    """Run all cells of the notebook at `path`; return seconds passed and computed."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    start, computed = time.perf_counter(), cpu_seconds()
    client.execute()
    seconds = time.perf_counter() - start
    notebook.metadata.pop("widgets", None)
    with whole_file(path) as file:
        nbformat.write(notebook, file)
    return seconds, cpu_seconds() - computed


if __name__ == "__main__":
    os.environ[figure_data.WRITE] = "yes"  # kernels inherit it
    for path in map(Path, sys.argv[1:]):
        seconds, computed = execute(path)
        print(
            f"{path}: {seconds:.0f} s, {computed:.0f} s of processor time", flush=True
        )
