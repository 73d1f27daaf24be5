#!/usr/bin/env python3
"""Captures of real Linux kernels: tcpdump in three network namespaces, a
client, a router with nft, and a server. Needs root, iproute2, nftables and
tcpdump. Usage: kernel.py DIRECTORY"""

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

OUT = sys.argv[1]
C4, S4 = "198.51.100.1", "203.0.113.2"
C6, S6 = "2001:db8:1::1", "2001:db8:2::2"
NAMES = ("lastack-make-c", "lastack-make-r", "lastack-make-s")
libc = ctypes.CDLL(None, use_errno=True)
rows = []


def run(*words, ok=True):
    return subprocess.run(words, check=ok, stdout=subprocess.DEVNULL, stderr=None if ok else subprocess.DEVNULL)


def within(ns, *words):
    return run("ip", "netns", "exec", ns, *words)


@contextlib.contextmanager
def inside(ns):
    """Sockets made inside keep the namespace."""
    with open("/proc/thread-self/ns/net") as before, open("/run/netns/" + ns) as there:
        libc.setns(there.fileno(), 0)
        try:
            yield
        finally:
            libc.setns(before.fileno(), 0)


def setup():
    c, r, s = NAMES
    for ns in NAMES:
        run("ip", "netns", "add", ns)
        within(ns, "ip", "link", "set", "lo", "up")
        for knob in ("net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"):
            within(ns, "sysctl", "-q", "-w", knob)
    run("ip", "link", "add", "eth0", "netns", c, "type", "veth", "peer", "name", "r0", "netns", r)
    run("ip", "link", "add", "eth0", "netns", s, "type", "veth", "peer", "name", "r1", "netns", r)
    for ns, dev, v4, v6 in ((c, "eth0", C4, C6), (r, "r0", "198.51.100.254", "2001:db8:1::fe"),
                            (r, "r1", "203.0.113.254", "2001:db8:2::fe"), (s, "eth0", S4, S6)):
        within(ns, "ip", "addr", "add", v4 + "/24", "dev", dev)
        within(ns, "ip", "-6", "addr", "add", v6 + "/64", "dev", dev, "nodad")
        within(ns, "ip", "link", "set", dev, "up")
    for ns, v4, v6 in ((c, "198.51.100.254", "2001:db8:1::fe"), (s, "203.0.113.254", "2001:db8:2::fe")):
        within(ns, "ip", "route", "add", "default", "via", v4)
        within(ns, "ip", "-6", "route", "add", "default", "via", v6)
    within(r, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    for v6 in (False, True):  # neighbours are known before the first capture
        with contextlib.suppress(ConnectionRefusedError):
            client(v6).connect((S6 if v6 else S4, 9))


def teardown():
    for ns in NAMES:
        run("ip", "netns", "del", ns, ok=False)


def nft(rule=None):
    """Replaces what the router filters."""
    within(NAMES[1], "nft", "flush", "ruleset")
    if rule:
        within(NAMES[1], "nft", "add", "table", "inet", "t")
        within(NAMES[1], "nft", "add", "chain", "inet", "t", "f", "{ type filter hook forward priority 0 ; }")
        within(NAMES[1], "nft", "add", "rule", "inet", "t", "f", *rule.split())


@contextlib.contextmanager
def tcpdump(file, *words, ns="c", about, ended):
    """Captures what happens inside."""
    name = dict(zip("crs", NAMES))[ns]
    command = ["tcpdump", *words, "-w", file]
    full = ["ip", "netns", "exec", name, "tcpdump", "--immediate-mode", "-U", *words, "-w", os.path.join(OUT, file)]
    p = subprocess.Popen(full, stderr=subprocess.PIPE, text=True)
    for line in p.stderr:
        if "listening on" in line:
            break
    try:
        yield
    finally:
        size = -1
        while size != os.path.getsize(os.path.join(OUT, file)):  # what is on its way is written
            size = os.path.getsize(os.path.join(OUT, file))
            time.sleep(1)
        p.send_signal(signal.SIGINT)
        counts = [int(line.split()[0]) for line in p.stderr if " packets captured" in line or "received by filter" in line]
        p.wait()
        assert counts[0] == counts[1] or "any" in words, f"{file}: {counts[1] - counts[0]} packets are missing"
        rows.append((file, f"`{' '.join(command)}` on the {dict(c='client', r='router', s='server')[ns]}", about, ended))


def listen(port, v6=False, backlog=5, **options):
    with inside(NAMES[2]):
        l = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if "rcvbuf" in options:
        l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["rcvbuf"])
    l.bind((S6 if v6 else S4, port))
    l.listen(backlog)
    return l


