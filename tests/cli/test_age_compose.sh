#!/bin/bash
# read -> hash -> compress -> hash -> encrypt -> hash -> write in one pass, and the way back: byte-identical, and each
# digest that of what age, gzip and zstd make of the bytes at its place.
. "$(dirname "$0")/lib.sh"
need_cmd age age-keygen zstd

age-keygen -o key 2>/dev/null
me=$(age-keygen -y key)
mkdir -p in/deep/er
$python - <<'END'
import random
rnd = random.Random(13)
text = b"".join(b"%d a line of text, %d\n" % (i * i, i % 91) for i in range(120000))
noise = rnd.randbytes(1 << 21)
M, K = 1 << 20, 65536
for n in (0, 1, K - 1, K, K + 1, M - 1, M, M + 1):
    open("in/noise-%07d" % n, "wb").write(noise[:n])
    open("in/deep/text-%07d" % n, "wb").write(text[:n])
# What is encrypted is as long as what compress makes: stored members bring it to where the chunks of age end.
for n in range(M - 120, M + 8, 16):
    open("in/deep/er/n%07d" % n, "wb").write(noise[:n])
for n in range(K - 40, K + 8, 6):
    open("in/deep/er/n%07d" % n, "wb").write(noise[:n])
open("in/mixed", "wb").write(text + bytes(3 * M) + noise + text)
END

