"""EXIF in TIFF files, where it is tags like any other.

libvips and tifffile write neither the camera's tags nor the folders of EXIF and GPS.
"""

import struct
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import lookup

from ..errors import InputError

BITS, SAMPLE_FORMAT = PER_CHANNEL = 258, 339
LAB_SPACES = {8: "CIE Lab", 9: "ICC Lab", 10: "ITU Lab"}
COMPRESSION, NONE, JPEG, DEFLATE = 259, 1, (6, 7), (8, 32946)
WHITE_IS_ZERO, YCBCR = 0, 6
INTEGER, SIGNED, FLOAT = 1, 2, 3
SAMPLES = {
    INTEGER: "integers", SIGNED: "signed integers", FLOAT: "floats",
    5: "complex integers", 6: "complex floats",
}  # fmt: skip
NO_COLOURS = (SIGNED, 5, 6)
REDUCED, SUB_IMAGES, DNG_VERSION, PHOTOMETRIC, EXTRA_SAMPLES = 254, 330, 50706, 262, 338
RAW_COLOURS = (32803, 34892)  # of a sensor's own pixels
# DocumentName, ImageDescription, Make, Model, PageName, Software, DateTime, Artist,
# HostComputer, Copyright
TEXTS = (269, 270, 271, 272, 285, 305, 306, 315, 316, 33432)
MOST_TEXT = 2**20  # bytes
MAP = (33550, 33922, 34264, 34735)  # of GeoTIFF: where on Earth pixels lie
EXIF_FOLDER, GPS_FOLDER = 0x8769, 0x8825
SIZE = 0xA002, 0xA003  # width and height, as EXIF says them
# Of the file or of how its pixels lie, which a result says for itself: sizes, layout,
# orientation, resolution, where folders and previews are, padding
OF_THE_FILE = {
    *SIZE, *range(0x0100, 0x0104), 0x0106, 0x0111, 0x0112, *range(0x0115, 0x011D),
    0x0128, 0x0201, 0x0202, 0x0213, EXIF_FOLDER, GPS_FOLDER, 0xA005, 0xEA1C,
}  # fmt: skip
ASCII, LONG = 2, 4
CLASSIC = 42  # the version of a TIFF that is no BigTIFF
UNREADABLE = (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error)


class Text(str):
    """A text of EXIF, as Pillow reads its bytes; Pillow writes them back as they were.

    It would write what is not ASCII, such as a copyright sign, as question marks.
    """

    def encode(self, *_: str) -> bytes:
        return super().encode("latin-1", "replace")


def with_texts(values: dict[int, Any]) -> dict[int, Any]:
    """A folder of tags whose texts are written as they were read."""
    return {tag: Text(v) if isinstance(v, str) else v for tag, v in values.items()}


class Table(NamedTuple):
    """The tags of a TIFF's page, by their rows as they stand."""

    rows: list[bytes]
    endian: str
    big: bool


def table_of(file: BinaryIO, page: int) -> Table:
    """The table of a page; one of `UNREADABLE` or OverflowError if there is none."""
    endian = "<" if file.read(2) == b"II" else ">"
    big = struct.unpack(endian + "H", file.read(2))[0] != CLASSIC
    file.seek(8 if big else 4)
    count_of, place_of, size = ("Q", "Q", 20) if big else ("H", "I", 12)

    def number(kind):
        kind = endian + kind
        return struct.unpack(kind, file.read(struct.calcsize(kind)))[0]

    for _ in range(page + 1):
        file.seek(number(place_of))
        entries = file.read(size * min(number(count_of), 2**16))
    starts = range(0, len(entries) - size + 1, size)
    return Table([entries[at : at + size] for at in starts], endian, big)


def numbers_of(path: str | Path, page: int = 0) -> dict[int, int]:
    """The first value of each tag of a TIFF's page; of tags that are no numbers, or
    too long to stand in the table itself, where they are.

    Nothing of a page that is not there, or of a table that cannot be read.
    """
    try:
        with open(path, "rb") as file:
            rows, endian, big = table_of(file, page)
            return {
                struct.unpack_from(endian + "H", row)[0]: first_value(
                    file, row, endian, big
                )
                for row in rows
            }
    except (*UNREADABLE, OverflowError):
        return {}


