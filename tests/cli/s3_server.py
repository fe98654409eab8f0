#!/usr/bin/python3
"""A small S3 for the tests: objects by path-style URLs, ranges, multipart uploads. It checks the signature of every request
(AWS Signature Version 4) and the digest of every body by what is written about them, not by the code under test.

s3_server.py LOG PORTFILE: ends when its standard input does. The key is "AKIATEST" with the secret "very/secret+words".
A line of LOG: "METHOD PATH STATUS". Objects whose key has "flaky" in it get 503 for the first part 2 of each upload,
"denied" 403 for it, always, and 503 to the first try to abort; "late" exist only when the upload is completed."""
import email.utils, hashlib, hmac, http.server, os, re, sys, threading, urllib.parse

log = open(sys.argv[1], "a", buffering=1)
KEY, SECRET, REGION, TOKEN = "AKIATEST", "very/secret+words", "test-region-1", os.environ.get("S3_TOKEN")
objects, uploads, failed, lock = {}, {}, set(), threading.Lock()


def signature(method, raw_path, query, headers, signed, payload, date, scope):
    pairs = []
    for part in query.split("&") if query else []:
        name, _, value = part.partition("=")
        pairs.append((urllib.parse.quote(urllib.parse.unquote(name), safe="-_.~"),
                      urllib.parse.quote(urllib.parse.unquote(value), safe="-_.~")))
    canonical_query = "&".join("%s=%s" % p for p in sorted(pairs))
    canonical_path = urllib.parse.quote(urllib.parse.unquote_to_bytes(raw_path), safe="-_.~/")
    lines = "".join("%s:%s\n" % (n, " ".join((headers.get(n) or "").split())) for n in signed)
    request = "\n".join([method, canonical_path, canonical_query, lines, ";".join(signed), payload])
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + SECRET).encode()
    for word in scope.split("/"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=()):
        with lock:
            log.write("%s %s %d\n" % (self.command, self.path, status))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)

    def fault(self, status, code):
        self.answer(status, ("<Error><Code>%s</Code></Error>" % code).encode())

    def check(self, body):
        m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8}/([^/]+)/s3/aws4_request), ?"
                         r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})", self.headers.get("Authorization", ""))
        if not m:
            return "no signature"
        key, scope, region, signed, given = m.groups()
        signed = signed.split(";")
        date, payload = self.headers.get("X-Amz-Date", ""), self.headers.get("X-Amz-Content-Sha256", "")
        if key != KEY or region != REGION or date[:8] != scope[:8]:
            return "another key, region or day"
        if signed != sorted(signed) or not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed):
            return "too little is signed"
        if TOKEN and (self.headers.get("X-Amz-Security-Token") != TOKEN or "x-amz-security-token" not in signed):
            return "no token"
        if payload != hashlib.sha256(body).hexdigest():
            return "the body has another digest"
        path, _, query = self.path.partition("?")
        if not hmac.compare_digest(given, signature(self.command, path, query, self.headers, signed, payload, date, scope)):
            return "the signature is wrong"
        return None

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            return self.fault(411, "MissingContentLength")
        why = self.check(body)
        if why:
            with lock:
                log.write("# %s\n" % why)
            return self.fault(403, "SignatureDoesNotMatch")
        raw, _, query = self.path.partition("?")
        name = urllib.parse.unquote_to_bytes(raw)
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        with lock:
            exists = name in objects
        if self.command in ("PUT", "POST") and self.headers.get("If-None-Match") == "*" and exists:
            return self.fault(412, "PreconditionFailed")
        if self.command == "POST" and "uploads" in query:
            with lock:
                upload = "id/%d+x=" % len(uploads)
                uploads[upload] = {}
            return self.answer(200, ("<R><UploadId>%s</UploadId></R>" % upload).encode())
        if "uploadId" in query and query["uploadId"] not in uploads:
            return self.fault(404, "NoSuchUpload")
        if self.command == "PUT" and "partNumber" in query:
            number = int(query["partNumber"])
            if number == 2 and b"denied" in name:
                return self.fault(403, "AccessDenied")
            if number == 2 and b"flaky" in name and query["uploadId"] not in failed:
                failed.add(query["uploadId"])
                return self.fault(503, "SlowDown")
            with lock:
                uploads[query["uploadId"]][number] = body
            return self.answer(200, b"", [("ETag", '"%s"' % hashlib.md5(body).hexdigest())])
        if self.command == "POST":
            parts = uploads[query["uploadId"]]
            named = re.findall(r'<Part><PartNumber>(\d+)</PartNumber><ETag>"([0-9a-f]+)"</ETag></Part>', body.decode())
            whole = b""
            for i, (number, etag) in enumerate(named):
                part = parts.get(int(number))
                if part is None or hashlib.md5(part).hexdigest() != etag or int(number) != i + 1:
                    return self.fault(400, "InvalidPart")
                if i < len(named) - 1 and len(part) < 5 << 20:
                    return self.fault(400, "EntityTooSmall")
                whole += part
            with lock:
                objects[name] = whole
                del uploads[query["uploadId"]]
            if b"error200" in name:
                return self.fault(200, "InternalError")
            return self.answer(200, b"<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
        if self.command == "DELETE":
            if b"denied" in name and name not in failed:
                failed.add(name)
                return self.fault(503, "SlowDown")
            with lock:
                uploads.pop(query.get("uploadId"), None)
            return self.answer(204)
        if self.command == "PUT":
            with lock:
                objects[name] = body
            return self.answer(200, b"", [("ETag", '"%s"' % hashlib.md5(body).hexdigest())])
        if not exists:
            return self.fault(404, "NoSuchKey")
        data = objects[name]
        first, last, status = 0, len(data) - 1, 200
        headers = [("ETag", '"%s"' % hashlib.md5(data).hexdigest()),
                   ("Last-Modified", email.utils.formatdate(0, usegmt=True))]
        m = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if m:
            first = int(m.group(1))
            if first >= len(data):
                return self.fault(416, "InvalidRange")
            last, status = min(int(m.group(2) or last), last), 206
            headers.append(("Content-Range", "bytes %d-%d/%d" % (first, last, len(data))))
        self.answer(status, data[first:last + 1], headers)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, address):
        pass


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
with open(sys.argv[2] + ".part", "w") as f:
    f.write("%d\n" % server.server_address[1])
os.rename(sys.argv[2] + ".part", sys.argv[2])
sys.stdin.read()
with open(sys.argv[1] + ".left", "w") as f:
    f.write("%d uploads\n" % len(uploads))
