import t from 'tap'
import { didYouMean, nearest } from '../../lib/core/nearest.ts'

const columns = ['review', 'title', 'Issue Text', 'id']

t.test('a typo leads to the intended name', async t => {
  t.equal(nearest('reveiw', columns), 'review', 'two letters swapped')
  t.equal(nearest('revew', columns), 'review', 'a letter too few')
  t.equal(nearest('reviews', columns), 'review', 'a letter too many')
  t.equal(nearest('rewiew', columns), 'review', 'a wrong letter')
})

t.test('case and surrounding blanks are ignored', async t => {
  t.equal(nearest(' REVIEW ', columns), 'review')
  t.equal(nearest('issue text', columns), 'Issue Text')
})

t.test('the nearest name wins, and the first of equally near ones', async t => {
  t.equal(nearest('name', ['named', 'name1', 'name']), 'name')
  t.equal(nearest('nam', ['nam1', 'nam2']), 'nam1')
})

t.test('a name unlike all others gets no hint', async t => {
  t.equal(nearest('sentiment', columns), undefined)
  t.equal(nearest('x', []), undefined)
  t.equal(nearest('ab', ['yz']), undefined)
})

t.test('a short name allows one typo', async t => {
  t.equal(nearest('ad', ['id']), 'id')
})

t.test('a name as long as a document is not compared', async t => {
  t.equal(nearest('a'.repeat(5000), ['a'.repeat(5001)]), undefined)
})

t.test('the hint reads as the end of a sentence, and is empty without a near name', async t => {
  t.equal(didYouMean('reviw', columns), ' (did you mean "review"?)')
  t.equal(didYouMean('zzz', columns), '')
})
