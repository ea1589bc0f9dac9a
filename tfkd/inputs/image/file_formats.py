"""Names the format of a file by its bytes, for messages about files that are not supported photos."""

import io
import struct

from PIL.TiffImagePlugin import ImageFileDirectory_v2

_SIGNATURES = (  # offset, bytes, name
    (0, b"version https://git-lfs.github.com/spec/", "a Git LFS pointer; fetch the file with: git lfs pull"),
    (0, b"version https://hawser.github.com/spec/", "a Git LFS pointer; fetch the file with: git lfs pull"),
    (0, b"/annex/objects/", "a git-annex pointer; fetch the file with: git annex get"),
    (8, b"CR\x02", "a Canon RAW photo (CR2); convert it to JPEG"),
    (6, b"HEAPCCDR", "a Canon RAW photo (CRW); convert it to JPEG"),
    (0, b"FUJIFILMCCD-RAW", "a Fujifilm RAW photo (RAF); convert it to JPEG"),
    (0, b"IIU\0", "a Panasonic RAW photo (RW2); convert it to JPEG"),
    (0, b"IIRO", "an Olympus RAW photo (ORF); convert it to JPEG"),
    (0, b"IIRS", "an Olympus RAW photo (ORF); convert it to JPEG"),
    (0, b"MMOR", "an Olympus RAW photo (ORF); convert it to JPEG"),
    (0, b"\0MRM", "a Minolta RAW photo (MRW); convert it to JPEG"),
    (0, b"FOVb", "a Sigma RAW photo (X3F); convert it to JPEG"),
    (128, b"DICM", "a DICOM image; convert it to a 16-bit PNG"),
    (0, b"\xff\x0a", "a JPEG XL photo; convert it to JPEG"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL photo; convert it to JPEG"),
    (0, b"8BPS", "a Photoshop document (PSD); convert it to PNG"),
    (0, b"gimp xcf", "a GIMP document (XCF); convert it to PNG"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR image; convert it to a float TIFF or PNG"),
    (0, b"#?RADIANCE", "a Radiance HDR image; convert it to PNG"),
    (0, b"#?RGBE", "a Radiance HDR image; convert it to PNG"),
    (0, b"SIMPLE  =", "a FITS image; convert it to a float TIFF"),
    (344, b"n+1\0", "a NIfTI volume; convert its slices to 16-bit PNG"),
    (0, b"icns", "an Apple icon (ICNS); convert it to PNG"),
    (0, b"BPG\xfb", "a BPG photo; convert it to JPEG"),
    (0, b"qoif", "a QOI picture; convert it to PNG"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"HTTP/1.", "a web server's response with its headers; download the file again"),
    (0, b"DDS ", "a DirectDraw surface (DDS); convert it to PNG"),
    (0, b"\0\0\x01\0", "a Windows icon (ICO); convert it to PNG"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript document (EPS); convert it to PNG"),
    (0, b"bplist", "an Apple property list"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (8, b"AVI ", "a video (AVI)"),
    (0, b"OggS", "an Ogg video or audio file"),
    (0, b"FLV\x01", "a video (FLV)"),
    (0, b"\0\0\x01\xba", "a video (MPEG)"),
    (0, b"\0\0\x01\xb3", "a video (MPEG)"),
    (0, b"\x30\x26\xb2\x75", "a video (WMV)"),
    (4, b"moov", "a video (QuickTime)"),
    (4, b"mdat", "a video (QuickTime)"),
    (4, b"wide", "a video (QuickTime)"),
    (0, b"ID3", "an audio file (MP3)"),
    (8, b"WAVE", "an audio file (WAV)"),
    (0, b"PK\x03\x04", "a .zip; unpack it"),
    (0, b"\x1f\x8b", "a gzip archive; unpack it"),
    (257, b"ustar", "a tar archive; unpack it"),
    (0, b"BZh", "a bzip2 archive; unpack it"),
    (0, b"\xfd7zXZ", "an xz archive; unpack it"),
    (0, b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (0, b"Rar!", "a RAR archive; unpack it"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"\x93NUMPY", "a NumPy array; save it as PNG or TIFF"),
    (0, b"\xd0\xcf\x11\xe0", "a Windows thumbnail cache or Office document"),
    (0, b"\xff\xd8", "a damaged JPEG photo"),
    (0, b"\x89PNG", "a damaged PNG picture"),
    (0, b"GIF8", "a damaged GIF picture"),
    (8, b"WEBP", "a damaged WebP photo"),
)
_DOWNLOAD = "perhaps the error message of a download; fetch the file again"
_TEXTS = (  # beginning of a text, or a part of its beginning, lower case
    ("version https://git-lfs.github.com/spec/", "a Git LFS pointer; fetch the file with: git lfs pull"),
    ("/annex/objects/", "a git-annex pointer; fetch the file with: git annex get"),
    ("%pdf", "a PDF document"),
    ("<svg", "an SVG drawing; convert it to PNG"),
    ("<!doctype svg", "an SVG drawing; convert it to PNG"),
    *(
        (f"<{tag}", f"an HTML page, {_DOWNLOAD}")
        for tag in ("!doctype html", "html", "head", "body", "title", "script")
    ),
    ("adjustmentformat", "an Apple sidecar file of edits (AAE)"),
    ("<plist", "an Apple property list"),
    ("<?xml", f"an XML file, {_DOWNLOAD}"),
    ("data:image/", "a picture encoded as text (a data URL); decode it"),
    ("[internetshortcut]", "a link to a web page; download the file itself"),
)
_LINKS = ("http://", "https://", "ftp://", "s3://", "gs://")
_BASE64 = ("/9j/", "iVBOR", "R0lGOD", "UklGR", "SUkq", "TU0AK")  # JPEG, PNG, GIF, WebP, TIFF
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2", b"heif"}
_AVIF = {b"avif", b"avis"}
_LONGEST_PATH = 1024
_WIDTH, _BITS, _COMPRESSION, _CHANNELS, _SAMPLE_FORMAT = 256, 258, 259, 277, 339  # tags of TIFF 6.0
_TEXT = 2048


def is_heic(encoded: bytes) -> bool:
    """Returns whether these bytes are a HEIC or HEIF photo (ISO/IEC 23008-12) and not an AVIF one."""
    brands = _brands(encoded)
    return bool(brands) and not _AVIF & set(brands) and bool(_HEIC & set(brands)) and brands[0] != b"qt  "


def is_raw(encoded: bytes) -> bool:
    """Returns the name of a camera's RAW file that begins like a TIFF photo."""
    return encoded[8:11] == b"CR\x02"


def described(encoded: bytes) -> str:
    """Names the format of a file that no decoder opens, and what to do with it.

    Args:
        encoded: the whole file.
    """
    if not encoded:
        return "an empty file"
    if not encoded.strip(b"\0"):
        return "nothing but zero bytes, as an interrupted copy leaves them; fetch the file again"
    for offset, signature, name in _SIGNATURES:
        if encoded[offset : offset + len(signature)] == signature:
            return name
    return _tiff(encoded) or _container(encoded) or _text(encoded) or "not a photo of a known format"


def _tiff(encoded: bytes) -> str:
    """Names the kind of a TIFF photo (TIFF 6.0) by its first picture, or returns nothing."""
    if encoded[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return ""
    stream = io.BytesIO(encoded)
    try:
        tags = ImageFileDirectory_v2(stream.read(16 if encoded[2:4] in (b"+\0", b"\0+") else 8))
        stream.seek(tags.next)
        tags.load(stream)
        if _WIDTH not in tags:
            return "a damaged TIFF or RAW photo"
        bits, samples = tags.get(_BITS, (1,)), tags.get(_SAMPLE_FORMAT, (1,))
        kind = {2: "signed ", 3: "floating-point "}.get(samples[0], "")
        compression = tags.get(_COMPRESSION, 1)
    except (struct.error, ValueError, TypeError, LookupError, OSError, SyntaxError):
        return "a damaged TIFF or RAW photo"
    packed = "" if compression == 1 else f", compression {compression}"
    channels = tags.get(_CHANNELS, 1)
    return (
        f"a TIFF or RAW photo of {channels} {kind}{'channel' if channels == 1 else 'channels'} of {bits[0]} bits"
        f"{packed}, which is not read; convert it to PNG, or to a TIFF of one channel of 32-bit floats"
    )


def _container(encoded: bytes) -> str:
    """Names a file of the ISO base media format (ISO/IEC 14496-12), or returns nothing."""
    brands = _brands(encoded)
    if not brands:
        return ""
    if brands[0] == b"crx ":
        return "a Canon RAW photo (CR3); convert it to JPEG"
    if _AVIF & set(brands):
        return "a damaged AVIF photo"
    if _HEIC & set(brands):
        return "a damaged HEIC photo"
    return "a video (QuickTime)" if brands[0] == b"qt  " else "a video (MP4)"


def _brands(encoded: bytes) -> list[bytes]:
    """Returns the brands of a file of the ISO base media format, the major one first; nothing of other files."""
    if encoded[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(encoded[:4], "big"), 256)
    return [encoded[8:12], *(encoded[k : k + 4] for k in range(16, end - 3, 4))]


def _text(encoded: bytes) -> str:
    text = _decoded(encoded[:_TEXT])
    if not text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
        return ""
    for part, name in _TEXTS:
        if part in text.casefold():
            return name
    line = text.strip()
    if line.startswith(_BASE64):
        return "a picture encoded as text (base64); decode it"
    if len(encoded) > _LONGEST_PATH or "\n" in line or "/" not in line or " " in line:
        return f"a text file, {_DOWNLOAD}"
    if line.startswith(_LINKS):
        return f"a web address as text ({line}); download the file itself"
    return f"a link stored as text (to {line}); fetch the file itself"


def _decoded(beginning: bytes) -> str:
    """Returns a text in UTF-16 where it says so, in UTF-8, or in Latin-1; nothing of bytes that are mostly no ASCII."""
    if beginning[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return beginning.decode("utf-16", errors="ignore")
    try:
        return beginning.decode("utf-8-sig", errors="strict" if len(beginning) < _TEXT else "ignore")
    except UnicodeDecodeError:
        return beginning.decode("latin-1") if 2 * sum(byte < 128 for byte in beginning) > len(beginning) else "\0"
