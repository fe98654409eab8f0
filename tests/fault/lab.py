"""lab.py - what the sweeps have in common: scenarios (a tree, a command, what it makes of the tree), runs of bytemill with
a fault by libbm_faults.so (see faults.c), and what must hold after any of them.

A scenario is run once without a fault; what it made is "new". Before each run some of its targets hold "old" bytes.
After a run, however it ended, each final name has its old or its new bytes and rights, or is not there if it was not
there before. Everything random comes from a seed that is printed.
"""
import hashlib
import itertools
import os
import random
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import threading
import time

KINDS = ["read", "write", "fsync", "rename", "open", "mkdir", "copy", "unlink", "truncate", "stat", "close", "readdir",
         "lock", "meta", "seek", "malloc", "mmap", "thread"]
LOG_BYTES = 8192
TEMP_NAME = re.compile(r"^\.bytemill-.*\.tmp$")

BYTEMILL = os.environ.get("BYTEMILL", "bytemill")
FAULTS = os.environ.get("BM_FAULTS", "libbm_faults.so")
SANITIZED = os.environ.get("BM_SANITIZE", "")
SANITIZER_SAYS = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error: |SUMMARY: \w+Sanitizer")


class Broken(Exception):
    """Something does not hold."""


def write(path, data, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)


def text_bytes(rng, size):
    """Bytes that compress somewhat."""
    words = [b"alpha ", b"beta ", b"gamma\n", b"%d " % rng.randrange(1000), bytes([rng.randrange(256)])]
    out = bytearray()
    while len(out) < size:
        out += rng.choice(words)
    return bytes(out[:size])


def make_tree(top):
    """The inputs; always the same ones. The chunk of the jobs is 64 KiB."""
    rng = random.Random(4711)
    write(top + "/a.txt", b"a\n")
    write(top + "/chunks.bin", text_bytes(rng, 3 * 65536 + 1234), 0o600)
    write(top + "/empty", b"")
    write(top + "/one-chunk", text_bytes(rng, 65536), 0o755)
    write(top + "/sub/b.txt", text_bytes(rng, 1000), 0o640)
    write(top + "/sub/deep/er/c", text_bytes(rng, 70000))
    write(top + "/sub/deep/d", text_bytes(rng, 5))
    write(top + "/z", text_bytes(rng, 9000))
    with open(top + "/sparse", "wb") as f:
        f.write(b"begin" * 1000)
        f.seek(200000)
        f.write(b"end" * 1000)
        f.truncate(300000)


def snapshot(top, skip=()):
    """relative path -> (mode, bytes) of all files, but those below the directories named."""
    found = {}
    for base, dirs, files in os.walk(top):
        rel = os.path.relpath(base, top)
        if rel == ".":
            rel = ""
            dirs[:] = [d for d in dirs if d not in skip]
        for name in files:
            path = os.path.join(base, name)
            with open(path, "rb") as f:
                data = f.read()
            found[os.path.join(rel, name)] = (os.stat(path).st_mode & 0o7777, data)
    return found


class Fault:
    """BM_FAULT_*: kinds (a list), the number of the call, what it does; under: a directory of the lab."""

    def __init__(self, kinds, at, do, always=False, under=None):
        self.kinds, self.at, self.do, self.always, self.under = list(kinds), at, do, always, under

    def env(self, log):
        env = {"LD_PRELOAD": FAULTS, "BM_FAULT_KINDS": ",".join(self.kinds), "BM_FAULT_AT": str(self.at),
               "BM_FAULT_DO": str(self.do), "BM_FAULT_LOG": log}
        if self.always:
            env["BM_FAULT_ALWAYS"] = "1"
        if self.under:
            env["BM_FAULT_UNDER"] = os.path.join(os.path.dirname(log), self.under)
        return env

    def __str__(self):
        do = os.strerror(self.do) if isinstance(self.do, int) else self.do
        return "%s of call %d%s of %s" % (do, self.at, " and all after it" if self.always else "", ",".join(self.kinds))


class Result:
    """How a run ended and what faults.c noted."""

    def __init__(self, code, out, err, log):
        self.code, self.out, self.err = code, out, err
        n = len(KINDS)
        self.counts = dict(zip(KINDS, struct.unpack_from("<%dQ" % n, log)))
        self.counted, self.hits, self.open_modes = struct.unpack_from("<3Q", log, 8 * n)
        text = log[8 * n + 24:]
        where = text[:4000].split(b"\0")[0].decode("latin-1")
        self.function, _, self.path = where.partition(" ")
        self.open_text = text[4000:6000].split(b"\0")[0].decode("latin-1")


