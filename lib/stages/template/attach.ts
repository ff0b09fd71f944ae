// takes  BatchRequest or RejectedRecord
// gives  the same, with the files that the record names in its request
// next   aggregate
import type Anthropic from '@anthropic-ai/sdk'
import { resolve } from 'node:path'
import { assertSync } from '../../core/assert-sync.ts'
import { BatchStreamError, lineOf, wrapError, wrongOption } from '../../core/errors.ts'
import type { MediaType } from '../../core/file/media-type.ts'
import { readFile, type Content } from '../../core/file/read.ts'
import { textIn } from '../../core/file/text.ts'
import type {
  TemplateOutput,
  BatchRequest,
  Problem,
  RejectedRecord,
  SourceRecord,
  MessageParams,
} from '../../core/flow.ts'
import type { AnyOr, Fields } from '../../core/jsonify.ts'
import { MAX_ATTACHED_BYTES } from '../../core/limits.ts'
import { StageTransform, typed, type CarryingStage, type SameType } from '../../core/stage.ts'
import { wrongInputError } from '../../core/validate-input.ts'
import { compile, type Template } from './compile.ts'
import { isBlank, render } from './render.ts'

/**
 * The file of a record: a template, or a function of its fields. Nothing or an empty string means no file; a path that is
 * named twice is attached once.
 */
export type Attachment<F extends object = Fields> = string | NamesFile<F>

/** Returns the path of a record's file, or nothing. */
export type NamesFile<F extends object = Fields> = (
  fields: F,
  record: SourceRecord<F>,
) => string | undefined

/** Which files a record attaches; options of `attachFiles`, and of `template` where it does both. */
export interface AttachOptions<F extends object = Fields> {
  /**
   * Files to attach before the prompt's text: a PNG, JPEG, GIF or WebP as an image, a PDF as a document, a text file as
   * text. A file that is missing, unreadable, empty, larger than 24 MB, of another type, or not what its name says (HTML
   * named .png) makes a `rejected` row.
   * @default nothing is attached
   */
  readonly attach?: Attachment<F> | readonly Attachment<F>[] | undefined
  /**
   * The folder for relative paths of `attach`.
   * @default the working directory
   */
  readonly attachDir?: string | undefined
  /**
   * Values of `{{$key}}`.
   * @default none
   */
  readonly vars?: Readonly<Record<string, string>> | undefined
}

/**
 * The logic of `attachFiles`; undefined if nothing is to be attached.
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export function attacher(
  given: AttachOptions<never>,
): ((asked: TemplateOutput) => Promise<TemplateOutput>) | undefined {
  // The compiler checked the functions' record type where stages were joined.
  const options = given as AttachOptions
  const { attach = [], attachDir = '.', vars } = options
  if (typeof attachDir !== 'string')
    throw wrongOption('attachDir', 'the path of a folder', attachDir)
  const named = [attach].flat().map(one => {
    if (typeof one === 'string') return compile(one, { name: 'attach', vars })
    if (typeof one === 'function') return one
    throw wrongOption('attach', 'templates of paths, or functions that give one', attach)
  })
  if (named.length === 0) return undefined
  return async asked => {
    if ('problem' in asked || !asked.record) return asked
    const { record } = asked
    const blocks: MediaBlock[] = []
    const seen = new Set([''])
    for (const one of named) {
      const path = pathOf(one, record)
      if (typeof path === 'object') return { record, problem: path }
      if (path === undefined || seen.has(path)) continue
      seen.add(path)
      const block = await blockOf(path, resolve(attachDir, path))
      if ('message' in block) return { record, problem: block }
      blocks.push(block)
    }
    const placed = placeContent(asked.params, blocks)
    return 'messages' in placed ? { ...asked, params: placed } : { record, problem: placed }
  }
}

/**
 * Attaches files to requests of another stage, one record at a time, so that a batch of thousands of documents is never in
 * memory. Takes the options of `template` for files.
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export function attachFiles<F extends object = Fields>(
  options: AttachOptions<F>,
): CarryingStage<BatchRequest<AnyOr<F>> | RejectedRecord<AnyOr<F>>, TemplateOutput, SameType> {
  const attach = attacher(options)
  return typed(
    new StageTransform({
      objectMode: true,
      // A request may have tens of MB, so none is buffered here.
      readableHighWaterMark: 1,
      transform(asked: TemplateOutput, _encoding, done) {
        const wrong = wrongInputError('attachFiles', 'requests', asked)
        if (wrong) return done(wrong)
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

function pathOf(named: Template | NamesFile, record: SourceRecord): string | undefined | Problem {
  if (typeof named !== 'function') return render(named, record)
  const path: unknown = assertSync('attach', named(record.fields, record))
  // A JavaScript user may return null for nothing.
  if (path === undefined || path === null || typeof path === 'string') return path ?? undefined
  throw new BatchStreamError(
    'CBS_STAGE',
    `\`attach\` must return the path of a file, or nothing (${lineOf(record)})`,
  )
}

async function blockOf(path: string, found: string): Promise<MediaBlock | Problem> {
  const content = await readFile(found, { most: MAX_ATTACHED_BYTES })
  if ('type' in content) return content
  if (content.mediaType) return mediaBlock(content.mediaType, content)
  const text = textIn(path, content.bytes)
  if (typeof text !== 'string') return text
  // The API rejects blank text.
  if (isBlank(text)) return { type: 'empty_file', message: `the file ${path} is empty` }
  return { type: 'text', text }
}

function mediaBlock(media_type: MediaType, { bytes }: Content): MediaBlock {
  const data = bytes.toString('base64')
  return media_type === 'application/pdf'
    ? { type: 'document', source: { type: 'base64', media_type, data } }
    : { type: 'image', source: { type: 'base64', media_type, data } }
}

/** A part of a user message made from a file. */
type MediaBlock =
  | Anthropic.Messages.TextBlockParam
  | Anthropic.Messages.ImageBlockParam
  | Anthropic.Messages.DocumentBlockParam

/**
 * Puts blocks before the text of the last user message, since the API's docs advise documents first and the question last.
 */
function placeContent(
  params: MessageParams,
  blocks: readonly MediaBlock[],
): MessageParams | Problem {
  if (blocks.length === 0) return params
  const at = params.messages.findLastIndex(({ role }) => role === 'user')
  const message = params.messages[at]
  if (!message)
    return { type: 'no_user_message', message: 'there is no user message to attach a file to' }
  const { content } = message
  const withoutNulls =
    typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content
  return {
    ...params,
    messages: params.messages.with(at, {
      ...message,
      role: 'user',
      content: [...blocks, ...withoutNulls],
    }),
  }
}
