"""What image libraries keep of pictures as people have them, and what 12 MP cost.

    python -m benchmarks.libraries

Each library copies a picture into a new file of the same format, with whatever its
documentation offers to keep; the copy is looked at by another library. Time and memory
are those of a process that copies a JPEG of 12 megapixels, and a PNG of 100, into a
PNG. Libraries that are not installed are left out; OpenCV is no need of the project.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, PngImagePlugin
from PIL.ExifTags import Base

from swinir_lite.whole_files import whole_file

from .measure import environment

RESULT = Path(__file__).parent / "results/libraries.json"
KEPT, LOST, UNREAD = "kept", "lost", "not read"
CAMERA = "Camera"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
    b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'
)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def copy_with_pyvips(source: Path, target: Path) -> None:
    import pyvips

    pages = {"n": -1} if source.suffix == ".tif" else {}
    how = {"lossless": True} if target.suffix == ".webp" else {}
    image = pyvips.Image.new_from_file(str(source), access="sequential", **pages)
    image.write_to_file(str(target), **how)


def copy_with_pillow(source: Path, target: Path) -> None:
    with Image.open(source) as image:
        image.load()
        keep = {k: image.info[k] for k in ("icc_profile", "dpi") if k in image.info}
        keep |= {"exif": image.getexif(), "lossless": True}
        packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
        if packet and target.suffix == ".png":
            keep["pnginfo"] = PngImagePlugin.PngInfo()
            keep["pnginfo"].add_itxt("XML:com.adobe.xmp", as_bytes(packet).decode())
        elif packet and target.suffix == ".tif":
            keep["tiffinfo"] = dict(keep.pop("exif")) | {700: as_bytes(packet)}
        elif packet:
            keep["xmp"] = as_bytes(packet)
        image.save(target, save_all=getattr(image, "n_frames", 1) > 1, **keep)


def copy_with_opencv(source: Path, target: Path) -> None:
    import cv2

    flags = cv2.IMREAD_UNCHANGED
    read, pages = cv2.imreadmulti(str(source), flags=flags)
    if read and len(pages) > 1:
        cv2.imwritemulti(str(target), pages)
        return
    image, *about = cv2.imreadWithMetadata(str(source), flags)
    if image is None:
        raise ValueError("cannot be read")
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101] if target.suffix == ".webp" else []
    cv2.imwriteWithMetadata(str(target), image, *about, lossless)


def copy_with_tifffile(source: Path, target: Path) -> None:
    import tifffile

    with tifffile.TiffFile(source) as file, tifffile.TiffWriter(target) as out:
        for page in file.pages:
            bands, planar = page.samplesperpixel, page.planarconfig
            pixels = page.asarray()
            if planar == tifffile.PLANARCONFIG.SEPARATE and pixels.ndim == 3:
                pixels = np.moveaxis(pixels, 0, -1)
            xmp = page.tags.get(700)
            more = [(700, "B", len(xmp.value), xmp.value, True)] if xmp else []
            out.write(
                pixels, photometric="rgb" if bands > 2 else "minisblack",
                extrasamples=page.extrasamples or None,
                planarconfig="contig" if bands > 1 else None,
                iccprofile=page.iccprofile, metadata=None, extratags=more,
                resolution=page.resolution, resolutionunit=page.resolutionunit,
            )  # fmt: skip


LIBRARIES: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "libvips": ("pyvips-binary", copy_with_pyvips),
    "Pillow": ("pillow", copy_with_pillow),
    "OpenCV": ("opencv-python-headless", copy_with_opencv),
    "tifffile": ("tifffile", copy_with_tifffile),
}


def as_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def pixels(bands: int, dtype: type, side: int = 32) -> np.ndarray:
    """Noise of every value, so that whatever changes pixels is seen."""
    most = int(np.iinfo(dtype).max) + 1
    rng = np.random.default_rng(bands)
    return rng.integers(0, most, (side, side + 8, bands), dtype).squeeze()


def stored(path: Path) -> np.ndarray:
    """All pixels of a file, by libvips; its own copy of a TIFF by tifffile."""
    import pyvips
    import tifffile

    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            if page.compression == tifffile.COMPRESSION.NONE:
                found = file.asarray()
                if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
                    found = np.moveaxis(found, 0, -1)
                return found
    return pyvips.Image.new_from_file(str(path)).numpy().squeeze()


def pixels_are(expected: np.ndarray) -> Callable[[Path], str]:
    def look(path: Path) -> str:
        found = stored(path)
        if found.dtype != expected.dtype:
            return f"{8 * found.dtype.itemsize} bits"
        same = found.shape == expected.shape and np.array_equal(found, expected)
        return KEPT if same else "wrong pixels"

    return look


def info_is(what: str) -> Callable[[Path], str]:
    """Whether Pillow finds profile, EXIF, XMP or resolution in a file."""

    def look(path: Path) -> str:
        with Image.open(path) as image:
            image.load()
            info = image.info
            found = {
                "profile": info.get("icc_profile") == PROFILE,
                "EXIF": image.getexif().get(Base.Model) == CAMERA,
                "XMP": XMP in as_bytes(
                    info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
                ),
                "resolution": round(info.get("dpi", (0,))[0]) == 300,
            }[what]  # fmt: skip
        return KEPT if found else LOST

    return look


def is_read(path: Path) -> str:
    return KEPT if path.stat().st_size else LOST


def has_alpha(path: Path) -> str:
    with Image.open(path) as image:
        alpha = np.array(image.convert("RGBA"))[..., 3]
    return KEPT if alpha.min() == 0 and alpha.max() == 255 else LOST


def pages_are(count: int) -> Callable[[Path], str]:
    def look(path: Path) -> str:
        import tifffile

        with tifffile.TiffFile(path) as file:
            found = len(file.pages)
        return KEPT if found == count else f"{found} of {count}"

    return look


def save_with_metadata(path: Path) -> None:
    """A picture with profile, EXIF, XMP and resolution, by Pillow."""
    exif = Image.Exif()
    exif[Base.Model] = CAMERA
    keep = {"icc_profile": PROFILE, "exif": exif, "dpi": (300, 300), "xmp": XMP}
    if path.suffix == ".png":
        keep["pnginfo"] = PngImagePlugin.PngInfo()
        keep["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    if path.suffix == ".tif":
        keep["tiffinfo"] = {700: XMP, Base.Model: CAMERA}
    Image.fromarray(pixels(3, np.uint8)).save(path, lossless=True, **keep)


def save_16_bits(path: Path, bands: int, **how: object) -> np.ndarray:
    """A picture of 16 bits: PNG by libvips, TIFF by tifffile."""
    import pyvips
    import tifffile

    image = pixels(bands, np.uint16)
    if path.suffix == ".png":
        pyvips.Image.new_from_array(image).copy(
            interpretation="rgb16" if bands > 2 else "grey16"
        ).pngsave(str(path))
    else:
        given = np.moveaxis(image, -1, 0) if how else image
        kind = "rgb" if bands > 2 else "minisblack"
        tifffile.imwrite(path, given, photometric=kind, metadata=None, **how)
    return image


def cases(folder: Path) -> dict[str, tuple[Path, Callable[[Path], str]]]:
    """What is looked at: a file that has it, and what says whether a copy has it."""
    import tifffile

    found = {}
    for kind in ("png", "jpg", "tif", "webp"):
        path = folder / f"metadata.{kind}"
        save_with_metadata(path)
        for what in ("profile", "EXIF", "XMP", "resolution"):
            if (kind, what) != ("webp", "resolution"):  # which WebP does not have
                found[f"{what} in {kind}"] = path, info_is(what)
    for kind, bands in (("png", 1), ("png", 3), ("png", 4), ("tif", 3)):
        path = folder / f"deep{bands}.{kind}"
        name = {1: "gray", 3: "RGB", 4: "RGBA"}[bands]
        image = save_16_bits(path, bands)
        found[f"16 bits, {name} {kind}"] = path, pixels_are(image)
    path = folder / "planar.tif"
    image = save_16_bits(path, 3, planarconfig="separate")
    found["16 bits, planar tif"] = path, pixels_are(image)
    path = folder / "pages.tif"
    stack = np.stack([pixels(3, np.uint8)] * 3)
    tifffile.imwrite(path, stack, photometric="rgb", metadata=None)
    found["all pages of a tif"] = path, pages_are(3)
    path = folder / "palette.png"
    mask = Image.fromarray(pixels(3, np.uint8)).quantize(16)
    mask.save(path, transparency=0)
    found["transparent palette"] = path, has_alpha
    path = folder / "a.avif"
    Image.fromarray(pixels(3, np.uint8)).save(path)
    found["AVIF is read"] = path, is_read
    return found


def kept(copy: Callable, source: Path, look: Callable[[Path], str]) -> str:
    """What became of a property in a library's copy."""
    if look(source) != KEPT:
        raise AssertionError(f"{source} lacks what is looked for in its copies")
    target = source.with_name(f"copy{source.suffix}")
    target.unlink(missing_ok=True)
    try:
        copy(source, target)
    except Exception:  # each library has its own kinds
        return UNREAD
    return look(target) if target.exists() else UNREAD


