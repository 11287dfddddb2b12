"""Waits until a broker answers a Metadata request and names a broker: `wait_for_metadata.py HOST:PORT SECONDS [PID]`.

An open port says little: a broker may listen long before it serves. Standard library only. Exit 1 with one sentence when the
time is over, or when the process PID (the broker's) has ended.
"""
import os
import socket
import struct
import sys
import time


def brokers_named(host, port):
    """How many brokers a Metadata v1 answer (no topics) lists."""
    with socket.create_connection((host, port), timeout=2) as connection:
        connection.settimeout(5)
        body = struct.pack(">hhih5si", 3, 1, 7, 5, b"probe", 0)
        connection.sendall(struct.pack(">i", len(body)) + body)
        answer = b""
        while len(answer) < 4 or len(answer) < 4 + struct.unpack(">i", answer[:4])[0]:
            more = connection.recv(65536)
            if not more:
                raise OSError("the connection was closed")
            answer += more
        return struct.unpack(">i", answer[8:12])[0]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main():
    address, seconds = sys.argv[1], float(sys.argv[2])
    pid = int(sys.argv[3]) if len(sys.argv) > 3 else None
    host, _, port = address.rpartition(":")
    until, last = time.monotonic() + seconds, "it was never asked"
    while time.monotonic() < until:
        if pid and not alive(pid):
            sys.exit(f"the broker at {address} (process {pid}) ended before it served")
        try:
            if brokers_named(host, int(port)) > 0:
                return
            last = "it names no broker yet"
        except (OSError, struct.error) as e:
            last = f"{type(e).__name__}: {e}"
        time.sleep(0.1)
    sys.exit(f"no metadata from {address} within {seconds:.0f} s; the last try: {last}")


if __name__ == "__main__":
    main()
