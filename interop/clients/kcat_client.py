"""kcat 1.7.1 on librdkafka 2.0.2, as Debian 12 has it: an old client that probes and falls back. It cannot create topics nor ask
for committed offsets, and knows no groups but its own; confluent-kafka does for it what the story cannot be without."""
import re
import subprocess
import threading

import confluent_client

ASSIGNED = re.compile(r"% Group .* rebalanced .*: (assigned|revoked): (.*)")


class Client:
    static = True

    def __init__(self, bootstrap):
        self.bootstrap, helper = bootstrap, confluent_client.Client(bootstrap, strategy="range")
        self.create_topic, self.committed, self.ends = helper.create_topic, helper.committed, helper.ends

    def produce(self, topic, records):
        text = "".join(f"{key}\t{value}\n" for key, value in records)
        command = ["kcat", "-P", "-b", self.bootstrap, "-t", topic, "-K", "\t", "-X", "acks=all"]
        subprocess.run(command, input=text, text=True, check=True, timeout=60)

    def member(self, topic, group, seen, instance=""):
        return Member(self.bootstrap, topic, group, seen, instance)


class Member:
    """`kcat -G`: a process; what it prints says what it read, what it warns says what it owns."""

    def __init__(self, bootstrap, topic, group, seen, instance):
        self.seen, self.mine, self.assignments = seen, set(), 0
        self.process = subprocess.Popen(
            ["kcat", "-b", bootstrap, "-G", group, "-u", "-f", "%p %o %s\n", "-X", "auto.offset.reset=earliest",
             "-X", "session.timeout.ms=10000", "-X", "heartbeat.interval.ms=500",
             *(["-X", f"group.instance.id={instance}"] if instance else []), topic],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        self.threads = [threading.Thread(target=run) for run in (self.read, self.watch)]
        for thread in self.threads:
            thread.start()

    def read(self):
        for line in self.process.stdout:
            partition, offset, value = line.rstrip("\n").split(" ", 2)
            self.seen.record(int(partition), int(offset), value)

    def watch(self):
        for line in self.process.stderr:
            said = ASSIGNED.match(line)
            if said:
                partitions = {int(p) for p in re.findall(r"\[(\d+)\]", said[2])}
                self.assignments += said[1] == "assigned"
                self.mine = partitions if said[1] == "assigned" else self.mine - partitions

    def owned(self):
        return set(self.mine)

    def close(self):
        # SIGTERM lets it commit and leave.
        self.process.terminate()
        if self.process.wait(timeout=30):
            raise RuntimeError(f"kcat ended with {self.process.returncode}")
        for thread in self.threads:
            thread.join()
