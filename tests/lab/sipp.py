# SPDX-License-Identifier: Apache-2.0
"""SIPp as a home full of people who open sessions, or take them (sipp/)."""
import os
import re
import subprocess

import peers
from waiting import LabError, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


class Sipp:
    """`scenario`: caller or called. calls: so many, then it ends. keys: -key NAME VALUE."""

    def __init__(self, run, scenario, ip, port, calls, target=None, rate=20, transport="t1", **keys):
        self.scenario, self.folder = scenario, f"{run}/sipp-{scenario}"
        os.makedirs(self.folder, exist_ok=True)
        words = [peers.program("sipp"), "-sf", f"{HERE}/sipp/{scenario}.xml", "-t", transport, "-i", ip, "-p", str(port), "-m", str(calls), "-nostdin",
                 "-trace_err", "-error_file", f"{self.folder}/errors", "-trace_stat", "-stf", f"{self.folder}/stat", "-fd", "1",
                 "-recv_timeout", "30000", "-cp", str(port + 3000)]
        for name, value in keys.items():
            words += ["-key", name, str(value)]
        self.words = words + (["-r", str(rate), target] if target else [])
        self.popen = None

    def start(self):
        self._out = open(f"{self.folder}/out", "ab")
        self.popen = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._out, cwd=self.folder, start_new_session=True,
                                      env={**os.environ, "TERM": "dumb"})
        return self

    def wait(self, timeout=60):
        """Until all calls are over; LabError unless each of them went well."""
        wait_until(lambda: self.popen.poll() is not None, timeout, f"SIPp ({self.scenario}) is not done (logs: {self.folder})", step=0.05)
        if self.popen.returncode:
            raise LabError(f"SIPp ({self.scenario}) ended with status {self.popen.returncode}: {self._trouble()}")

    def _trouble(self):
        found = []
        for name in ("errors", "out"):
            path = f"{self.folder}/{name}"
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    found += re.findall(r"(?m)^.*(?:rror|nexpected|imeout|aborted).*$", f.read())[-5:]
        return "; ".join(x.strip()[:200] for x in found)

    def kill(self):
        if self.popen:
            self.popen.kill()
            self.popen.wait()
            self._out.close()
            self.popen = None

    close = kill
