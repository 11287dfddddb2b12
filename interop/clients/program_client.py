"""Clients that are programs of their own (Go, JavaScript): one adapter for all of them.

A program is asked with `PROGRAM... LIBRARY VERB BOOTSTRAP ARGUMENT...` and answers in JSON lines:

    create TOPIC PARTITIONS | produce TOPIC (reads `key<TAB>value` lines) | ends TOPIC | committed TOPIC GROUP
                                  -> for the last two one line {"PARTITION": offset, ...}
    list                          -> {"GROUP": "STATE" or "", ...}
    describe GROUP                -> {"state": "...", "members": N}
    reset TOPIC GROUP             every offset of the group to 0
    delete GROUP
    member TOPIC GROUP INSTANCE   until SIGTERM: {"owned": [partitions]} whenever that changes or is assigned anew,
                                  {"record": [partition, offset, value]}; at the end commits and leaves. INSTANCE may be "".
"""
import json
import os
import subprocess
import threading


class Client:
    def __init__(self, bootstrap, program, library, static=True):
        self.bootstrap, self.command, self.static = bootstrap, [*os.environ[program].split(" "), library], static

    def asked(self, verb, *arguments, text=""):
        command = [*self.command, verb, self.bootstrap, *map(str, arguments)]
        told = subprocess.run(command, input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
        if told.returncode:
            raise RuntimeError(f"{verb}: exit {told.returncode}: {told.stderr[-2000:]}")
        return json.loads(told.stdout) if told.stdout.strip() else None

    def create_topic(self, topic, partitions):
        self.asked("create", topic, partitions)

    def produce(self, topic, records):
        self.asked("produce", topic, text="".join(f"{key}\t{value}\n" for key, value in records))

    def committed(self, topic, group):
        return {int(p): max(offset, 0) for p, offset in self.asked("committed", topic, group).items()}

    def ends(self, topic):
        return {int(p): offset for p, offset in self.asked("ends", topic).items()}

    def groups(self):
        return self.asked("list")

    def describe(self, group):
        return self.asked("describe", group)

    def reset(self, topic, group):
        self.asked("reset", topic, group)

    def delete(self, group):
        self.asked("delete", group)

    def member(self, topic, group, seen, instance=""):
        return Member([*self.command, "member", self.bootstrap, topic, group, instance], seen)


class Member:
    """A program that is a member until SIGTERM."""

    def __init__(self, command, seen):
        self.seen, self.mine, self.assignments, self.said = seen, set(), 0, []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        self.threads = [threading.Thread(target=run) for run in (self.read, self.watch)]
        for thread in self.threads:
            thread.start()

    def read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            if "record" in event:
                self.seen.record(*event["record"])
            if "owned" in event:
                self.mine = set(event["owned"])
                self.assignments += 1

    def watch(self):
        for line in self.process.stderr:
            self.said.append(line)

    def owned(self):
        return set(self.mine)

    def close(self):
        self.process.terminate()
        code = self.process.wait(timeout=30)
        for thread in self.threads:
            thread.join()
        if code:
            raise RuntimeError(f"{self.process.args[:3]} ended with {code}: {''.join(self.said[-20:])}")
