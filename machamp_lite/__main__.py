"""python -m machamp_lite --help"""

from machamp_lite.cli.commands import main

if __name__ == "__main__":
    raise SystemExit(main(prog="python -m machamp_lite"))
