"""Answers by http.server, and leaves the body of a POST unread.

python3 server.py [--status 413] [--size N] [--http 1.1]
"""
import argparse, http.server

p = argparse.ArgumentParser()
p.add_argument("--status", type=int, default=200)
p.add_argument("--size", type=int, default=0)
p.add_argument("--http", default="1.0")
args = p.parse_args()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/" + args.http

    def do_GET(self):
        print("GET done", flush=True)
        self.answer(200, 0)

    def do_POST(self):
        print("POST done" if args.status < 400 else "POST refused", flush=True)
        self.answer(args.status, args.size)

    def answer(self, status, size):
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"x" * size)


http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