class Scenario:
    """name; job (text of job.json, or None); command (its arguments); sources (directory of the inputs); old (target
    -> bytes, what stands there before, or a function of the inputs that gives it); manifests (targets that hold a line a file); targets (input -> its targets). parts: the one
    target is what it was, and then any of the inputs in their order. mark: a file that is there for as long as there is
    something to go on with; without it, what is done is refused to be done again."""

    def __init__(self, name, command, job=None, prepare=make_tree, old=None, manifests=(), targets=None, parts=False, keeps=False, mark=None):
        self.name, self.command, self.job, self.prepare = name, command, job, prepare
        self.old_files, self.manifests, self.targets_of = old or {}, set(manifests), targets
        self.parts, self.keeps, self.mark = parts, keeps, mark
        self.new = self.new_out = self.inputs = None


READ = '{"step": "read", "from": "src"}'


def job(*steps, more=""):
    return '{"name": "sweep", "chunk": "64KiB", "memory": "4MiB"%s, "steps": [%s]}' % (more, ", ".join(steps))


def make_packed(top):
    """Inputs that are to be decompressed: made from the tree by programs that are not ours, and by python."""
    import gzip
    make_tree(top + ".plain")
    for base, _, files in os.walk(top + ".plain"):
        for name in files:
            path = os.path.join(base, name)
            with open(path, "rb") as f:
                data = f.read()
            rel = os.path.relpath(path, top + ".plain")
            half = len(data) // 2
            write(os.path.join(top, rel + ".gz"), gzip.compress(data[:half], 6, mtime=0) + gzip.compress(data[half:], 6, mtime=0))
    shutil.rmtree(top + ".plain")


def make_with_sums(top):
    """The tree, and beside it a list with digests of blocks."""
    make_tree(top)
    with open(os.path.dirname(top) + "/sums", "wb") as f:
        subprocess.run([BYTEMILL, "hash", "--format", "json", "--blocks", "4KiB", "."], cwd=top, stdout=f, check=True)


def damaged(sources):
    """A copy of the tree at out/ in which files are changed, cut, longer and missing."""
    old = {"out/" + rel: data for rel, (_, data) in sources.items()}
    for at in (5000, 190000):
        data = old["out/chunks.bin"]
        old["out/chunks.bin"] = data[:at] + b"X" + data[at + 1:]
    old["out/one-chunk"] = old["out/one-chunk"][:60000]
    old["out/sub/b.txt"] += b"more"
    del old["out/z"]
    return old


def scenarios():
    both = lambda rel: ["mirror/" + rel, "out/gz/" + rel + ".gz"]
    old = {"mirror/a.txt": b"old a\n", "mirror/chunks.bin": b"old chunks" * 5000, "mirror/sub/deep/er/c": b"old c",
           "out/gz/one-chunk.gz": b"old gz", "out/gz/z.gz": b"old z", "out/SUMS": b"old sums\n", "mirror/other": b"of another\n"}
    return [
        Scenario("mirror", ["run", "job.json"], job(
            READ, '{"step": "hash", "manifest": "out/SUMS"}', '{"step": "copy", "to": "mirror/{path}"}',
            '{"step": "compress"}', '{"step": "hash", "manifest": "out/SUMS.gz"}',
            '{"step": "write", "to": "out/gz/{path}.gz"}'), old=old, manifests=["out/SUMS", "out/SUMS.gz"], targets=both),
        Scenario("copy", ["run", "job.json"], job(READ, '{"step": "copy", "to": "mirror/{path}"}'),
                 old={k: v for k, v in old.items() if k.startswith("mirror/")}, targets=lambda rel: ["mirror/" + rel]),
        Scenario("append", ["run", "job.json"], job(
            READ, '{"step": "write", "to": "out/all", "combine": true, "if_exists": "append"}'),
            old={"out/all": b"old bytes\n" * 20000}, targets=lambda rel: ["out/all"], parts=True),
        Scenario("index", ["run", "job.json"], job(
            READ, '{"step": "compress", "layout": "bgzf"}', '{"step": "write", "to": "out/{path}.gz", "index": true, '
            '"preserve": false}'), old={"out/chunks.bin.gz": b"old", "out/chunks.bin.gz.gzi": b"old index"},
            targets=lambda rel: ["out/" + rel + ".gz", "out/" + rel + ".gz.gzi"]),
        Scenario("zstd", ["run", "job.json"], job(
            READ, '{"step": "compress", "format": "zstd"}', '{"step": "write", "to": "out/{path}.zst", "if_exists": "skip"}'),
            targets=lambda rel: ["out/" + rel + ".zst"], keeps=True),
        Scenario("unpack", ["run", "job.json"], job(
            READ, '{"step": "decompress"}', '{"step": "hash", "manifest": "out/SUMS"}',
            '{"step": "write", "to": "out/{path}.plain"}'), prepare=make_packed, manifests=["out/SUMS"],
            old={"out/chunks.bin.gz.plain": b"old"}, targets=lambda rel: ["out/" + rel + ".plain"]),
        Scenario("hash", ["hash", "src"]),
        Scenario("catalog", ["audit", "--catalog", "src"]),
        Scenario("repair", ["audit", "--repair-from", "src", "sums", "out"], prepare=make_with_sums, old=damaged,
                 targets=lambda rel: ["out/" + rel], keeps=True),
        Scenario("bag", ["bag", "src", "--to", "out"], targets=lambda rel: ["out/data/" + rel],
                 manifests=["out/manifest-sha512.txt", "out/tagmanifest-sha512.txt"], mark="out/.bytemill.bag"),
    ]


