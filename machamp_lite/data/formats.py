"""Recognises files that are not UTF-8 text: other encodings, compressed files, line ends of old Macs."""

from machamp_lite.errors import DataError

# In bytes, to recognise UTF-16 and UTF-32.
_HEAD = 4096
_UNPACKED = "expected text; unpack it with"
_SIGNATURES = {
    b"\x1f\x8b": f"a gzip file, {_UNPACKED} gunzip",
    b"BZh": f"a bzip2 file, {_UNPACKED} bunzip2",
    b"\xfd7zXZ\x00": f"an xz file, {_UNPACKED} unxz",
    b"\x28\xb5\x2f\xfd": f"a zstd file, {_UNPACKED} unzstd",
    b"7z\xbc\xaf\x27\x1c": f"a 7z file, {_UNPACKED} 7z x",
    b"PK\x03\x04": f"a zip file (or one of Word, Excel or LibreOffice), {_UNPACKED} unzip, or save it as text",
    b"%PDF-": "a PDF file, expected text",
}
# How the header of bzip2 continues: text may begin with BZh, too.
_BZIP2_BLOCK = b"1AY&SY"
# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_WHITE_SPACE = (b"\t", b"\n", b" ")


def check_format(path: str, start: bytes) -> None:
    """Raises ``DataError`` if the first bytes of a file are not those of UTF-8 text with LF or CRLF line ends."""
    signature = next((signature for signature in _SIGNATURES if start.startswith(signature)), None)
    if signature is not None and (signature != b"BZh" or start[4:10] == _BZIP2_BLOCK):
        raise DataError(f"{path}: found {_SIGNATURES[signature]}")
    encoding = _encoding(start[:_HEAD])
    if encoding is not None:
        raise DataError(
            f"{path}: found {encoding}, expected UTF-8; convert it, for example with "
            f"iconv -f {encoding} -t UTF-8 FILE > NEW_FILE"
        )
    lone = start.rstrip(b"\r").count(b"\r") - start.count(b"\r\n")
    if lone > start.count(b"\n"):
        raise DataError(
            f"{path}: found lines that end with CR alone, expected LF or CRLF; convert it, for example with "
            r"tr '\r' '\n' < FILE > NEW_FILE"
        )


def _encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32, by the byte order mark or by NUL bytes beside white space; None for anything else."""
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" not in head:
        return None
    white_space = sum(map(head.count, _WHITE_SPACE))
    for name, nuls in (("UTF-32", b"\0\0\0"), ("UTF-16", b"\0")):
        little = sum(head.count(character + nuls) for character in _WHITE_SPACE)
        big = sum(head.count(nuls + character) for character in _WHITE_SPACE)
        # UTF-8 text may have a few NUL bytes, and in UTF-16 the bytes of white space are part of other characters too.
        if 3 * max(little, big) > white_space:
            return f"{name}{'LE' if little >= big else 'BE'}"
    return None
