#!/usr/bin/env python3
"""Writes README.md from the rows that kernel.py and scapy_captures.py left.
Usage: readme.py DIRECTORY"""

import os
import sys

OUT = sys.argv[1]
HEAD = """# Captures made with other tools

None of these was written by lastack. `make/kernel.py` makes those of real kernels, with tcpdump, in three network
namespaces (client, router, server) in which the router's nft drops, rejects and answers. `make/scapy_captures.py` makes the
others with scapy, editcap and mergecap. A second run makes other times and numbers, and the capture of a busy machine may miss
a packet, so the files are kept.

The last column says what happened, or for made-up packets what they show; in brackets what is no ending.
`internal/capturetest` generates the captures that are too large to keep (10⁵ connections, 10⁶ packets).

| file | made with | what is in it | how it ended |
|---|---|---|---|
"""


def cell(text):
    return text.replace("|", "\\|")


with open(os.path.join(OUT, "README.md"), "w") as readme:
    readme.write(HEAD)
    seen = set()
    for rows in ("kernel.rows", "scapy.rows"):
        with open(os.path.join(OUT, rows)) as f:
            for line in f:
                file, how, about, ended = line.rstrip("\n").split("\t")
                seen.add(file)
                if "`" not in how and how.split()[0] in ("editcap", "mergecap", "sh", "head", "cat", "gzip", "touch", "tcpdump"):
                    how = f"`{how}`"
                readme.write(f"| `{file}` | {cell(how)} | {cell(about)} | {cell(ended)} |\n")
missing = {f for f in os.listdir(OUT) if "pcap" in f} ^ seen
assert not missing, missing