def texts_of(path: str | Path, page: int) -> dict[int, bytes]:
    """The texts of a TIFF's page that are kept, as bytes of no known encoding."""
    found = {}
    try:
        with open(path, "rb") as file:
            rows, endian, big = table_of(file, page)
            long, place = (endian + "Q", 12) if big else (endian + "I", 8)
            for row in rows:
                tag, kind = struct.unpack_from(endian + "HH", row)
                count = struct.unpack_from(long, row, 4)[0]
                if tag in TEXTS and kind == ASCII and count <= MOST_TEXT:
                    file.seek(struct.unpack_from(long, row, place)[0])
                    inside = count <= len(row) - place
                    text = row[place:][:count] if inside else file.read(count)
                    found.setdefault(tag, text.rstrip(b"\0"))
    except (*UNREADABLE, OverflowError):
        pass
    return found


def repeated_tags(path: str | Path, page: int) -> list[str]:
    """Names of tags that stand more than once in a page's table; the first counts.

    tifffile writes a second ImageDescription, with the array's shape.
    """
    try:
        with open(path, "rb") as file:
            rows, endian, _ = table_of(file, page)
    except (*UNREADABLE, OverflowError):
        return []
    times = Counter(struct.unpack_from(endian + "H", row)[0] for row in rows)
    return [lookup(tag).name for tag, count in times.items() if count > 1]


def damage_is_an_error(path: str | Path, page: int) -> bool:
    """Whether libtiff fails at damaged pixels of a page, where it may only warn."""
    return numbers_of(path, page).get(COMPRESSION, NONE) in (NONE, *DEFLATE)


def first_value(file: BinaryIO, row: bytes, endian: str, big: bool) -> int:
    """The first value of a tag, by its row in the table; see `numbers_of`."""
    long, place = (endian + "Q", 12) if big else (endian + "I", 8)
    tag, kind = struct.unpack_from(endian + "HH", row)
    count = struct.unpack_from(long, row, 4)[0]
    if tag in PER_CHANNEL and count > (4 if big else 2):
        file.seek(struct.unpack_from(long, row, place)[0])
        return struct.unpack(endian + "H", file.read(2))[0]
    form = {1: "B", 3: "H"}.get(kind, "I")
    return struct.unpack_from(endian + form, row, place)[0]


def check_samples(path: str | Path, page: int = 0) -> None:
    """Raise InputError for kinds of pixels that are not read, or not as they are meant.

    libvips says of 8-bit Lab and of 64-bit floats only that it fails, takes YCbCr for
    RGB unless JPEG turns it, and white for black in floats.
    """
    tags = numbers_of(path, page)
    bits, kind = tags.get(BITS, 1), tags.get(SAMPLE_FORMAT, INTEGER)
    space = LAB_SPACES.get(tags.get(PHOTOMETRIC))
    if space and (space != "CIE Lab" or bits == 8):
        raise InputError(
            f"{space} of {bits} bits, need RGB or gray, or CIE Lab of 16 bits"
        )
    if tags.get(PHOTOMETRIC) == YCBCR and tags.get(COMPRESSION) not in JPEG:
        raise InputError("YCbCr that is not compressed as JPEG, need RGB or gray")
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and kind == FLOAT:
        raise InputError("floats of which 0 is white, need those of which 0 is black")
    if space and kind == SIGNED:  # a and b are, whatever the first channel says
        return
    widths = (16, 32) if kind == FLOAT else (1, 2, 4, 8, 16)
    fits = bits in widths and kind not in NO_COLOURS
    if kind in SAMPLES and not fits:
        raise InputError(
            f"pixels of {bits}-bit {SAMPLES[kind]}, need integers of 8 or 16 bits "
            "without sign, or floats of 16 or 32 bits in 0..1"
        )


def is_camera_raw(path: str | Path) -> bool:
    """Whether a TIFF is a camera's raw file: DNG, NEF, ARW, CR2, PEF.

    Their first page is a preview, or pixels of a sensor that are no picture yet.
    """
    with open(path, "rb") as file:
        if file.read(10)[8:] == b"CR":
            return True
    tags = numbers_of(path)
    preview = tags.get(REDUCED, 0) & 1 and SUB_IMAGES in tags
    return DNG_VERSION in tags or preview or tags.get(PHOTOMETRIC) in RAW_COLOURS


def read_exif(path: str | Path) -> bytes | None:
    """The EXIF of a TIFF's first page as a block, such as other formats hold."""
    exif, kept = Image.Exif(), Image.Exif()
    try:
        with open(path, "rb") as file:
            exif.load_from_fp(file)
            for tag in TEXTS:
                if isinstance(value := exif.get(tag), str):
                    kept[tag] = Text(value)
            for folder in (EXIF_FOLDER, GPS_FOLDER):
                kept.get_ifd(folder).update(with_texts(exif.get_ifd(folder)))
        with_folders = any(kept.get_ifd(f) for f in (EXIF_FOLDER, GPS_FOLDER))
        return kept.tobytes() if with_folders or len(kept) else None
    except UNREADABLE:  # EXIF that cannot be read says nothing
        return None


