// Every name that the package exports says in its docstring what it is, and so does every member and option.
import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'

const root = join(import.meta.dirname, '..')
const { exports: entries } = JSON.parse(ts.sys.readFile(join(root, 'package.json')) ?? '')
const LIB = join(root, 'lib')

/** The source of an entry of the package. */
function sourceOf({ types }: { readonly types: string }): string {
  return join(root, types.replace('./dist/', '').replace('.d.ts', '.ts'))
}

const config = ts.getParsedCommandLineOfConfigFile(
  join(root, 'tsconfig.json'),
  {},
  { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => {} },
)
const sources = Object.values<string | { readonly types: string }>(entries).flatMap(entry =>
  typeof entry === 'string' ? [] : [sourceOf(entry)],
)
const program = ts.createProgram(sources, config?.options ?? {})
const checker = program.getTypeChecker()

interface Named {
  readonly path: string
  readonly symbol: ts.Symbol
}

/** The exported names of all entries. */
function publicNames(): Named[] {
  return sources.flatMap(source => {
    const file = program.getSourceFile(source)
    const entry = file && checker.getSymbolAtLocation(file)
    return (entry ? checker.getExportsOfModule(entry) : []).map(symbol => ({
      path: symbol.name,
      symbol: symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol,
    }))
  })
}

function isInternal(symbol: ts.Symbol): boolean {
  return symbol.getJsDocTags(checker).some(({ name }) => name === 'internal')
}

/** Whether a member is declared in this package and visible to its users. */
function isPublic(symbol: ts.Symbol): boolean {
  const declarations = symbol.declarations ?? []
  if (symbol.name.startsWith('__') || symbol.name.startsWith('#') || isInternal(symbol))
    return false
  return declarations.some(
    declaration =>
      declaration.getSourceFile().fileName.startsWith(LIB) &&
      !ts.isPrivateIdentifier(ts.getNameOfDeclaration(declaration) ?? declaration) &&
      !(ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.NonPublicAccessibilityModifier),
  )
}

/** The members of a class, an interface or an object type, and those of object types inside it. */
function membersOf({ path, symbol }: Named): Named[] {
  const members: Named[] = []
  const visit = (node: ts.Node, at: string): void => {
    if (
      ts.isInterfaceDeclaration(node) ||
      ts.isClassDeclaration(node) ||
      ts.isTypeLiteralNode(node)
    ) {
      for (const member of node.members) {
        const name = member.name && checker.getSymbolAtLocation(member.name)
        if (!name || !isPublic(name) || ts.isComputedPropertyName(member.name)) continue
        members.push({ path: `${at}.${name.name}`, symbol: name })
        if (ts.isPropertySignature(member) && member.type) visit(member.type, `${at}.${name.name}`)
      }
    } else if (ts.isUnionTypeNode(node) || ts.isIntersectionTypeNode(node))
      for (const part of node.types) visit(part, at)
    else if (ts.isParenthesizedTypeNode(node)) visit(node.type, at)
    else if (ts.isTypeAliasDeclaration(node)) visit(node.type, at)
  }
  for (const declaration of symbol.declarations ?? []) visit(declaration, path)
  return members
}

function docOf({ symbol }: Named): string {
  return ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim()
}

const names = publicNames()

/** Members that need no docstring of their own. */
const EXEMPT =
  // The comment above each kind of event describes it, as docs/events.md does; the name of the only member of `NeedsObjects` is a
  // message, and `TypeMap` says what `gives` is.
  /^(JobEvent|TransientEvent|NeedsObjects)\.|(?<!TypeMap)\.gives$/

void t.test('every exported name has a docstring', async t => {
  t.ok(names.length > 150, 'the entries are read')
  const bare = names.filter(name => docOf(name) === '').map(({ path }) => path)
  t.same(bare, [])
})

void t.test('every member and option of an exported type has a docstring', async t => {
  const members = names.flatMap(membersOf)
  t.ok(members.length > 500, 'the members are read')
  const bare = members
    .filter(member => docOf(member) === '' && !EXEMPT.test(member.path))
    .map(({ path }) => path)
  t.same([...new Set(bare)], [])
})

void t.test(
  'an option that may be left out names its default, or what its absence means',
  async t => {
    const silent = names
      .filter(({ path }) => path.endsWith('Options'))
      .flatMap(membersOf)
      .filter(({ symbol, path }) => {
        if (!(symbol.flags & ts.SymbolFlags.Optional) || path.split('.').length > 2) return false
        const tags = symbol.getJsDocTags(checker).map(({ name }) => name)
        const type = checker.getTypeOfSymbol(symbol)
        // Listeners have no default.
        const isListener = /^on[A-Z]/.test(symbol.name) && type.getCallSignatures !== undefined
        return !tags.includes('default') && !isListener
      })
      .map(({ path }) => path)
    t.same([...new Set(silent)], [])
  },
)
