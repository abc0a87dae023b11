#!/usr/bin/env python3
"""Prints the tables of compare.sh: tables.py RESULTS SECTION...

RESULTS holds one line a measurement: section, cell, target, round, name=value pairs, separated by tabs.
The better peer of a cell is the one with the better median over all rounds; a ratio is the median of the ratios taken
round by round, so that what disturbs one round disturbs both of its sides.
"""
import sys
from collections import defaultdict
from statistics import median

PEERS = ("nginx", "haproxy")
OURS, AGAIN = "sluice", "sluice-again"
SIZES = {"64": "64 B", "1024": "1 KiB", "16384": "16 KiB", "65536": "64 KiB", "131072": "128 KiB", "1048576": "1 MiB"}

# section -> title, value, digits, whether less is better, bars by cell: ratio to the better peer, or an absolute figure.
TABLES = {
    "cpu-wss": ("CPU µs of the proxy per round trip, wss→ws, 1 in flight", "us_per_message", 2, True,
                {"64": 1.00, "1024": 1.00, "16384": 0.85, "131072": 0.85, "1048576": 1.00}),
    "cpu-ws": ("CPU µs of the proxy per round trip, ws→ws, 1 in flight", "us_per_message", 2, True,
               {"64": 1.00, "1024": 1.00, "16384": 0.70, "131072": 0.70}),
    "deep-wss": ("CPU µs of the proxy per round trip, wss→ws, 16 in flight", "us_per_message", 2, True,
                 {"64": 1.05, "1024": 0.90, "16384": 1.00}),
    "deep-ws": ("CPU µs of the proxy per round trip, ws→ws, 16 in flight", "us_per_message", 2, True, {}),
    "requests-https": ("CPU µs of the proxy per plain request with keep-alive, https→http, wrk with 32 connections",
                       "us_per_request", 2, True, {"1024": 1.10, "65536": 1.10}),
    "requests-http": ("CPU µs of the proxy per plain request with keep-alive, http→http, wrk with 32 connections",
                      "us_per_request", 2, True, {}),
    "handshakes": ("TLS 1.3 handshakes with upgrade per second of the proxy's CPU, ECDSA P-256", "per_cpu_second", 0, False,
                   {"full": 1.00, "resumed": 1.00}),
}
SYSCALL_BARS = {"64": 4.6, "16384": 4.6, "1048576": 80}
# scheme -> part of HAProxy's figure, KiB
MEMORY_BARS = {"wss": (0.85, 16), "ws": (0.45, 2)}
STALLED_USER, STALLED_SOCKETS = 64, 768


def load(path):
    rows = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))  # section, cell, target, round -> values
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            section, cell, target, number, values = line.rstrip("\n").split("\t")
            pairs = dict(pair.split("=") for pair in values.split())
            rows[section][cell][target].setdefault(int(number), {}).update({k: float(v) for k, v in pairs.items()})
    return rows


def series(targets, target, name):
    return {number: values[name] for number, values in targets.get(target, {}).items()}


def paired(ours, theirs):
    common = ours.keys() & theirs.keys()
    return median(ours[n] / theirs[n] for n in common) if common else None


