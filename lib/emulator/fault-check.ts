import { wrongOption } from '../core/errors.ts'
import type { Faults } from './fault.ts'
import { isObject } from './validate.ts'

type Test = (value: unknown) => boolean

const text: Test = value => typeof value === 'string'
const flag: Test = value => typeof value === 'boolean'
const whole: Test = value => Number.isInteger(value)
const time: Test = value => typeof value === 'number' && value >= 0
const oneOrMore =
  (test: Test): Test =>
  value =>
    Array.isArray(value) ? value.every(test) : test(value)
const object: Test = value => isObject(value)
const lines = oneOrMore(value => whole(value) && Number(value) >= 1)

const OPERATIONS =
  'create retrieve list results cancel delete count_tokens messages models other *'.split(' ')
const WANTED_ON = `one or several of ${OPERATIONS.join(', ')}`
const MOMENTS = ['early', 'before', 'after']

/** The check of each member of a rule, and a description of valid values. */
const MEMBERS: Readonly<Record<string, readonly [Test, string]>> = {
  on: [oneOrMore(value => OPERATIONS.includes(String(value))), WANTED_ON],
  nth: [lines, 'a whole number from 1, or several'],
  times: [whole, 'a whole number'],
  batch: [lines, 'a whole number from 1, or several'],
  when: [value => MOMENTS.includes(String(value)), `one of ${MOMENTS.join(', ')}`],
  bytes: [whole, 'a whole number'],
  status: [
    value => whole(value) && Number(value) >= 200 && Number(value) <= 599,
    'an HTTP status from 200 to 599',
  ],
  headers: [object, 'an object of strings'],
  error: [object, 'an object with type, message and error_code'],
  body: [text, 'a text'],
  contentType: [text, 'a text'],
  redirect: [text, 'a location'],
  reset: [flag, 'true or false'],
  resetAfterBytes: [time, 'a number of bytes'],
  stallMs: [value => time(value) || value === 'forever', "a number of milliseconds or 'forever'"],
  stallAfterBytes: [time, 'a number of bytes'],
  lines: [object, 'an object'],
  rejectRequest: [text, 'a text'],
  refuseContaining: [text, 'a text'],
  replyId: [text, 'a text'],
  notFoundMs: [time, 'a number of milliseconds'],
  listedAfterMs: [time, 'a number of milliseconds'],
  vanishAfterMs: [time, 'a number of milliseconds'],
  expire: [
    value => value === true || (Array.isArray(value) && value.every(whole)),
    'true or a list of places',
  ],
  errored: [value => Array.isArray(value) && value.every(object), 'a list of objects'],
  resultsUrl: [
    value => value === null || (text(value) && URL.canParse(String(value))),
    'null or a URL',
  ],
  counts: [object, 'an object of numbers'],
  archived: [flag, 'true or false'],
}

const LINE_MEMBERS: Readonly<Record<string, readonly [Test, string]>> = {
  ...Object.fromEntries(
    ['drop', 'double', 'conflict', 'garbage', 'blank', 'unknownId', 'unknownType'].map(name => [
      name,
      [lines, 'a line, counted from 1, or several'] as const,
    ]),
  ),
  cutInside: [whole, 'a line, counted from 1'],
  cutAfter: [whole, 'a line, counted from 1, or 0'],
  reversed: [flag, 'true or false'],
  gzipCut: [time, 'a number of bytes'],
  shortBy: [time, 'a number of bytes'],
}

/** Checks a fault script, which may come from a file. An unknown member is an error that names its place. */
export function checkFaults(faults: Faults): void {
  if (typeof faults === 'function') return
  if (!Array.isArray(faults)) throw wrongOption('faults', 'an array of rules or a function', faults)
  faults.forEach((rule: unknown, at) => {
    const name = `faults[${at}]`
    if (!isObject(rule)) throw wrongOption(name, 'an object', rule)
    if (rule['on'] === undefined) throw wrongOption(`${name}.on`, WANTED_ON, undefined)
    checkMembers(name, rule, MEMBERS)
    if (rule['lines'] !== undefined)
      checkMembers(`${name}.lines`, Object(rule['lines']), LINE_MEMBERS)
  })
}

function checkMembers(
  name: string,
  value: Readonly<Record<string, unknown>>,
  members: typeof MEMBERS,
): void {
  for (const [key, member] of Object.entries(value)) {
    const known = Object.hasOwn(members, key) ? members[key] : undefined
    if (!known) throw wrongOption(name, `made of ${Object.keys(members).join(', ')}`, key)
    const [test, wanted] = known
    if (!test(member)) throw wrongOption(`${name}.${key}`, wanted, member)
  }
}
