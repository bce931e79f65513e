"""Colours that a file tells without an ICC profile, as an ICC profile.

PNG has chunks for them, AVIF and HEIC a box; no other format can hold either, and a
result without them would be shown in other colours.
"""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import ImageCms

from ..errors import InputError
from ..image_files import png_chunks
from .formats import HEAD

D65, D50 = (0.3127, 0.3290), np.array([0.9642, 1.0, 0.8249])
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))  # red, green, blue: x, y
# By their numbers in ITU-T H.273, which cICP and nclx use; others are shown as sRGB
PRIMARIES = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
HIGH_RANGE = {16: "PQ", 18: "HLG"}
USUAL_GAMMA = 0.45455  # as PNG tells it; what is as near as this is sRGB
NEAR_GAMMA, NEAR_COLOURS = 0.01, 0.005
MOST_BYTES = 2**24  # of a profile
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def xyz(point: tuple[float, float]) -> np.ndarray:
    """A colour of luminance 1 from its chromaticity x, y."""
    x, y = point
    return np.array([x / y, 1, (1 - x - y) / y])


def columns_of(primaries: tuple, white: tuple[float, float]) -> np.ndarray:
    """XYZ of red, green and blue, adapted from their white to D50."""
    columns = np.stack([xyz(point) for point in primaries], 1)
    columns = columns * np.linalg.solve(columns, xyz(white))
    gains = BRADFORD @ D50 / (BRADFORD @ xyz(white))
    return np.linalg.solve(BRADFORD, gains[:, None] * (BRADFORD @ columns))


def curve(gamma: float | None) -> bytes:
    """A tone curve of ICC; None is that of sRGB."""
    if gamma is not None:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * gamma)) + b"\0\0"
    values = np.linspace(0, 1, 1024)
    light = np.where(
        values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4
    )
    table = np.rint(65535 * light).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", 1024) + table


def matrix_profile(
    primaries: tuple, white: tuple[float, float], gamma: float | None, gray: bool
) -> bytes:
    """An ICC profile of version 2.

    Args:
        primaries: chromaticities x, y of red, green and blue.
        white: that of white.
        gamma: exponent of the tone curve; None is the curve of sRGB.
        gray: for pixels of one channel, which need only the curve.
    """

    def numbers(values):
        fixed = (round(65536 * value) for value in values)
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *fixed)

    text = b"as the file told it\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0no copyright\0",
        b"wtpt": numbers(D50),
    }
    if gray:
        tags[b"kTRC"] = curve(gamma)
    else:
        for name, column in zip("rgb", columns_of(primaries, white).T):
            tags[f"{name}XYZ".encode()] = numbers(column)
            tags[f"{name}TRC".encode()] = curve(gamma)
    table, data, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    space = b"GRAY" if gray else b"RGB "
    size = start + len(data)
    head = struct.pack(">I4xI4s4s4s", size, 0x02100000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    return (head + numbers(D50)[8:]).ljust(128, b"\0") + table + data


def from_codes(primaries: int, transfer: int, gray: bool) -> bytes | None:
    """The profile for two numbers of ITU-T H.273, None for sRGB; InputError for HDR."""
    if transfer in HIGH_RANGE:
        raise InputError(
            f"a high dynamic range picture ({HIGH_RANGE[transfer]}); convert it to a "
            "standard range first"
        )
    if primaries not in PRIMARIES and transfer not in GAMMAS:
        return None
    known = PRIMARIES.get(primaries, SRGB)
    return matrix_profile(known, D65, GAMMAS.get(transfer), gray)


def from_chunks(chunks: dict[bytes, bytes], gray: bool) -> bytes | None:
    """The profile for what the chunks of a PNG tell, None for sRGB."""
    if len(chunks.get(b"cICP", b"")) == 4:
        return from_codes(chunks[b"cICP"][0], chunks[b"cICP"][1], gray)
    if b"sRGB" in chunks:
        return None
    points, told = np.array([D65, *SRGB]), chunks.get(b"cHRM", b"")
    if len(told) == 32:
        points = np.frombuffer(told, ">i4").reshape(4, 2) / 1e5
    gamma = int.from_bytes(chunks.get(b"gAMA", b""), "big") / 1e5 or USUAL_GAMMA
    usual = abs(gamma - USUAL_GAMMA) <= NEAR_GAMMA
    near = np.abs(points - [D65, *SRGB]).max() <= NEAR_COLOURS
    sensible = 0.1 <= gamma <= 10 and (points[:, 1] > 0.001).all()
    if not sensible or (usual and (near or gray)):
        return None
    white, *primaries = map(tuple, points)
    try:
        return matrix_profile(primaries, white, None if usual else 1 / gamma, gray)
    except (np.linalg.LinAlgError, struct.error):  # colours that cannot be
        return None


def why_unfit(profile: bytes, colours: int) -> str | None:
    """Why an ICC profile cannot be that of so many colours, or None if it can."""
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space
    except ImportError:  # Pillow may lack what reads profiles
        return None
    except OSError:
        return "it is damaged"
    needed = {1: "GRAY", 3: "RGB", 4: "CMYK"}[colours]
    if space.strip() != needed:
        return f"it is for {space.strip()}, not for {needed}"
    return None


def profile_of_png(path: str | Path) -> bytes | None:
    """The ICC profile that a PNG holds, though libvips drops it; b"" if damaged."""
    with open(path, "rb") as file:
        for name, length in png_chunks(file):
            if name == b"IDAT":
                break
            if name == b"iCCP":
                packed = file.read(length).partition(b"\0")[2][1:]
                try:
                    return zlib.decompressobj().decompress(packed, MOST_BYTES)
                except zlib.error:
                    return b""
    return None


def profile_told(
    path: str | Path, kind: str, gray: bool, has_profile: bool = False
) -> bytes | None:
    """The ICC profile for colours that a file tells in another way.

    Args:
        path: the file.
        kind: as `kind_of` tells it.
        gray: whether it is decoded to one channel.
        has_profile: whether it has one; then a PNG's cICP alone goes before it.

    Returns:
        None if it tells nothing, or that they are those of sRGB.

    Raises:
        InputError: for a high dynamic range.
    """
    with open(path, "rb") as file:
        if kind == "PNG":
            chunks = {}
            for name, length in png_chunks(file):
                if name == b"IDAT":
                    break
                if name in (b"cICP", b"sRGB", b"cHRM", b"gAMA") and length <= 32:
                    chunks[name] = file.read(length)
            if has_profile and b"cICP" not in chunks:
                return None
            return from_chunks(chunks, gray)
        if kind not in ("AVIF", "HEIC") or has_profile:
            return None
        told = re.search(rb"colrnclx(..)(..)", file.read(HEAD), re.DOTALL)
    if told is None:
        return None
    return from_codes(*(int.from_bytes(n, "big") for n in told.groups()), gray)
