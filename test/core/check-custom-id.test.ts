import t from 'tap'
import { checkCustomId } from '../../lib/core/check-custom-id.ts'

t.test('valid ids pass', async t => {
  for (const id of ['a', '0', '-', '_', 'k3x9q0aZ1b-1-2f', 'x'.repeat(64)])
    t.equal(checkCustomId(id), undefined, id)
})

t.test('invalid ids are rejected with the rule', async t => {
  for (const id of ['', 'a b', 'é', 'a.b', 'x'.repeat(65), 'a\n', 17, null, {}]) {
    t.match(
      checkCustomId(id),
      { type: 'invalid_custom_id', message: /1 to 64 characters from a-z A-Z 0-9 _ -/ },
      String(id),
    )
  }
  t.match(checkCustomId('a b'), { message: /^custom_id "a b" must be/ })
})

t.test('a long id is shown shortened', async t => {
  t.equal(
    checkCustomId('x'.repeat(10_000))?.message,
    `custom_id "${'x'.repeat(79)}... must be text of 1 to 64 characters from a-z A-Z 0-9 _ -`,
  )
})
