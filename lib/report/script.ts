import { createHash } from 'node:crypto'

/**
 * The only script of a page: a column heading becomes a button that sorts the rows of its table. Without it, the table stays as
 * it is. Cells without a value come last in both directions.
 */
export const SCRIPT: string = `
for (const table of document.querySelectorAll('table.sortable')) {
  const [body] = table.tBodies
  const heads = [...table.tHead.rows[0].cells]
  heads.forEach((head, column) => {
    const valueOf = row => row.cells[column].dataset.value
    const sort = () => {
      const order = head.getAttribute('aria-sort') === 'ascending' ? 'descending' : 'ascending'
      for (const other of heads) other.removeAttribute('aria-sort')
      head.setAttribute('aria-sort', order)
      const sign = order === 'ascending' ? 1 : -1
      const sorted = [...body.rows].sort((a, b) => {
        const [x, y] = [valueOf(a), valueOf(b)]
        if (x === '' || y === '') return (x === '') - (y === '')
        return sign * x.localeCompare(y, 'en', { numeric: true })
      })
      body.append(...sorted)
    }
    const button = document.createElement('button')
    button.type = 'button'
    button.append(...head.childNodes)
    button.addEventListener('click', sort)
    head.append(button)
  })
}
`

/** What the content security policy allows: this script, by its hash, and no other. */
export const SCRIPT_SOURCE: string = `'sha256-${createHash('sha256').update(SCRIPT).digest('base64')}'`
