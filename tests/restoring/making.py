"""Pictures of every kind, made by code, to be restored and read back."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))  # red, green, blue: x, y
ADOBE = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
D50 = np.array([0.9642, 1.0, 0.8249])


def fixed(values):
    """Numbers as ICC's s15Fixed16."""
    return b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def icc_profile(primaries=None):
    """An ICC profile: RGB with these primaries, or gray."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(D50)}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
        columns = columns * np.linalg.solve(columns, D50)
        for name, column in zip("rgb", columns.T):
            tags[f"{name}XYZ".encode()] = b"XYZ \0\0\0\0" + fixed(column)
            tags[f"{name}TRC".encode()] = curve
    text = b"test\0"
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 5) + text + bytes(78)
    tags[b"cprt"] = b"text\0\0\0\0" + text
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    space = b"GRAY" if primaries is None else b"RGB "
    head = struct.pack(
        ">I4xI4s4s4s", start + len(data), 0x02100000, b"mntr", space, b"XYZ "
    )
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(D50)
    return head.ljust(128, b"\0") + table + data


def png_chunk(name, data):
    crc = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def png(array, before=b"", behind=b"", declare=None):
    """A PNG of uint8 or uint16 (H, W) or (H, W, 1 to 4), more chunks around pixels."""
    array = np.atleast_3d(array)
    height, width, bands = array.shape
    bits = 8 * array.dtype.itemsize
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    rows = array.astype(array.dtype.newbyteorder(">")).reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    size = declare or (width, height)
    head = struct.pack(">IIBBBBB", *size, bits, kind, 0, 0, 0)
    body = png_chunk(b"IHDR", head) + before + png_chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + body + behind + png_chunk(b"IEND", b"")


def read_png(path):
    """The pixels of a PNG as they are stored, of 8 or 16 bits: (H, W, bands)."""
    content, position, data = path.read_bytes(), 8, b""
    while position < len(content):
        length, name = struct.unpack(">I4s", content[position : position + 8])
        body = content[position + 8 : position + 8 + length]
        if name == b"IHDR":
            width, height, bits, kind = struct.unpack(">IIBB", body[:10])
        data += body if name == b"IDAT" else b""
        position += 12 + length
    bands = {0: 1, 4: 2, 2: 3, 6: 4}[kind]
    step = bands * bits // 8
    lines = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, -1)
    image = np.zeros((height + 1, step + lines.shape[1] - 1), np.uint8)
    for y, line in enumerate(lines):
        unfilter(line[0], line[1:], image[y, step:], image[y + 1], step)
    image = image[1:, step:].copy()
    return (
        image.view(f">u{bits // 8}")
        .astype(f"u{bits // 8}")
        .reshape(height, width, bands)
    )


def unfilter(kind, line, above, out, step):
    """Undo a PNG's filter of a line; `out` has a pixel of zeros before it."""
    if kind == 0:
        out[step:] = line
    elif kind == 2:
        out[step:] = line + above
    else:
        raise AssertionError(f"filter {kind} is not read here")


def exif(orientation=1, **more):
    """EXIF with date, camera, position and orientation."""
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F], block[0x0110] = "Maker", "Camera"
    block[0x0132] = "2024:05:06 07:08:09"
    block.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    block.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.5)})
    return block


def xmp(orientation=None):
    """A packet of XMP, with an orientation or without."""
    inside = f' tiff:Orientation="{orientation}"' if orientation else ""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
        '"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc='
        f'"http://purl.org/dc/elements/1.1/" dc:format="mine"{inside}/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def itxt(packet):
    return png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)


def ppm(array, most):
    """A PGM or PPM with a maxval."""
    height, width = array.shape[:2]
    kind = b"P5" if array.ndim == 2 else b"P6"
    head = b"%s\n# made here\n%d %d\n%d\n" % (kind, width, height, most)
    return head + array.astype(">u2" if most > 255 else "u1").tobytes()


def saved(image, format, **options):
    """A picture of Pillow as the bytes of a file."""
    file = io.BytesIO()
    image.copy().save(file, format, **options)  # saving leaves settings behind
    return file.getvalue()