def client(v6=False, port=0):
    with inside(NAMES[0]):
        c = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    c.settimeout(60)
    if port:
        c.bind((C6 if v6 else C4, port))
    return c


def pair(port, v6=False, prepare=lambda c: None, **options):
    l = listen(port, v6, **options)
    c = client(v6)
    prepare(c)
    c.connect((S6 if v6 else S4, port))
    s, _ = l.accept()
    l.close()
    s.settimeout(60)
    return c, s


def state(s):
    return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def until(s, *states):
    while state(s) not in states:
        time.sleep(0.005)


FIN_WAIT2, CLOSE, CLOSE_WAIT = 5, 7, 8


def whole(s, n):
    got = b""
    while len(got) < n:
        piece = s.recv(n - len(got))
        assert piece, "early end"
        got += piece


def talk(c, s, n=1000):
    c.sendall(b"GET / HTTP/1.1\r\n\r\n")
    whole(s, 18)
    s.sendall(b"x" * n)
    whole(c, n)


def four_way(c, s):
    """The client closes first, the server only when the kernel has acknowledged that."""
    c.shutdown(socket.SHUT_WR)
    until(c, FIN_WAIT2)
    assert s.recv(1) == b""
    s.close()
    assert c.recv(1) == b""
    c.close()


def abort(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def kernel_captures():
    with tcpdump("eth-four-way.pcap", "-i", "eth0", about="request, response, the client closes first", ended="four-way"):
        c, s = pair(80)
        talk(c, s)
        four_way(c, s)

    with tcpdump("eth-server-first.pcap", "-i", "eth0", ns="s", about="the server closes first", ended="four-way"):
        c, s = pair(80)
        talk(c, s)
        four_way(s, c)

    with tcpdump("eth-ipv6.pcap", "-i", "eth0", about="the same over IPv6", ended="four-way"):
        c, s = pair(80, v6=True)
        talk(c, s)
        four_way(c, s)

    with tcpdump("any-sll.pcap", "-i", "any", "-y", "LINUX_SLL", ns="r", about="on all interfaces of the router: every packet twice", ended="four-way"):
        c, s = pair(80)
        talk(c, s)
        four_way(c, s)

    with tcpdump("any-sll2.pcap", "-i", "any", "-y", "LINUX_SLL2", ns="r", about="on all interfaces of the router: every packet twice", ended="four-way"):
        c, s = pair(443)
        talk(c, s)
        four_way(s, c)

    with tcpdump("any-sll2-reset.pcap", "-i", "any", ns="r", about="every packet twice, the client's RST too", ended="reset: client, abort"):
        c, s = pair(443)
        talk(c, s)
        abort(c)

    with tcpdump("nanoseconds.pcap", "-i", "eth0", "--time-stamp-precision=nano", about="times in nanoseconds", ended="four-way"):
        c, s = pair(80)
        talk(c, s)
        four_way(c, s)

    with tcpdump("snaplen-96.pcap", "-i", "eth0", "-s", "96", about="data cut by the snap length", ended="four-way"):
        c, s = pair(80)
        talk(c, s, 5000)
        four_way(c, s)

    with tcpdump("snaplen-58.pcap", "-i", "eth0", "-s", "58", about="cut within the TCP options", ended="four-way"):
        c, s = pair(80)
        talk(c, s)
        four_way(c, s)

    with tcpdump("snaplen-40.pcap", "-i", "eth0", "-s", "40", about="cut within the TCP header: nothing can be said", ended="(skipped)"):
        c, s = pair(80)
        talk(c, s)
        four_way(c, s)

    with tcpdump("superframes.pcap", "-i", "eth0", "-s", "128", ns="s", about="a megabyte in frames of up to 64 KiB, checksums unfinished", ended="four-way"):
        c, s = pair(80)
        t = threading.Thread(target=s.sendall, args=(b"x" * 1000000,))
        t.start()
        whole(c, 1000000)
        t.join()
        four_way(c, s)

    with tcpdump("one-sided-client.pcap", "-i", "eth0", "src", "host", C4, about="only what the client sent", ended="not more than one FIN is seen"):
        c, s = pair(80)
        talk(c, s)
        four_way(c, s)

    with tcpdump("one-sided-server.pcap", "-i", "eth0", "src", "host", S4, about="only what the server sent", ended="not more than one FIN is seen"):
        c, s = pair(80)
        talk(c, s)
        four_way(c, s)

    with tcpdump("refused.pcap", "-i", "eth0", about="nobody listens", ended="refused: server, closed-port"):
        with contextlib.suppress(ConnectionRefusedError):
            client().connect((S4, 81))

    with tcpdump("refused-icmp.pcap", "-i", "eth0", about="the router answers: ICMP administratively prohibited", ended="refused: middlebox"):
        nft("tcp dport 82 reject with icmpx type admin-prohibited")
        with contextlib.suppress(OSError):
            client().connect((S4, 82))
        nft()

    with tcpdump("unanswered.pcap", "-i", "eth0", about="the router drops the SYN, three times", ended="unanswered"):
        nft("tcp dport 83 drop")
        c = client()
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 2)
        with contextlib.suppress(OSError):
            c.connect((S4, 83))
        nft()

    with tcpdump("unread-data.pcap", "-i", "eth0", about="the server closes with a request unread", ended="reset: server, unread-data (or abort: the bytes fit both)"):
        c, s = pair(80)
        c.sendall(b"never read")
        while not fionread(s):
            time.sleep(0.005)
        s.close()
        with contextlib.suppress(OSError):
            c.recv(1)

    with tcpdump("abort.pcap", "-i", "eth0", about="the client aborts (SO_LINGER 0), having received nothing", ended="reset: client, abort"):
        c, s = pair(80)
        c.sendall(b"hello")
        whole(s, 5)
        until_acked(c)
        abort(c)

    with tcpdump("data-after-close.pcap", "-i", "eth0", about="the server has closed, the client goes on sending", ended="reset: server, data-after-close"):
        c, s = pair(80)
        talk(c, s)
        s.close()
        assert c.recv(1) == b""
        c.sendall(b"one more request")
        until(c, CLOSE)

    with tcpdump("middlebox-reset.pcap", "-i", "eth0", about="the router answers data with a RST of its own (nft reject with tcp reset)", ended="reset: not by an end"):
        c, s = pair(80)
        talk(c, s)
        nft("ip saddr 198.51.100.1 tcp dport 80 reject with tcp reset")
        c.sendall(b"forbidden word")
        until(c, CLOSE)
        nft()
    abort(s), c.close()

    with tcpdump("unknown-connection.pcap", "-i", "eth0", about="the server forgot the connection (it lost power, the client did not see that) and answers data with a RST", ended="reset: server, unknown-connection"):
        c, s = pair(84)
        talk(c, s)
        nft("ip saddr 203.0.113.2 tcp flags & rst == rst drop")
        abort(s)
        nft()
        c.sendall(b"are you there?")
        until(c, CLOSE)

    with tcpdump("half-closed.pcap", "-i", "eth0", about="the client has shut down its side, the server goes on sending until the capture ends", ended="half-closed"):
        c, s = pair(80)
        talk(c, s)
        c.shutdown(socket.SHUT_WR)
        until(c, FIN_WAIT2)
        for _ in range(3):
            s.sendall(b"tick")
            whole(c, 4)
    abort(s), c.close()

    with tcpdump("open.pcap", "-i", "eth0", about="nothing ends", ended="open"):
        c, s = pair(80)
        talk(c, s)
    abort(c), s.close()

    with tcpdump("fin-lost.pcap", "-i", "eth0", ns="c", about="the router drops the client's FIN twice", ended="four-way, the FIN repeated twice"):
        c, s = pair(80)
        talk(c, s)
        nft("ip saddr 198.51.100.1 tcp flags & fin == fin limit rate 1/hour burst 2 packets drop")
        four_way(c, s)
        nft()

    with tcpdump("last-ack-lost.pcap", "-i", "eth0", ns="s", about="the ACK of the server's FIN is lost once", ended="four-way, the server's FIN repeated"):
        c, s = pair(80)
        talk(c, s)
        c.shutdown(socket.SHUT_WR)
        until(c, FIN_WAIT2)
        nft("ip saddr 198.51.100.1 tcp dport 80 limit rate 1/hour burst 1 packets drop")
        s.shutdown(socket.SHUT_WR)
        until(s, CLOSE)
        nft()
    s.close(), c.close()

    with tcpdump("abandoned.pcap", "-i", "eth0", about="the server's host is gone: the client's last request is repeated until it gives up (net.ipv4.tcp_retries2=3)", ended="abandoned"):
        within(NAMES[0], "sysctl", "-q", "-w", "net.ipv4.tcp_retries2=3")
        c, s = pair(80)
        talk(c, s)
        nft("tcp dport 80 drop")
        c.sendall(b"anybody?")
        with contextlib.suppress(OSError):
            c.recv(1)
        within(NAMES[0], "sysctl", "-q", "-w", "net.ipv4.tcp_retries2=15")
    nft(), abort(s), c.close()

    with tcpdump("data-lost.pcap", "-i", "eth0", ns="s", about="of five segments the router drops the second: SACK, fast retransmission", ended="four-way"):
        c, s = pair(80)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk(c, s)
        nft("ip saddr 203.0.113.2 meta length 252 limit rate 1/hour burst 1 packets drop")
        for n in (100, 200, 101, 102, 103):
            s.sendall(b"x" * n)
        whole(c, 606)
        nft()
        four_way(c, s)

    with (tcpdump("both-client.pcap", "-i", "eth0", about="the client's view: the response's first copy is lost by the router", ended="four-way"),
          tcpdump("both-server.pcap", "-i", "eth0", ns="s", about="the server's view of the same connection, at the same time", ended="four-way, data repeated")):
        c, s = pair(80)
        nft("ip saddr 203.0.113.2 meta length 1052 limit rate 1/hour burst 1 packets drop")
        talk(c, s)
        nft()
        four_way(c, s)

    with tcpdump("keepalive.pcap", "-i", "eth0", about="three keep-alives, answered", ended="four-way"):
        c, s = pair(80, prepare=keepalive)
        talk(c, s)
        time.sleep(3.5)  # the keep-alives themselves
        four_way(c, s)

    with tcpdump("keepalive-timeout.pcap", "-i", "eth0", about="keep-alives that nobody answers, then the client's RST into the void", ended="keepalive-timeout"):
        c, s = pair(80, prepare=keepalive)
        talk(c, s)
        nft("ip daddr 203.0.113.2 drop")
        with contextlib.suppress(OSError):
            c.recv(1)
    nft(), abort(s), c.close()

    with tcpdump("zero-window.pcap", "-i", "eth0", "-s", "128", about="the server reads nothing for a while: the window closes, is probed and opens", ended="four-way"):
        c, s = pair(80, rcvbuf=4096)
        t = threading.Thread(target=c.sendall, args=(b"x" * 30000,))
        t.start()
        time.sleep(1.5)  # some probes
        whole(s, 30000)
        t.join()
        four_way(c, s)

    with tcpdump("two-incarnations.pcap", "-i", "eth0", about="the client's port 40000 twice: the second begins while the first is in TIME_WAIT at the server", ended="four-way, four-way"):
        for _ in range(2):
            l = listen(86)
            c = client(port=40000)
            c.connect((S4, 86))
            s, _ = l.accept()
            l.close()
            talk(c, s)
            four_way(s, c)
            time.sleep(1.1)  # a second later the timestamps allow it

    with tcpdump("ip-options.pcap", "-i", "eth0", about="IPv4 options (four NOPs) in what the client sends", ended="four-way"):
        c, s = pair(80, prepare=lambda c: c.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01\x01\x01\x01"))
        talk(c, s)
        four_way(c, s)

    for ns in NAMES[::2]:
        within(ns, "sysctl", "-q", "-w", "net.ipv4.ip_no_pmtu_disc=1")
    within(NAMES[1], "ip", "link", "set", "r0", "mtu", "600")
    run("ip", "netns", "exec", NAMES[2], "ip", "link", "set", "eth0", "gso_max_segs", "1")
    with tcpdump("fragments.pcap", "-i", "eth0", about="the router cuts the server's packets into IP fragments", ended="four-way"):
        c, s = pair(80)
        talk(c, s, 6000)
        four_way(c, s)
    within(NAMES[1], "ip", "link", "set", "r0", "mtu", "1500")
    for ns in NAMES[::2]:
        within(ns, "sysctl", "-q", "-w", "net.ipv4.ip_no_pmtu_disc=0")

    with tcpdump("mixed.pcap", "-i", "eth0", about="ARP, ping and UDP between two connections", ended="four-way, refused"):
        within(NAMES[0], "ip", "neigh", "flush", "dev", "eth0")
        c, s = pair(80)
        with inside(NAMES[0]):
            ping = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        ping.sendto(struct.pack("!BBHI", 8, 0, 0xF7FF, 0), (S4, 0))
        u.sendto(b"hello", (S4, 53))
        talk(c, s)
        four_way(c, s)
        with contextlib.suppress(ConnectionRefusedError):
            client().connect((S4, 81))

    raw()


def keepalive(c):
    c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def fionread(s):
    return struct.unpack("i", fcntl.ioctl(s, 0x541B, b"\0" * 4))[0]


def until_acked(s):
    while struct.unpack("i", fcntl.ioctl(s, 0x5411, b"\0" * 4))[0]:  # SIOCOUTQ
        time.sleep(0.005)


def tun(ns, address):
    """A tun device in a namespace: packets without a link layer."""
    with inside(ns):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))  # TUNSETIFF, IFF_TUN|IFF_NO_PI
    within(ns, "ip", "addr", "add", address + "/24", "dev", "tun0")
    within(ns, "ip", "link", "set", "tun0", "up")
    return fd


def raw():
    global C4, S4
    a, b = tun(NAMES[0], "192.0.2.1"), tun(NAMES[2], "192.0.2.2")

    def carry(x, y):
        with contextlib.suppress(OSError):
            while True:
                os.write(y, os.read(x, 65536))

    for x, y in ((a, b), (b, a)):
        threading.Thread(target=carry, args=(x, y), daemon=True).start()
    C4, S4 = "192.0.2.1", "192.0.2.2"
    with tcpdump("raw-ip.pcap", "-i", "tun0", "tcp", about="a tun device: no link layer", ended="four-way"):
        c, s = pair(80)
        talk(c, s)
        four_way(c, s)


try:
    setup()
    kernel_captures()
finally:
    teardown()
with open(os.path.join(OUT, "kernel.rows"), "w") as f:
    for row in rows:
        f.write("\t".join(row) + "\n")
os._exit(0)
