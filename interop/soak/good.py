"""Members that do everything right, in a process of their own so that nobody but the broker makes them wait: they join once, and then
heartbeat and commit. Whoever of them has to join again has been wronged."""
import asyncio
import time

import wire

GROUPS, MEMBERS, SESSION_MS, REBALANCE_MS = 3, 5, 6000, 10_000
HEARTBEAT_SECONDS = 0.25
PARTITIONS = 10


class Member:
    def __init__(self, crew, group, number):
        self.crew, self.group, self.number = crew, group, number
        self.member, self.offset, self.partitions = "", 0, []

    async def run(self):
        self.connection = await wire.Connection.open(self.crew.address, f"good-{self.group}-{self.number}")
        await self.join()
        while True:
            began = time.monotonic()
            error = wire.heartbeat_error(await self.ask(wire.HEARTBEAT, wire.heartbeat(self.group, self.generation, self.member, "")))
            self.crew.waits.append(time.monotonic() - began)
            if error:
                self.crew.wrong(f"a heartbeat of {self.group} {self.number} was answered {error}, {self.crew.clock():.0f} s after the start")
                self.member = "" if error == wire.UNKNOWN_MEMBER_ID else self.member
                await self.join()
            else:
                await self.commit()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def ask(self, api, body):
        return await asyncio.wait_for(self.connection.send(api, body), 60)

    async def join(self):
        while True:
            answer = await self.ask(wire.JOIN_GROUP, wire.join(self.group, SESSION_MS, REBALANCE_MS, self.member, "", wire.subscription(b"")))
            error, self.generation, leader, member, members = wire.joined(answer)
            if error in (0, wire.MEMBER_ID_REQUIRED):
                self.member = member
            elif error == wire.UNKNOWN_MEMBER_ID:
                self.member = ""
            if error:
                await asyncio.sleep(0.05)
                continue
            ids = sorted(one for one, _ in members) if leader == member else []
            plan = {to: wire.assignment(range(at, PARTITIONS, len(ids)), "") for at, to in enumerate(ids)}
            error, raw = wire.synced(await self.ask(wire.SYNC_GROUP, wire.sync(self.group, self.generation, self.member, "", plan)))
            if not error:
                self.partitions = wire.assigned(raw)
                return

    async def commit(self):
        if not self.partitions:
            return
        self.offset += 1
        offsets = dict.fromkeys(self.partitions, self.offset)
        errors = wire.commit_errors(await self.ask(wire.OFFSET_COMMIT, wire.commit(self.group, self.generation, self.member, "", offsets, "")))
        if errors - {0, wire.REBALANCE_IN_PROGRESS}:
            self.crew.wrong(f"a commit of {self.group} {self.number} was answered {errors}, {self.crew.clock():.0f} s after the start")
        elif errors == {0}:
            rows, _ = wire.fetched(await self.ask(wire.OFFSET_FETCH, wire.fetch(self.group, self.partitions)))
            if any(offset < self.offset for offset, _ in rows.values()):
                self.crew.wrong(f"{self.group} {self.number} committed {self.offset} and read {rows}")


class Crew:
    def __init__(self, address, told):
        self.address, self.told, self.waits, self.began = address, told, [], time.monotonic()
        self.wrongs = 0
        self.members = [Member(self, f"good-{group}", number) for group in range(GROUPS) for number in range(MEMBERS)]

    def clock(self):
        return time.monotonic() - self.began

    def wrong(self, what):
        self.wrongs += 1
        if self.wrongs <= 20:
            self.told.put(("wrong", what))

    async def run(self):
        """Tells all heartbeats' waits once a minute; and when all are members."""
        work = [asyncio.ensure_future(member.run()) for member in self.members]
        while not all(member.partitions for member in self.members):
            await asyncio.sleep(0.1)
        # Who joined late made the others join again; from here on nobody has to.
        await asyncio.sleep(5)
        self.waits, self.wrongs, self.began = [], 0, time.monotonic()
        self.told.put(("ready", ""))
        while True:
            done, _ = await asyncio.wait(work, timeout=5, return_when=asyncio.FIRST_EXCEPTION)
            waits, self.waits = self.waits, []
            self.told.put(("waits", waits))
            for task in done:
                self.told.put(("wrong", f"a good member ended after {self.clock():.0f} s: {task.exception()!r}"))
            work = [task for task in work if task not in done]


def run(address, told):
    """`told`, a queue, gets pairs: ready, waits (seconds of each heartbeat) or wrong (a sentence)."""
    asyncio.run(Crew(address, told).run())
