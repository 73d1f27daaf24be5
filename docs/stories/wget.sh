#!/bin/bash
# Prints METHOD STATUS for each answer that wget gets: wget.sh METHOD WGET-ARGUMENTS...
set -o pipefail
method=$1
shift
wget -S -O /dev/null "$@" 2>&1 | tee /dev/stderr | sed -n "s|^ *HTTP/1.1 \([0-9]*\).*|$method \1|p"
