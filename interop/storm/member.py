"""A seat in a group and whoever sits on it: joins, syncs, heartbeats, commits without pause, obeys when it is told to go."""
import asyncio
import random

import wire

IN_FLIGHT = 3
# A member that left right before a kill is a member again after it, as with Kafka: a group waits for it for the rebalance timeout.
HEARTBEAT_SECONDS, SESSION_MS, REBALANCE_MS = 0.3, 5000, 1500


class Seat:
    """One member after the other. A static seat's members share a group.instance.id."""

    def __init__(self, storm, group, number, static):
        self.storm, self.ledger, self.number = storm, storm.ledger.groups[group], number
        self.group, self.instance = group, f"static-{number}" if static else ""
        self.random = random.Random(f"{storm.seed} {group} {number}")
        self.version, self.order, self.nudged = 0, None, asyncio.Event()
        self.away = False
        self.forget()

    def forget(self):
        """Whoever sits here next is somebody else; a static one is known by its instance alone."""
        self.member, self.generation, self.assigned, self.partitions = "", -1, None, []
        # Whether the broker that runs now has confirmed it, and what the last answer told it to do.
        self.confirmed, self.flying, self.rejoin = False, 0, False
        # Whether its id is on disk, and which run of the broker gave it.
        self.durable, self.run_of_id = False, 0

    def steady(self):
        """It is a member, as far as it knows, and has nothing to do but to work."""
        return self.confirmed and self.assigned is not None and not self.rejoin and self.order is None

    def told(self, order):
        """leave, vanish (no LeaveGroup; static: a restart), change (a new subscription, which has the group rebalance)."""
        self.order = order
        self.nudged.set()

    async def run(self):
        while not self.storm.over:
            connection = None
            try:
                connection = await wire.Connection.open(self.storm.address, f"seat-{self.number}")
                # Answers of a broker that was killed may be read when the next one runs.
                connection.run = self.storm.runs
                self.storm.connections.add(connection)
                await self.sit(connection)
                connection.close()
                self.away = True
                await asyncio.sleep(0.05 if self.instance else self.random.uniform(0.1, 1.0))
                self.away = False
            except OSError:
                await asyncio.sleep(self.random.uniform(0.01, 0.05))
            finally:
                self.confirmed, self.flying = False, 0
                self.storm.connections.discard(connection)

    async def sit(self, connection):
        """Until it goes; ends with an exception when the connection does."""
        while True:
            if self.assigned is None:
                self.confirmed = False
                await self.join(connection)
            await self.work(connection)
            if self.order in ("leave", "vanish"):
                ghost = (self.member, self.generation, self.partitions) if self.instance and self.order == "vanish" else None
                if self.order == "leave":
                    await connection.send(wire.LEAVE_GROUP, wire.leave(self.group, "" if self.instance else self.member, self.instance))
                self.storm.count[self.order] += 1
                self.order = None
                self.forget()
                self.ghost = ghost
                return
            if self.order == "change":
                self.storm.count["change"] += 1
                self.order, self.version = None, self.version + 1
            self.rejoin, self.assigned = False, None

    async def join(self, connection):
        while self.assigned is None:
            synced = self.ledger.synced
            body = wire.join(self.group, SESSION_MS, REBALANCE_MS, self.member, self.instance, wire.subscription(b"%d" % self.version))
            error, generation, leader, member, members = wire.joined(await connection.send(wire.JOIN_GROUP, body))
            if error == wire.MEMBER_ID_REQUIRED:
                self.member = member
            elif error == 0:
                if member != self.member:
                    self.durable, self.run_of_id = False, connection.run
                # Into a Stable group by its instance id: that is written before the answer.
                self.durable |= bool(self.instance) and generation <= synced
                self.member, self.generation = member, generation
                self.ledger.joined(synced, generation, leader, member, members)
                await self.haunt(connection)
                await self.sync(connection, self.plan(members) if leader == member else {})
            else:
                await self.refused(error, "JoinGroup")
                if error in (0, wire.ILLEGAL_GENERATION):
                    self.ledger.wrong("unexpected", f"JoinGroup of {self.member} was answered {error}")

    def plan(self, members):
        """Every partition to one member; a note tells this plan from every other."""
        ids = sorted(member for member, _ in members)
        self.storm.count["plans"] += 1
        note = f"plan {self.storm.count['plans']}"
        plan = {to: wire.assignment(range(number, self.storm.partitions, len(ids)), note) for number, to in enumerate(ids)}
        self.ledger.planned(self.generation, plan)
        return plan

    async def sync(self, connection, plan):
        synced = self.ledger.synced
        body = wire.sync(self.group, self.generation, self.member, self.instance, plan)
        error, raw = wire.synced(await connection.send(wire.SYNC_GROUP, body))
        if error:
            await self.refused(error, "SyncGroup")
            return
        if self.generation > self.ledger.synced:
            self.storm.note(f"{self.group} synced {self.generation}, {self.member} before anybody else")
        self.ledger.assigned(synced, self.generation, self.member, raw)
        self.assigned, self.partitions, self.durable = raw, wire.assigned(raw), True
        self.storm.count["joined"] += 1
        await self.storm.ask(connection, self.ledger, self.partitions)

    async def refused(self, error, what):
        """What a client does with an error code."""
        if error in wire.RETRIABLE:
            await asyncio.sleep(self.random.uniform(0.01, 0.04))
        elif error == wire.UNKNOWN_MEMBER_ID:
            self.member = ""
        elif error == wire.FENCED_INSTANCE_ID:
            # Who took a place in a rebalance that a kill ended is forgotten with it, as with Kafka, and the one before is back.
            if self.durable or self.run_of_id == self.storm.runs:
                self.ledger.wrong("fenced", f"{self.member} was answered {error} to {what}, though nobody took its place")
            self.storm.count["fenced"] += 1
            self.member = ""
        elif error not in (wire.ILLEGAL_GENERATION, wire.REBALANCE_IN_PROGRESS):
            self.ledger.wrong("unexpected", f"{what} of {self.member} was answered {error}")
            await asyncio.sleep(0.5)

    async def haunt(self, connection):
        """The member that sat here before, whose place was taken by its instance id, tries to commit."""
        ghost, self.ghost = self.ghost, None
        if not ghost or not ghost[2]:
            return
        member, generation, partitions = ghost
        commit = self.ledger.begin(partitions, generation, f"the ghost {member}")
        body = wire.commit(self.group, generation, member, self.instance, commit.offsets, commit.metadata)
        errors = wire.commit_errors(await connection.send(wire.OFFSET_COMMIT, body))
        if 0 in errors:
            self.ledger.wrong("ghost", f"{member} committed after {self.member} had taken its place")
        elif not errors & wire.RETRIABLE:
            self.ledger.refuse(commit)
        self.storm.count["ghosts"] += 1

    ghost = None

    async def work(self, connection):
        """Commits without a pause and heartbeats, until something is to be done."""
        while True:
            self.nudged.clear()
            if self.order is not None or self.rejoin:
                # What is in flight is answered before anything else is sent, as clients do it.
                while self.flying:
                    await asyncio.sleep(0.002)
                    if connection.lost:
                        raise ConnectionError("closed")
                if self.confirmed or self.rejoin:
                    return
                self.order = None
            synced, generation = self.ledger.synced, self.generation
            body = wire.heartbeat(self.group, generation, self.member, self.instance)
            error = wire.heartbeat_error(await connection.send(wire.HEARTBEAT, body))
            if error == 0:
                self.ledger.current(generation, synced, f"a heartbeat of {self.member}")
                self.confirmed = True
                while self.storm.verified and self.flying < IN_FLIGHT and self.partitions and not self.rejoin and self.order is None:
                    self.commit(connection)
            elif error in wire.RETRIABLE:
                await asyncio.sleep(0.02)
                continue
            else:
                await self.refused(error, "Heartbeat")
                self.rejoin = True
                continue
            try:
                await asyncio.wait_for(self.nudged.wait(), HEARTBEAT_SECONDS if self.storm.verified else 0.03)
            except asyncio.TimeoutError:
                pass

    def commit(self, connection):
        commit = self.ledger.begin(self.partitions, self.generation, self.member)
        body = wire.commit(self.group, self.generation, self.member, self.instance, commit.offsets, commit.metadata)
        self.flying += 1
        connection.send(wire.OFFSET_COMMIT, body).add_done_callback(lambda answer: self.committed(connection, commit, answer))

    def committed(self, connection, commit, answer):
        if answer.cancelled() or answer.exception():
            return
        self.flying -= 1
        errors = wire.commit_errors(answer.result())
        if errors == {0}:
            self.ledger.acknowledge(commit)
            if not self.rejoin and self.order is None:
                self.commit(connection)
            return
        if errors & wire.RETRIABLE:
            # What became of it is not known; the next heartbeat takes it up again.
            return
        if 0 in errors or not errors <= {wire.ILLEGAL_GENERATION, wire.UNKNOWN_MEMBER_ID, wire.REBALANCE_IN_PROGRESS}:
            self.ledger.wrong("unexpected", f"a commit of {self.member} was answered {errors}")
        self.ledger.refuse(commit)
        self.storm.count["refused commits"] += 1
        if wire.UNKNOWN_MEMBER_ID in errors:
            self.member = ""
        self.rejoin = True
        self.nudged.set()
