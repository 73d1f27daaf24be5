#!/usr/bin/env bash
# Sweeps real clients and servers of Debian's packages with lastack check, and leaves a report of each below DIR, and in
# DIR/files what is served, so that a report's lines play again there (real-apps.sh DIR [NAME...]; without NAME all). It
# installs what is missing only on CI's own machines (CI=true) or with INSTALL=1. What a sweep finds is no failure of this
# script: docs/findings.md says what was found and checked by hand.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

out=${1:?"name a directory for the reports"}
shift
mkdir -p "$out"
out=$(cd "$out" && pwd)

step "the programs"
packages=(curl wget python3 nginx-light redis-server redis-tools postgresql socat rsync)
if [ "${CI:-}" = true ] || [ "${INSTALL:-}" = 1 ]; then
	as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
	as_root env DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -y -qq install --no-install-recommends "${packages[@]}" </dev/null >/dev/null ||
		say "not all packages could be installed"
fi

step "the command, and what is served"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
go build -o "$scratch/lastack" ./cmd/lastack
cd "$scratch" # the working directory is what programs in labs see of /tmp
mkdir www
head -c 20000 /dev/zero | tr '\0' x >www/file
cat >nginx.conf <<-'END'
	daemon off; master_process off; pid /tmp/nginx.pid; error_log stderr;
	events {}
	http {
	  access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
	  server { listen 8080; root www; }
	}
END
printf 'use chroot = no\n[m]\npath = www\n' >rsyncd.conf
cat >until-close.py <<-'END'
	"""Ends its bodies by closing, as HTTP/1.0 did."""
	import http.server

	class Handler(http.server.BaseHTTPRequestHandler):
	    def do_GET(self):
	        self.send_response(200)
	        self.end_headers()
	        self.wfile.write(b"x" * 20000)

	http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
END
cat >urlopen.py <<-'END'
	import sys, urllib.request
	try:
	    sys.stdout.buffer.write(urllib.request.urlopen("http://server:8080/file", timeout=3).read())
	except Exception as error:
	    sys.exit(f"failed: {error!r}")
END
cat >chunks.py <<-'END'
	import http.client, sys
	try:
	    connection = http.client.HTTPConnection("server", 8080, timeout=3)
	    connection.request("GET", "/file")
	    response = connection.getresponse()
	    while chunk := response.read(4096):
	        sys.stdout.buffer.write(chunk)
	except Exception as error:
	    sys.exit(f"failed: {error!r}")
END

mkdir -p "$out/files"
cp -r www nginx.conf rsyncd.conf ./*.py "$out/files/"

wanted=("$@")
asked() { # NAME
	((${#wanted[@]} == 0)) || printf '%s\n' "${wanted[@]}" | grep -qx "$1"
}

# sweep NAME SERVER FLAGS... -- CLIENT... runs one, if it is asked for; where its programs are not there it says so.
sweep() {
	local name=$1 server=$2 status=0
	shift 2
	asked "$name" || return 0
	step "$name"
	./lastack check --server "$server" --out "$out/$name" "$@" >"$out/$name.txt" 2>"$out/$name.err" || status=$?
	case $status in
	0 | 1) grep -E '^[a-z-]+  [0-9]+ cells?, (repeated|unrepeatable)|^(PASS|FAIL)|cells per second' "$out/$name.txt" | sed 's/^/   /' ;;
	*) say "status $status: $(tail -n 1 "$out/$name.err")" ;;
	esac
}

nginx=$(PATH=$PATH:/usr/sbin command -v nginx || echo nginx)
python=$(python3 -c 'import sys; print(sys.executable)')
get=(curl -fsS --max-time 4 http://server:8080/file)
sweep curl "$nginx -p . -c nginx.conf" -- "${get[@]}"
sweep curl-no-timeout "$nginx -p . -c nginx.conf" -- curl -fsS http://server:8080/file
sweep curl-retry "$nginx -p . -c nginx.conf" -- curl -fsS --max-time 4 --retry 2 --retry-all-errors http://server:8080/file
sweep curl-until-close "$python until-close.py" -- "${get[@]}"
sweep wget "$nginx -p . -c nginx.conf" -- wget -q -T 3 -t 2 -O - http://server:8080/file
sweep wget-file "$nginx -p . -c nginx.conf" --output out -- wget -q -T 3 -t 1 -O '{dir}/out' http://server:8080/file
sweep python-urlopen "$nginx -p . -c nginx.conf" -- "$python" urlopen.py
sweep python-http-client "$nginx -p . -c nginx.conf" -- "$python" chunks.py
sweep python-http-server "$python -m http.server 8080 --directory www" --under-test server -- "${get[@]}"
sweep nginx "$nginx -p . -c nginx.conf" --under-test server -- "${get[@]}"
sweep redis-cli "redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save ''" -- redis-cli -h server incr counter
sweep redis "redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save ''" --under-test server -- timeout 4 redis-cli -h server ping
sweep socat "socat TCP-LISTEN:8080,fork,reuseaddr OPEN:www/file" -- socat -T 3 TCP:server:8080 -
sweep rsync "rsync --daemon --no-detach --port 8730 --config rsyncd.conf" --output file -- rsync --timeout=3 --contimeout=3 rsync://server:8730/m/file '{dir}/'

# PostgreSQL refuses to run as root, and a cluster has an owner: as root both belong to nobody.
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1 || true)
if [ -n "$bin" ] && asked psql; then
	step "a PostgreSQL cluster"
	as=()
	if [ "$(id -u)" = 0 ]; then
		as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
		mkdir cluster && chown 65534:65534 cluster && chmod 755 .
	fi
	"${as[@]}" "$bin/initdb" -D "$scratch/cluster" -U postgres -A trust --no-sync >/dev/null
	printf 'host all all 0.0.0.0/0 trust\n' >>cluster/pg_hba.conf
	serve="cp -r cluster {dir}/c && exec $bin/postgres -D {dir}/c -h 0.0.0.0 -p 5432 -k /tmp -c shared_buffers=8MB -c fsync=off"
	sweep psql "${as[*]} sh -c '$serve'" --ready 'log:ready to accept' --jobs 8 --points 'client.*' -- psql -h server -U postgres -Atc 'select 6 * 7'
fi
step_done
