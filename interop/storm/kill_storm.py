"""kill -9 of our broker under a storm of commits and rebalances, again and again on the same data directory.

    kill_storm.py CALLBOARD DIR [--kills N] [--seed S] [--sabotage wipe|rollback]      (kill_storm.sh makes the DIR)

Five groups of twenty members each really join, sync, heartbeat and commit without a pause; a third of them is static. At seeded
moments members leave, vanish, restart and change their subscription. Four connections more commit for groups without members. The
broker is killed at seeded moments: in the storm, in a rebalance, while it starts, while it recovers, and after all groups had become
stable. ledger.py holds every answer against what was promised before: no acknowledged commit is lost, no offset goes backwards, none
stands that was refused or never sent, no generation has two memberships, leaders or plans, none succeeds after a later one has begun,
whoever was replaced by its instance id stays out. Groups must become stable within a bound; at the end one more kill must go by without
a rebalance, and static members must find their place. Exit 1 with what went wrong.

--sabotage has the data directory emptied, or put back to an older state, between two kills: to see that this script can fail.
The seed says what is done and after how long; who is faster is the machine's. Standard library only.
"""
import argparse
import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import wire
from ledger import Ledger
from member import Seat

GROUPS, MEMBERS, STATIC, PARTITIONS = 5, 20, 7, 40
CALLERS, CALLED, CALLED_PARTITIONS, CALLER_IN_FLIGHT = 4, 3, 3, 10
# Longest a group may take to be stable again, and a request to be answered. A member that was lost with the answer to its first
# JoinGroup keeps the others waiting for its session or rebalance timeout, five seconds each.
RESUME_SECONDS, ANSWER_SECONDS = 30.0, 30.0
SETTINGS = ["group.min.session.timeout.ms=1000", "group.initial.rebalance.delay.ms=100"]
MOMENTS = {"in the storm": 20, "in a rebalance": 25, "while it recovers": 25, "while it starts": 15, "when all was stable": 15}