PART = """
import sys
from pathlib import Path
from benchmarks.libraries import LIBRARIES
from benchmarks.measure import peak_memory
LIBRARIES[sys.argv[1]][1](Path(sys.argv[2]), Path(sys.argv[3]))
print(peak_memory())
"""


def cost(library: str, source: Path, rounds: int = 3) -> dict[str, float] | str:
    """Seconds and peak memory, beyond the start's, of copying a picture into a PNG."""
    found = [run_part(library, source.with_name("small.png"))]
    found += [run_part(library, source) for _ in range(rounds)]
    if None in found:
        return UNREAD
    (start, least), *larger = found
    passed, peak = (min(numbers) for numbers in zip(*larger))
    more = round((peak - least) / 2**20)
    return {"seconds": round(passed - start, 2), "MiB": more}


def run_part(library: str, source: Path) -> tuple[float, int] | None:
    """Seconds and peak bytes of a process that copies; None where it cannot."""
    target, begin = source.with_name("cost.png"), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PART, library, str(source), str(target)],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        return None
    return time.perf_counter() - begin, int(done.stdout.split()[-1])


def measure() -> dict:
    """All libraries that are here, by property."""
    from .restoring import photograph, write_large

    installed = {}
    for name, (package, _) in LIBRARIES.items():
        try:
            installed[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            print(f"{name} is left out: {package} is not installed", file=sys.stderr)
    results = {"versions": installed, "kept": {}, "costs": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, (source, look) in cases(folder).items():
            of_kind = source.suffix == ".tif"
            results["kept"][what] = {
                library: kept(LIBRARIES[library][1], source, look)
                for library in installed
                if of_kind or library != "tifffile"
            }
        Image.fromarray(photograph((8, 8), 0)).save(folder / "small.png")
        Image.fromarray(photograph((3000, 4000), 0)).save(folder / "12.jpg", quality=92)
        write_large(folder / "100.png", 10_000)
        for what, path in (
            ("JPEG of 12 megapixels to PNG", "12.jpg"),
            ("PNG of 100 megapixels to PNG", "100.png"),
        ):
            results["costs"][what] = {
                library: cost(library, folder / path)
                for library in installed
                if library != "tifffile"
            }
    return results


def table(results: dict) -> str:
    """The results as a table in Markdown, a column for each library."""
    libraries = list(results["versions"])
    head = [f"{name} {results['versions'][name]}" for name in libraries]
    lines = [["", *head], ["---"] * (1 + len(head))]
    for what, found in results["kept"].items():
        lines.append([what, *(found.get(name, "") for name in libraries)])
    for what, found in results["costs"].items():
        costs = [found.get(name, "") for name in libraries]
        shown = [
            f"{c['seconds']:.1f} s, {c['MiB']} MiB" if isinstance(c, dict) else c
            for c in costs
        ]
        lines.append([what, *shown])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULT)
    args = parser.parse_args()
    Image.MAX_IMAGE_PIXELS = None
    results = {"environment": environment(torch.device("cpu"))} | measure()
    with whole_file(args.output) as partial:
        partial.write_text(json.dumps(results, indent=2) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
