#!/usr/bin/python3
"""A web server that misbehaves on command, for the tests of URLs.

url_server.py DIR LOG PORTFILE [CERT]: serves DIR/FILE as /MODES/FILE on 127.0.0.1, a port of the kernel's choice, which is
written to PORTFILE; with CERT (certificate and key in one file) over TLS. Ends when its standard input does. Each request
becomes a line of LOG: "METHOD PATH range=... if-range=... auth=... key=... STATUS".

MODES, joined by commas:
  plain          ranges, a strong ETag, Last-Modified
  norange        no ranges                       weak     a weak ETag and no Last-Modified
  date           Last-Modified alone             bare     neither
  chunked        chunked, no length              close    no length, ends with the connection
  cut-N          each body is cut off after N bytes             cutonce-N    the first one
  change-N       from the N+1st request on FILE.new is served   keeps        ... under the ETag of the old one
  onlyrange-N    from the N+1st request on ranges are ignored
  wrong          206 says another place          short    Content-Length is 10 more than what comes
  part-N         each reply is a 206 of N bytes at most, also where no range is asked for
  more-N         a 206 has N bytes more than it says
  mute           206 whatever If-Range says, without an ETag of its own
  length-N       has a second Content-Length, N            only-N   has no other one
  fail-N-S       the first N requests get status S              after-N      ... with Retry-After: N
  status-S       always status S                 empty416 a range of an empty file gets 416
  stall-N        sends N bytes and then nothing  stallonce-N  the first time
  loop           redirects to itself             pace-N   N bytes a second for each connection
  to-PORT        redirects to http://localhost:PORT/plain/FILE (another host by name)
  up-PORT        redirects to http://127.0.0.1:PORT/plain/FILE
  auth           wants user "me", password "secret word" (Basic)   key   wants the header X-Key: opensesame
"""
import base64, email.utils, hashlib, http.server, os, ssl, sys, threading, time, urllib.parse

