"""Execute chapters in place and note how long each takes, for the contents page.

    python chapters/execute.py chapters/03_window_partition.ipynb ...
    python chapters/execute.py --only-time chapters/03_window_partition.ipynb ...

The second form leaves the notebooks as they are.  Cells get no time stamps, so that
executing a chapter again changes nothing but what its outputs say.
"""

import json
import os
import platform
import resource
import sys
import time
from datetime import date
from pathlib import Path

import nbformat
from nbclient import NotebookClient

RUN_TIMES = Path(__file__).with_name("run_times.json")


def cpu_seconds():
    """Processor time of all kernels that have ended, over all cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def execute(path, save):
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
    if save:
        notebook.metadata.pop("widgets", None)
        nbformat.write(notebook, path)
    return seconds, cpu_seconds() - computed


def note_run_time(chapter, seconds, computed):
    """Store a chapter's run time beside the others, with the machine and the date."""
    run_times = json.loads(RUN_TIMES.read_text()) if RUN_TIMES.exists() else {}
    run_times[chapter] = {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(computed, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": str(date.today()),
    }
    RUN_TIMES.write_text(json.dumps(run_times, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    only_time = "--only-time" in sys.argv
    for path in map(Path, [name for name in sys.argv[1:] if name != "--only-time"]):
        seconds, computed = execute(path, save=not only_time)
        note_run_time(path.stem, seconds, computed)
        print(
            f"{path}: {seconds:.0f} s, {computed:.0f} s of processor time", flush=True
        )
