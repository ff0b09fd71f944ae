import { BatchStreamError } from './errors.ts'

/** The error of a feature whose optional packages are not installed, with the command that installs them. */
export function missingPackages(
  feature: string,
  packages: readonly string[],
  cause: unknown,
): BatchStreamError {
  const names = packages.join(' ')
  const one = packages.length === 1
  return new BatchStreamError(
    'CBS_OPTION',
    `${feature} needs the ${one ? 'package' : 'packages'} ${packages.map(name => `\`${name}\``).join(' and ')}: npm install ${names} (beside claude-batch-stream; globally: npm install -g ${names})`,
    { cause },
  )
}
