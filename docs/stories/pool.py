"""Sends requests on one http.client connection, and opens it again when it has failed.

python3 pool.py [--gap S] [--body N] [--timeout S] [--close] POST POST
"""
import argparse, http.client, sys, time

p = argparse.ArgumentParser()
p.add_argument("--gap", type=float, default=0)
p.add_argument("--body", type=int, default=0)
p.add_argument("--timeout", type=float)
p.add_argument("--close", action="store_true")
p.add_argument("methods", nargs="+")
args = p.parse_args()

connection = http.client.HTTPConnection("server", 8080, timeout=args.timeout)
status = 0
for i, method in enumerate(args.methods):
    if i > 0:
        time.sleep(args.gap)
    try:
        connection.request(method, "/", b"x" * args.body, {"Connection": "close"} if args.close else {})
        answer = connection.getresponse()
        answer.read()
        print(method, answer.status, flush=True)
    except (OSError, http.client.HTTPException) as error:
        print(f"{method}: {error!r}", file=sys.stderr)
        connection.close()
        status = 1
sys.exit(status)
