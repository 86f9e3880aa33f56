#!/usr/bin/env python3
"""python train.py --help"""

import sys

from machamp_lite.cli.main import train

if __name__ == "__main__":
    sys.exit(train())
