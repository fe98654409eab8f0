#!/bin/bash
# The OpenAPI document is held against the real routes, both ways: every operation that it has is there, and nothing else is;
# what a route answers is among the statuses that it names.
. "$(dirname "$0")/lib.sh"
. "$BM_SOURCE_DIR/tests/cli/serve_lib.sh"

mkdir in out jobs
echo x >out/known
serve_start --inbox in --outbox out --jobs jobs
req "$url/openapi.json"
expect_code 200
run_bm serve --openapi
expect_stdout body
cat >api.py <<'END'
import http.client, json, os, re
doc = json.load(open("body"))
assert doc["openapi"] == "3.1.0" and doc["info"]["title"] and doc["info"]["version"]
port = int(os.environ["port"])
METHODS = ["get", "head", "put", "post", "patch", "delete", "options"]
def ask(method, path, body=None):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    c.request(method.upper(), path, body, {"Tus-Resumable": "1.0.0"})
    r = c.getresponse()
    text = r.read()
    c.close()
    return r, text
values = {"path": "known", "name": "none", "file": "app.js", "id": "20000101T000000.000000Z-1"}
count = 0
for path, item in doc["paths"].items():
    names = re.findall(r"{(\w+)}", path)
    real = re.sub(r"{(\w+)}", lambda m: values[m.group(1)], path)
    assert set(item) <= set(METHODS), item
    for method in METHODS:
        r, text = ask(method, real, b"" if method in ("put", "post", "patch") else None)
        if method not in item:
            assert r.status == 405, (method, path, r.status)
            allowed = {m.strip().lower() for m in r.getheader("Allow").split(",")}
            assert allowed == set(item), (path, allowed)
            continue
        count += 1
        op = item[method]
        said = set(op["responses"])
        assert op["summary"] and "default" in said
        assert {p["name"] for p in op["parameters"] if p["in"] == "path"} == set(names)
        assert str(r.status) in said | {"400"}, (method, path, r.status)
        # Where there is no such route at all the text is another one.
        assert b"there is nothing here" not in text, (method, path)
        if r.status >= 400 and method != "head":
            problem = json.loads(text)
            assert problem["status"] == r.status and r.getheader("Content-Type") == "application/problem+json"
assert count == 28, count
for path in ("/page", "/page/", "/v1", "/v1/", "/v1/file", "/v1/runs/", "/v1/runs/a/b", "/v1/runs/a/report/", "/v1/tus/", "/openapi", "/metrics/"):
    r, text = ask("get", path)
    assert r.status in (404, 405), (path, r.status)
END
$python api.py || fail "api.py"
serve_stop
