"""Networks on the page "Try it": seconds a tile, difference from PyTorch, bytes loaded.

    python -m benchmarks.browser

Needs the built site and Chromium. Writes `results/browser.json` unless told.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from playwright.sync_api import Browser

from swinir_lite.whole_files import whole_file

from .measure import environment

sys.path.insert(0, str(Path(__file__).parent.parent / "chapters"))
from browser import launched, new_page, served

SITE = Path(__file__).parent.parent / "_build/html"
OUTPUT = Path(__file__).parent / "results/browser.json"
WINDOWS, ROUNDS = (8, 16), 3  # a tile's side in windows, and how often it is restored
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
MEASURE = """async ([name, windows, rounds]) => {
    const {Network} = await import("./_static/try/network.js");
    const {plan} = await import("./_static/try/tiles.js");
    const {models} = await (await fetch("_static/try/models.json")).json();
    const [model, network] = [models[name], new Network(() => {})];
    const begin = performance.now();
    await network.load(model);
    const {backend, threads, difference} = network.facts;
    const found = {
        backend, threads, difference, bytes: network.bytes,
        "seconds to load and check": (performance.now() - begin) / 1000,
        "seconds a tile": {},
    };
    for (const count of windows) {
        const side = count * model.window;
        const size = {height: side - 1, width: side - 1}; // is extended to a tile
        const colours = Float32Array.from({length: 3 * (side - 1) ** 2}, Math.random);
        // an overlap as wide as the tile: otherwise it may be cut into two
        const tiles = plan(size, {...model, overlap: side}, side * side);
        if (tiles.length !== 1) throw new Error(`${tiles.length} tiles, need 1`);
        const times = [];
        for (let i = 0; i < rounds; i++) {
            const picture = {...size, colours};
            const answer = await network.restore(picture, tiles, model.scale, () => {});
            times.push(answer.seconds);
        }
        found["seconds a tile"][`${side}x${side}`] = times;
    }
    return found;
}"""


def measure(
    browser: Browser,
    address: str,
    name: str,
    windows: Sequence[int] = WINDOWS,
    rounds: int = ROUNDS,
) -> dict:
    """One network in a page of its own, on tiles of so many windows a side."""
    page = new_page(browser)
    page.goto(f"{address}/try.html")
    page.locator("#try[aria-busy=false]").wait_for()
    found = page.evaluate(MEASURE, [name, windows, rounds])
    page.context.close()
    return found


def measure_all() -> dict:
    """All networks, in one thread and in as many as the browser takes."""
    names = json.loads((SITE / "_static/try/models.json").read_text())["models"]
    results = {name: [] for name in names}
    with launched() as browser:
        for headers in ({}, ISOLATED):
            with served(SITE, headers) as address:
                for name, found in results.items():
                    found.append(measure(browser, address, name))
                    print(name, found[-1], flush=True)
        return {"browser": f"Chromium {browser.version}", "results": results}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args(arguments)
    found = {"environment": environment(torch.device("cpu"))} | measure_all()
    with whole_file(args.output) as partial:
        partial.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
