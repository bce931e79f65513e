"""Execute chapters in place and note how long each takes, for the contents page.

    python chapters/execute.py chapters/03_window_partition.ipynb ...

Cells get no time stamps, so that executing a chapter again changes nothing but
what its outputs say.
"""

import json
import os
import platform
import sys
import time
from datetime import date
from pathlib import Path

import nbformat
from nbclient import NotebookClient

RUN_TIMES = Path(__file__).with_name("run_times.json")


def execute(path):
    """Run all cells of the notebook at `path`, save it, and return the seconds."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    start = time.perf_counter()
    client.execute()
    seconds = time.perf_counter() - start
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, path)
    return seconds


def note_run_time(chapter, seconds):
    """Store a chapter's run time beside the others, with the machine and the date."""
    run_times = json.loads(RUN_TIMES.read_text()) if RUN_TIMES.exists() else {}
    run_times[chapter] = {
        "seconds": round(seconds, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": str(date.today()),
    }
    RUN_TIMES.write_text(json.dumps(run_times, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        path = Path(argument)
        seconds = execute(path)
        note_run_time(path.stem, seconds)
        print(f"{path}: {seconds:.0f} s")
