"""Write the table of chapters into README.md and intro.md, and _toc.yml.

All three are made from the notebooks that exist, their titles and their length;
README's tables of speed from benchmarks/results.

    python chapters/contents.py

As an extension of Sphinx it also gives the pages the descriptions that search
engines and chats show.
"""

import json
import re
import sys
from pathlib import Path

import listing
from docutils import nodes
from listing import Cells
from sphinx.application import Sphinx

from swinir_lite.whole_files import whole_file

ROOT = Path(__file__).parent.parent
PARTS = {
    "Build SwinIR": "01 02 03 04 05 06 07 08",
    "Restore": "09 10 11 12 13",
    "Look and measure": "14 15 16 17",
    "Train": "18 19",
    "Appendix": "A1 A2 A3 A4 A5 A6 A7 A8 A9",
}
BUILT = {
    "01_image_restoration": "bicubic, noise, JPEG; PSNR and SSIM as papers measure",
    "02_convolutional_baseline": "a residual CNN with pixel shuffle, and its limits",
    "03_window_partition": "windows, and what they save over global attention",
    "04_relative_position_attention": "multi-head attention with a position bias",
    "05_shifted_windows": "the cyclic shift and its mask",
    "06_swin_transformer_layer": "attention and MLP between residuals",
    "07_residual_swin_transformer_block": "layers, a convolution, a long residual",
    "08_swinir": "the whole network, in every released size",
    "09_losses_of_pixels": "L1, L2 and Charbonnier, and what each is inclined to",
    "10_losses_that_see": "perceptual and adversarial losses, a discriminator",
    "11_denoising": "noise as papers add it, BM3D, one network for all levels",
    "12_jpeg_artifacts": "one block through JPEG, PSNR-B, a network that repairs",
    "13_real_world_super_resolution": "unknown degradations, and a GAN",
    "14_looking_inside": "which pixels decide, and what the layers learn",
    "15_where_the_time_goes": "floors by operations, bytes and the host",
    "16_fused_attention_kernel": "a window held on the chip, in PyTorch and in Triton",
    "17_whole_network_at_speed": "fused layers, CUDA graphs, training, the roofline",
    "18_training_engine": "data that never wait, a loop, a run that survives a crash",
    "19_speedrun": "the paper's numbers as a race: what each change brought",
    "A1_reading_official_weights": "what a .pth holds, and how to load and check it",
    "A2_jpeg_to_the_bit": "a JPEG codec for batches that rounds as the library does",
    "A3_resizing_as_matlab_does": "MATLAB's bicubic, and what libraries do instead",
    "A4_more_on_speed": "all variants, open sizes, larger images, CPUs, memory",
    "A5_your_own_pictures": "one command, tiles, where each model fails, how long",
}
OTHER_PAGES = {
    "intro": "Build SwinIR, image restoration with Swin Transformers, step by step "
    "in notebooks: from pixels to a tested package and trained models.",
    "try": "Restore a photograph by the networks of this book, in your own browser: it "
    "leaves your machine for no server.",
    "references": "The papers that SwinIR from scratch explains or builds on.",
}


def title(cells: Cells) -> str:
    """The chapter's heading, without its number."""
    return re.fullmatch(r"# \w+\. (.+)", cells[0].source.strip()).group(1)


def table(suffix: str) -> str:
    """Rows of the table of chapters, and how times are counted; links end in `suffix`.

    Appendices are left out, to which chapters lead.
    """
    rows = ["| | Chapter | What you build | Reading |", "|-:|:-|:-|-:|"]
    for path in listing.chapters():
        if path.stem.startswith("A"):
            continue
        cells = listing.read_cells(path)
        link = f"[{title(cells)}](chapters/{path.stem}{suffix})"
        built, minutes = BUILT[path.stem], listing.reading_minutes(cells)
        rows.append(
            f"| {listing.number(path.stem)} | {link} | {built} | {minutes} min |"
        )
    return "\n".join([*rows, "", listing.RULE])


def speed() -> str:
    """What was to be reached in speed and memory, and what was measured."""
    sys.path.insert(0, str(ROOT))
    from benchmarks import tables

    gpu, cpu = tables.load("h200"), tables.load("cpu")
    processors = tables.load("processors")["results"]
    busy = processors["AVX-512, beside 2 busy processes, spin briefly"]["times as fast"]
    types = tables.load("h200_types")["results"]["lightweight_x2 360x640"]
    exact, kept = (
        types[run]["median_ms"]
        for run in ("ours float32", "official float32, masks kept")
    )
    parts = [
        f"{tables.heading(gpu['environment'])}:",
        tables.gpu_goals(gpu),
        f"In float32 lightweight x2 takes {exact:.1f} ms, the official network with "
        f"its masks kept {kept:.1f}; appendix A4 has more networks and types.",
        f"{tables.heading(cpu['environment'])}:",
        tables.cpu_goals(cpu),
        cpu.get("note", ""),
        f"Beside two busy processes it was {busy:.1f} times; appendix A4 has more.",
    ]
    return "\n\n".join(filter(None, parts))