class Broker:
    """One process of the broker."""

    def __init__(self, binary, directory, address):
        self.log = open(os.path.join(directory, "broker.log"), "a")
        command = [binary, "broker", "--listen", address, "--admin", "127.0.0.1:0", "--data-dir", os.path.join(directory, "data")]
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            command + [word for setting in SETTINGS for word in ("--set", setting)], stdout=subprocess.PIPE, stderr=self.log, text=True)

    async def ready(self):
        line = await asyncio.get_running_loop().run_in_executor(None, self.process.stdout.readline)
        if not line.startswith("ready "):
            sys.exit(f"FAILED: the broker did not start, see {self.log.name}")
        self.took = time.monotonic() - self.began
        return dict(word.split("=", 1) for word in line.split()[1:])["listen"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


class Storm:
    def __init__(self, arguments):
        self.arguments, self.seed, self.partitions = arguments, arguments.seed, PARTITIONS
        self.random = random.Random(f"{self.seed} kills")
        self.names = [f"group-{number}" for number in range(GROUPS)]
        self.called = [f"called-{number}" for number in range(CALLERS * CALLED)]
        self.ledger = Ledger(self.names + self.called, PARTITIONS, self.note)
        self.seats = {name: [Seat(self, name, number, number < STATIC) for number in range(MEMBERS)] for name in self.names}
        self.connections, self.count, self.over, self.calm = set(), Counter(), False, False
        # Nobody commits before it was read what the kill has left: a commit on top would hide what is lost.
        self.verified = False
        self.log = open(os.path.join(arguments.directory, "storm.log"), "a")
        self.address, self.broker, self.runs, self.starts, self.resumed = "127.0.0.1:0", None, 0, [], []
        # What was acknowledged, and which generations had been given, when the data to be put back was put aside.
        self.saved = None
        # After which kill the data was spoiled; some more follow, for all that is wrong then to show.
        self.spoiled = float("-inf")

    def all_seats(self):
        return [seat for seats in self.seats.values() for seat in seats]

    def note(self, what):
        """For whoever looks into a failure: what happened in which run of the broker."""
        now = time.time()
        print(f"{time.strftime('%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03} run {self.runs}: {what}", file=self.log, flush=True)

    def spawn(self):
        self.broker = Broker(self.arguments.binary, self.arguments.directory, self.address)
        self.runs += 1
        self.note("the broker starts")

    async def start(self):
        self.spawn()
        self.address = await self.broker.ready()
        self.starts.append(self.broker.took)

    def kill(self):
        if self.broker.process.poll() is not None:
            self.ledger.wrong("died", f"the broker ended by itself with {self.broker.process.returncode}")
        self.count["rebalancing at a kill"] += sum(any(not seat.steady() and not seat.away for seat in seats) for seats in self.seats.values())
        self.broker.kill()
        self.verified = False
        self.count["kills"] += 1
        self.note(f"kill {self.count['kills']}")

    async def ask(self, connection, group, partitions):
        """Where a group stands, held against what was acknowledged before the question."""
        while partitions:
            floors = group.floors(partitions)
            answer, errors = wire.fetched(await connection.send(wire.OFFSET_FETCH, wire.fetch(group.name, partitions)))
            if errors <= {0}:
                return group.stands(floors, answer)
            if not errors <= wire.RETRIABLE | {0}:
                group.wrong("unexpected", f"OffsetFetch was answered {errors}")
                return None
            await asyncio.sleep(0.02)
        return None

    async def verify(self):
        connection = await wire.Connection.open(self.address, "verifier")
        for name in self.names:
            await self.ask(connection, self.ledger.groups[name], range(PARTITIONS))
        for name in self.called:
            await self.ask(connection, self.ledger.groups[name], range(CALLED_PARTITIONS))
        connection.close()
        self.verified = True
        self.note("verified")

    async def call(self, number):
        """A connection that commits for groups without members."""
        groups = [self.ledger.groups[name] for name in self.called[number * CALLED:(number + 1) * CALLED]]
        chance = random.Random(f"{self.seed} caller {number}")

        async def one(connection):
            while not self.verified:
                await asyncio.sleep(0.01)
            group = chance.choice(groups)
            commit = group.begin(range(CALLED_PARTITIONS), -1, f"caller {number}")
            errors = wire.commit_errors(await connection.send(wire.OFFSET_COMMIT, wire.commit(group.name, -1, "", "", commit.offsets, commit.metadata)))
            if errors == {0}:
                group.acknowledge(commit)
            elif not errors & wire.RETRIABLE:
                group.wrong("unexpected", f"a commit without a member was answered {errors}")
            # Nobody asks for more than a commit a millisecond of each lane: the members are what the storm is about.
            await asyncio.sleep(0.005)

        async def lane(connection):
            while not self.over:
                await one(connection)

        while not self.over:
            connection = None
            try:
                connection = await wire.Connection.open(self.address, f"caller-{number}")
                self.connections.add(connection)
                await asyncio.gather(*(lane(connection) for _ in range(CALLER_IN_FLIGHT)), return_exceptions=True)
            except OSError:
                pass
            self.connections.discard(connection)
            await asyncio.sleep(0.02)

    async def churn(self, name):
        """Members come and go."""
        chance = random.Random(f"{self.seed} churn {name}")
        while not self.over:
            await asyncio.sleep(chance.expovariate(1 / 0.4))
            seat, order = chance.choice(self.seats[name]), chance.choices(["leave", "vanish", "change"], [45, 25, 30])[0]
            # A dynamic member that vanishes holds its group up for a session timeout: that must not be all there is.
            if order == "vanish" and not seat.instance and chance.random() < 0.9:
                order = "leave"
            if not self.calm and seat.steady():
                seat.told(order)

    async def watch(self):
        """Every request is answered or its connection ends."""
        while not self.over:
            await asyncio.sleep(1)
            for connection in list(self.connections):
                since = connection.waits_since()
                if since and time.monotonic() - since > ANSWER_SECONDS:
                    self.ledger.wrong("unanswered", f"a request to {self.address} waits for more than {ANSWER_SECONDS:.0f} s")
                    connection.close()

    async def settle(self):
        """Until every group is Stable with exactly the members that sit there, as they and the broker see it."""
        self.calm = True
        began, said = time.monotonic(), "nothing"
        connection = await wire.Connection.open(self.address, "observer")
        left = set(self.names)
        while left:
            for name in sorted(left):
                seats = self.seats[name]
                mine, generations = {seat.member for seat in seats}, {seat.generation for seat in seats}
                error, state, members = wire.described(await connection.send(wire.DESCRIBE_GROUPS, wire.describe(name)))
                said = f"{name} is {state!r} (error {error}) with {len(members)} members, of {len(members & mine)} that sit there"
                if error == 0 and state == "Stable" and members == mine and len(generations) == 1 and all(seat.steady() for seat in seats):
                    left.discard(name)
            if time.monotonic() - began > RESUME_SECONDS:
                self.ledger.wrong("not resumed", f"not stable within {RESUME_SECONDS:.0f} s: {sorted(left)}; {said}")
                break
            await asyncio.sleep(0.02)
        connection.close()
        self.resumed.append(time.monotonic() - began)

    def kept(self):
        return {(seat.group, seat.number): (seat.generation, seat.assigned) for seat in self.all_seats()}

    async def until(self, what, condition):
        end = time.monotonic() + RESUME_SECONDS
        while not condition():
            if time.monotonic() > end:
                self.ledger.wrong("not resumed", what)
                return
            await asyncio.sleep(0.02)

    async def quiet_kill(self):
        """Nobody comes or goes: a kill goes by unnoticed, and so does the restart of every static member."""
        await self.settle()
        before = self.kept()
        self.kill()
        await self.until("members notice that the broker is gone", lambda: not any(seat.confirmed for seat in self.all_seats()))
        await self.start()
        await self.verify()
        await self.until("members are confirmed after the last kill", lambda: all(seat.confirmed for seat in self.all_seats()))
        self.compare(before, "after a kill in quiet")
        for name in self.names:
            for seat in (seat for seat in self.seats[name] if seat.instance):
                was = seat.member
                seat.told("vanish")
                await self.until(f"{was} is back", lambda seat=seat, was=was: seat.member not in ("", was) and seat.steady())
                self.count["static restarts in quiet"] += 1
        await self.settle()
        self.compare(before, "after the restart of every static member")

    def compare(self, before, when):
        for key, now in self.kept().items():
            if now != before[key]:
                self.ledger.wrong("noticed", f"{key} was in {before[key]} and {when} in {now}")

    async def one_kill(self):
        """Starts the broker and kills it at a moment that chance chooses."""
        moment = self.random.choices(list(MOMENTS), MOMENTS.values())[0]
        wait, soon = self.random.uniform(0.1, 2.0), self.random.uniform(0.0, 0.15)
        if moment == "while it starts":
            self.spawn()
            await asyncio.sleep(self.random.uniform(0, 1) * sorted(self.starts)[len(self.starts) // 2])
            self.count[moment] += 1
            return
        await self.start()
        if moment == "while it recovers":
            verifying = asyncio.ensure_future(self.verify())
            await asyncio.sleep(soon)
            verifying.cancel()
        else:
            await self.verify()
            if moment == "when all was stable":
                await self.settle()
                self.calm = False
                await asyncio.sleep(wait / 2)
            else:
                await asyncio.sleep(wait)
            if moment == "in a rebalance":
                # Somebody leaves, so that one begins, and the kill comes within it.
                steady = [seat for seat in self.all_seats() if seat.steady()]
                for seat in self.random.sample(steady, min(3, len(steady))):
                    seat.told("leave")
                await asyncio.sleep(3 * soon)
        self.count[moment] += 1

    def spoil(self, number):
        """--sabotage: what a broker that forgets would leave behind."""
        data, saved = (os.path.join(self.arguments.directory, name) for name in ("data", "saved"))
        if self.arguments.sabotage == "wipe" and number == 2:
            self.spoiled = number
            shutil.rmtree(data)
        if self.arguments.sabotage != "rollback":
            return
        synced = [self.ledger.groups[name].synced for name in self.names]
        if number == 1:
            shutil.copytree(data, saved)
            self.saved = self.ledger.acknowledged, synced
        # Only once there is something to forget: a broker that is killed while it starts acknowledges nothing.
        elif self.saved and self.saved[0] < self.ledger.acknowledged and any(old < new for old, new in zip(self.saved[1], synced)):
            self.saved, self.spoiled = None, number
            shutil.rmtree(data)
            shutil.copytree(saved, data)

    def create_topic(self):
        subprocess.run([self.arguments.binary, "topic", "create", wire.TOPIC, "--partitions", str(PARTITIONS), "--bootstrap", self.address],
                       check=True, stdout=subprocess.DEVNULL)

    async def run(self):
        await self.start()
        self.create_topic()
        self.verified = True
        tasks = [asyncio.ensure_future(task) for task in (
            *(seat.run() for seat in self.all_seats()), *(self.call(number) for number in range(CALLERS)),
            *(self.churn(name) for name in self.names), self.watch())]
        try:
            await self.settle()
            self.calm = False
            self.kill()
            for number in range(1, self.arguments.kills - 1):
                self.spoil(number)
                await self.one_kill()
                self.kill()
                if any(task.done() for task in tasks):
                    break
                self.say(number)
                if self.ledger.wrongs and number >= self.spoiled + 3:
                    break
            for told in wire.Connection.disorder:
                self.ledger.wrong("disorder", told)
            await self.start()
            await self.verify()
            if not self.ledger.wrongs:
                await self.quiet_kill()
                await self.verify()
            self.over = True
            await asyncio.sleep(0.5)
        except OSError as error:
            self.ledger.wrong("died", f"the broker closed a connection: {error}")
        finally:
            self.broker.kill()
            for task in tasks:
                if task.done() and task.exception():
                    raise task.exception()
                task.cancel()

    def say(self, number):
        if number % 10 == 0:
            print(f"{number} kills, {self.ledger.acknowledged} acknowledged commits, "
                  f"{sum(len(group.given) for group in self.ledger.groups.values())} generations", flush=True)

    def report(self):
        ledger, generations = self.ledger, sum(len(group.given) for group in self.ledger.groups.values())
        print(f"kills: {self.count['kills']}: " + ", ".join(f"{self.count[moment]} {moment}" for moment in MOMENTS))
        print(f"groups with a rebalance under way at a kill: {self.count['rebalancing at a kill']} of {self.count['kills'] * GROUPS}")
        print(f"acknowledged commits: {ledger.acknowledged}; read back and compared: {ledger.read} answers")
        print(f"generations: {generations}; members synced: {self.count['joined']}; left {self.count['leave']}, vanished or restarted "
              f"{self.count['vanish']}, changed {self.count['change']}; "
              f"commits of replaced static members, all refused: {self.count['ghosts']}")
        starts = sorted(self.starts)
        print(f"from the start to `ready`: median {starts[len(starts) // 2]:.2f} s, slowest {starts[-1]:.2f} s; all {GROUPS} groups stable "
              f"after at most {max(self.resumed):.1f} s ({len(self.resumed)} times waited for)")
        print(f"a kill in quiet, then {self.count['static restarts in quiet']} static restarts: generations and assignments as before")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", metavar="CALLBOARD")
    parser.add_argument("directory", metavar="DIR")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--sabotage", choices=["wipe", "rollback"])
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}: {GROUPS} groups of {MEMBERS} members ({STATIC} static), {PARTITIONS} partitions", flush=True)
    storm = Storm(arguments)
    asyncio.run(storm.run())
    if storm.ledger.wrongs:
        print("\n".join(storm.ledger.wrongs))
        told = ", ".join(f"{kind} {count}" for kind, count in storm.ledger.kinds.items())
        sabotage = f" --sabotage {arguments.sabotage}" if arguments.sabotage else ""
        print(f"FAILED after {storm.count['kills']} kills: {told}\nonce more: kill_storm.sh --kills {arguments.kills} --seed {arguments.seed}{sabotage}")
        sys.exit(1)
    storm.report()
    print("ok: nothing acknowledged is lost, no offset goes backwards, no generation repeats, groups resume")


if __name__ == "__main__":
    main()