root, log_path, port_file = sys.argv[1:4]
counts, lock = {}, threading.Lock()
log = open(log_path, "a", buffering=1)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def note(self, status):
        h = self.headers
        with lock:
            log.write("%s %s range=%s if-range=%s auth=%s key=%s %d\n" % (
                self.command, self.path, h.get("Range"), h.get("If-Range"), h.get("Authorization"), h.get("X-Key"),
                status))

    def answer(self, status, headers=(), body=b""):
        self.note(status)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        parts = self.path.split("?")[0].split("/", 2)
        modes = {}
        for m in parts[1].split(","):
            name, _, value = m.partition("-")
            modes[name] = value
        with lock:
            number = counts[self.path] = counts.get(self.path, 0) + 1
        if "auth" in modes:
            want = "Basic " + base64.b64encode(b"me:secret word").decode()
            if self.headers.get("Authorization") != want:
                return self.answer(401, [("WWW-Authenticate", 'Basic realm="x"')], b"no\n")
        if "key" in modes and self.headers.get("X-Key") != "opensesame":
            return self.answer(403, (), b"no\n")
        if "fail" in modes:
            times, status = map(int, modes["fail"].split("-"))
            if number <= times:
                return self.answer(status, [("Retry-After", modes["after"])] if "after" in modes else (), b"busy\n")
        if "status" in modes:
            return self.answer(int(modes["status"]), (), b"a page\n")
        if "loop" in modes:
            return self.answer(302, [("Location", self.path)])
        if "to" in modes:
            return self.answer(302, [("Location", "http://localhost:%s/plain/%s" % (modes["to"], parts[2]))])
        if "up" in modes:
            return self.answer(301, [("Location", "http://127.0.0.1:%s/plain/%s" % (modes["up"], parts[2]))])

        path = os.path.join(root, urllib.parse.unquote(parts[2]))
        is_new = "change" in modes and number > int(modes["change"])
        if not os.path.isfile(path):
            return self.answer(404, (), b"nothing here\n")
        tag_of = open(path, "rb").read()
        data = open(path + ".new", "rb").read() if is_new else tag_of
        tag = '"%s"' % hashlib.md5(tag_of if "keeps" in modes else data).hexdigest()
        headers = []
        validator = None
        if "weak" in modes:
            headers.append(("ETag", "W/" + tag))
        elif "date" in modes:
            validator = email.utils.formatdate(os.stat(path + ".new" if is_new else path).st_mtime, usegmt=True)
            headers.append(("Last-Modified", validator))
        elif "bare" not in modes:
            validator = tag
            headers.append(("ETag", tag))
            headers.append(("Last-Modified", email.utils.formatdate(os.stat(path).st_mtime, usegmt=True)))
        first, last, status = 0, len(data) - 1, 200
        wanted = self.headers.get("Range")
        if "norange" in modes or ("onlyrange" in modes and number > int(modes["onlyrange"])):
            wanted = None
        if self.headers.get("If-Range") not in (None, validator) and "mute" not in modes:
            wanted = None
        if "part" in modes:
            wanted = wanted or "bytes=0-"
        if wanted and wanted.startswith("bytes="):
            a, _, b = wanted[6:].partition("-")
            if int(a) >= len(data):
                return self.answer(416, [("Content-Range", "bytes */%d" % len(data))], b"no such range\n")
            first, status = int(a), 206
            if b:
                last = min(int(b), last)
            if "part" in modes:
                last = min(last, first + int(modes["part"]) - 1)
            if "mute" in modes:
                headers = []
            shown = first + 1 if "wrong" in modes else first
            headers.append(("Content-Range", "bytes %d-%d/%d" % (shown, last, len(data))))
        body = data[first:last + 1]
        if "more" in modes and status == 206:
            body += b"?" * int(modes["more"])
        self.note(status)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        chunked = "chunked" in modes
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif "close" in modes:
            self.send_header("Connection", "close")
            self.close_connection = True
        elif "only" in modes:
            self.send_header("Content-Length", modes["only"])
        else:
            self.send_header("Content-Length", str(len(body) + (10 if "short" in modes else 0)))
            if "length" in modes:
                self.send_header("Content-Length", modes["length"])
        self.end_headers()
        most = len(body)
        is_cut = is_stalled = False
        if "cut" in modes or ("cutonce" in modes and number == 1):
            n = int(modes.get("cut") or modes["cutonce"])
            is_cut, most = n < most, min(n, most)
        if "stall" in modes or ("stallonce" in modes and number == 1):
            is_stalled, most = True, min(int(modes.get("stall") or modes["stallonce"]), most)
        pace = int(modes.get("pace", 0))
        piece = 1 << 18 if pace == 0 else 1 << 17
        began = time.monotonic()
        try:
            for i in range(0, most, piece):
                part = body[i:min(i + piece, most)]
                if pace:
                    self.server.pay(self.connection, len(part), pace)
                if chunked:
                    self.wfile.write(b"%x\r\n" % len(part) + part + b"\r\n")
                else:
                    self.wfile.write(part)
            if is_stalled:
                self.connection.settimeout(120)
                self.connection.recv(1)  # until the other side has had enough
            if chunked and not is_cut:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
        if is_cut or is_stalled or "short" in modes:
            self.close_connection = True

    do_HEAD = do_GET


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def pay(self, connection, size, pace):
        """Keeps a connection, over all its requests, at pace bytes a second."""
        with lock:
            due = max(self.due.get(connection, 0), time.monotonic()) + size / pace
            self.due[connection] = due
        time.sleep(max(0, due - time.monotonic()))

    def handle_error(self, request, address):
        pass


server = Server(("127.0.0.1", 0), Handler)
server.due = {}
if len(sys.argv) > 4:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
with open(port_file + ".part", "w") as f:
    f.write("%d\n" % server.server_address[1])
os.rename(port_file + ".part", port_file)
sys.stdin.read()
