#!/bin/sh
# Downloads a file into the directory for files.
set -e
curl -fsS --max-time 1.8 -o "$LASTACK_DIR/part" http://server:8080/file
mv "$LASTACK_DIR/part" "$LASTACK_DIR/out.txt"