def scores(results: dict, quoted: dict) -> tuple[str, str, str, str]:
    """A model's test sets, its PSNR and SSIM on them, and the paper's PSNR: texts.

    All that the paper has too; the first where it has none.
    """
    names = [name for name in results if name != "samples"]
    names = [name for name in names if name in quoted] or names[:1]
    psnr = [f"{results[name]['psnr']:.2f}" for name in names]
    ssim = [f"{results[name]['ssim']:.4f}" for name in names]
    paper = [f"{quoted[name]['psnr']:.2f}" for name in names if name in quoted]
    return tuple(" / ".join(texts) for texts in (names, psnr, ssim, paper))


def models() -> str:
    """What each shipped model reaches, beside the paper's on the same test sets."""
    manifest = ROOT / "swinir_lite/weights/manifest.json"
    paper = json.loads((ROOT / "results/comparison.json").read_text())["paper"]
    lines = [
        "| `load_model(...)` | test sets | PSNR in dB | SSIM | the paper's PSNR "
        "| learned from | GPU minutes | licence |",
        "|---|---|--:|--:|--:|---|--:|---|",
    ]
    for name, entry in json.loads(manifest.read_text()).items():
        columns = scores(entry["results"], paper.get(name, {}))
        minutes = entry["training"]["minutes"] + entry["training"]["minutes_before"]
        seen = entry["training"]["data"].partition(":")[0].partition(" (")[0]
        columns += seen, f"{minutes:.1f}", entry["licence"]
        lines.append(f"| `{name}` | {' | '.join(columns)} |")
    return "\n".join(lines)


def numbers() -> str:
    """The three figures of the front page, each with what it stands against."""
    results = ROOT / "benchmarks/results"
    measured = json.loads((results / "h200.json").read_text())["results"]
    runs = measured["lightweight_x2 360x640"]
    shipped, ours = (
        runs[name]["median_ms"] for name in ("official float32", "ours bfloat16")
    )
    types = json.loads((results / "h200_types.json").read_text())["results"]
    masks = types["lightweight_x2 360x640"]["official float32, masks kept"]["median_ms"]
    others = json.loads((results / "others_h200.json").read_text())["results"]
    kept = others["official with masks kept"]
    compiled = kept["compiled for one size"]["median_ms"]
    quickest = others["lightweight_x2 360x640"]["ESC-light"]["median_ms"]
    manifest = json.loads((ROOT / "swinir_lite/weights/manifest.json").read_text())
    entry = manifest["lightweight_x2"]
    minutes = entry["training"]["minutes"] + entry["training"]["minutes_before"]
    paper = json.loads((ROOT / "results/comparison.json").read_text())["paper"]
    sets, reached, _, published = scores(entry["results"], paper["lightweight_x2"])
    return "\n".join(
        [
            "- **The same network.** Given the same weights, it restores pictures to "
            "within one of 255 levels of what the authors' script saves, for each of "
            "their 14 configurations.",
            f"- **{ours:.1f} ms for 360x640 pixels** on an H200, in bfloat16. The "
            f"official code takes {shipped:.0f} ms as it ships (in float32), "
            f"{masks:.0f} with its masks kept and about {compiled:.0f} compiled. Of "
            "the later networks in chapter 15, designed to be fast, the quickest takes "
            f"{quickest:.0f}.",
            f"- **{minutes} minutes of one GPU** to {reached} dB on {sets} (x2), where "
            f"the paper has {published} after half a million steps: one seed, trained "
            "on other photographs than the paper's DIV2K.",
        ]
    )


def between(text: str, mark: str, content: str) -> str:
    """Replace what stands between a mark of a page and its end."""
    before, rest = text.split(f"<!-- {mark} -->")
    after = rest.split(f"<!-- end of {mark} -->")[1]
    return f"{before}<!-- {mark} -->\n{content}\n<!-- end of {mark} -->{after}"


def toc() -> str:
    """The text of _toc.yml: the page to try it, chapters by part, the appendix."""
    lines = ["format: jb-book", "root: intro", "parts:"]
    lines += ["  - chapters:", "      - file: try"]
    for caption, numbers in PARTS.items():
        names = [path.stem for path in listing.chapters()]
        files = [f"chapters/{name}" for name in names if name[:2] in numbers.split()]
        if caption == "Appendix":
            files.append("references")
        if files:
            lines += [f"  - caption: {caption}", "    chapters:"]
            lines += [f"      - file: {file}" for file in files]
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """What each generated file should hold: {path: text}."""
    readme, intro = ROOT / "README.md", ROOT / "intro.md"
    chapter_table = table(".ipynb")
    front = between(readme.read_text(), "contents", chapter_table)
    front = between(front, "models", models())
    front = between(front, "numbers", numbers())
    welcome = between(intro.read_text(), "contents", chapter_table)
    return {
        readme: between(front, "speed", speed()),
        intro: between(welcome, "numbers", numbers()),
        ROOT / "_toc.yml": toc(),
    }


def describe(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Set a page's description, which would else be its first words."""
    stem = page.removeprefix("chapters/")
    text = OTHER_PAGES.get(page)
    if stem in BUILT:
        text = f"Chapter {listing.number(stem)} of SwinIR from scratch: {BUILT[stem]}."
    if text:
        context["meta"] = {**(context["meta"] or {}), "og:description": text}
        context["metatags"] += f'<meta name="description" content="{text}" />\n'


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx what this extension does, before sphinxext.opengraph's turn."""
    app.connect("html-page-context", describe, priority=400)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    for path, text in pages().items():
        with whole_file(path) as file:
            file.write_text(text)
