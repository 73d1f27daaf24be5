#!/usr/bin/env python3
"""Captures by hand, with scapy, editcap, mergecap and plain bytes: what no
kernel sends, other link types, cut and damaged files. Needs scapy and
Wireshark's tools, and the files of kernel.py.
Usage: scapy_captures.py DIRECTORY"""

import gzip
import os
import struct
import subprocess
import sys

from scapy.all import (CookedLinux, Dot1AD, Dot1Q, Ether, IP, IPOption_NOP, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
                       IPv6ExtHdrHopByHop, Loopback, PadN, Raw, TCP, UDP, fragment6, wrpcap)

OUT = sys.argv[1]
rows = []


def path(file):
    return os.path.join(OUT, file)


def row(file, how, about, ended):
    rows.append((file, how, about, ended))


def tool(file, about, ended, *words):
    subprocess.run(words, check=True, cwd=OUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    row(file, " ".join(words), about, ended)


class Talk:
    """A connection whose packets are made one by one; times are in ms."""

    def __init__(self, port=40000, isn=(1000, 5000), v6=False, timestamps=False, gap=10, ip=None, ttl=(64, 57)):
        self.next, self.v6, self.gap, self.packets, self.now = list(isn), v6, gap, [], 1767323045.0
        self.ports, self.ip, self.ttl, self.id = (port, 80), ip, ttl, 100
        self.timestamps = timestamps

    def header(self, who):
        if self.v6:
            ends = ("2001:db8::1", "2001:db8::2")
            return IPv6(src=ends[who], dst=ends[1 - who], hlim=self.ttl[who])
        ends = ("192.0.2.1", "192.0.2.2")
        self.id += 1
        return IP(src=ends[who], dst=ends[1 - who], id=self.id, ttl=self.ttl[who], flags="DF")

    def make(self, who, flags, n=0, seq=None, ack=None, window=500, options=None, data=None, **fields):
        seq = self.next[who] if seq is None else seq
        data = b"x" * n if data is None else data
        if options is None:
            options = [("MSS", 1460)] if "S" in flags else []
        t = TCP(sport=self.ports[who], dport=self.ports[1 - who], flags=flags, seq=seq & 0xFFFFFFFF, window=window, options=options, **fields)
        if "A" in flags:
            t.ack = (self.next[1 - who] if ack is None else ack) & 0xFFFFFFFF
        end = seq + len(data) + ("S" in flags) + ("F" in flags)
        self.next[who] = max(self.next[who], end)
        p = self.header(who)
        if self.ip:
            p = self.ip(p, who)
        return p / t / data if data else p / t

    def send(self, who, flags, n=0, after=None, **more):
        p = self.make(who, flags, n, **more)
        self.now += (self.gap if after is None else after) / 1000
        p.time = self.now
        self.packets.append(p)
        return self

    def open(self):
        return self.send(0, "S").send(1, "SA").send(0, "A")

    def talk(self, n=1000):
        return self.send(0, "PA", 20).send(1, "A").send(1, "PA", n).send(0, "A")

    def close(self, who=0):
        return self.send(who, "FA").send(1 - who, "A").send(1 - who, "FA").send(who, "A")


def ether(p, *tags):
    frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for tag in tags:
        frame = frame / tag
    frame = frame / p
    frame.time = p.time
    return frame


def save(file, packets, about, ended, how="scapy", **options):
    wrpcap(path(file), packets, **options)
    row(file, how, about, ended)


def frames(talk, *tags):
    return [ether(p, *tags) for p in talk.packets]


def closes():
    save("three-way.pcap", frames(Talk().open().talk().send(0, "FA").send(1, "FA").send(0, "A")), "the acknowledgement travels with the FIN", "three-way")
    t = Talk().open().talk()
    cross = t.next[:]
    t.send(0, "FA").send(1, "FA", ack=cross[0]).send(0, "A").send(1, "A")
    save("simultaneous.pcap", frames(t), "both FINs cross", "simultaneous")
    t = Talk().open().talk().send(0, "FA").send(1, "PA", 100).send(0, "A").send(1, "FA").send(0, "A")
    save("ack-on-data.pcap", frames(t), "the first FIN is acknowledged by data", "four-way")
    t = Talk().open().talk().send(0, "FA").send(1, "A")
    for _ in range(4):
        t.send(1, "PA", 100, after=500).send(0, "A")
    save("half-closed-2s.pcap", frames(t), "two seconds of data after the first FIN", "half-closed")
    t = Talk(isn=(0xFFFFFF00, 0xFFFFFFF0)).open().talk(2000).close()
    save("wrap.pcap", frames(t), "both ends' numbers wrap: the client's in the request's ACK, the server's within the response", "four-way")
    t = Talk(isn=(0xFFFFFFFF - 21, 0xFFFFFFFF - 1001)).open().talk().close()
    save("wrap-at-fin.pcap", frames(t), "the FINs are the last number before the wrap", "four-way")
    t = Talk().open().talk().close()
    again = Talk(isn=(900000, 800000))
    again.now = t.now + 1
    again.open().talk().send(1, "RA")
    late = ether(t.make(1, "FA", seq=t.next[1] - 1))
    late.time = again.packets[3].time + 0.001
    packets = sorted(frames(t) + frames(again) + [late], key=lambda p: p.time)
    save("two-incarnations-late-fin.pcap", packets, "the same four-tuple twice; a FIN of the first comes late, within the second", "four-way, reset: server")
    t = Talk().send(0, "S").send(1, "S", seq=5000).send(0, "SA", seq=1000).send(1, "SA", seq=5000)
    t.next = [1001, 5001]
    t.talk().close()
    save("simultaneous-open.pcap", frames(t), "both ends open, then four steps", "four-way")
    t = Talk().send(0, "S", data=b"early", options=[("TFO", (1, 2))]).send(1, "SA").send(0, "A").talk().close()
    save("data-in-syn.pcap", frames(t), "TCP Fast Open: data in the SYN", "four-way")


def resets():
    t = Talk().open().talk().send(1, "R")
    save("reset-plain.pcap", frames(t), "the server's RST without ACK out of nothing", "reset: server")
    t = Talk().open().talk()
    t.ttl = (64, 250)
    t.send(1, "RA")
    save("reset-other-ttl.pcap", frames(t), "a RST in the server's name with another TTL (250, the server's other packets have 57)", "reset: middlebox")
    t = Talk().open().talk().send(1, "R", seq=5000 + 300000, after=5)
    t.send(0, "PA", 10).send(1, "A").close()
    save("reset-out-of-window.pcap", frames(t), "a RST far outside the window, which resets nothing", "four-way")
    t = Talk().open().talk().close().send(0, "R", after=1)
    save("reset-after-close.pcap", frames(t), "a RST after all four steps", "four-way")
    t = Talk().open().talk().send(0, "PA", 30, after=350000).send(1, "R", seq=5000 + 1001, after=1)
    save("reset-after-350s.pcap", frames(t), "350 s of silence, then data is answered by a RST", "reset: server or middlebox")
    t = Talk().send(0, "PA", 30).send(1, "R", seq=0x12345678)
    save("middle-unknown-connection.pcap", frames(t), "begins in the middle: data, answered by a RST that fits its ACK", "reset: server")
    t = Talk().open().send(0, "PA", 500).send(1, "RA")
    save("reset-after-request.pcap", frames(t), "a request, answered by RST+ACK", "reset: server")
    t = Talk().open().send(1, "R", seq=5001)
    save("reset-of-last-ack.pcap", frames(t), "the handshake's last ACK is answered by a RST, as with a full accept queue and tcp_abort_on_overflow", "reset: server, backlog")
    t = Talk().send(0, "S").send(1, "SA").send(0, "R", seq=1001)
    save("reset-of-syn-ack.pcap", frames(t), "the client answers the SYN-ACK with a RST (a half-open scan)", "reset: client")


def orders():
    t = Talk().open().talk(1000)
    for _ in range(6):
        t.send(1, "PA", 1000)
    t.send(0, "A").close()
    packets = frames(t)
    for a, b in ((8, 9), (11, 12)):
        packets[a].time, packets[b].time = packets[b].time, packets[a].time
        packets[a], packets[b] = packets[b], packets[a]
    save("reordered.pcap", packets, "twice two segments of data the wrong way round", "four-way")
    packets = frames(Talk().open().talk().close())
    packets[-1], packets[-2] = packets[-2], packets[-1]
    save("reordered-close.pcap", packets, "the last ACK stands before the FIN that it covers, as between two capture threads", "four-way")
    packets = frames(Talk().open().talk().close())
    save("duplicated.pcap", [q for p in packets for q in (p, p)], "every frame twice, to the bit", "four-way")
    t = Talk().open().talk(1000).send(1, "PA", 1000).send(1, "PA", 1000, seq=7001).send(0, "A", ack=6001 + 1000).close()
    save("not-captured.pcap", [p for i, p in enumerate(frames(t)) if i != 5], "one segment of data is missing in the file, but was acknowledged", "four-way")
    t = Talk().open().talk().send(0, "FA")
    for after in (200, 400, 800, 1600):
        t.send(0, "FA", seq=t.next[0] - 1, after=after)
    save("fin-unanswered.pcap", frames(t), "the FIN and four repeats by the backoff, no answer", "abandoned")
    t = Talk().open().talk()
    for _ in range(3):
        t.send(0, "A", seq=t.next[0] - 1, after=1000).send(1, "A")
    t.send(0, "A", seq=t.next[0] - 1, data=b"\0", after=1000).send(1, "A")
    t.close()
    save("keepalive-garbage.pcap", frames(t), "keep-alives, the last one with a byte of garbage", "four-way")


def odd():
    t = Talk().open().talk().close()
    save("vlan.pcap", frames(t, Dot1Q(vlan=5)), "802.1Q", "four-way")
    save("qinq.pcap", frames(t, Dot1AD(vlan=7), Dot1Q(vlan=5)), "802.1ad around 802.1Q", "four-way")
    packets = []
    for p in t.packets:
        q = CookedLinux(pkttype=4 if p.src == "192.0.2.1" else 0, proto=0x800) / p
        q.time = p.time
        packets.append(q)
    save("sll-one-host.pcap", packets, "Linux cooked v1, each packet once", "four-way", linktype=113)
    packets = []
    for p in t.packets:
        for kind in (0, 4):  # in by one interface, out by another
            q = CookedLinux(pkttype=kind, proto=0x800) / p
            q.time = p.time + kind * 0.00001
            packets.append(q)
    save("sll-router.pcap", packets, "Linux cooked v1 on a router: every packet in and out again", "four-way", linktype=113)
    packets = []
    for p in Talk(v6=True).open().talk().close().packets:
        q = Raw(struct.pack("<I", 30) + bytes(p))
        q.time = p.time
        packets.append(q)
    save("loopback-darwin.pcap", packets, "BSD loopback, IPv6 (family 30)", "four-way", linktype=0)
    packets = []
    for p in t.packets:
        q = Raw(struct.pack(">I", 2) + bytes(p))
        q.time = p.time
        packets.append(q)
    save("loopback-openbsd.pcap", packets, "OpenBSD loopback", "four-way", linktype=108)
    save("raw-ipv6.pcap", Talk(v6=True).open().talk().close().packets, "raw IPv6", "four-way", linktype=229)
    save("padded.pcap", [ether(p) / Raw(b"\0" * 20) if len(p) < 50 else ether(p) for p in t.packets], "short frames padded beyond what Ethernet needs", "four-way")

    def extended(p, who):
        return p / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)])

    save("ipv6-extensions.pcap", frames(Talk(v6=True, ip=extended).open().talk().close()), "hop-by-hop and destination options before TCP", "four-way")
    packets = []
    for p in Talk(v6=True).open().talk(2500).close().packets:
        pieces = [p]
        if len(p) > 1500:
            pieces = fragment6(IPv6(src=p.src, dst=p.dst) / IPv6ExtHdrFragment(id=77) / p.payload, 1000)
        for q in pieces:
            q.time = p.time
            packets.append(ether(q))
    save("ipv6-fragments.pcap", packets, "the response in three IPv6 fragments", "four-way")
    save("ipv4-options.pcap", frames(Talk(ip=with_options).open().talk().close()), "eight bytes of IPv4 options", "four-way")
    t = Talk().open().talk(1000)
    packets = frames(t)
    t.send(1, "PA", 1480).close()
    whole = bytes(t.packets[7])
    first = bytearray(whole[:20 + 760])
    first[2:4], first[6:8] = struct.pack("!H", 780), b"\x20\x00"
    packets = frames(t)
    packets[7] = Ether(bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x800)) + bytes(first))
    packets[7].time = t.packets[7].time
    save("fragment-missing.pcap", packets, "the first of two IP fragments; the second is missing in the file", "four-way")
    super4 = Talk().open().talk()
    packets = frames(super4)
    p = super4.make(1, "PA", 60000)
    raw = bytearray(bytes(p))
    raw[2:4] = b"\0\0"
    big = Ether(bytes(Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01", type=0x800)) + bytes(raw))
    super4.now += 0.01
    big.time = super4.now
    packets.append(big)
    n = len(super4.packets)
    super4.send(0, "A").close()
    packets += frames(super4)[n:]
    wrpcap(path("superframe-no-length.tmp"), packets)
    tool("superframe-no-length.pcap", "an offloaded superframe of 60,000 bytes whose IPv4 header says length 0, cut at 200", "four-way", "editcap", "-F", "pcap", "-s", "200", "superframe-no-length.tmp", "superframe-no-length.pcap")
    rows[-1] = ("superframe-no-length.pcap", "scapy, then editcap -F pcap -s 200", *rows[-1][2:])
    os.remove(path("superframe-no-length.tmp"))
    t = Talk().open().talk().close()
    for p in t.packets:
        p[TCP].chksum = 0x1234
    save("checksums-unfinished.pcap", frames(t), "every TCP checksum as offloading leaves it", "four-way")
    t = Talk().open().talk()
    for i, options in enumerate((b"\x08\x0a\x00\x01", b"\x05\x22\x00\x00", b"\x03\x00\x01\x01", b"\x02", b"\x08\xff\x00\x00")):
        p = t.make(0, "PA", 10)
        t.now += 0.01
        raw = bytearray(bytes(p))
        pad = options + b"\x01" * (-len(options) % 4) if i != 3 else b"\x01\x01\x01\x02"
        raw[2:4] = struct.pack("!H", len(raw) + len(pad))
        raw[32] = (5 + len(pad) // 4) << 4
        raw = raw[:40] + pad + raw[40:]
        q = IP(bytes(raw))
        q.time = t.now
        t.packets.append(q)
    t.send(1, "A").close()
    packets = []
    for p in t.packets:
        q = Ether(bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x800)) + bytes(p))
        q.time = p.time
        packets.append(q)
    save("options-cut.pcap", packets, "TCP options that are cut short, of length 0, or longer than the header", "four-way")
    lies = []
    t = Talk().open().talk().close()
    for i, p in enumerate(t.packets):
        raw = bytearray(bytes(p))
        if i == 5:
            lie = bytearray(raw)
            lie[0] = 0x4F  # a header of 60 bytes
            lies.append((lie, p.time))
            lie = bytearray(raw)
            lie[32] = 0xF0
            lie[2:4] = b"\0\x30"  # 48 bytes, of which 80 are headers
            lies.append((lie, p.time))
            lie = bytearray(raw)
            lie[2:4] = b"\0\x13"
            lies.append((lie, p.time))
        lies.append((raw, p.time))
    packets = []
    for raw, at in lies:
        q = Ether(bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x800)) + bytes(raw))
        q.time = at
        packets.append(q)
    save("lengths-lie.pcap", packets, "between the segments of a whole connection three whose IP or TCP header lies about its length", "four-way")
    xmas = Talk()
    for flags in ("FSRPAUEC", "", "SF", "SR", "FPU", "SRA"):
        xmas.send(0, flags, seq=7, ack=9).send(1, flags, seq=9, ack=7)
    save("flags-of-no-sense.pcap", frames(xmas), "every flag, none, SYN+FIN, SYN+RST", "unknown, or reset: hostile")


