# SPDX-License-Identifier: Apache-2.0
"""Loads the files of tests."""
import glob
import importlib
import os

import case

HERE = os.path.dirname(os.path.abspath(__file__))


def load():
    """All tests, in the order of their files."""
    for path in sorted(glob.glob(f"{HERE}/on_*.py")):
        importlib.import_module(os.path.basename(path)[:-3])
    for number, one in enumerate(case.CASES):
        one.number = number
    return case.CASES
