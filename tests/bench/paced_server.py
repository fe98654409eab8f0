#!/usr/bin/python3
"""paced_server.py FILE RATE PORTFILE: serves FILE, whatever is asked for, with ranges, at RATE bytes a second for each
connection over all its requests (nginx counts each request anew, and gives it its first second at once). On 127.0.0.1;
ends when its standard input does."""
import http.server, os, sys, threading, time

path, rate, port_file = sys.argv[1], int(sys.argv[2]), sys.argv[3]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    due = 0  # a handler lives as long as its connection

    def log_message(self, *args):
        pass

    def do_GET(self):
        size = os.path.getsize(path)
        at, last, status = 0, size - 1, 200
        if self.headers.get("Range"):
            first, _, end = self.headers["Range"][6:].partition("-")
            at, last, status = int(first), min(int(end or last), last), 206
        self.send_response(status)
        self.send_header("ETag", '"%d"' % size)
        if status == 206:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (at, last, size))
        self.send_header("Content-Length", str(last - at + 1))
        self.end_headers()
        try:
            with open(path, "rb") as f:
                while at <= last:
                    end = min(at + (1 << 20), last + 1)
                    self.due = max(self.due, time.monotonic() - 0.05) + (end - at) / rate
                    while at < end:
                        at += os.sendfile(self.connection.fileno(), f.fileno(), at, end - at)
                    time.sleep(max(0, self.due - time.monotonic()))
        except OSError:
            self.close_connection = True


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
with open(port_file + ".part", "w") as f:
    f.write("%d\n" % server.server_address[1])
os.rename(port_file + ".part", port_file)
sys.stdin.read()