def tags_of(block: bytes) -> set[int]:
    """The tags of an EXIF block that say something of a picture, by their numbers."""
    exif = Image.Exif()
    try:
        exif.load(block)
        return {*exif, *exif.get_ifd(EXIF_FOLDER)} - OF_THE_FILE
    except UNREADABLE:
        return set()


def tags_of_tiff(block: bytes) -> set[int]:
    """Those of them that `write_exif` puts into a TIFF."""
    exif = Image.Exif()
    try:
        exif.load(block)
        return {*exif.get_ifd(EXIF_FOLDER), *TEXTS}
    except UNREADABLE:
        return set()


def not_repeated(block: bytes, tags: set[int]) -> set[int]:
    """Those of an EXIF block's tags whose text no other tag says.

    An iPhone's HostComputer says what Model does.
    """
    exif = Image.Exif()
    try:
        exif.load(block)
        said = {exif.get(tag) for tag in TEXTS if tag not in tags} - {None}
        return {tag for tag in tags if exif.get(tag) not in said}
    except UNREADABLE:
        return tags


def folder_bytes(values: dict[int, Any], endian: str, offset: int) -> bytes:
    """A folder of tags as it stands at an offset of a file."""
    head = b"II*\0\0\0\0\0" if endian == "<" else b"MM\0*\0\0\0\0"
    folder = ImageFileDirectory_v2(head)
    for tag, value in with_texts(values).items():
        folder[tag] = value
    return folder.tobytes(offset)


def append(file: BinaryIO, content: bytes) -> int:
    """Write at the end of a file, at an even offset, which is returned."""
    end = file.seek(0, 2)
    if end % 2:
        end += file.write(b"\0")
    file.write(content)
    return end


def read_entries(file: BinaryIO, endian: str) -> tuple[dict[int, bytes], bytes]:
    """A folder's entries by their tags as they stand, and where the next folder is."""
    count = struct.unpack(endian + "H", file.read(2))[0]
    entries = [file.read(12) for _ in range(count)]
    by_tag = {struct.unpack(endian + "H", entry[:2])[0]: entry for entry in entries}
    return by_tag, file.read(4)


def text_entry(file: BinaryIO, endian: str, tag: int, text: str) -> bytes:
    """An entry for a text, which is appended to the file if it is long."""
    value = Text(text).encode() + b"\0"
    head = struct.pack(endian + "HHI", tag, ASCII, len(value))
    if len(value) <= 4:
        return head + value.ljust(4, b"\0")
    return head + struct.pack(endian + "I", append(file, value))


def folder_entry(file: BinaryIO, endian: str, tag: int, values: dict) -> bytes:
    """An entry for a folder, which is appended to the file."""
    place = append(file, b"")
    file.write(folder_bytes(values, endian, place))
    return struct.pack(endian + "HHII", tag, LONG, 1, place)


def write_exif(path: str | Path, block: bytes) -> None:
    """Put an EXIF block into a TIFF's first page.

    The page's tags are written anew at the end of the file, so pixels stay in place.
    A BigTIFF is left as it is, and a block that cannot be read says nothing.
    """
    exif = Image.Exif()
    try:
        exif.load(block)
        folders = {f: dict(exif.get_ifd(f)) for f in (EXIF_FOLDER, GPS_FOLDER)}
    except UNREADABLE:
        return
    for tag in SIZE:  # of the input; a TIFF has its own
        folders[EXIF_FOLDER].pop(tag, None)
    with open(path, "rb+") as file:
        endian = "<" if file.read(2) == b"II" else ">"
        version, first = struct.unpack(endian + "HI", file.read(6))
        if version != CLASSIC:
            return
        file.seek(first)
        entries, following = read_entries(file, endian)
        for tag in TEXTS:
            if isinstance(text := exif.get(tag), str) and tag not in entries:
                entries[tag] = text_entry(file, endian, tag, text)
        for tag, values in folders.items():
            if values:
                entries[tag] = folder_entry(file, endian, tag, values)
        table = b"".join(entries[tag] for tag in sorted(entries))
        head = struct.pack(endian + "H", len(entries))
        place = append(file, head + table + following)
        file.seek(4)
        file.write(struct.pack(endian + "I", place))
