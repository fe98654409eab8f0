#!/bin/bash
# Random trees, changed at random: audit and diff say the same of them, and what audit --update makes of the manifest is what
# it would be if it were made anew. Manifests of every kind that is written here, and hashdeep's.
# LONG
. "$(dirname "$0")/lib.sh"

seed=${BM_SEED:-$(date +%s)}
echo "seed $seed (BM_SEED=$seed does the same again)"
deep=$(command -v hashdeep || true)
$python - "$seed" "$BYTEMILL" "$deep" <<-'END' || fail "seed $seed"
	import json, os, random, re, shutil, subprocess, sys, time
	random.seed(int(sys.argv[1]))
	BYTEMILL, DEEP = sys.argv[2:4]
	NAMES = [b"a", b"b c", b"-d", b"e\nf", b"g\\h", b"i\rj", b"\xffk", b"#l", b"m,n", b"dir/o", b"dir/p", b"dir/sub/q", b"dir2/a",
	         b".hid", b"%0A", b" lead", b"trail ", b"*st", b"{x}", b"SHA256 (y) = 00"]
	KINDS = {"gnu": [], "nul": ["-z"], "bsd": ["--tag"], "two": ["--format", "bsd", "-a", "md5,sha1"],
	         "json": ["--format", "json"], "blocks": ["--format", "json", "-a", "md5,sha256", "--blocks", "4096"]}
	ALL = "new,duplicate,changed,rotted,moved,missing"

	def content():
	    how = random.random()
	    if how < .4:
	        return random.choice([b"", b"same", b"same too", b"x" * 5000])
	    return os.urandom(random.choice([1, 10, 4096, 4097, 9000, 20000]))

	def write(name, data, mode="wb"):
	    os.makedirs(os.path.dirname(b"tree/" + name), exist_ok=True)
	    with open(b"tree/" + name, mode) as f:
	        f.write(data)

	def manifest(kind):
	    command = [BYTEMILL, "hash", "-q", *KINDS.get(kind, []), "."]
	    if kind == "hashdeep":
	        command = ["bash", "-c", r"find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r hashdeep -c md5,sha256 -l"]
	    return subprocess.run(command, cwd="tree", stdout=subprocess.PIPE, check=True).stdout

	# Lines in an order of their own; without "./"; without times, which change where bytes do not, and without digests of
	# blocks, which lines that are new do not get.
	def lines(kind, text):
	    text = re.sub(rb'"mtime":"[0-9]*",|,"blocks":.*?\]\}', b"", text)
	    found = text.split(b"\0" if kind == "nul" else b"\n")
	    return sorted(re.sub(rb'(  |\(|,|:")\./', rb"\1", line) for line in found if line and line[:2] not in (b"##", b"%%"))

	def verdicts(*arguments):
	    r = subprocess.run([BYTEMILL, *arguments, "--format", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
	    rows = [json.loads(line) for line in r.stdout.splitlines()]
	    return r.returncode, sorted(str((o["verdict"], o.get("path_base64", o["path"]), o.get("other")))
	                                for o in rows if o["type"] == "file")

	def disturb(files, pool):
	    how, name = random.choice("new add rewrite grow cut remove move copy".split()), random.choice(pool)
	    if how != "new" and files:
	        old, name = name, random.choice(sorted(files))
	        path = b"tree/" + name
	    if how == "new" or not files:
	        files.add(name)
	        write(name, content())
	    elif how == "rewrite":
	        write(name, content())
	    elif how in ("grow", "add"):
	        write(name, os.urandom(random.choice([1, 4096])), "ab")
	    elif how == "cut":
	        os.truncate(path, os.path.getsize(path) // 2)
	    elif how == "remove":
	        os.unlink(path)
	        files.remove(name)
	    elif old != name:
	        os.makedirs(os.path.dirname(b"tree/" + old), exist_ok=True)
	        (shutil.move if how == "move" else shutil.copy)(path, b"tree/" + old)
	        files -= {name} if how == "move" else set()
	        files.add(old)
	    return how, name

	box = float(os.environ.get("TORTURE_SECONDS", 0))
	end, rounds = time.monotonic() + box, 0
	while time.monotonic() < end if box else rounds < 300:
	    rounds += 1
	    shutil.rmtree("tree", ignore_errors=True)
	    kind = random.choice([*KINDS, *(["hashdeep"] if DEEP else [])])
	    pool = [name for name in NAMES if kind != "hashdeep" or not re.search(rb"[\n\r]", name)]
	    files = set(random.sample(pool, random.randint(1, len(pool))))
	    for name in files:
	        write(name, content())
	    open("before", "wb").write(manifest(kind))
	    log = [disturb(files, pool) for _ in range(random.randint(0, 6))]
	    if not files: # an empty tree is one whose disk is not there
	        continue
	    now = manifest(kind)
	    open("now", "wb").write(now)
	    audited, compared = verdicts("audit", "before", "tree", "--always-read"), verdicts("diff", "before", "now")
	    if audited != compared:
	        sys.exit(f"{kind} {log}\naudit: {audited}\ndiff:  {compared}")
	    r = subprocess.run([BYTEMILL, "audit", "-q", "before", "tree", "--update", ALL], stderr=subprocess.PIPE)
	    found = lines(kind, open("before", "rb").read())
	    if r.returncode != 0 or found != lines(kind, now):
	        sys.exit(f"{kind} {log}\nexit code {r.returncode} {r.stderr}\nupdated: {found}\nanew:    {lines(kind, now)}")
	print(rounds, "rounds")
END
