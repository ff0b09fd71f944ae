// Lines in an SVG, for a page that is light or dark.
export async function plot({ title, x, y, values, interpolate = 'linear' }) {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')])
  const { spec } = compile({
    width: 560,
    height: 280,
    background: 'white',
    title,
    data: { values },
    mark: { type: 'line', point: true, interpolate },
    encoding: {
      x: { field: 'x', type: 'quantitative', title: x.title, scale: { type: x.scale ?? 'linear' } },
      y: { field: 'y', type: 'quantitative', title: y.title, scale: { type: y.scale ?? 'linear' } },
      color: { field: 'case', type: 'nominal', title: null, legend: { labelLimit: 400 } },
    },
  })
  return await new vega.View(vega.parse(spec), { renderer: 'none' }).toSVG()
}
