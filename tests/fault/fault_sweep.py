#!/usr/bin/env python3
"""fault_sweep.py - every n-th call of each kind fails, is short or is interrupted; and what bytemill makes of it.

After each: no crash, no hang, nothing a sanitizer has to say; final names hold old or new bytes; no temp file is left; exit
code 0 only where all is new; otherwise a message names what failed, and all the other files are done; the next run
makes all new. What may pass (EINTR, short counts) must not be noticed at all.
"""
import errno
import os
import re
import sys

from lab import KINDS, SANITIZED, SANITIZER_SAYS, Broken, Fault, Lab, Sweep, in_scratch, options, scenarios

ERRORS = {
    "read": [errno.EIO, errno.EINTR, "short", "one"],
    "write": [errno.ENOSPC, errno.EIO, errno.EINTR, "short", "one"],
    "fsync": [errno.EIO, errno.ENOSPC, errno.EINTR],
    "rename": [errno.EIO, errno.ENOSPC],
    "open": [errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EINTR],
    "mkdir": [errno.EIO, errno.ENOSPC],
    "copy": [errno.EIO, errno.ENOSPC, errno.EINTR, errno.EXDEV, "short", "one"],
    "unlink": [errno.EIO],
    "truncate": [errno.EIO, errno.ENOSPC, errno.EINTR],
    "stat": [errno.EIO],
    "close": [errno.EIO, errno.EINTR],
    "readdir": [errno.EIO],
    "lock": [errno.EIO, errno.ENOLCK],
    "meta": [errno.EIO, errno.EPERM],
    "seek": [errno.EIO],
    "malloc": [errno.ENOMEM],
    "mmap": [errno.ENOMEM],
    "thread": [errno.EAGAIN],
}
# An error of one of these, at an input or a target, is a file that failed.
MUST_FAIL = {"read", "write", "fsync", "rename", "mkdir", "copy", "truncate"}
# Rights and times that the user may not set are told; that the device could not set them is an error.
# These are not to be noticed.
PASSES = {errno.EINTR, errno.EXDEV, "short", "one"}
MEMORY = {"malloc", "mmap", "thread"}


# Errors that are of no file.
GENERAL = re.compile(r"not even one thread could be started|error: out of memory")


def where(lab, r):
    """What the call that failed was at: an input, a target, the list of all, the state directory, or anything else."""
    for top, name in ((lab.work + "/src", "input"), (lab.state, "state"), (lab.work + "/job.json", "job"),
                      (lab.work + "/sums", "list"), (lab.work, "target")):
        if r.path == top or r.path.startswith(top + "/"):
            return name
    return "else"


def names(lab, s, rel):
    """All that a message about an input may name: it, its targets, and the directories that they are in."""
    for path in ["src/" + rel] + ([rel] if s.job is None else []) + s.targets_of(rel) + sorted(s.manifests):
        yield path
        while "/" in path:
            path = path.rsplit("/", 1)[0]
            yield path


