import t from 'tap'
import { parseFlags } from '../../lib/cli/flags.ts'
import { pathOfShard, shardIn } from '../../lib/cli/shard-flags.ts'

const shardOf = (
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ReturnType<typeof shardIn> => shardIn(parseFlags('run', 'nothing', words, env), env)

const refused = (words: readonly string[], env: Readonly<Record<string, string>> = {}): string => {
  try {
    shardOf(words, env)
  } catch (cause) {
    return String(cause)
  }
  return 'nothing was refused'
}

void t.test('--shard selects a part of the input', async t => {
  t.equal(shardOf([]), undefined)
  t.match(shardOf(['--shard', '2/4']), { index: 2, count: 4, block: 100, isBlockGiven: false })
  t.match(shardOf(['--shard', '0/1', '--shard-block', '7']), { block: 7, isBlockGiven: true })
  t.match(shardOf(['--shard', '2/4', '--shards', '4']), { index: 2, count: 4 })
  for (const wrong of ['4/4', '1', 'a/b', '-1/4', '1/0', '0/200000', ' 1/2', 'AUTO'])
    t.match(refused([`--shard=${wrong}`]), /--shard must be I\/N/, wrong)
  t.match(refused(['--shard', '2/4', '--shards', '5']), /disagree/)
  t.match(refused(['--shards', '5']), /--shards has no effect without --shard/)
  t.match(refused(['--shard-block', '5']), /--shard-block has no effect without --shard/)
  t.match(refused(['--shard', '0/2', '--shard-block', '0']), /--shard-block must be/)
})

void t.test('--shard auto takes the index from each scheduler', async t => {
  const auto = ['--shard', 'auto', '--shards', '4']
  const slurm = {
    SLURM_ARRAY_TASK_ID: '12',
    SLURM_ARRAY_TASK_MIN: '10',
    SLURM_ARRAY_TASK_COUNT: '4',
  }
  t.match(shardOf(auto, slurm), { index: 2, count: 4 })
  t.match(shardOf(auto, { JOB_COMPLETION_INDEX: '0' }), { index: 0 })
  t.match(shardOf(auto, { AWS_BATCH_JOB_ARRAY_INDEX: '3', AWS_BATCH_JOB_ARRAY_SIZE: '4' }), {
    index: 3,
  })
  t.match(shardOf(auto, { PARALLEL_SEQ: '1' }), { index: 0 })
  t.match(shardOf(auto, { PARALLEL_SEQ: '4', JOB_COMPLETION_INDEX: '' }), { index: 3 })
})

void t.test('--shard auto refuses an index that is missing, ambiguous or out of range', async t => {
  const auto = ['--shard', 'auto', '--shards', '4']
  t.match(refused(['--shard', 'auto'], { PARALLEL_SEQ: '1' }), /needs --shards N/)
  t.match(refused(auto), /finds no index: none of SLURM_ARRAY_TASK_ID, .* is set/)
  t.match(
    refused(auto, { PARALLEL_SEQ: '1', JOB_COMPLETION_INDEX: '1' }),
    /JOB_COMPLETION_INDEX and PARALLEL_SEQ are set/,
  )
  t.match(refused(auto, { PARALLEL_SEQ: '5' }), /must number the tasks 1 to 4 without gaps/)
  t.match(refused(auto, { PARALLEL_SEQ: '0' }), /must number the tasks 1 to 4/)
  t.match(
    refused(['--shard', 'auto', '--shards', '1'], { JOB_COMPLETION_INDEX: '1' }),
    /must number the tasks 0 without gaps/,
  )
  t.match(refused(auto, { PARALLEL_SEQ: 'x' }), /PARALLEL_SEQ must be a whole number, got "x"/)
  t.match(
    refused(auto, { SLURM_ARRAY_TASK_ID: '1' }),
    /SLURM_ARRAY_TASK_MIN must be a whole number, got ""/,
  )
})

void t.test(
  'a resubmitted part of a Slurm array would be another shard, and is refused',
  async t => {
    const again = {
      SLURM_ARRAY_TASK_ID: '2',
      SLURM_ARRAY_TASK_MIN: '2',
      SLURM_ARRAY_TASK_COUNT: '1',
    }
    t.match(
      refused(['--shard', 'auto', '--shards', '4'], again),
      /Slurm says that the array has 1 tasks .* give --shard I\/4/,
    )
    const gap = { SLURM_ARRAY_TASK_ID: '7', SLURM_ARRAY_TASK_MIN: '3', SLURM_ARRAY_TASK_COUNT: '2' }
    t.match(refused(['--shard', 'auto', '--shards', '2'], gap), /without gaps/)
  },
)

void t.test('{shard} in a path becomes five digits', async t => {
  t.equal(pathOfShard('-o', 'a/{shard}/{shard}.x', { index: 12 }), 'a/00012/00012.x')
  t.equal(pathOfShard('-o', 'a', undefined), 'a')
  t.equal(pathOfShard('--errors', undefined, { index: 1 }), undefined)
  t.throws(() => pathOfShard('-o', 'a{shard}', null), { code: 'CBS_OPTION' })
})