def with_options(p, who):
    p.options = [IPOption_NOP()] * 8
    return p


def editcap():
    tool("eth-four-way.pcapng", "the same as pcapng", "four-way", "editcap", "-F", "pcapng", "eth-four-way.pcap", "eth-four-way.pcapng")
    with open(path("eth-four-way.pcap"), "rb") as f, open(path("eth-four-way.pcap.gz"), "wb") as out:
        out.write(gzip.compress(f.read(), mtime=0))
    row("eth-four-way.pcap.gz", "gzip -n eth-four-way.pcap", "compressed", "four-way")
    tool("two-interfaces.pcapng", "the client's and the server's interface side by side, the second lost a packet on the way", "four-way", "mergecap", "-I", "none", "-w", "two-interfaces.pcapng", "both-client.pcap", "both-server.pcap")
    tool("begins-in-the-middle.pcap", "without the handshake", "four-way", "editcap", "-F", "pcap", "eth-four-way.pcap", "begins-in-the-middle.pcap", "1-4")
    tool("ends-in-the-middle.pcap", "without the close", "open", "editcap", "-F", "pcap", "-r", "eth-four-way.pcap", "ends-in-the-middle.pcap", "1-6")
    tool("ends-after-first-fin.pcap", "up to the first FIN's ACK", "half-closed", "editcap", "-F", "pcap", "-r", "three-way.pcap", "ends-after-first-fin.pcap", "1-8")
    tool("only-the-close.pcap", "the last four packets of scapy's four-way", "four-way", "editcap", "-F", "pcap", "-r", "vlan.pcap", "only-the-close.pcap", "8-11")
    tool("merged.pcapng", "four captures in one file, of Ethernet and of cooked packets: four interfaces", "four-way, reset, simultaneous, refused", "mergecap", "-I", "none", "-w", "merged.pcapng", "nanoseconds.pcap", "abort.pcap", "simultaneous.pcap", "refused.pcap", "sll-one-host.pcap")
    tool("comment.pcapng", "a comment on the first packet", "four-way", "editcap", "-F", "pcapng", "-a", "1:here it begins", "eth-four-way.pcap", "comment.pcapng")
    tool("swapped-times.pcap", "frames whose times go backwards (by editcap -t on a part, then joined)", "four-way", "sh", "-c",
         "editcap -F pcap -r vlan.pcap a.tmp 1-6 && editcap -F pcap -r -t -30 vlan.pcap b.tmp 7-11 && mergecap -a -F pcap -w swapped-times.pcap a.tmp b.tmp && rm a.tmp b.tmp")
    with open(path("eth-four-way.pcapng"), "rb") as a, open(path("abort.pcap"), "rb") as b:
        first = a.read()
    subprocess.run(["editcap", "-F", "pcapng", "abort.pcap", "abort.tmp"], check=True, cwd=OUT)
    with open(path("abort.tmp"), "rb") as b, open(path("two-sections.pcapng"), "wb") as out:
        out.write(first + b.read())
    os.remove(path("abort.tmp"))
    row("two-sections.pcapng", "cat of two pcapng files", "two sections", "four-way, reset: client")


