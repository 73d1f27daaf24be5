"""Sends requests by urllib.request, which opens a connection for each.

python3 fetch.py [--timeout S] [--body N] [--how read|copy|retrieve] [-o FILE] GET
"""
import argparse, shutil, sys, urllib.error, urllib.request

p = argparse.ArgumentParser()
p.add_argument("--timeout", type=float)
p.add_argument("--body", type=int, default=0)
p.add_argument("--how", default="read")
p.add_argument("-o", dest="output")
p.add_argument("methods", nargs="+")
args = p.parse_args()
url = "http://server:8080/"

for method in args.methods:
    if args.how == "retrieve":
        urllib.request.urlretrieve(url, args.output)
        continue
    request = urllib.request.Request(url, b"x" * args.body or None, method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=args.timeout)
    except urllib.error.HTTPError as error:        # an answer too: 413, say
        answer = error
    if args.how == "copy":
        with open(args.output, "wb") as file:
            shutil.copyfileobj(answer, file)
    else:
        body = answer.read()
        if args.output:
            with open(args.output, "wb") as file:
                file.write(body)
    print(method, answer.status, flush=True)
