#!/bin/bash
# audit --report NAME.html: a page for people. Read by python's html.parser: balanced tags, counts as in the JSON report,
# names of any bytes escaped, nothing that a browser would fetch or run, lists with an end.
. "$(dirname "$0")/lib.sh"
need_cmd "$python"

cat > look.py <<'END'
import base64, hashlib, html.parser, json, re, sys

VOID = {"meta", "br", "hr", "img", "input", "link", "rect", "line"}

class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.counts, self.cells, self.ids, self.hrefs = [], {}, [], set(), []
        self.style, self.csp, self.all, self.at = "", "", [], None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        assert tag not in ("script", "iframe", "link", "img", "object", "form", "base"), tag
        for name in attrs:
            assert not name.startswith("on") and name not in ("src", "style", "srcset"), name
        if "href" in attrs:
            self.hrefs.append(attrs["href"])
        if "id" in attrs:
            assert attrs["id"] not in self.ids, "twice: " + attrs["id"]
            self.ids.add(attrs["id"])
        if attrs.get("http-equiv") == "Content-Security-Policy":
            self.csp = attrs["content"]
        if tag == "th":
            assert attrs.get("scope") in ("row", "col"), attrs
        if tag not in VOID:
            self.open.append(tag)
        self.at = attrs.get("id")
        if tag in ("code",):
            self.cells.append("")
        self.all.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()
        self.at = None

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data
        if self.at and self.at.startswith("n-"):
            self.counts[self.at[2:]] = int(data.replace(",", ""))
        if self.open and self.open[-1] == "code":
            self.cells[-1] += data

text = open(sys.argv[1], "rb").read().decode("utf-8")
page = Page()
page.feed(text)
page.close()
assert not page.open, page.open
assert "http://" not in text and "https://" not in text and "url(" not in text and "@import" not in text
for href in page.hrefs:
    assert href[0] == "#" and href[1:] in page.ids, href
want = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
assert page.csp.startswith("default-src 'none'; style-src 'sha256-" + want + "'"), page.csp
assert "unsafe" not in page.csp
assert page.all.count("table") == page.all.count("caption") and page.all.count("h1") == 1
assert page.all.count("svg") == page.all.count("desc")
assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text), "a control character"
with open("names", "w") as f:
    f.writelines(name + "\n" for name in page.cells)
with open("counts", "w") as f:
    f.writelines("%s %d\n" % c for c in sorted(page.counts.items()))
if len(sys.argv) > 2:
    last = json.loads(open(sys.argv[2]).read().splitlines()[-1])
    assert last["verdicts"] == page.counts, (last["verdicts"], page.counts)
print(page.all.count("svg"), "charts")
END
look() { "$python" look.py "$@" > charts || fail "$1 is not well"; }

# ---- every verdict, and names that would like to be more than names ----
mkdir -p t/d 't/<script>alert(1)<'
for n in 1 2 3 4 5 6; do echo "file $n" > t/d/$n; done
echo a > 't/<script>alert(1)</script>'
echo b > $'t/a&b"c\'d<e>'
echo c > $'t/bad\xff\nline\e[31m'
echo d > $'t/turned\xe2\x80\xaeround'
echo e > 't/&amp;'
(cd t && "$BYTEMILL" hash --format json . > ../sums.jsonl)
# The same size and time: rotted.
touch -r t/d/1 then
printf 'FILE 1\n' > t/d/1
touch -r then t/d/1
echo longer than before > t/d/2
rm t/d/3
mv t/d/4 t/d/moved
cp t/d/5 t/d/copy
echo new > t/new
for name in t/*; do
	[ -f "$name" ] && echo X >> "$name"
done
echo X >> 't/<script>alert(1)</script>'
run_bm audit sums.jsonl t --report page.html
expect_exit 3
run_bm audit sums.jsonl t --report report.jsonl
expect_exit 3
look page.html report.jsonl
grep -q '^0 charts' charts || fail "charts without a catalog"
for name in '<script>alert(1)</script>' $'a&b"c\'d<e>' 'bad\xff\nline\x1b[31m' 'turned\xe2\x80\xaeround' '&amp;'; do
	grep -qxF -e "$name" names || fail "no $name in the page"
done
if grep -qF -e '<script' page.html; then fail "a name is raw"; fi
grep -qF '&lt;script&gt;alert(1)&lt;/script&gt;' page.html || fail "not escaped"
order=$(grep -o '<h2 id="[a-z-]*"' page.html | tr '\n' ' ')
[ "$order" = '<h2 id="counts" <h2 id="rotted" <h2 id="changed" <h2 id="missing" <h2 id="moved" <h2 id="duplicate" <h2 id="new" ' ] ||
	fail "another order: $order"
[ "$(stat -c %a page.html)" = 644 ] || fail "its mode is $(stat -c %a page.html)"
expect_no_temp .

# ---- all is well; the page lies in the tree that is audited, and is no file of it; a hostile root ----
mkdir $'r<b>&\xfe'
cp -r t/d $'r<b>&\xfe/'
(cd $'r<b>&\xfe' && "$BYTEMILL" hash . > ../ok.sums)
for round in 1 2; do
	run_bm audit ok.sums $'r<b>&\xfe' --report $'r<b>&\xfe/page.html'
	expect_exit 0
	look $'r<b>&\xfe/page.html'
done
grep -q 'class="answer ok"' $'r<b>&\xfe/page.html' || fail "the answer is not that all is well"
grep -q 'Audit of .*r&lt;b&gt;&amp;\\xfe</code></h1>' $'r<b>&\xfe/page.html' || fail "the root's name"

# ---- the catalog: charts ----
mkdir state
run_bm audit --catalog t --state state --report page.html
expect_exit 0
look page.html
grep -q '^2 charts' charts || fail "no charts"
run_bm audit --catalog t --state state --report page.html
expect_exit 0
run_bm audit --catalog t --state state --report report.jsonl
expect_exit 0
look page.html
grep -qx 'ok 0' counts || fail "nothing was due"

rm t/new
mkdir -p state
run_bm audit --catalog t --state state --report page.html
expect_exit 3
run_bm audit --catalog t --state state --report page.html --under d
look page.html
grep -q 'found by this audit or an earlier one: 1 missing' page.html || fail "what an earlier audit found is not told"

# ---- a list has an end, and says so ----
mkdir many
(cd many && seq -f 'n%05g' 2500 | xargs touch)
: > none
run_bm audit none many --report many.html -q
expect_exit 3
look many.html
[ "$(grep -c '^n0' names)" = 1000 ] || fail "$(grep -c '^n0' names) are listed"
grep -q 'And 1,500 more' many.html || fail "the rest is not counted"
grep -qx 'new 2500' counts || fail "not all are counted"

# ---- what a killed audit left goes with the next page ----
touch .bytemill-report-0.tmp
run_bm audit none t --report page.html -q
expect_no_temp .

# ---- what cannot be written: known before anything is read, and the old page stays ----
echo old > file
run_bm audit sums.jsonl t --report file/page.html
expect_exit 2
expect_no_stdout
cp page.html before
run_bm audit no-such-manifest t --report page.html
expect_exit 2
expect_same before page.html
run_bm audit sums.jsonl t --report page.html --dry-run
expect_same before page.html
expect_no_temp .
