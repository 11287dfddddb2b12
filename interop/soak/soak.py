"""A broker among good and hostile peers, all at once, for hours.

    soak.py CALLBOARD DIR RESULT [--minutes N] [--seed S]      (soak.sh makes the DIR)

Good members (good.py) join once and then heartbeat and commit; hostile peers of every kind (hostile.py) do what they do meanwhile. Holds:
no good member is put out or answered wrongly, what it commits is read back, the broker stays ready and no partition of it goes offline,
its resident memory is flat once it has warmed up, and the count of its series too. Says how long a good heartbeat waits. Appends what it
saw to RESULT; exit 1 with what went wrong. Standard library only.
"""
import argparse
import multiprocessing
import os
import queue
import random
import statistics
import subprocess
import sys
import time
import urllib.request

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "storm"))
import good
import hostile

SAMPLE_SECONDS = 5
# Of the whole time; what a broker allocates once is allocated then.
WARM_UP = 0.25
# What memory may grow by from the second quarter of the time to the last, and what that may come to in an hour.
GROWN_MIB, GROWN_SHARE, SLOPE_MIB_PER_HOUR = 24, 0.10, 32
SETTINGS = {
    "group.min.session.timeout.ms": 1000, "group.initial.rebalance.delay.ms": 500,
    # What is left behind is forgotten within the time that this takes.
    "offsets.retention.minutes": 1, "offsets.retention.check.interval.ms": 5000, "log.segment.bytes": 16 << 20, "log.retention.bytes": 128 << 20,
    "log.retention.check.interval.ms": 5000, "producer.id.expiration.ms": 30_000, "connections.max.idle.ms": 60_000,
}


