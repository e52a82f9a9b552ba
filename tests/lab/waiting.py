# SPDX-License-Identifier: Apache-2.0
"""Waiting with a deadline, and the error that a lab raises in words."""
import time


class LabError(Exception):
    """Something expected did not happen; the text says what, in words for a reader who has no debugger."""


def wait_until(condition, timeout, what, step=0.01):
    """Poll condition() until it is true; raise LabError naming `what` after `timeout` seconds. Returns its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {timeout:g} s")
        time.sleep(step)