def show(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def spread(values):
    values = list(values.values())
    return f"±{(max(values) - min(values)) / 2 / median(values) * 100:.0f}%" if len(values) > 1 else ""


def verdict(ok):
    return "-" if ok is None else "met" if ok else "MISSED"


def meets(ratio, bar, less):
    if ratio is None or bar is None:
        return None
    # A bar of 1.00 lies within the noise of ratios: it counts as met up to 5 % beyond.
    slack = 0.05 if bar == 1.00 else 0
    return ratio <= bar + slack if less else ratio >= bar - slack


def print_table(header, lines):
    print("| " + " | ".join(header) + " |")
    print("|---" + "|---:" * (len(header) - 1) + "|")
    for line in lines:
        print("| " + " | ".join(line) + " |")
    print()


def ratio_table(section, cells):
    title, name, digits, less, bars = TABLES[section]
    print(f"\n## {title}\n")
    lines = []
    for cell, targets in cells.items():
        peers = {peer: series(targets, peer, name) for peer in PEERS if peer in targets}
        ours, again = series(targets, OURS, name), series(targets, AGAIN, name)
        pick = min if less else max
        best = pick(peers, key=lambda peer: median(peers[peer].values())) if peers else None
        ratio = paired(ours, peers[best]) if best else None
        bar = bars.get(cell)
        lines.append([SIZES.get(cell, cell)]
                     + [f"{show(median(peers[p].values()), digits)} {spread(peers[p])}" if p in peers else "-" for p in PEERS]
                     + [f"{show(median(ours.values()), digits)} {spread(ours)}" if ours else "-", best or "-", show(ratio, 2),
                        f"{'≤' if less else '≥'} {bar:.2f}" if bar else "-", verdict(meets(ratio, bar, less)),
                        show(paired(again, ours) if again else None, 2)])
    print_table(["", *PEERS, "Sluice", "better peer", "Sluice / better peer", "bar", "", "A/A"], lines)
    if section == "handshakes":
        for target, rounds in cells.get("resumed", {}).items():
            part = median(values["resumed"] for values in rounds.values())
            if part < 0.98:
                print(f"{target}: only {part:.0%} of the handshakes of the second line were resumed\n")


def syscall_table(section, cells):
    print(f"\n## System calls of the proxy per round trip, {section[9:]}→ws, 1 in flight (strace -c -f)\n")
    lines = []
    for cell, targets in cells.items():
        values = {t: median(series(targets, t, "per_message").values()) for t in targets}
        bar = SYSCALL_BARS.get(cell) if section == "syscalls-wss" else None
        lines.append([SIZES[cell], *(show(values.get(t), 2) for t in (*PEERS, OURS)), f"≤ {bar}" if bar else "-",
                      verdict(values[OURS] <= bar if bar and OURS in values else None)])
    print_table(["", *PEERS, "Sluice", "bar", ""], lines)


def per_connection(values):
    """(slope between the first and the last step, all memory beyond the start per connection), both in KiB."""
    steps = sorted((int(name[4:]), kib) for name, kib in values.items() if name.startswith("pss_"))
    (_, start), (first, at_first), (last, at_last) = steps[0], steps[1], steps[-1]
    slope = (at_last - at_first) / (last - first) if last > first else None
    return slope, (at_last - start) / last, start


def memory_table(cells):
    print("\n## User memory (PSS) per idle connection, KiB\n")
    print("slope between the two steps / (all - fresh start) per connection; the bar holds for both\n")
    lines = []
    for cell, targets in cells.items():
        figures = {t: per_connection(targets[t][1]) for t in targets}
        scheme = cell.split("-")[0]
        part, most = MEMORY_BARS[scheme]
        ok = None
        if OURS in figures and "haproxy" in figures:
            ok = all(f is not None and f <= most and f <= part * h
                     for f, h in zip(figures[OURS][:2], figures["haproxy"][:2]))
        lines.append([cell.replace("-", ", ").replace("message", "after 16 KiB"),
                      *(f"{show(figures[t][0], 2)} / {show(figures[t][1], 2)}" if t in figures else "-"
                        for t in (*PEERS, OURS)),
                      f"≤ {part} × haproxy, ≤ {most}", verdict(ok),
                      f"{figures[OURS][2] / 1024:.1f} MiB" if OURS in figures else "-"])
    print_table(["", *PEERS, "Sluice", "bar", "", "Sluice at start"], lines)


def stalled_table(cells):
    print("\n## 20 receivers of 4 MB/s, 10 of whom stop reading: per stalled reader\n")
    lines = []
    for scheme, targets in cells.items():
        for target, rounds in targets.items():
            v = rounds[1]
            sockets = (v["sockets_stalled"] - v["sockets_reading"]) / 10
            whole = v["out_of_order"] == 0 and v["lost"] == 0 and v["received"] > 0.97
            ok = None if target != OURS else v["user_kib_each"] <= STALLED_USER and sockets <= STALLED_SOCKETS and whole
            lines.append([f"{scheme}, {target}", show(v["user_kib_each"], 1), show(sockets, 0),
                          show(v["sockets_stalled"], 0), f"{v['received']:.1%}", "yes" if whole else "NO",
                          f"{v['p50_ms']:.2f} / {v['p99_ms']:.2f}", verdict(ok)])
    print_table(["", "user KiB", "socket KiB", "sockets in all, KiB", "others received", "complete, in order",
                 "their p50 / p99 ms", f"≤ {STALLED_USER} and ≤ {STALLED_SOCKETS} KiB"], lines)


BRIDGE_PEERS = ("websockify", "haproxytcp")
BRIDGE_BARS = {"websockify": 0.10, "haproxytcp": 1.05}


def bridge_table(section, cells):
    print(f"\n## CPU µs of the bridge per round trip, {section[7:]}→tcp, 8 connections (2 for 1 MiB), 1 in flight\n")
    lines = []
    for cell, targets in cells.items():
        ours, again = (series(targets, t, "us_per_message") for t in (OURS, AGAIN))
        peers = {peer: series(targets, peer, "us_per_message") for peer in BRIDGE_PEERS}
        ratios = {peer: paired(ours, peers[peer]) for peer in BRIDGE_PEERS}
        lines.append([SIZES[cell], *(f"{show(median(v.values()), 1)} {spread(v)}" for v in (*peers.values(), ours)),
                      *(f"{show(ratios[peer], 3 if peer == 'websockify' else 2)} ≤ {bar:.2f} {verdict(ratios[peer] <= bar)}"
                        for peer, bar in BRIDGE_BARS.items()), show(paired(again, ours), 2)])
    print_table(["", "websockify", "HAProxy, mode tcp", "Sluice", "/ websockify", "/ HAProxy", "A/A"], lines)


def bridge_memory_table(cells):
    print("\n## User memory (PSS) per bridged connection, children counted, KiB\n")
    lines = []
    for cell, targets in cells.items():
        figures = {t: per_connection(targets[t][1])[1] for t in targets}
        ratio = figures[OURS] / figures["websockify"]
        lines.append([cell, *(show(figures[t], 1) for t in (*BRIDGE_PEERS, OURS)), show(ratio, 4), verdict(ratio <= 0.10)])
    print_table(["", "websockify", "HAProxy, mode tcp", "Sluice", "Sluice / websockify", "≤ 0.10"], lines)


MESSAGES_BAR = 1.15


def messages_table(section, rows):
    """Of the same gateway in the same round: a server for each message, and one for each connection."""
    print(f"\n## CPU µs of Sluice per round trip, {section[9:]}→ws: a server for each connection, or for each message\n")
    lines = []
    once, each = rows[f"{section}-echo"], rows[f"{section}-each"]
    for cell in once:
        size, depth = cell.split("-")
        figures = [(series(once[cell], t, "us_per_message"), series(each[cell], t, "us_per_message")) for t in (OURS, AGAIN)]
        ratio, again = (paired(messages, connection) for connection, messages in figures)
        connection, messages = figures[0]
        lines.append([f"{SIZES[size]}, {depth} in flight", f"{show(median(connection.values()), 2)} {spread(connection)}",
                      f"{show(median(messages.values()), 2)} {spread(messages)}", show(ratio, 2), f"≤ {MESSAGES_BAR}",
                      verdict(ratio <= MESSAGES_BAR), show(again, 2)])
    print_table(["", "per connection", "per message", "ratio", "bar", "", "ratio of the second process"], lines)


AUTH_NAMES = {"none": "no auth", "hs256": "HS256", "es256-cached": "ES256, known", "es256": "ES256", "rs256-cached": "RS256, known",
              "rs256": "RS256", "eddsa": "EdDSA", "api_key": "API key", "none-again": "no auth, again"}
AUTH_BARS = {("auth-wss", "es256"): 0.80}


def auth_table(section, cells):
    """Every line against the one without auth of the same rounds. "Known": the gateway remembers the token."""
    print(f"\n## Handshakes with upgrade per second of Sluice's CPU, {section[5:]}→ws, by how clients say who they are\n")
    lines = []
    without = series(cells["none"], "sluiceauth", "per_cpu_second")
    for cell, targets in cells.items():
        ours, each = (series(targets, "sluiceauth", name) for name in ("per_cpu_second", "us_per_handshake"))
        ratio, bar = paired(ours, without), AUTH_BARS.get((section, cell))
        lines.append([AUTH_NAMES[cell], f"{show(median(ours.values()), 0)} {spread(ours)}", show(median(each.values()), 1), show(ratio, 2),
                      f"≥ {bar:.2f}" if bar else "-", verdict(meets(ratio, bar, False))])
    print_table(["", "handshakes", "µs each", "/ no auth", "bar", ""], lines)


def main():
    rows = load(sys.argv[1])
    for section in sys.argv[2:]:
        if section in TABLES:
            ratio_table(section, rows[section])
        elif section.startswith("syscalls-"):
            syscall_table(section, rows[section])
        elif section == "memory":
            memory_table(rows[section])
        elif section == "bridge-memory":
            bridge_memory_table(rows[section])
        elif section.startswith("bridge-"):
            bridge_table(section, rows[section])
        elif section.startswith("auth-"):
            auth_table(section, rows[section])
        elif section == "stalled":
            stalled_table(rows[section])
        elif section.startswith("messages-"):
            messages_table(section, rows)
        else:
            sys.exit(f"tables.py: no section {section}")


if __name__ == "__main__":
    main()
