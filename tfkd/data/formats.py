"""What the bytes of a file are, by name: for messages about files that are not photos that tfkd reads."""

_SIGNATURES = (  # offset, bytes, name
    (0, b"version https://git-lfs.github.com/spec/", "a Git LFS pointer; fetch the file with: git lfs pull"),
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
    (0, b"DDS ", "a DirectDraw surface (DDS); convert it to PNG"),
    (0, b"\0\0\x01\0", "a Windows icon (ICO); convert it to PNG"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript document (EPS); convert it to PNG"),
    (0, b"bplist", "an Apple property list"),
    (0, b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (8, b"AVI ", "a video (AVI)"),
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
    (0, b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (0, b"Rar!", "a RAR archive; unpack it"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"\x93NUMPY", "a NumPy array; save it as PNG or TIFF"),
    (0, b"\xd0\xcf\x11\xe0", "a Windows thumbnail cache or Office document"),
    (
        0,
        b"II*\0",
        "a TIFF or RAW photo of a kind that is not read (such as several channels of floats); convert it to PNG",
    ),
    (
        0,
        b"MM\0*",
        "a TIFF or RAW photo of a kind that is not read (such as several channels of floats); convert it to PNG",
    ),
    (0, b"\xff\xd8\xff", "a damaged JPEG photo"),
    (0, b"\x89PNG", "a damaged PNG picture"),
    (0, b"GIF8", "a damaged GIF picture"),
    (8, b"WEBP", "a damaged WebP photo"),
)
_TEXTS = (  # what the first characters of a text hold, lower case
    ("<!doctype html", "an HTML page, perhaps the error page of a download; fetch the file again"),
    ("<html", "an HTML page, perhaps the error page of a download; fetch the file again"),
    ("<svg", "an SVG drawing; convert it to PNG"),
    ("adjustmentformat", "an Apple sidecar file of edits (AAE)"),
    ("<plist", "an Apple property list"),
    ("<?xml", "an XML file"),
)
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2", b"heif"}
_AVIF = {b"avif", b"avis"}
_LONGEST_PATH = 1024
_TEXT = 2048


def is_heic(encoded: bytes) -> bool:
    """Tells whether these bytes are a HEIC or HEIF photo (ISO/IEC 23008-12) and not an AVIF one."""
    brands = _brands(encoded)
    return bool(brands) and not _AVIF & set(brands) and bool(_HEIC & set(brands)) and brands[0] != b"qt  "


def described(encoded: bytes) -> str:
    """Names what a file is that no decoder opens, and what to do with it.

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
    return _container(encoded) or _text(encoded) or "not a photo of a known format"


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
    try:
        text = encoded[:_TEXT].decode("utf-8-sig", errors="strict" if len(encoded) <= _TEXT else "ignore")
    except UnicodeDecodeError:
        return ""
    if "\0" in text:
        return ""
    for part, name in _TEXTS:
        if part in text.casefold():
            return name
    line = text.strip()
    if len(encoded) <= _LONGEST_PATH and "\n" not in line and "/" in line and line.isprintable():
        return f"a link stored as text (to {line}); fetch the file itself"
    return "a text file" if line.replace("\n", "").replace("\r", "").replace("\t", "").isprintable() else ""
