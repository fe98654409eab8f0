#!/bin/bash
# The test vectors of the age format through the steps: whether each is decrypted, and what comes out of a pipe before an
# error does. They are in the directory that BM_AGE_VECTORS names, or ../shared/vectors/age beside the sources.
. "$(dirname "$0")/lib.sh"

vectors=${BM_AGE_VECTORS:-$BM_SOURCE_DIR/../shared/vectors/age}
[ -d "$vectors" ] || skip "no vectors of the age format in $vectors; BM_AGE_VECTORS says where they are"
[ "$(find "$vectors" -type f ! -name '.*' | wc -l)" = 143 ] || fail "there are not 143 vectors in $vectors"

"$BYTEMILL" keygen -o stranger.key 2>/dev/null
$python - "$vectors" <<'END'
import hashlib, json, os, subprocess, sys, zlib
directory = sys.argv[1]
bytemill = os.environ["BYTEMILL"]
empty = hashlib.sha256(b"").hexdigest()
counts = {}

def secret(name, text):
    with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(text)
    return name

def read(name):
    head, body = open(os.path.join(directory, name), "rb").read().split(b"\n\n", 1)
    v = {"identity": [], "passphrase": []}
    for line in head.decode().split("\n"):
        key, value = line.split(": ", 1)
        v[key] = v[key] + [value] if key in ("identity", "passphrase") else value
    v["body"] = zlib.decompress(body) if v.get("compressed") == "zlib" else body
    return v

def run(name, v, step, expect, payload):
    job = {"steps": [{"step": "read", "from": "vector"}, step, {"step": "copy", "to": "copy"}, {"step": "write", "to": "-"}]}
    job.update(v.get("job", {}))
    if os.path.exists("copy"):
        os.remove("copy")
    json.dump(job, open("job.json", "w"))
    p = subprocess.run([bytemill, "run", "-q", "-j", "3", "job.json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    what = "%s with %s: exit code %d, %d bytes, %s" % (name, step, p.returncode, len(p.stdout), p.stderr.decode())
    assert p.returncode == (0 if expect == "success" else 1), what
    assert hashlib.sha256(p.stdout).hexdigest() == payload, what
    assert os.path.exists("copy") == (expect == "success"), what
    assert expect != "success" or open("copy", "rb").read() == p.stdout, what
    assert expect == "success" or b"error: vector: " in p.stderr, what
    words = {"no match": (b"identity", b"identities", b"passphrase", b"recipient"), "HMAC failure": (b"MAC",),
             "armor failure": (b"armor", b"age file"), "payload failure": (b"age chunk at byte", b"age file ends")}
    assert expect not in words or any(w in p.stderr for w in words[expect]), what

for name in sorted(n for n in os.listdir(directory) if n[0] != "."):
    v = read(name)
    open("vector", "wb").write(v["body"])
    # Hybrid keys are not supported: with one of those there is nothing to decrypt with.
    keys = [k for k in v["identity"] if not k.startswith("AGE-SECRET-KEY-PQ-")]
    hybrid = len(keys) < len(v["identity"])
    expect = v["expect"]
    if hybrid and name not in ("hybrid_x25519_arg", "hybrid_not_canonical_body"):
        expect = "no match"
    payload = v.get("payload", empty) if expect in ("success", "payload failure") else empty
    unlock = {}
    if keys:
        unlock["identity_file"] = secret("vector.key", "\n".join(keys) + "\n")
    if v["passphrase"]:
        unlock["passphrase_file"] = secret("vector.pass", v["passphrase"][0] + "\n")
    if not unlock:
        unlock["identity_file"] = "stranger.key"
    for extra in ({}, {"chunk": "4KiB"}) if len(v["body"]) < 1000000 else ({}, {"chunk": "64KiB"}):
        v["job"] = extra
        run(name, v, dict(unlock, step="decrypt"), expect, payload)
        run(name, v, dict(unlock, step="decompress", depth=4), expect, payload) if v["body"][:1] in (b"a", b"-") else None
    counts[expect] = counts.get(expect, 0) + 1
print(counts)
assert sum(counts.values()) == 143
END
