# SPDX-License-Identifier: Apache-2.0
"""fault.so from outside: what it is told (fault.h), and the power cut that its log makes possible."""
import errno
import mmap
import os
import re
import shutil
import struct
import subprocess

from daemon import binary
from stage import CHAOS, instrumented

FIELDS = ("write_every", "write_errno", "sync_every", "sync_errno", "alloc_after", "alloc_count", "text_length",
          "writes", "syncs", "writes_failed", "syncs_failed", "allocs_failed", "aborts")
TEXT = 64       # where the text stands
HEAD = struct.Struct("<c7xQQQQ")


def runtime():
    """What must come before anything that is preloaded: the runtime of the sanitizer that entented is linked with, or nothing."""
    said = subprocess.run(["ldd", binary("entented")], capture_output=True, text=True, check=False, timeout=20).stdout if instrumented() else ""
    return re.findall(r"lib[at]san\.so\S* => (\S+)", said)


def impossible():
    """Why fault.so cannot be preloaded, or None."""
    return "the runtime of the sanitizer is within the program, and nothing can be preloaded after it" if instrumented() and not runtime() else None


def no_allocations():
    """Why no allocation can be made to fail, or None."""
    return "the sanitizer has an allocator of its own: no allocation can be made to fail" if instrumented() else None


def no_notes():
    """Why nobody notes, when the process crashes, which text it had in hand (src/app/crash.c), or None."""
    return "the sanitizer takes the signals of a crash: nobody notes which text was in hand" if instrumented() else None


class Faults:
    """One control file. `environment`: for entented. The log of changes is kept only with `undo`."""

    def __init__(self, folder, watch, undo=False):
        os.makedirs(folder, exist_ok=True)
        self.path, self.log, self.watch = f"{folder}/fault", f"{folder}/undo", watch
        with open(self.path, "wb") as f:
            f.write(bytes(TEXT + 64))
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), TEXT + 64)
        self.environment = {"LD_PRELOAD": ":".join([*runtime(), f"{CHAOS}/libfault.so"]), "CHAOS_CONTROL": self.path, "CHAOS_WATCH": watch, **({"CHAOS_UNDO": self.log} if undo else {})}

    def __setitem__(self, name, value):
        struct.pack_into("<I", self.map, 4 * FIELDS.index(name), value)

    def __getitem__(self, name):
        return struct.unpack_from("<I", self.map, 4 * FIELDS.index(name))[0]

    def write_fails(self, every, error=errno.EIO):
        self["write_errno"] = error
        self["write_every"] = every

    def sync_fails(self, every, error=errno.EIO):
        self["sync_errno"] = error
        self["sync_every"] = every

    def no_memory(self, after, count=1):
        self["alloc_count"] = count
        self["alloc_after"] = after

    def poison(self, text):
        """Who writes this to a socket dies; None: nobody."""
        if text:
            self.map[TEXT:TEXT + len(text)] = text.encode()
        self["text_length"] = len(text or "")

    # --- the power cut ----------------------------------------------------------------------------------------------

    def records(self):
        with open(self.log, "rb") as f:
            data = f.read()
        at = 0
        while at + HEAD.size <= len(data):
            kind, inode, place, old_size, length = HEAD.unpack_from(data, at)
            at += HEAD.size
            if at + length > len(data):
                break       # it was killed while it wrote this: then the change itself was not made
            yield kind.decode(), inode, place, old_size, data[at:at + length]
            at += length

    def unsynced(self):
        """The changes that no sync has made good, in order. The sync of a file makes its content good and (as ext4, XFS and btrfs do) that it is there; that a
        name was changed or removed is good after a sync of the directory."""
        open_ones, begun = [], {}
        for n, (kind, inode, place, old_size, data) in enumerate(self.records()):
            if kind == "B":
                begun[inode, place] = n
            elif kind == "S":
                since = begun.pop((inode, place), -1)
                open_ones = [r for r in open_ones if r[0] > since or not ((r[1] in "WTC" and r[2] == inode) or (r[1] in "CUR" and r[3] == inode))]
            else:
                open_ones.append((n, kind, inode, place, old_size, data))
        return open_ones

    def cut(self, rng):
        """As if the power had gone: what was not synced is there, is not, or in part. The process must be dead. Returns how many changes were undone, of how many."""
        changes = self.unsynced()
        paths = {}
        for folder, _, names in os.walk(self.watch):
            for name in names:
                path = os.path.join(folder, name)
                paths[os.lstat(path).st_ino] = path
        for folder, _, names in os.walk(f"{self.log}.links"):
            for name in names:
                paths.setdefault(os.lstat(os.path.join(folder, name)).st_ino, os.path.join(folder, name))
        mood = {}       # of each file: all is lost, a tail of it, or pages here and there
        undone = 0
        for number, kind, inode, place, old_size, data in reversed(changes):
            how = mood.setdefault(inode if kind in "WT" else ("name", place), rng.choice(["all", "all", "tail", "pages"]))
            if how == "tail" and rng.random() < 0.15:
                mood[inode if kind in "WT" else ("name", place)] = how = "kept"      # what is older than this has survived
            if how == "kept" or (how == "pages" and kind != "W" and rng.random() < 0.5):
                continue
            undone += 1
            self._undo(kind, inode, place, old_size, data, paths, rng if how == "pages" else None)
        for path in list(paths.values()):
            if path.endswith("-shm") and os.path.exists(path):      # mapped, never synced: SQLite makes it anew
                os.unlink(path)
        os.unlink(self.log)
        shutil.rmtree(f"{self.log}.links", ignore_errors=True)
        return undone, len(changes)

    @staticmethod
    def _undo(kind, inode, place, old_size, data, paths, rng):
        path = paths.get(inode)
        if kind in "WT" and path and os.path.exists(path):
            with open(path, "r+b") as f:
                size = os.fstat(f.fileno()).st_size
                if kind == "T":
                    if data:
                        f.seek(place)
                        f.write(data)
                    f.truncate(old_size)
                    return
                for start in range(0, len(data), 4096):
                    page = data[start:start + 4096]
                    if rng and rng.random() < 0.5:
                        continue
                    if place + start < size:
                        f.seek(place + start)
                        f.write(page[:size - place - start])
                if not rng and old_size < size:
                    f.truncate(old_size)
        elif kind == "C":
            name = data.rstrip(b"\0").decode()
            if os.path.exists(name) and os.lstat(name).st_ino == inode:
                os.unlink(name)
        elif kind == "U":
            name, kept = data.split(b"\0")[:2]
            if os.path.exists(kept) and not os.path.exists(name):
                os.link(kept, name)
        elif kind == "R":
            old, new, kept = data.split(b"\0")[:3]
            if os.path.exists(new) and os.lstat(new).st_ino == inode:
                os.rename(new, old)
                if kept and os.path.exists(kept):
                    os.link(kept, new)
