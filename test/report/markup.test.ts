import t from 'tap'
import { escaped, markup } from '../../lib/report/markup.ts'

t.test('an inserted value is text unless it is markup itself', async t => {
  const inner = markup`<b>${'a & b'}</b>`
  t.equal(
    markup`<p title="${'" onclick="x'}">${inner}${['<i>', [1, undefined], inner]}${"'"}</p>`.html,
    '<p title="&quot; onclick=&quot;x"><b>a &amp; b</b>&lt;i&gt;1<b>a &amp; b</b>&#39;</p>',
  )
})

t.test('no character of a text can affect the page', async t => {
  t.equal(escaped('</code><script>alert(1)</script>').includes('<'), false)
  t.equal(escaped('a\u0000\u001b[31m\r\n\tb\u007f'), 'a␀␛[31m␍␊␉b␡')
  t.equal(escaped('\u202eabc\u2066\u0085\u200f'), '\ufffdabc\ufffd\ufffd\ufffd')
  t.equal(escaped('half \ud83d of 😀'), 'half \ufffd of 😀')
})
