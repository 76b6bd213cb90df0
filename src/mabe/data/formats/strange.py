"""Files of no known format: what they are, where their beginning tells, and what to do."""

from pathlib import Path


def why_unknown(path: Path) -> str:
    """What a file of no known format is, and what to do, where its beginning tells; "" where not."""
    with path.open("rb") as file:
        start = file.read(256)
    if not start.strip():
        return "is empty: restore it"
    if path.name.lower().endswith((".pkl", ".pickle", ".joblib")) or b"'|O'" in start:
        return (
            "is a Python pickle, which can run code when it is opened: export a table (CSV) from the "
            "program that wrote it"
        )
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<table")):
        return "is a web page (HTML): download the file itself, or export it as CSV"
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "is a spreadsheet or an archive: save it as CSV UTF-8"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "has the encoding UTF-16: save it with the encoding UTF-8 (in Excel: CSV UTF-8)"
    return ""
