#!/usr/bin/env python3
"""python predict.py --help"""

import sys

from machamp_lite.cli.main import predict

if __name__ == "__main__":
    sys.exit(predict())