def judge(lab, s, fault, r):
    kind, place = fault.kinds[0], where(lab, r)
    if kind == "malloc" and "AddressSanitizer: CHECK failed" in r.err:
        return  # the sanitizer itself cannot do without
    if SANITIZER_SAYS.search(r.err):
        raise Broken("sanitizer: " + r.err)
    if r.code not in ((0, 1, 2, 3) if s.name == "repair" else (0, 1, 2)):
        raise Broken("exit code %d" % r.code)
    left = lab.check_files(s, killed=kind == "unlink")  # then a temp file cannot be removed
    lab.check_state()
    lab.check_open_modes(r)
    errors = [l for l in r.err.splitlines() if "error:" in l]
    if s.command[0] == "audit":  # what it finds is its result
        errors += [l for l in r.out.decode("latin-1").splitlines()
                   if re.match(r"(unreadable|not-checked|changed-while-reading|unrepaired) ", l) and not l.split()[1].isdigit()]
    if r.code == 0:
        if left:
            raise Broken("exit code 0, but not done: %s" % left)
        for rel in s.new:
            if lab.outputs()[rel][1] != s.new[rel][1]:
                raise Broken("exit code 0, but %s is not new" % rel)
        if s.command[0] == "hash" and r.out != s.new_out:
            raise Broken("exit code 0, but the output is %r" % r.out)
        if errors and kind not in MEMORY:  # of which even a message may fall short
            raise Broken("exit code 0 and an error")
        # The read that is made while a file is opened (preadv2) is made again where it fails; and what cannot be read of
        # a file that is repaired comes from the copy.
        again = kind == "read" and (r.function == "preadv64v2" and not fault.always or s.name == "repair")
        must_fail = kind in MUST_FAIL and fault.do not in PASSES or kind == "meta" and fault.do == errno.EIO
        if must_fail and place in ("input", "target") and not again:
            raise Broken("exit code 0")
        return
    # SQLite takes an interrupted fsync for one that failed; on no file system where it may lie is one interrupted.
    if fault.do in PASSES and not (place == "state" and kind in ("fsync", "close")):
        raise Broken("exit code %d: not to be noticed" % r.code)
    if not errors:
        raise Broken("exit code %d without an error" % r.code)
    if r.code == 2 and any(lab.outputs().get(rel) != lab.old.get(rel) for rel in s.new):
        raise Broken("exit code 2, but something was done")
    if r.code == 2 or s.targets_of is None:
        return
    for rel in left:
        if not any(re.search(r"(^|[ /'])%s([: ']|$)" % re.escape(n), l) for n in names(lab, s, rel) for l in errors) \
                and not any(GENERAL.search(l) for l in errors):
            raise Broken("not done and not named: %s" % rel)
    if not fault.always and kind in MUST_FAIL and len(left) > 1 and s.name != "append":
        if not (place == "list" or place == "input" and os.path.isdir(r.path)):
            raise Broken("more than one file failed: %s" % left)


def case(s, fault, threads):
    def do(lab):
        lab.fresh(s)
        r = lab.run(s, fault, threads=threads, io_depth=1 if threads == 1 else 8)
        try:
            judge(lab, s, fault, r)
            if r.hits:
                may_not = fault.kinds[0] == "meta" and fault.do == errno.EPERM and ": mode: " in r.err
                lab.check_rerun(s, temps_may_stay=fault.kinds[0] == "unlink", modes_may_stay=may_not)
        except Broken as e:
            raise Broken("%s; at %s %s; exit code %d\n%s%s" % (
                e, r.function, r.path, r.code, r.err, r.out[:500].decode("latin-1"))) from None
    return ("%s -j %d: %s" % (s.name, threads, fault), "%s" % fault.kinds[0], do)


def main(tops):
    o = options(__doc__)
    lab = Lab(tops[0] + "/learn")
    os.makedirs(lab.top)
    cases = []
    for s in scenarios():
        if o.scenarios and s.name not in o.scenarios.split(","):
            continue
        counts = lab.learn(s).counts
        for kind in KINDS:
            if o.kinds and kind not in o.kinds.split(","):
                continue
            for do in ERRORS[kind]:
                if do in PASSES and do != "one" and not o.only:  # at all places at once
                    under = "work" if kind in ("fsync", "close") else None  # SQLite does not make these again
                    for n, threads in ((1, 1), (2, 1), (1, 8)):
                        label, _, f = case(s, Fault([kind], n, do, always=True, under=under), threads)
                        cases.append((label, "all of " + kind, f))
                for n in range(1, counts[kind] + 1):
                    if o.only and n != o.only:
                        continue
                    cases.append(case(s, Fault([kind], n, do), 1))
                    if n % 4 == 0:
                        cases.append(case(s, Fault([kind], n, do), 8))
                    if n % 8 == 1 and do not in PASSES:
                        cases.append(case(s, Fault([kind], n, do, always=True, under=None if kind in MEMORY else "work"), 1))
    return Sweep("fault sweep", o, tops).run(cases)


in_scratch(main)
