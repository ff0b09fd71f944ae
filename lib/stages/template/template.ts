// takes: SourceRecord
// gives: BatchRequest, or RejectedRecord where a record cannot be asked
// next: aggregate
import { wrapError } from '../../core/errors.ts'
import type { Asks, BatchRequest, RejectedRecord, SourceRecord } from '../../core/flow.ts'
import type { AnyOr, Fields } from '../../core/jsonify.ts'
import type { AnswerOf, AnswerSchema } from '../../core/schema/answer-schema.ts'
import { RecordPage } from '../../core/record-page.ts'
import { StageTransform, typed, type CarryingStage, type StageOptions } from '../../core/stage.ts'
import { wrongInputError } from '../../core/validate-input.ts'
import { attacher } from './attach.ts'
import { digestOf } from './digest.ts'
import type { AnyTemplateOptions, TemplateOptions } from './options.ts'
import { plainRequests, requestsOf } from './plain-request.ts'
import { requestMaker } from './request.ts'

export { maxTokensAfter } from './max-tokens.ts'
export type { AnyTemplateOptions, TemplateOptions } from './options.ts'
export { requestMaker } from './request.ts'

class TemplateStage extends StageTransform {
  readonly #options: AnyTemplateOptions

  constructor(options: AnyTemplateOptions, streamOptions: StageOptions) {
    super(streamOptions)
    this.#options = options
  }

  override get templateDigest(): string {
    return digestOf(this.#options)
  }

  override get answerSchema(): AnswerSchema | undefined {
    return this.#options.schema
  }
}

/**
 * Makes a request of each record, in order. A record that cannot be sent passes on with a problem: `missing_field`,
 * `missing_value`, `empty_prompt`, `no_prompt`, `response_exists`, `invalid_custom_id` or `refused_parameter`, the problem
 * that it came with, or `skipped` for a failed row of an earlier run; with `attach` also `missing_file`, `unreadable_file`,
 * `file_too_large`, `empty_file`, `invalid_utf8` or `no_user_message`.
 *
 * @throws BatchStreamError `CBS_OPTION` for invalid options and templates, and for parameters that the API rejects
 */
export function template<F extends object = Fields, S extends AnswerSchema | undefined = undefined>(
  options: TemplateOptions<F, S> = {},
): CarryingStage<
  SourceRecord<AnyOr<F>>,
  BatchRequest<F, AnswerOf<S>> | RejectedRecord<F>,
  Asks<AnswerOf<S>>
> {
  const requestOf = requestMaker(options)
  const ask = (record: SourceRecord): BatchRequest | RejectedRecord => {
    try {
      return requestOf(record)
    } catch (cause) {
      throw wrapError('CBS_STAGE', `the record on line ${record.line} cannot be read`, cause)
    }
  }
  const attach = attacher(options)
  const plain = plainRequests(options)
  return typed(
    new TemplateStage(options, {
      objectMode: true,
      takesPages: plain !== undefined,
      // A request with files may have tens of MB, so none is buffered here.
      ...(attach && { readableHighWaterMark: 1 }),
      transform(record: SourceRecord | RecordPage, _encoding, done) {
        let asked
        try {
          if (plain && record instanceof RecordPage) {
            for (const one of requestsOf(record, plain, ask)) this.push(one)
            return done()
          }
          // Without `plain` no page arrives.
          const one = record as SourceRecord
          const wrong = wrongInputError('template', 'records', one)
          if (wrong) return done(wrong)
          asked = ask(one)
        } catch (cause) {
          // ask throws only errors.
          return done(cause as Error)
        }
        if (!attach) return done(null, asked)
        attach(asked).then(
          whole => {
            this.push(whole)
            done()
          },
          cause => done(wrapError('CBS_STAGE', 'a file cannot be attached', cause)),
        )
      },
    }),
  )
}
