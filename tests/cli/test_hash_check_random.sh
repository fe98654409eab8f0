#!/bin/bash
# hash --check against sha256sum -c over lists of random lines, good, damaged and made up: the same output, the same exit code.
# LONG
. "$(dirname "$0")/lib.sh"
need_cmd sha256sum

seed=${BM_SEED:-$(date +%s)}
echo "seed $seed (BM_SEED=$seed makes the same lists again)"
$python - "$seed" "$BYTEMILL" <<-'END' || fail "seed $seed"
	import hashlib, os, random, re, subprocess, sys, time
	random.seed(int(sys.argv[1]))
	os.makedirs("t/sub")
	files = ["t/one", "t/two", "t/sub/three", "t/a name", "t/empty", "t/b\\s", "t/l\nf", "t/ lead", "t/*st"]
	for i, name in enumerate(files):
	    open(name, "w").write("" if name == "t/empty" else str(i))
	odd = [" ", "\t", "*", "\\", "(", ")", "=", "\r", "a", "0", "g", "#", "SHA256", "MD5", "\x80", "\x01", "-"]
	options = ["--quiet", "--status", "--strict", "--warn", "--ignore-missing"]

	def line():
	    name = random.choice(files)
	    digest = hashlib.sha256(open(name, "rb").read()).hexdigest() if random.random() > .1 else "0" * 64
	    digest = digest.upper() if random.random() < .15 else digest
	    escaped = name.replace("\\", "\\\\").replace("\n", "\\n")
	    start = "\\" if escaped != name else ""
	    made = (f"{start}SHA256 ({escaped}) = {digest}" if random.random() < .3
	            else f"{start}{digest} {random.choice(' *')}{escaped}")
	    if random.random() < .1:
	        made = made.replace("t/", "t/gone")
	    for _ in range(random.randint(1, 2) if random.random() < .35 else 0):
	        at, how = random.randrange(len(made) + 1), random.random()
	        made = made[:at] + (random.choice(odd) if how < .7 else "") + made[at + (how > .4):]
	    # Two blanks, as rhash writes it, and SHA-256 or sha256 are taken here.
	    return re.sub(r"^(\\?)S-*H-*A-*2-*5-*6  ?\(", r"\1SHA256 (", made, flags=re.I)

	def run(program, arguments, text):
	    r = subprocess.run(program + arguments, input=text, capture_output=True, env=dict(os.environ, LC_ALL="C"))
	    errors = r.stderr.replace(b"sha256sum: ", b"bytemill: ").splitlines()
	    return r.returncode, r.stdout, sorted(errors) if "--warn" in arguments else errors

	box = float(os.environ.get("TORTURE_SECONDS", 0))
	end, rounds = time.monotonic() + box, 0
	while time.monotonic() < end if box else rounds < 1500:
	    rounds += 1
	    lines = [line() for _ in range(random.randint(0, 6))]
	    text = (random.choice(["\n", "\n", "\r\n"]).join(lines) + random.choice(["\n", "\n", ""])).encode("latin-1")
	    open("list", "wb").write(text)
	    chosen = [o for o in options if random.random() < .35]
	    random.shuffle(chosen)
	    chosen += random.choice([["list"], ["-"], ["list", "list"], []])
	    want = run(["sha256sum", "-c"], chosen, text)
	    found = run([sys.argv[2], "hash", "-c", "-a", "sha256"], chosen, text)
	    if want != found:
	        sys.exit(f"{chosen} {text!r}\nsha256sum: {want}\nbytemill:  {found}")
	print(rounds, "rounds")
END
