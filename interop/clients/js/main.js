// Two JavaScript clients behind the verbs of ../program_client.py: `node main.js LIBRARY VERB BOOTSTRAP ARGUMENT...`.
import { readFileSync } from 'node:fs'

const [library, verb, bootstrap, ...rest] = process.argv.slice(2)
const say = line => process.stdout.write(JSON.stringify(line) + '\n')
const records = () =>
  readFileSync(0, 'utf8').split('\n').filter(Boolean).map(line => {
    const [key, value] = line.split('\t')
    return { key, value }
  })
// @platformatic/kafka is written for node 22; this is all that node 20 lacks of what is used here.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((yes, no) => { resolve = yes; reject = no })
  return { promise, resolve, reject }
}
// When the process is asked to end.
const asked = new Promise(resolve => process.on('SIGTERM', resolve))

const { open } = await import(`./${library}.js`)
const client = open(bootstrap, { say, asked })
const verbs = {
  create: (topic, partitions) => client.create(topic, Number(partitions)),
  produce: topic => client.produce(topic, records()),
  ends: async topic => say(await client.ends(topic)),
  committed: async (topic, group) => say(await client.committed(topic, group)),
  list: async () => say(await client.list()),
  describe: async group => say(await client.describe(group)),
  reset: (topic, group) => client.reset(topic, group),
  delete: group => client.delete(group),
  member: (topic, group, instance) => client.member(topic, group, instance)
}
await verbs[verb](...rest)
process.exit(0)
