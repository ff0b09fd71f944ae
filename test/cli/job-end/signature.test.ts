import t from 'tap'
import { webhookHeaders } from '../../../lib/cli/job-end/notify.ts'

// The example of the Standard Webhooks specification.
const SIGNED = {
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestamp: 1614265330,
  body: '{"test": 2432232314}',
}

t.test('the signature matches the specification', async t => {
  t.same(webhookHeaders(SIGNED, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), {
    'webhook-id': SIGNED.id,
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  })
})

t.test('a secret of another form is used as it is; without one there is no signature', async t => {
  const plain = webhookHeaders(SIGNED, 'a word')['webhook-signature']
  t.match(plain, /^v1,[\w+/]+=$/)
  t.not(plain, webhookHeaders(SIGNED, 'another')['webhook-signature'])
  for (const none of [undefined, ''])
    t.same(Object.keys(webhookHeaders(SIGNED, none)), ['webhook-id', 'webhook-timestamp'])
})
