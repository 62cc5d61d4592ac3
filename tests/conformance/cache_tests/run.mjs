// Runs groups of http-cache-tests through the gateway, as files of an index.
//
// One process is origin and client, since the gateway lets pass neither the suite's own request
// fields (Req-Num) nor its response fields (Server-Request-Count): both are handed over in memory.
// Prints the origin's port; reads the address of the index's files at the gateway; prints results.
import http from 'node:http'
import path from 'node:path'
import readline from 'node:readline'
import { pathToFileURL } from 'node:url'

const [suite, ...groups] = process.argv.slice(2)
const load = file => import(pathToFileURL(path.join(suite, file)).href)
const { configs, stash } = await load('server/utils.mjs')
const { default: handleTest } = await load('server/handle-test.mjs')
const { runTests, getResults } = await load('client/runner.mjs')

// The gateway passes these on; others of the index's fields end with it.
const FORWARDED = new Set(['content-type', 'content-length', 'content-range', 'accept-ranges',
  'etag', 'last-modified', 'cache-control', 'content-disposition', 'retry-after', 'date', 'age'])
// A name that is a file's, so that the gateway does with it what it does with files.
const NAME = 'lib-1.0-py3-none-any.whl'
const current = new Map() // the number of the request that a test is at
const counts = new Map() // the number that the origin gave to what the client got last
const own = new Map() // what the origin says to the suite's client alone
const withheld = {}

const origin = http.createServer((request, response) => {
  const segments = request.url.split('?')[0].split('/').slice(2)
  request.headers['req-num'] = String(current.get(segments[0]) ?? '')
  handleTest(segments, request, response)
  for (const name of ['Server-Now', 'Server-Base-Url']) {
    if (response.hasHeader(name)) own.set(segments[0] + name, String(response.getHeader(name)))
  }
})
await new Promise(resolve => origin.listen(0, '127.0.0.1', resolve))
console.log(origin.address().port)
const [base] = await new Promise(resolve =>
  readline.createInterface(process.stdin).once('line', line => resolve([line.trim()])))

const agent = new http.Agent({ keepAlive: true })
const logged = console.log
console.log = () => {} // the origin's warnings

function ask (url, init) {
  return new Promise((resolve, reject) => {
    const options = { method: init.method ?? 'GET', agent, signal: init.signal }
    const request = http.request(url, options, answer => {
      const chunks = []
      answer.on('data', chunk => chunks.push(chunk))
      answer.on('error', reject)
      answer.on('end', () => resolve({
        status: answer.statusCode,
        fields: Object.entries(answer.headers).filter(([name]) => name !== 'set-cookie'),
        body: Buffer.concat(chunks).toString()
      }))
    })
    request.on('error', reject)
    for (const [name, value] of init.headers ?? []) request.setHeader(name, value)
    request.end(init.body)
  })
}

function answerOf (status, headers, body) {
  return { status, headers, statusText: '', text: async () => body }
}

// What the suite calls to talk to its server: through the gateway, or to the origin's memory.
async function fetch (url, init = {}) {
  const [, what, uuid, rest = ''] = /\/(config|state|test)\/([^/?]+)(.*)$/.exec(url)
  if (what === 'config') {
    configs.set(uuid, JSON.parse(init.body))
    return answerOf(201, new Headers(), 'OK')
  }
  if (what === 'state') {
    return answerOf(200, new Headers(), JSON.stringify(stash.get(uuid) ?? []))
  }
  const fields = Object.fromEntries(init.headers)
  current.set(uuid, Number(fields['Req-Num']))
  const before = (stash.get(uuid) ?? []).length
  const query = rest.includes('?') ? rest.slice(rest.indexOf('?')) : ''
  const answer = await ask(`${base}/test/${uuid}/${NAME}${query}`, init)
  const headers = new Headers(answer.fields)
  const state = stash.get(uuid) ?? []
  if (state.length > before) counts.set(uuid, state.length)
  const source = state[(counts.get(uuid) ?? 1) - 1]
  for (const [name, value] of source?.response_headers ?? []) {
    if (!headers.has(name) && !FORWARDED.has(name.toLowerCase())) {
      headers.set(name, [value].flat().join(', '))
      ;(withheld[fields['Test-ID']] ??= []).push(name)
    }
  }
  for (const name of ['Server-Now', 'Server-Base-Url']) {
    if (own.has(uuid + name)) headers.set(name, own.get(uuid + name))
  }
  headers.set('Server-Request-Count', String(counts.get(uuid) ?? NaN))
  headers.set('Request-Numbers', state.map(item => item.request_num).join(' '))
  return answerOf(answer.status, headers, answer.body)
}

const sets = []
for (const group of groups) sets.push((await load(`tests/${group}.mjs`)).default)
await runTests(sets, fetch, false, base, 40)
const results = getResults()
const told = sets.flatMap(set => set.tests.map(test => ({
  group: set.id,
  id: test.id,
  name: test.name,
  kind: test.kind ?? 'required',
  result: results[test.id] ?? ['NotRun', 'for browsers'],
  withheld: [...new Set(withheld[test.id] ?? [])]
})))
logged(JSON.stringify(told))
process.exit(0)