def damaged():
    with open(path("vlan.pcap"), "rb") as f:
        vlan = f.read()
    with open(path("eth-four-way.pcapng"), "rb") as f:
        ng = f.read()

    def write(file, data, how, about, ended="(refused)"):
        with open(path(file), "wb") as f:
            f.write(data)
        row(file, how, about, ended)

    write("cut-record.pcap", vlan[:-7], "head -c -7 vlan.pcap", "the last record is cut", "four-way up to the cut (refused, or said)")
    write("cut-header.pcap", vlan[:len(vlan) - 80], "head -c -80 vlan.pcap", "cut within the last but one record", "(refused, or said)")
    write("cut-block.pcapng", ng[:-50], "head -c -50 eth-four-way.pcapng", "cut within a block", "(refused, or said)")
    with open(path("eth-four-way.pcap.gz"), "rb") as f:
        gz = f.read()
    write("cut.pcap.gz", gz[:-30], "head -c -30 eth-four-way.pcap.gz", "compressed data cut", "(refused, or said)")
    bad = bytearray(gz)
    bad[-6] ^= 1
    write("checksum.pcap.gz", bytes(bad), "one bit of gzip's checksum changed", "all packets are there, the checksum is wrong")
    bad = bytearray(vlan)
    bad[24 + 8:24 + 12] = struct.pack("<I", 0xFFFFFFF0)
    write("record-of-4-gib.pcap", bytes(bad), "the first record's length replaced", "a record that says 4 GiB")
    bad = bytearray(ng)
    at = ng.index(struct.pack("<I", 6) , 100)
    bad[at + 4:at + 8] = struct.pack("<I", 0x7FFFFFFC)
    write("block-of-2-gib.pcapng", bytes(bad), "a packet block's length replaced", "a block that says 2 GiB")
    bad = bytearray(ng)
    bad[at + 4:at + 8] = struct.pack("<I", 33)
    write("block-of-33.pcapng", bytes(bad), "a packet block's length replaced", "a block whose length is no multiple of 4")
    bad = bytearray(ng)
    bad[at + 8:at + 12] = struct.pack("<I", 9)
    write("no-such-interface.pcapng", bytes(bad), "a packet block's interface replaced", "a packet of an interface that was not described")
    write("empty.pcap", vlan[:24], "head -c 24 vlan.pcap", "no packet at all", "(no connections)")
    write("nothing.pcap", b"", "touch", "an empty file")
    write("text.pcap", b"tcpdump: eth0: You don't have permission to capture on that device\n", "tcpdump > text.pcap 2>&1", "an error message where a capture should be")
    swapped = struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    at = 24
    while at < len(vlan):
        s, us, kept, length = struct.unpack_from("<IIII", vlan, at)
        swapped += struct.pack(">IIII", s, us, kept, length) + vlan[at + 16:at + 16 + kept]
        at += 16 + kept
    write("big-endian.pcap", swapped, "vlan.pcap with the headers turned round", "of a big-endian machine", "four-way")
    radio = bytearray(vlan)
    radio[20:24] = struct.pack("<I", 127)
    write("radiotap.pcap", bytes(radio), "vlan.pcap with link type 127", "a link type that is not supported", "(skipped)")
    spb = ng_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + ng_block(1, struct.pack("<HHI", 1, 0, 0))
    at = 24
    while at < len(vlan):
        _, _, kept, length = struct.unpack_from("<IIII", vlan, at)
        spb += ng_block(3, struct.pack("<I", length) + vlan[at + 16:at + 16 + kept])
        at += 16 + kept
    write("no-times.pcapng", spb, "vlan.pcap in simple packet blocks", "packets without times", "four-way")


def ng_block(kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


closes()
resets()
orders()
odd()
editcap()
damaged()
with open(path("scapy.rows"), "w") as f:
    for r in rows:
        f.write("\t".join(r) + "\n")
