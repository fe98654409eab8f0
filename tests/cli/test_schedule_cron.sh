#!/bin/bash
# LONG
# A real cron daemon (Debian's) runs a scheduled job on its minute, twice; each time a second start is refused by the lock,
# and its account is all the mail there is. In namespaces of its own, so that neither the crontabs of this
# machine nor a cron that runs here have a part in it.
if [ "$(id -u)" = 0 ] && [ -z "${BM_NAMESPACE:-}" ] && unshare -mpf --mount-proc true 2>/dev/null; then
	BM_NAMESPACE=1 exec unshare -mpf --mount-proc --kill-child --propagation private bash "$0"
fi
. "$(dirname "$0")/lib.sh"
need_root
need_cmd cron crontab
[ -n "${BM_NAMESPACE:-}" ] || skip "no mount and process namespaces here"

mount -t tmpfs none /var/spool/cron
install -d -m 1730 -g crontab /var/spool/cron/crontabs
mount -t tmpfs none /run
mkdir -p /etc/cron.d
mount -t tmpfs none /etc/cron.d
touch "$top/empty"
[ ! -e /etc/crontab ] || mount --bind "$top/empty" /etc/crontab
at_end '[ ! -e /etc/crontab ] || umount -l /etc/crontab'
# A sendmail that keeps what cron mails.
mkdir "$top/sbin"
mount -t tmpfs none "$top/sbin"
at_end 'umount -l "$top/sbin"'
mkdir "$top/sbin/upper" "$top/sbin/work" "$top/mail"
mount -t overlay none -o "lowerdir=/usr/sbin,upperdir=$top/sbin/upper,workdir=$top/sbin/work" /usr/sbin 2>/dev/null ||
	skip "no overlay file system here"
printf '#!/bin/sh\ncat >"%s"\nmv "%s" "%s"\n' "$top/mail/\$\$.new" "$top/mail/\$\$.new" "$top/mail/\$\$" >/usr/sbin/sendmail.new
chmod +x /usr/sbin/sendmail.new
mv /usr/sbin/sendmail.new /usr/sbin/sendmail
mails() { find "$top/mail" -type f ! -name '*.new' | wc -l; }

mkdir "a b%c'd"
mkfifo gate
cat >"a b%c'd/job.json" <<'END'
{"name": "beat", "steps": [{"step": "read", "from": ["job.json", "../gate"]}, {"step": "write", "to": "out/{run}/{path}"}]}
END
echo '0 0 1 1 * /bin/true # of somebody else' | crontab -
run_bm schedule --install --cron '* * * * *' "a b%c'd/job.json"
expect_exit 0
# The same command once more, on the same minute: the overlap.
{
	crontab -l
	crontab -l | sed -n 's/ # bytemill-schedule [0-9a-f]*$//p'
} >twice
crontab twice
[ "$(crontab -l | wc -l)" = 3 ] || fail "the crontab is not as it should be: $(crontab -l)"

cron -f &
cron_pid=$!
at_end "kill $cron_pid"

runs() { find "a b%c'd/out" -mindepth 1 -maxdepth 1 2>/dev/null | sort; }
has_runs() { [ "$(runs | wc -l)" = "$1" ]; }
has_mails() { [ "$(mails)" = "$1" ]; }
for round in 1 2; do
	# One start waits at the gate until the other one is refused.
	for ((tries = 0; tries < 70; tries++)); do
		! has_mails "$round" || break
		sleep 1
	done
	has_mails "$round" || fail "round $round: $(mails) mails: $(cat "$top/mail"/*)"
	timeout 60 bash -c 'echo go >gate' || fail "round $round: nobody waits at the gate"
	wait_until has_runs "$round"
	out=$(runs | tail -n 1)
	wait_until test -s "$out/gate"
	expect_same "a b%c'd/job.json" "$out/job.json"
done

# On the minute, and the next one.
seconds=($(runs | sed 's,.*/\([0-9]*\)T\([0-9][0-9]\)\([0-9][0-9]\)\([0-9][0-9]\)\..*,\1 \2:\3:\4,' | while read -r t; do date -u -d "$t" +%s; done))
[ "${#seconds[@]}" = 2 ] || fail "not two runs: $(runs)"
for t in "${seconds[@]}"; do [ $((t % 60)) -lt 20 ] || fail "not on the minute: $(runs)"; done
apart=$((seconds[1] / 60 - seconds[0] / 60))
[ "$apart" = 1 ] || fail "$apart minutes apart: $(runs)"

run_bm schedule --remove "a b%c'd/job.json"
expect_exit 0
[ "$(crontab -l | grep -c 'of somebody else')" = 1 ] && [ "$(crontab -l | wc -l)" = 2 ] || fail "after --remove: $(crontab -l)"
# What went well was not mailed. What was refused says in two lines what happened.
for mail in "$top/mail"/*; do
	sed '1,/^$/d' "$mail" >body
	[ "$(wc -l <body)" = 2 ] && grep -Eq "^bytemill: error: .*/a b%c.d/job\.json: job beat is already running: process [0-9]+ since " body ||
		fail "not the mail of a refusal: $(cat body)"
done