class Lab:
    """A directory in which scenarios run, one at a time."""

    def __init__(self, top):
        self.top = top
        self.work, self.state, self.log = top + "/work", top + "/state", top + "/log"
        self.current = None

    def fresh(self, s):
        """work/ as it is before a run of the scenario. The inputs are made once: no run may change them."""
        if self.current is not s:
            shutil.rmtree(self.work, ignore_errors=True)
            s.prepare(self.work + "/src")
            if s.job is not None:
                write(self.work + "/job.json", s.job.encode())
            self.sources = snapshot(self.work + "/src")
            self.current = s
        for name in ("mirror", "out"):
            shutil.rmtree(os.path.join(self.work, name), ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)
        old = s.old_files(self.sources) if callable(s.old_files) else s.old_files
        for rel, data in old.items():
            write(os.path.join(self.work, rel), data, 0o604)
        self.old = {rel: (0o604, data) for rel, data in old.items()}

    def command(self, s, threads, io_depth):
        state = ["--state", self.state] if s.command[0] in ("run", "audit") else []
        return [BYTEMILL, s.command[0], "-j", str(threads), "--io-depth", str(io_depth)] + state + s.command[1:]

    def env(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("BM_FAULT_")}
        options = env.get("ASAN_OPTIONS", "")
        # The library is loaded before the sanitizer's; allocations may fail; and a leak is to be known by the library that
        # it is in, which was built without frame pointers.
        env["ASAN_OPTIONS"] = options + ":verify_asan_link_order=0:allocator_may_return_null=1:fast_unwind_on_malloc=0"
        env["LSAN_OPTIONS"] = "print_suppressions=0:suppressions=" + os.path.join(os.path.dirname(os.path.abspath(__file__)), "leaks.supp")
        env.update(LC_ALL="C", TZ="UTC", NO_COLOR="1")
        return env

    def run(self, s, fault=None, threads=1, io_depth=1, timeout=120, kill_after=None):
        with open(self.log, "wb") as f:
            f.truncate(LOG_BYTES)
        env = self.env()
        env.update((fault or Fault(["all"], 0, 5)).env(self.log))
        p = subprocess.Popen(self.command(s, threads, io_depth), cwd=self.work, env=env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        if kill_after is not None:
            timer = threading.Timer(kill_after, p.kill)
            timer.start()
        try:
            out, err = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            subprocess.run(["sh", "-c", "for t in /proc/%d/task/*; do cat $t/comm $t/wchan $t/syscall; echo; done" % p.pid])
            p.kill()
            p.communicate()
            raise Broken("it hangs: not ended after %d s" % timeout)
        finally:
            if kill_after is not None:
                timer.cancel()
        with open(self.log, "rb") as f:
            log = f.read()
        return Result(p.returncode, out, err.decode("latin-1"), log)

    def learn(self, s):
        """What the scenario makes of the tree."""
        self.fresh(s)
        r = self.run(s)
        if r.code != 0 or SANITIZER_SAYS.search(r.err):
            raise Broken("without a fault: exit code %d: %s" % (r.code, r.err))
        s.new = {rel: v for rel, v in self.outputs().items() if not TEMP_NAME.match(os.path.basename(rel))}
        s.new_out = r.out
        s.inputs = sorted(self.sources)
        return r

    def outputs(self):
        found = snapshot(self.work, skip=("src",))
        for name in ("job.json", "sums"):
            found.pop(name, None)
        return found

    def temps(self):
        return [os.path.join(base, f) for base, _, files in os.walk(self.work) for f in files if f.startswith(".bytemill-")]

    # ---- what must hold ----

    def check_files(self, s, killed=False, done=False):
        """killed: temp files may be left. done: the mark may not. Returns the inputs whose targets are not all new."""
        now = self.outputs()
        for rel, (mode, data) in now.items():
            if TEMP_NAME.match(os.path.basename(rel)):
                if not killed:
                    raise Broken("a temp file is left: " + rel)
                continue
            want = s.new.get(rel)
            if rel == s.mark and not done:
                continue
            if want is None and rel not in self.old:
                raise Broken("a file that nobody asked for: " + rel)
            if (mode, data) == self.old.get(rel) or want and data == want[1] and mode & ~want[0] == 0:
                continue  # where the rights cannot be set, there are fewer, and it is said
            if s.parts and rel in self.old and self.is_old_and_parts(data, self.old[rel][1]):
                continue
            if rel in s.manifests and not killed and self.is_part(data, want[1]) and mode == want[0]:
                continue
            raise Broken("%s is neither old nor new: mode %o, %d bytes %r ..." % (rel, mode, len(data), data[:60]))
        for rel in self.old:
            if rel not in now:
                if rel.endswith(".gzi"):  # it goes before its file is replaced
                    continue
                raise Broken("the old file is gone: " + rel)
        if snapshot(self.work + "/src") != self.sources:
            raise Broken("an input was changed")
        if s.targets_of is None or s.parts:
            return []
        return [i for i in s.inputs if any(t not in now or now[t][1] != s.new[t][1] for t in s.targets_of(i) if t in s.new)]

    def is_old_and_parts(self, data, old):
        if not data.startswith(old):
            return False
        at = {len(old)}
        for rel in sorted(self.sources):
            part = self.sources[rel][1]
            at |= {i + len(part) for i in at if data.startswith(part, i)}
        return len(data) in at

    @staticmethod
    def is_part(data, whole):
        """Are its lines lines of the whole, in that order?"""
        lines = iter(whole.splitlines(True))
        return all(line in lines for line in data.splitlines(True))

    def check_state(self):
        db = self.state + "/catalog.db"
        if os.path.exists(db):
            copy = self.top + "/copy"
            shutil.rmtree(copy, ignore_errors=True)
            os.mkdir(copy)
            for name in os.listdir(self.state):
                if name.startswith("catalog.db"):
                    shutil.copy(os.path.join(self.state, name), copy)
            c = sqlite3.connect(copy + "/catalog.db")
            try:
                said = c.execute("PRAGMA integrity_check").fetchall()
            finally:
                c.close()
            if said != [("ok",)]:
                raise Broken("the catalog is damaged: %s" % said)

    def check_open_modes(self, r):
        """SQLite makes its files with the rights of others, in a directory that nobody else may enter."""
        if r.open_modes and not r.open_text.startswith(self.state):
            raise Broken("created with rights for others: " + r.open_text)

    def check_rerun(self, s, temps_may_stay=False, modes_may_stay=False):
        """modes_may_stay: it was told that some could not be set, and what is done is not done again for that."""
        before = self.outputs()
        if s.mark and s.mark not in before and any(rel in before for rel in s.new):
            if any(rel not in before or before[rel][1] != want[1] for rel, want in s.new.items()):
                raise Broken("there is no mark, and not all is new")
            return
        if s.parts:
            self.old = {rel: v for rel, v in self.outputs().items() if not TEMP_NAME.match(os.path.basename(rel))}
        r = self.run(s)
        if r.code != 0:
            raise Broken("the next run: exit code %d: %s" % (r.code, r.err))
        left = self.check_files(s, killed=temps_may_stay, done=True)  # else those of a run that was killed are gone too
        now = self.outputs()
        for rel, want in s.new.items():
            if not s.parts and (rel not in now or now[rel][1] != want[1] or now[rel] != want and not (s.keeps or modes_may_stay)):
                raise Broken("after the next run %s is not new" % rel)
        if left and not s.parts or r.out != s.new_out and s.command[0] == "hash":
            raise Broken("the next run did not do all: %s" % left)
        self.check_state()


class Sweep:
    """Cases (label, group, function of a Lab; the label begins with the scenario): o.cases of them, by some workers, until
    o.seconds are over. Which ones, and in what order, the seed says, of each case by itself: that there are more or fewer
    calls elsewhere, or that the machine is slow, makes no other case be tried. run() returns the exit code of the
    program."""

    def __init__(self, what, o, tops):
        self.what, self.o, self.tops = what, o, tops
        self.lock = threading.Lock()
        self.tried, self.failed, self.by_kind = 0, [], {}

    def choose(self, cases):
        """Of each group one after the other, and in a group of each scenario: so a sample has of all."""
        def number(cases, of):
            numbers = {}
            return [(next(numbers.setdefault(of(c), itertools.count())), c) for c in cases]

        cases = sorted(cases, key=lambda c: hashlib.sha256(("%d %s" % (self.o.seed, c[0])).encode()).digest())
        for of in (lambda c: (c[1], c[0].split()[0]), lambda c: c[1]):
            cases = [c for _, c in sorted(number(cases, of), key=lambda n: n[0])]
        return cases[:self.o.cases or None]

    def run(self, cases):
        chosen = self.choose(cases)
        begun = time.monotonic()
        self.end = begun + self.o.seconds
        queue = iter(chosen)
        threads = [threading.Thread(target=self.work, args=(i, queue)) for i in range(self.o.workers)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        print("%s: seed %d, tried %d of %d cases in %.0f s: %s" % (
            self.what, self.o.seed, self.tried, len(cases), time.monotonic() - begun,
            ", ".join("%s %d" % kv for kv in sorted(self.by_kind.items()))))
        if self.tried < len(chosen) and self.o.cases:
            print("%s: %d of the %d that were to be tried were not: the time was over" % (
                self.what, len(chosen) - self.tried, len(chosen)))
        for text in self.failed[:20]:
            print(text)
        if len(self.failed) > 20:
            print("... and %d more" % (len(self.failed) - 20))
        return 1 if self.failed or self.tried == 0 else 0

    def work(self, number, queue):
        lab = Lab("%s/lab%d" % (self.tops[number % len(self.tops)], number))
        os.makedirs(lab.top)
        while time.monotonic() < self.end:
            with self.lock:
                case = next(queue, None)
            if case is None:
                return
            label, group, function = case
            try:
                function(lab)
                text = None
            except Broken as e:
                text = "FAILED %s: %s" % (label, e)
            with self.lock:
                self.tried += 1
                self.by_kind[group] = self.by_kind.get(group, 0) + 1
                if text:
                    self.failed.append(text)
                    print(text, flush=True)


def options(description):
    import argparse
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--seconds", type=float, default=float(os.environ.get("TORTURE_SECONDS", 300)))
    p.add_argument("--seed", type=int, default=int(os.environ.get("BM_SEED", 0)) or random.SystemRandom().randrange(1, 10**9))
    p.add_argument("--cases", type=int, default=0, help="so many of them, instead of all")
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--scenarios", default="")
    p.add_argument("--kinds", default="")
    p.add_argument("--only", type=int, default=0, help="only the call of this number")
    o = p.parse_args()
    os.umask(0)
    return o


def in_scratch(main):
    """main(directories) in two that are removed afterwards, unless KEEP=1 and it failed: one in memory, where a run takes
    a tenth of the time, and one on a disk. Without /dev/shm both are on the disk."""
    import tempfile
    tops = [tempfile.mkdtemp(prefix="bytemill-fault.", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None),
            tempfile.mkdtemp(prefix="bytemill-fault.")]
    code = 1
    try:
        code = main(tops)
    finally:
        if code and os.environ.get("KEEP") == "1":
            print("kept: %s %s" % tuple(tops))
        else:
            for top in tops:
                shutil.rmtree(top, ignore_errors=True)
    sys.exit(code)
