// kafkajs: no static members, eager, its own round robin.
import kafkajs from 'kafkajs'

const { Kafka, logLevel } = kafkajs

export function open(bootstrap, { say, asked }) {
  const kafka = new Kafka({
    brokers: [bootstrap],
    logLevel: logLevel.ERROR,
    // Standard output is for the answers.
    logCreator: () => ({ log }) => process.stderr.write(log.message + '\n')
  })
  const admin = async ask => {
    const admin = kafka.admin()
    await admin.connect()
    const answer = await ask(admin)
    await admin.disconnect()
    return answer
  }
  const offsets = all => Object.fromEntries(all.map(({ partition, offset }) => [partition, Number(offset)]))
  return {
    // Waiting for leaders it takes the first Metadata that does not have the topic yet for a failure; a Kafka learns of it a moment later.
    create: (topic, numPartitions) => admin(a => a.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions }] })),
    async produce(topic, messages) {
      const producer = kafka.producer()
      await producer.connect()
      await producer.send({ topic, messages, acks: -1 })
      await producer.disconnect()
    },
    ends: topic => admin(async a => offsets(await a.fetchTopicOffsets(topic))),
    committed: (topic, groupId) => admin(async a => offsets((await a.fetchOffsets({ groupId, topics: [topic] }))[0].partitions)),
    list: () => admin(async a => Object.fromEntries((await a.listGroups()).groups.map(group => [group.groupId, '']))),
    async describe(group) {
      const { groups } = await admin(a => a.describeGroups([group]))
      return { state: groups[0].state, members: groups[0].members.length }
    },
    reset: (topic, groupId) => admin(a => a.setOffsets({
      groupId, topic, partitions: [0, 1, 2, 3].map(partition => ({ partition, offset: '0' }))
    })),
    delete: group => admin(a => a.deleteGroups([group])),
    async member(topic, groupId) {
      const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, heartbeatInterval: 500, maxWaitTimeInMs: 100 })
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => say({ owned: payload.memberAssignment[topic] ?? [] }))
      consumer.on(consumer.events.REBALANCING, () => say({ owned: [] }))
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      await consumer.run({
        eachMessage: async ({ partition, message }) => say({ record: [partition, Number(message.offset), message.value.toString()] })
      })
      await asked
      await consumer.disconnect()
    }
  }
}