there() { # there OPTIONS CHUNK
	cat <<END
{"name": "there", $2 "steps": [{"step": "read", "from": "in"}, {"step": "hash", "manifest": "plain.sums", "name": "{path}"},
  {"step": "compress" $1}, {"step": "hash", "algorithms": ["sha256", "crc32"], "format": "bsd", "manifest": "packed.{algorithm}", "name": "{path}"},
  {"step": "encrypt", "recipients": "$me"}, {"step": "hash", "manifest": "sealed.sums", "name": "{path}"},
  {"step": "write", "to": "out/{path}", "durability": "none"}]}
END
}
back() { # back CHUNK
	cat <<END
{"name": "back", $1 "steps": [{"step": "read", "from": "out"}, {"step": "hash", "manifest": "sealed-again.sums", "name": "{path}"},
  {"step": "decrypt", "identity_file": "key"}, {"step": "copy", "to": "packed/{path}", "durability": "none"},
  {"step": "hash", "manifest": "packed-again.sums", "name": "{path}"}, {"step": "decompress"},
  {"step": "hash", "manifest": "plain-again.sums", "name": "{path}"}, {"step": "write", "to": "back/{path}", "durability": "none"}]}
END
}
pass() { # pass UNPACKER OPTIONS THREADS CHUNK CHUNK-BACK
	local unpack=$1 f
	rm -rf out back packed age ./*.sums packed.*
	there "$2" "$4" >there.json
	back "$5" >back.json
	run_bm run -j "$3" there.json
	expect_exit 0
	expect_stderr_no_match 'warning|error'
	(cd in && sha256sum --quiet --strict -c ../plain.sums) >&2 || fail "plain.sums ($*)"
	(cd out && sha256sum --quiet --strict -c ../sealed.sums) >&2 || fail "sealed.sums ($*)"
	run_bm run -j "$3" back.json
	expect_exit 0
	expect_stderr_no_match 'warning|error'
	diff -r in back >&2 || fail "not what went in ($*)"
	# Each step of the way by foreign programs.
	(cd out && find . -type f) | while read -r f; do
		mkdir -p "age/$(dirname "$f")"
		age -d -i key -o "age/$f" "out/$f"
		$unpack -dc <"age/$f" | cmp -s - "in/$f" || fail "$unpack -dc: $f ($*)"
	done
	diff -r age packed >&2 || fail "not what age -d gives ($*)"
	(cd age && sha256sum --quiet --strict -c ../packed.sha256) >&2 || fail "packed.sha256 ($*)"
	(cd age && sha256sum --quiet --strict -c ../packed-again.sums) >&2 || fail "packed-again.sums ($*)"
	diff plain.sums plain-again.sums >&2
	diff sealed.sums sealed-again.sums >&2
	for f in plain.sums sealed.sums packed.sha256 packed.crc32; do
		[ "$(wc -l <$f)" = "$(find in -type f | wc -l)" ] || fail "lines in $f ($*)"
	done
}
pass gzip '' 1 '' ''
pass gzip '' 8 '' ''
pass gzip ', "level": 0' 3 '"chunk": "64KiB",' '"chunk": "1MiB",'
pass gzip ', "layout": "bgzf", "level": 1' 2 '' '"chunk": "70000",'
pass gzip ', "layout": "single", "level": 1' 8 '"chunk": "256KiB",' ''
pass zstd ', "format": "zstd"' 2 '' ''
pass zstd ', "format": "zstd", "level": 1' 8 '"chunk": "64KiB",' '"chunk": "4KiB",'
pass zstd ', "format": "zstd", "level": -3' 3 '"chunk": "4KiB",' '"chunk": "300KiB",'
expect_no_temp .

# What was packed and sealed depends on the job and the input, but for the key: the same at any number of threads.
there '' '"chunk": "100000",' >there.json
back '' >back.json
for threads in 1 2 3 8; do
	rm -rf out back packed
	run_bm run -q -j $threads there.json
	expect_exit 0
	run_bm run -q -j $threads back.json
	expect_exit 0
	mv packed packed-$threads
	(cd out && find . -type f -printf '%p %s\n' | sort) >sizes-$threads
	[ $threads = 1 ] || diff -r packed-1 packed-$threads >&2 || fail "other bytes with $threads threads"
	[ $threads = 1 ] || diff sizes-1 sizes-$threads >&2 || fail "other sizes with $threads threads"
done

# The way back with one step for both layers; and an encrypted copy beside the compressed one.
cat >both.json <<END
{"jobs": [
  {"name": "a", "steps": [{"step": "read", "from": "in"}, {"step": "compress"}, {"step": "copy", "to": "gz/{path}"}, {"step": "encrypt", "recipients": "$me"},
    {"step": "write", "to": "gz.age/{path}"}]},
  {"name": "b", "after": "a", "steps": [{"step": "read", "from": "gz.age"}, {"step": "decompress", "depth": 2, "identity_file": "key"},
    {"step": "write", "to": "un/{path}"}]}
]}
END
run_bm run both.json
expect_exit 0
diff -r in un >&2
find gz -type f -exec gzip -t {} + || fail "gzip -t"
# Encrypted twice, and all of it joined into one file in listing order.
cat >twice.json <<END
{"steps": [{"step": "read", "from": "in"}, {"step": "encrypt", "recipients": "$me"}, {"step": "encrypt", "recipients": "$me"},
  {"step": "decrypt", "identity_file": "key"}, {"step": "decompress", "identity_file": "key"}, {"step": "write", "to": "joined", "combine": true}]}
END
run_bm run -j 5 twice.json
expect_exit 0
(cd in && find . -type f | sed 's,^\./,,' | sort | tr '\n' '\0' | xargs -0 cat) >expected
expect_same expected joined

# Twice over: what compress makes of sealed chunks is longer than the runs of the second encrypt, and comes in buffers that
# are as large as its own.
for chunk in '' '"chunk": 100000,'; do
	rm -rf twice
	cat >twice.json <<END
{$chunk "steps": [{"step": "read", "from": ["in/mixed", "in/noise-1048577"]}, {"step": "encrypt", "recipients": "$me"}, {"step": "compress", "level": 1},
  {"step": "encrypt", "recipients": "$me"}, {"step": "compress", "level": 1}, {"step": "write", "to": "twice/{name}", "durability": "none"}]}
END
	run_bm run twice.json
	expect_exit 0
	for f in mixed noise-1048577; do
		gzip -dc <twice/$f | age -d -i key | gzip -dc | age -d -i key | cmp - in/$f || fail "twice/$f ($chunk)"
	done
done