class Broker:
    def __init__(self, binary, directory):
        self.log = open(os.path.join(directory, "broker.log"), "a")
        known = subprocess.run([binary, "broker", "--print-config"], capture_output=True, text=True, check=True).stdout
        known = {line.split("\t")[0] for line in known.splitlines()}
        settings = [f"{key}={value}" for key, value in SETTINGS.items() if key in known]
        command = [binary, "broker", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", os.path.join(directory, "data")]
        command += [word for setting in settings for word in ("--set", setting)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            sys.exit(f"FAILED: the broker did not start, see {self.log.name}")
        fields = dict(word.split("=", 1) for word in line.split()[1:])
        self.address, self.admin = fields["listen"], fields["admin"]

    def resident(self):
        """MiB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

    def page(self, name):
        return urllib.request.urlopen(f"http://{self.admin}/{name}", timeout=60).read().decode()

    def stop(self):
        self.process.terminate()
        return self.process.wait(120)


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def floor(samples):
    """What is there between the bursts."""
    return quantile([resident for _, resident in samples], 0.1)


def slope(samples):
    """MiB an hour, by least squares over the floors of twenty stretches."""
    size = max(1, len(samples) // 20)
    points = [(statistics.fmean(at for at, _ in stretch), floor(stretch))
              for stretch in (samples[at:at + size] for at in range(0, len(samples) - size + 1, size))]
    if len(points) < 3:
        return 0.0
    return statistics.linear_regression(*zip(*points)).slope * 3600


class Soak:
    def __init__(self, arguments):
        self.arguments, self.wrongs = arguments, []
        self.broker = Broker(arguments.callboard, arguments.directory)
        self.waits, self.samples, self.series = [], [], []

    def wrong(self, what):
        self.wrongs.append(what)
        print(f"wrong: {what}", flush=True)

    def hear(self, told, seconds):
        """What good members tell within so many seconds; whether they are ready."""
        ready, until = False, time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                kind, what = told.get(timeout=left)
            except queue.Empty:
                break
            if kind == "wrong":
                self.wrong(what)
            elif kind == "waits":
                self.waits += what
            else:
                ready = True
                break
        return ready

    def look(self, began):
        if self.broker.process.poll() is not None:
            self.wrong(f"the broker ended with {self.broker.process.returncode}")
            return False
        self.samples.append((time.monotonic() - began, self.broker.resident()))
        return True

    def run(self):
        seed, seconds = self.arguments.seed, self.arguments.minutes * 60
        with multiprocessing.Manager() as manager:
            told, done = multiprocessing.Queue(), manager.dict()
            crew = multiprocessing.Process(target=good.run, args=(self.broker.address, told), daemon=True)
            crowd = multiprocessing.Process(target=hostile.run, args=(self.broker.address, self.broker.admin, seed, done), daemon=True)
            self.topic()
            crew.start()
            if not self.hear(told, 60):
                sys.exit("FAILED: the good members did not become a group")
            crowd.start()
            began, looked = time.monotonic(), 0
            while time.monotonic() - began < seconds and self.look(began):
                self.hear(told, SAMPLE_SECONDS)
                looked += 1
                if looked % 12 == 0:
                    try:
                        self.series.append(sum(not line.startswith("#") and bool(line) for line in self.broker.page("metrics").splitlines()))
                    except OSError as error:
                        self.wrong(f"/metrics does not answer: {error}")
                    print(f"{time.monotonic() - began:6.0f} s  {self.samples[-1][1]:5.0f} MiB  {len(self.waits)} heartbeats", flush=True)
                for process, name in ((crew, "good"), (crowd, "hostile")):
                    if not process.is_alive():
                        self.wrong(f"the {name} peers have ended")
                        return self.verdict(dict(done))
            crowd.terminate()
            self.hear(told, 5)
            return self.verdict(dict(done), crew)

    def topic(self):
        import asyncio
        asyncio.run(hostile.ask(self.broker.address, hostile.wire.create_topic("storm", good.PARTITIONS)))

    def verdict(self, done, crew=None):
        warm = [sample for sample in self.samples if sample[0] >= WARM_UP * self.arguments.minutes * 60] or self.samples
        early, late = warm[:len(warm) // 3] or warm, warm[-len(warm) // 3:]
        first, last, hourly = floor(early), floor(late), slope(warm)
        hours = (warm[-1][0] - warm[0][0]) / 3600
        if last - first > max(GROWN_MIB, GROWN_SHARE * first) and (hours < 0.5 or hourly > SLOPE_MIB_PER_HOUR):
            self.wrong(f"resident memory is not flat: {first:.0f} MiB, then {last:.0f} MiB, {hourly:.0f} MiB an hour")
        if len(self.series) > 3 and self.series[-1] > 1.2 * self.series[len(self.series) // 3] + 100:
            self.wrong(f"the series of /metrics grow: {self.series}")
        if self.broker.process.poll() is None:
            if "ready" not in self.broker.page("readyz"):
                self.wrong("the broker is not ready")
            offline = [line for line in self.broker.page("metrics").splitlines() if line.startswith("callboard_broker_offline_partitions ")]
            if offline and float(offline[0].split()[1]):
                self.wrong(f"partitions went offline: {offline}")
            if crew:
                crew.terminate()
            if code := self.broker.stop():
                self.wrong(f"the broker ended with {code}")
        idle = [name for name, times in done.items() if not times]
        if idle:
            self.wrong(f"hostile peers that never came to their end: {idle}")
        waits = self.waits or [float("nan")]
        milliseconds = " / ".join(f"{quantile(waits, part) * 1000:.1f}" for part in (0.5, 0.99, 0.999))
        members = good.GROUPS * good.MEMBERS
        text = [
            f"{self.arguments.minutes:g} minutes, seed {self.arguments.seed}, {os.cpu_count()} cores: {'FAILED' if self.wrongs else 'ok'}",
            f"resident memory, between bursts: {first:.0f} MiB after the warm-up, {last:.0f} MiB at the end, {hourly:+.1f} MiB an hour; peak {max(r for _, r in self.samples):.0f} MiB",
            f"{len(self.waits)} heartbeats of {members} good members: p50 / p99 / p99.9 {milliseconds} ms, longest {max(waits) * 1000:.0f} ms",
            f"series: {self.series[0] if self.series else 0}, then {self.series[-1] if self.series else 0}",
            "hostile: " + ", ".join(f"{name.replace('_', ' ')} {times}" for name, times in sorted(done.items())),
        ] + [f"wrong: {what}" for what in self.wrongs]
        print("\n".join(text))
        with open(self.arguments.result, "a") as result:
            result.write(f"\n## {time.strftime('%Y-%m-%d')}\n\n```text\n" + "\n".join(text) + "\n```\n")
        return 1 if self.wrongs else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("callboard")
    parser.add_argument("directory")
    parser.add_argument("result")
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    sys.exit(Soak(parser.parse_args()).run())


if __name__ == "__main__":
    main()
