"""Pastes a file of texts and a file of labels, line by line, into a TSV of text and label.

With --mapping, a file of lines "number TAB name", labels that are numbers become names; tabs in texts become spaces.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from machamp_lite.files.atomic import replacing_file


def main() -> None:
    """Writes the TSV; stops with one line if the files differ in length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--mapping", type=Path)
    flags = parser.parse_args()
    texts, labels = (path.read_text(encoding="utf-8").splitlines() for path in (flags.texts, flags.labels))
    if len(texts) != len(labels):
        parser.error(
            f"{flags.texts} has {len(texts)} lines, {flags.labels} has {len(labels)}; expected as many"
        )
    lines = flags.mapping.read_text(encoding="utf-8").splitlines() if flags.mapping else []
    names = dict(line.split("\t")[:2] for line in lines)
    with replacing_file(flags.output) as file:
        for text, label in zip(texts, labels, strict=True):
            file.write(f"{' '.join(text.split())}\t{names.get(label, label)}\n")


if __name__ == "__main__":
    main()
